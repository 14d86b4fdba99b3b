// SPDX-License-Identifier: BSD-2-Clause
//
// The judge at XDP: random stateless rulesets attached to a veth device, natively and generically,
// and frames directed at their edges, with VLAN tags and protocols other than IP. Whether a frame
// arrives, and what the rules have counted, must be what the reference evaluator says.
//
//   xdp_judge [--seed N] [--rulesets N] [--packets N] [--only N] [--break]
//
// Ruleset i of a run depends on the seed and on i alone; --only runs that one.
// --break compiles with a pass that is wrong, and succeeds when that is noticed. Exit 77: not root.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>

#include "differential/judge.h"
#include "frontend/nft/nft.h"
#include "imr/probes.h"
#include "kernel/programs.h"
#include "kernel/scripts.h"
#include "kernel/support/xdp_world.h"
#include "packet/directed.h"
#include "packet/parse.h"

namespace weir::test {
namespace {

using Verdict = imr::Outcome::Verdict;

struct Arguments {
  std::uint64_t seed = 0;
  std::size_t rulesets = 100;
  std::size_t packets = 200;
  std::optional<std::size_t> only;
  bool break_a_pass = false;
};

struct Totals {
  std::size_t rulesets = 0;
  std::size_t refused = 0;
  std::size_t verdicts = 0;
  std::size_t dropped = 0;
  std::size_t counted = 0;
};

std::string word(bool accepted) {
  return accepted ? "pass" : "drop";
}

class Judge {
 public:
  explicit Judge(const Arguments& arguments) : arguments_(arguments) {}

  // What differed in ruleset `index`; empty when nothing did.
  std::string run(std::size_t index) {
    std::seed_seq seeds{arguments_.seed, std::uint64_t{index}};
    std::mt19937_64 random(seeds);
    const std::string script = random_script(
        {.hook = "input", .devices = false, .connections = false, .single_chain = true}, random);
    const auto ruleset = frontend::nft::read_script(script, "ruleset.nft");
    if (!ruleset) {
      ++totals_.refused;
      return {};
    }
    const Hook hook{.kind = Hook::Kind::xdp, .device = {}};
    const auto programs = make_programs(*ruleset, hook, {.break_a_pass = arguments_.break_a_pass});
    std::string difference;
    if (!programs) {
      difference = programs.error().text() + "\n";
    } else {
      const std::vector<packet::Packet> packets = frames(*ruleset, random);
      for (const auto mode : {kernel::XdpMode::native, kernel::XdpMode::generic}) {
        difference = compare(*ruleset, hook, mode, packets);
        if (!difference.empty()) break;
      }
    }
    ++totals_.rulesets;
    if (difference.empty()) return {};
    const std::string number = std::to_string(index);
    const std::string seed = std::to_string(arguments_.seed);
    return "ruleset " + number + ", seed " + seed +
           ": mismatch\nto see it again:  xdp_judge --seed " + seed + " --only " + number +
           " --packets " + std::to_string(arguments_.packets) +
           (arguments_.break_a_pass ? " --break\n" : "\n") + script + difference;
  }
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  std::vector<packet::Packet> frames(const imr::Ruleset& ruleset, std::mt19937_64& random) const {
    packet::DirectedOptions options;
    options.count = arguments_.packets;
    options.link_header = true;
    options.vlan_tags = true;
    options.other_protocols = true;
    options.min_ipv4_size = 0;
    options.min_ipv6_size = 0;
    return packet::directed_packets(imr::probes_of(ruleset), options, random);
  }

  // Each mode has programs of its own, whose counters start at zero.
  std::string compare(const imr::Ruleset& ruleset, const Hook& hook, kernel::XdpMode mode,
                      const std::vector<packet::Packet>& packets) {
    const Programs programs =
        expect(make_programs(ruleset, hook, {.break_a_pass = arguments_.break_a_pass}));
    auto evaluator = expect(
        driver::Runner::create(driver::EngineKind::evaluator, ruleset, programs.compilation));
    std::vector<bool> deliverable;
    for (const packet::Packet& packet : packets) deliverable.push_back(world_.send(packet.bytes));
    const auto link = expect(world_.attach(programs.loaded.programs.front(), mode));
    const std::string where = mode == kernel::XdpMode::native ? "native" : "generic";
    std::ostringstream out;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if (!deliverable[i]) continue;
      const bool expected = expect(evaluator.run(packets[i])).verdict == Verdict::accept;
      const bool passed = world_.send(packets[i].bytes);
      ++totals_.verdicts;
      totals_.dropped += passed ? 0 : 1;
      if (passed == expected) continue;
      out << where << ": weir " << word(passed) << ", evaluator " << word(expected) << " for "
          << packet::summary(packets[i]) << "\n  " << to_hex(packets[i].bytes) << "\n";
      break;
    }
    if (!out.str().empty()) return out.str();
    const auto by_weir = programs.counters(ruleset);
    const auto by_evaluator = expect(evaluator.counters());
    for (std::size_t i = 0; i < by_weir.size(); ++i) {
      totals_.counted += by_weir[i].packets;
      if (by_weir[i] == by_evaluator[i]) continue;
      out << where << ": counter of '" << ruleset[ruleset.counters[i].rule].origin.text
          << "': weir " << differential::describe(by_weir[i]) << ", evaluator "
          << differential::describe(by_evaluator[i]) << "\n";
    }
    return out.str();
  }

  const Arguments& arguments_;
  XdpWorld world_;
  Totals totals_;
};

int main_with(const Arguments& arguments) {
  std::cout << "seed " << arguments.seed << "\n";
  Judge judge(arguments);
  std::string difference;
  if (arguments.only) difference = judge.run(*arguments.only);
  const std::size_t wanted = arguments.only ? 0 : arguments.rulesets;
  for (std::size_t i = 0; judge.totals().rulesets < wanted && difference.empty(); ++i) {
    if (i > 2 * arguments.rulesets + 10) give_up("nft takes too few of the rulesets");
    difference = judge.run(i);
  }
  const Totals& totals = judge.totals();
  std::cout << difference << totals.rulesets << " rulesets judged (" << totals.refused
            << " more refused by nft), " << totals.verdicts << " verdicts (" << totals.dropped
            << " drops), " << totals.counted << " packets in counters\n";
  if (!arguments.break_a_pass) return difference.empty() ? 0 : 1;
  std::cout << (difference.empty() ? "the broken pass was not noticed\n"
                                   : "the broken pass was noticed\n");
  return difference.empty() ? 1 : 0;
}

}  // namespace
}  // namespace weir::test

int main(int argc, char** argv) {
  weir::test::Arguments arguments;
  CLI::App app("judges weir's programs at XDP by the reference evaluator");
  app.add_option("--seed", arguments.seed, "of rulesets and frames");
  app.add_option("--rulesets", arguments.rulesets, "random rulesets");
  app.add_option("--packets", arguments.packets, "frames a ruleset");
  app.add_option("--only", arguments.only, "this one random ruleset");
  app.add_flag("--break", arguments.break_a_pass, "compile wrongly, and notice");
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0) {
    std::puts("needs root: makes namespaces and loads BPF programs");
    return 77;
  }
  return weir::test::main_with(arguments);
}
