// SPDX-License-Identifier: BSD-2-Clause
//
// The judge at TC and XDP against nf_tables' own chains of the same device: random rulesets of
// netdev chains (and inet chains of the hook ingress), and frames directed at their edges, with
// tags in bytes and metadata, with other protocols than IP, cut, in fragments, and nonlinear.
//
//   tc_judge [--hook tc:ingress|tc:egress|xdp] [--family bridge|arp] [--seed N] [--rulesets N]
//   [--packets N]
//   [--only N]
//            [--max-rules N] [--break]
//
// Ruleset i of a run depends on the seed and on i alone; --only runs that one. --break compiles
// with a pass that is wrong, and succeeds when that is noticed. Exit 77: not root.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>

#include "differential/drop_runs.h"
#include "differential/failure.h"
#include "differential/generator.h"
#include "kernel/netdev_case.h"

namespace weir::test {
namespace {

struct Arguments {
  std::string hook = "tc:ingress";
  std::uint64_t seed = 0;
  std::size_t rulesets = 300;
  std::size_t packets = 200;
  std::size_t max_rules = 60;
  std::optional<std::size_t> only;
  std::string family;
  bool break_a_pass = false;
  bool verbose = false;
};

struct Totals {
  std::size_t rulesets = 0;
  std::size_t refused = 0;
  std::size_t verdicts = 0;
  std::size_t dropped = 0;
  std::size_t marked = 0;
  std::size_t not_delivered = 0;
  std::size_t nonlinear = 0;
  std::uint64_t counted = 0;
  std::string last_refusal;
};

NetdevWorld::Middle middle_for(const std::string& family) {
  if (family == "bridge") return NetdevWorld::Middle::bridge;
  return family == "arp" ? NetdevWorld::Middle::host : NetdevWorld::Middle::rules;
}

class Judge {
 public:
  Judge(const Arguments& arguments, Hook::Kind kind)
      : arguments_(arguments),
        case_(kind, {.break_a_pass = arguments.break_a_pass}, middle_for(arguments.family)),
        scratch_(expect(frontend::nft::ScratchNamespace::create())) {}

  // What differed in ruleset `index`; empty when nothing did.
  std::string run(std::size_t index);
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] std::uint64_t late_arrivals() const { return case_.late_arrivals(); }

 private:
  [[nodiscard]] differential::GeneratorOptions generated(std::size_t index) const;
  [[nodiscard]] differential::GeneratorOptions generated_for_bridge(std::size_t index) const;
  [[nodiscard]] differential::GeneratorOptions generated_for_arp() const;
  std::string explain(std::size_t index, const differential::Script& script,
                      std::vector<Frame> frames, const NetdevReport& first);

  const Arguments& arguments_;
  NetdevCase case_;
  frontend::nft::ScratchNamespace scratch_;
  Totals totals_;
};

// Chains of a bridge know one port before the bridge has chosen the other, and behind that one too;
// forward chains know both, and programs of TC the one where they are.
differential::GeneratorOptions Judge::generated_for_bridge(std::size_t index) const {
  const bool egress = case_.hook().kind == Hook::Kind::tc_egress;
  const NfHook own = egress ? NfHook::postrouting : NfHook::prerouting;
  return {.hook = index % 3 == 2 ? NfHook::forward : own,
          .facts = differential::Facts::all,
          .max_rules = arguments_.max_rules,
          .family = Family::bridge,
          .input_device = !egress,
          .output_device = egress,
          .connections = false,
          .marks = true};
}

// What a host answers has none of the marks of the question.
differential::GeneratorOptions Judge::generated_for_arp() const {
  return {.hook = NfHook::input,
          .facts = case_.hook().kind == Hook::Kind::xdp ? differential::Facts::bytes
                                                        : differential::Facts::all,
          .max_rules = arguments_.max_rules,
          .family = Family::arp,
          .input_device = true,
          .output_device = true,
          .connections = false,
          .marks = false};
}

differential::GeneratorOptions Judge::generated(std::size_t index) const {
  if (arguments_.family == "bridge") return generated_for_bridge(index);
  if (arguments_.family == "arp") return generated_for_arp();
  const bool egress = case_.hook().kind == Hook::Kind::tc_egress;
  const bool inet = !egress && index % 4 == 3;
  return {.hook = egress ? NfHook::egress : NfHook::ingress,
          .facts = case_.hook().kind == Hook::Kind::xdp ? differential::Facts::bytes
                                                        : differential::Facts::all,
          .max_rules = arguments_.max_rules,
          .family = inet ? Family::inet : Family::netdev,
          .input_device = true,
          .output_device = !inet,
          .connections = false,
          .marks = case_.hook().kind != Hook::Kind::xdp,
          // Those of inet chains go through the kernel's routes.
          .answers = !egress && !inet,
          .forwards = !inet,
          .duplicates = !inet && case_.hook().kind != Hook::Kind::xdp};
}

std::string Judge::run(std::size_t index) {
  std::seed_seq seeds{arguments_.seed, std::uint64_t{index}};
  std::mt19937_64 random(seeds);
  const differential::Script script = differential::generate(generated(index), random);
  if (arguments_.verbose) std::cout << "ruleset " << index << "\n" << script.text() << std::flush;
  const auto subject = case_.read(scratch_, script.text());
  if (!subject) {
    ++totals_.refused;
    totals_.last_refusal = subject.error().text() + "\n";
    return {};
  }
  std::vector<Frame> frames = case_.frames(*subject, arguments_.packets, random);
  const NetdevReport report = case_.run(*subject, script.text(), frames, index % 2 == 1);
  if (report.refused) {
    ++totals_.refused;
    totals_.last_refusal = report.text + "\n";
    return {};
  }
  ++totals_.rulesets;
  totals_.verdicts += report.verdicts;
  totals_.dropped += report.dropped;
  totals_.marked += report.marked;
  totals_.not_delivered += report.not_delivered;
  totals_.counted += report.counted;
  for (const Frame& frame : frames) totals_.nonlinear += frame.linear != 0 ? 1 : 0;
  return report.mismatch() ? explain(index, script, std::move(frames), report) : std::string();
}

std::string Judge::explain(std::size_t index, const differential::Script& script,
                           std::vector<Frame> frames, const NetdevReport& first) {
  const bool generic = index % 2 == 1;
  const auto judge = [&](const differential::Script& candidate) {
    const auto subject = case_.read(scratch_, candidate.text());
    return subject ? case_.run(*subject, candidate.text(), frames, generic) : NetdevReport();
  };
  std::cout << "ruleset " << index << ": mismatch, making it smaller\n" << first.text << std::flush;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  differential::drop_runs([&] { return frames.size(); },
                          [&](std::size_t from, std::size_t to) {
                            if (std::chrono::steady_clock::now() > until) return false;
                            std::vector<Frame> all = frames;
                            frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(from),
                                         frames.begin() + static_cast<std::ptrdiff_t>(to));
                            if (!frames.empty() && judge(script).mismatch()) return true;
                            frames = std::move(all);
                            return false;
                          });
  const differential::Script small =
      differential::minimise(script, [&](const auto& s) { return judge(s).mismatch(); });
  std::ostringstream out;
  out << "ruleset " << index << ", seed " << arguments_.seed
      << ": mismatch\nto see it again:  tc_judge --hook " << arguments_.hook
      << (arguments_.family.empty() ? "" : " --family " + arguments_.family) << " --seed "
      << arguments_.seed << " --only " << index << " --packets " << arguments_.packets
      << " --max-rules " << arguments_.max_rules << (arguments_.break_a_pass ? " --break\n" : "\n")
      << first.text << "made smaller, to " << frames.size() << " frames:\n"
      << small.text() << judge(small).text;
  for (std::size_t i = 0; i < std::min<std::size_t>(frames.size(), 5); ++i) {
    out << "frame: " << describe(frames[i]) << "\n";
  }
  return out.str();
}

