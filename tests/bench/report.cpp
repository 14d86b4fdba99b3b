// SPDX-License-Identifier: BSD-2-Clause
//
// A table for people, JSON lines for programs.
#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace weir::bench {
namespace {

struct Row {
  std::string_view engine;
  const Series* series;
};

std::vector<Row> rows(const Case& measured) {
  return {{"nft", &measured.nft}, {"weir", &measured.weir}, {"weir, test run", &measured.test_run}};
}

struct HookRow {
  std::string_view engine;
  const Series* series;
  const std::vector<double>* floor;
};

std::vector<HookRow> rows(const HookCase& measured) {
  std::vector<HookRow> out;
  if (!measured.nft.total.empty()) out.push_back({"nft", &measured.nft, &measured.chain});
  out.push_back({"weir", &measured.weir, &measured.program});
  return out;
}

std::string quartiles(const Spread& spread) {
  return fmt::format("{:.1f} to {:.1f}", spread.lower_quartile, spread.upper_quartile);
}

std::string floor_line(std::string_view what, const std::vector<double>& samples) {
  const auto spread = spread_of(samples);
  return fmt::format("  {:<44}{:>9.1f}  {:.1f} to {:.1f}\n", what, spread.median,
                     spread.lower_quartile, spread.upper_quartile);
}

nlohmann::json json_of(const Spread& spread) {
  return {{"median", spread.median},
          {"lower_quartile", spread.lower_quartile},
          {"upper_quartile", spread.upper_quartile}};
}

}  // namespace

std::string table(const Results& results) {
  std::string text = "floors, ns per packet: median, quartiles\n";
  text += floor_line("nft, empty base chain, policy drop", results.floors.chain);
  text += floor_line("eBPF netfilter program that drops", results.floors.program);
  text += floor_line("the same by BPF_PROG_TEST_RUN", results.floors.test_run);
  text += fmt::format("\n{:<24}{:>6}  {:<16}{:>10}{:>10}  {:<20}{:>9}{:>8}\n", "shape", "rules",
                      "engine", "ns/packet", "net", "quartiles of net", "ns/rule", "insns");
  for (const auto& measured : results.cases) {
    for (const auto& [engine, series] : rows(measured)) {
      const auto net = spread_of(series->net);
      const bool compiled = engine != "nft";
      text += fmt::format(
          "{:<24}{:>6}  {:<16}{:>10.1f}{:>10.1f}  {:<20}{:>9.2f}{:>8}\n", to_string(measured.shape),
          measured.rules, engine, spread_of(series->total).median, net.median, quartiles(net),
          net.median / measured.rules, compiled ? std::to_string(measured.instructions) : "");
    }
  }
  return text;
}

std::string table(const std::vector<HookCase>& cases) {
  constexpr std::size_t gap = 2;
  std::size_t widest = 20;
  for (const auto& measured : cases) widest = std::max(widest, measured.hook.size());
  std::string text =
      fmt::format("{:<{}}{:>6}  {:<6}{:>10}{:>11}{:>10}  {:<22}{:>8}\n", "hook", widest + gap,
                  "rules", "engine", "floor", "ns/packet", "net", "quartiles of net", "insns");
  for (const auto& measured : cases) {
    for (const auto& [engine, series, floor] : rows(measured)) {
      const auto net = spread_of(series->net);
      text +=
          fmt::format("{:<{}}{:>6}  {:<6}{:>10.1f}{:>11.1f}{:>10.1f}  {:<22}{:>8}\n", measured.hook,
                      widest + gap, measured.rules, engine, spread_of(*floor).median,
                      spread_of(series->total).median, net.median, quartiles(net),
                      engine != "nft" ? std::to_string(measured.instructions) : "");
    }
  }
  return text;
}

std::string json_lines(const std::vector<HookCase>& cases) {
  std::string text;
  for (const auto& measured : cases) {
    for (const auto& [engine, series, floor] : rows(measured)) {
      nlohmann::json line = {{"hook", measured.hook},
                             {"rules", measured.rules},
                             {"engine", engine},
                             {"rounds", series->total.size()},
                             {"ns_floor", json_of(spread_of(*floor))},
                             {"ns_packet", json_of(spread_of(series->total))},
                             {"ns_net", json_of(spread_of(series->net))}};
      if (engine != "nft") line["instructions"] = measured.instructions;
      text += line.dump() + "\n";
    }
  }
  return text;
}

std::string json_lines(const Results& results) {
  std::string text;
  const auto add = [&](const nlohmann::json& line) { text += line.dump() + "\n"; };
  const auto& floors = results.floors;
  add({{"floor", "nft"}, {"ns_packet", json_of(spread_of(floors.chain))}});
  add({{"floor", "weir"}, {"ns_packet", json_of(spread_of(floors.program))}});
  add({{"floor", "weir, test run"}, {"ns_packet", json_of(spread_of(floors.test_run))}});
  for (const auto& measured : results.cases) {
    for (const auto& [engine, series] : rows(measured)) {
      const auto net = spread_of(series->net);
      nlohmann::json line = {{"shape", to_string(measured.shape)},
                             {"rules", measured.rules},
                             {"engine", engine},
                             {"rounds", series->total.size()},
                             {"ns_packet", json_of(spread_of(series->total))},
                             {"ns_net", json_of(net)},
                             {"ns_rule", net.median / measured.rules}};
      if (engine != "nft") line["instructions"] = measured.instructions;
      add(line);
    }
  }
  return text;
}

}  // namespace weir::bench
