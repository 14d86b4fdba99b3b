// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of ten rules at XDP: weir's program, and one that does the same in C
// (ten_rules.bpf.c, by clang -O2), both by BPF_PROG_TEST_RUN less a program that returns at once.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "bench/clock.h"
#include "bench/entry.h"
#include "bench/spread.h"
#include "bench/subjects.h"
#include "isa/program.h"
#include "kernel/elf.h"
#include "packet/builder.h"

namespace weir::bench {
namespace {

using test::expect;

constexpr std::uint32_t repeats = 200'000;
constexpr std::uint32_t xdp_drop = 1;
constexpr std::uint32_t xdp_pass = 2;

std::string rules_text() {
  std::string text =
      "table ip bench {\n  chain rules {\n    type filter hook prerouting priority -300\n"
      "    policy accept\n";
#define WEIR_RULE(a, b, c, d, port) \
  text += fmt::format("    ip saddr {}.{}.{}.{} tcp dport {} drop\n", a, b, c, d, port);
#include "bench/ten_rules.def"
#undef WEIR_RULE
  return text + "  }\n}\n";
}

kernel::Fd c_program() {
  std::ifstream in(WEIR_TEN_RULES_OBJECT, std::ios::binary);
  const Bytes file(std::istreambuf_iterator<char>(in), {});
  kernel::LoadedElf loaded = expect(kernel::load_elf(file, {{.name = "ten_rules"}}));
  return std::move(loaded.loaded.programs.front());
}

struct Frame {
  std::string_view what;
  Bytes bytes;
  std::uint32_t verdict = xdp_pass;
};

Frame frame_of(std::string_view what, const packet::Ipv4Address& source, std::uint16_t port,
               std::uint32_t verdict) {
  const packet::Packet packet =
      packet::build({.link = packet::Ethernet{},
                     .network = packet::Ipv4{.source = source, .destination = {10, 0, 0, 2}},
                     .transport = packet::Tcp{.destination_port = port}});
  Bytes bytes = packet.bytes;
  bytes.resize(60);
  return {.what = what, .bytes = std::move(bytes), .verdict = verdict};
}

std::vector<Frame> frames() {
  return {frame_of("matches the first rule", {192, 0, 2, 1}, 1000, xdp_drop),
          frame_of("matches the last rule", {10, 0, 0, 1}, 80, xdp_drop),
          frame_of("another source address", {10, 0, 0, 3}, 80, xdp_pass),
          frame_of("another port", {10, 0, 0, 1}, 81, xdp_pass)};
}

double sample(const kernel::Fd& program, const Frame& frame) {
  const double begin = thread_time();
  static_cast<void>(expect(kernel::test_run(program, isa::ProgramType::xdp,
                                            {.packet = frame.bytes, .repeat = repeats})));
  return (thread_time() - begin) / repeats;
}

void check(const kernel::Fd& program, const Frame& frame, std::string_view whose) {
  const auto run =
      expect(kernel::test_run(program, isa::ProgramType::xdp, {.packet = frame.bytes}));
  if (run.result == frame.verdict) return;
  test::give_up(fmt::format("{}: the program of {} returns {}, expected {}", frame.what, whose,
                            run.result, frame.verdict));
}

struct Case {
  std::string_view what;
  std::vector<double> floor;
  std::vector<double> weir;  // net
  std::vector<double> c;
};

std::string report(const std::vector<Case>& cases, bool json) {
  std::string out;
  if (!json) {
    out += fmt::format("{:<26}{:>9}{:>11}{:>8}{:>12}  {}\n", "ten rules, packet", "floor",
                       "weir net", "C net", "difference", "quartiles of both nets");
  }
  for (const Case& one : cases) {
    const Spread weir = spread_of(one.weir);
    const Spread c = spread_of(one.c);
    const double floor = spread_of(one.floor).median;
    if (json) {
      out += nlohmann::json{{"packet", one.what},
                            {"ns_floor", floor},
                            {"ns_net_weir", weir.median},
                            {"ns_net_c", c.median}}
                 .dump() +
             "\n";
      continue;
    }
    out += fmt::format(
        "{:<26}{:>9.1f}{:>11.1f}{:>8.1f}{:>12.1f}  {:.1f} to {:.1f}, {:.1f} to {:.1f}\n", one.what,
        floor, weir.median, c.median, weir.median - c.median, weir.lower_quartile,
        weir.upper_quartile, c.lower_quartile, c.upper_quartile);
  }
  return out;
}

std::string measure(const Options& options) {
  const Compiled weir = compile(rules_text(), expect(parse_hook("xdp")));
  const kernel::Fd& ours = weir.loaded.programs.front();
  const kernel::Fd theirs = c_program();
  const kernel::Fd empty = returning_program(isa::ProgramType::xdp, isa::Direction::ingress,
                                             static_cast<std::int32_t>(xdp_pass));
  std::vector<Case> cases;
  for (const Frame& frame : frames()) {
    check(ours, frame, "weir");
    check(theirs, frame, "clang");
    Case one{.what = frame.what, .floor = {}, .weir = {}, .c = {}};
    for (int round = 0; round < options.rounds; ++round) {
      const bool forth = round % 2 == 0;
      const double first = sample(forth ? ours : theirs, frame);
      const double floor = sample(empty, frame);
      const double last = sample(forth ? theirs : ours, frame);
      one.floor.push_back(floor);
      one.weir.push_back((forth ? first : last) - floor);
      one.c.push_back((forth ? last : first) - floor);
    }
    cases.push_back(std::move(one));
  }
  return report(cases, options.json);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench(
      "c_program_bench", "ns per packet of ten rules at XDP, weir's program against one in C", argc,
      argv, weir::bench::measure);
}