int main_with(const Arguments& arguments, Hook::Kind kind) {
  std::cout << arguments.hook << ", seed " << arguments.seed << "\n" << std::flush;
  const auto start = std::chrono::steady_clock::now();
  Judge judge(arguments, kind);
  std::string difference;
  if (arguments.only) difference = judge.run(*arguments.only);
  const std::size_t wanted = arguments.only ? 0 : arguments.rulesets;
  for (std::size_t i = 0; judge.totals().rulesets < wanted && difference.empty(); ++i) {
    if (i > 2 * arguments.rulesets + 10) {
      give_up("nft takes too few of the rulesets; the last refusal:\n" +
              judge.totals().last_refusal);
    }
    difference = judge.run(i);
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  const Totals& totals = judge.totals();
  std::cout << difference << totals.rulesets << " rulesets judged (" << totals.refused
            << " more refused by nft or left to the kernel), " << totals.verdicts << " verdicts ("
            << totals.dropped << " drops, " << totals.marked << " other marks), "
            << totals.nonlinear << " nonlinear frames, " << totals.not_delivered
            << " frames not delivered, " << judge.late_arrivals() << " late, " << totals.counted
            << " packets in counters, " << spent.count() << " s\n"
            << (totals.refused != 0 ? "last refusal: " + totals.last_refusal : "");
  if (!arguments.break_a_pass) return difference.empty() ? 0 : 1;
  std::cout << (difference.empty() ? "the broken pass was not noticed\n"
                                   : "the broken pass was noticed\n");
  return difference.empty() ? 1 : 0;
}

}  // namespace
}  // namespace weir::test

int main(int argc, char** argv) {
  weir::test::Arguments arguments;
  CLI::App app("judges weir's programs at TC and XDP by chains of nf_tables at the same device");
  app.add_option("--hook", arguments.hook, "tc:ingress, tc:egress or xdp");
  app.add_option(
         "--family", arguments.family,
         "bridge: chains of a bridge, of which the device is a port; arp: of a host's input")
      ->check(CLI::IsMember({"bridge", "arp"}));
  app.add_option("--seed", arguments.seed, "of rulesets and frames");
  app.add_option("--rulesets", arguments.rulesets, "random rulesets");
  app.add_option("--packets", arguments.packets, "frames a ruleset");
  app.add_option("--max-rules", arguments.max_rules, "of a ruleset");
  app.add_option("--only", arguments.only, "this one random ruleset");
  app.add_flag("--break", arguments.break_a_pass, "compile wrongly, and notice");
  app.add_flag("--verbose", arguments.verbose, "print each ruleset before it is judged");
  CLI11_PARSE(app, argc, argv);
  using Kind = weir::Hook::Kind;
  const auto hook = weir::parse_hook(arguments.hook);
  if (!hook || (hook->kind != Kind::tc_ingress && hook->kind != Kind::tc_egress &&
                hook->kind != Kind::xdp)) {
    std::puts("--hook: expected tc:ingress, tc:egress or xdp");
    return 2;
  }
  if (::geteuid() != 0) {
    std::puts("needs root: makes namespaces and loads BPF programs");
    return 77;
  }
  return weir::test::main_with(arguments, hook->kind);
}
