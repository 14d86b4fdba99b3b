// SPDX-License-Identifier: BSD-2-Clause
#include "bench/results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::bench {
namespace {

constexpr std::string_view unknown = "-";

std::string number_or_dash(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : std::string(unknown);
}

std::string line_of(const Row& row) {
  std::optional<double> mebibytes;
  if (row.memory) mebibytes = static_cast<double>(*row.memory) / (1 << 20);
  return fmt::format(
      "{:<21} {:<9} {:<15} {:>7.1f} {:>10.1f} {:>10.1f}  {:<19} {:>8.3f} {:>9} {:>8}  {}\n",
      to_string(row.hook), to_string(row.engine), to_string(row.site), row.floor.median,
      row.ns.median, row.net.median,
      fmt::format("{:.1f} to {:.1f}", row.net.lower_quartile, row.net.upper_quartile),
      row.loading.seconds, number_or_dash(row.update_ms, 1), number_or_dash(mebibytes, 1),
      row.note);
}

std::string head_of(const Row& row) {
  return fmt::format(
      "{}, {} rules\n{:<21} {:<9} {:<15} {:>7} {:>10} {:>10}  {:<19} {:>8} {:>9} {:>8}\n", row.list,
      row.rules, "hook", "engine", "at", "floor", "ns/packet", "net", "quartiles of net", "load s",
      "update ms", "MiB");
}

std::string parts_of(const Row& row) {
  std::string out =
      fmt::format("  {} loads in {:.3f} s:", to_string(row.hook), row.loading.seconds);
  std::string_view before = " ";
  for (const Loading::Part& part : row.loading.parts) {
    out += fmt::format("{}{} {:.3f}", before, part.name, part.seconds);
    before = ", ";
  }
  out += "\n";
  if (!row.swap_ms) return out;
  return out + fmt::format("  {} has one rule more in {:.2f} ms, {}; by weir rule in {:.1f} ms\n",
                           to_string(row.hook), row.update_ms.value_or(0),
                           row.updated_in_place ? "in place" : "not in place", *row.swap_ms);
}

// How much of it was checked and measured, once for those of whom it is the same.
std::string checks_of(std::span<const Row> list) {
  std::vector<std::pair<std::string, std::vector<std::string>>> whose;
  for (const Row& row : list) {
    const std::string how =
        fmt::format("  {} packets checked, {} of them accepted; {} samples of {} packets",
                    row.checked, row.accepted, row.rounds, row.packets);
    const std::string who = fmt::format("{} at {}", to_string(row.engine), to_string(row.site));
    auto found =
        std::ranges::find(whose, how, &std::pair<std::string, std::vector<std::string>>::first);
    if (found == whose.end()) found = whose.insert(found, {how, {}});
    if (std::ranges::find(found->second, who) == found->second.end()) found->second.push_back(who);
  }
  std::string out;
  for (const auto& [how, who] : whose) {
    out += fmt::format("{}: {}\n", how, fmt::join(who, ", "));
  }
  return out;
}

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

std::string table_of(const Outcome& outcome) {
  const std::span<const Row> rows = outcome.rows;
  std::string out;
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin;
    while (end < rows.size() && rows[end].list == rows[begin].list) ++end;
    const std::span<const Row> list = rows.subspan(begin, end - begin);
    if (!out.empty()) out += "\n";
    out += head_of(list.front());
    for (const Row& row : list) out += line_of(row);
    for (const Row& row : list) {
      if (!row.loading.parts.empty()) out += parts_of(row);
    }
    out += checks_of(list);
    begin = end;
  }
  if (!outcome.notes.empty()) out += "\n";
  for (const std::string& note : outcome.notes) out += note + "\n";
  return out;
}

std::string json_of(const Outcome& outcome) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const Row& row : outcome.rows) {
    nlohmann::ordered_json parts = nlohmann::ordered_json::object();
    for (const Loading::Part& part : row.loading.parts) parts[part.name] = part.seconds;
    results.push_back({{"engine", to_string(row.engine)},
                       {"hook", to_string(row.hook)},
                       {"rules", row.rules},
                       {"ns", row.ns.median},
                       {"floor_ns", row.floor.median},
                       {"net_ns", row.net.median},
                       {"load_s", row.loading.seconds},
                       {"update_ms", or_null(row.update_ms)},
                       {"swap_ms", or_null(row.swap_ms)},
                       {"memory_bytes", or_null(row.memory)},
                       {"list", row.list},
                       {"at", to_string(row.site)},
                       {"net_quartiles_ns", {row.net.lower_quartile, row.net.upper_quartile}},
                       {"rounds", row.rounds},
                       {"packets", row.packets},
                       {"checked", row.checked},
                       {"accepted", row.accepted},
                       {"dropped", row.checked - row.accepted},
                       {"load_parts_s", std::move(parts)},
                       {"note", row.note}});
  }
  return nlohmann::ordered_json{{"results", std::move(results)}, {"notes", outcome.notes}}.dump() +
         "\n";
}

}  // namespace weir::bench
