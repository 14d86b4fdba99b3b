// SPDX-License-Identifier: BSD-2-Clause
//
// The judge at cgroups, by real sockets, against nf_tables' input and output chains before the same
// sockets of another host: random rulesets, and messages directed at their edges.
//
//   cgroup_judge [--hook cgroup:ingress|cgroup:egress] [--seed N] [--rulesets N] [--packets N]
//                [--only N] [--max-rules N] [--break]
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
#include "kernel/cgroup_case.h"

namespace weir::test {
namespace {

struct Arguments {
  std::string hook = "cgroup:ingress";
  std::uint64_t seed = 0;
  std::size_t rulesets = 300;
  std::size_t packets = 200;
  std::size_t max_rules = 60;
  std::optional<std::size_t> only;
  bool break_a_pass = false;
  bool verbose = false;
};

struct Totals {
  std::size_t rulesets = 0;
  std::size_t refused = 0;
  std::size_t verdicts = 0;
  std::size_t dropped = 0;
  std::size_t not_delivered = 0;
  std::size_t nonlinear = 0;
  std::size_t by_ports = 0;
  std::uint64_t counted = 0;
  std::string last_refusal;
};

class Judge {
 public:
  Judge(const Arguments& arguments, Hook::Kind kind)
      : arguments_(arguments),
        kind_(kind),
        case_(kind, {.break_a_pass = arguments.break_a_pass}),
        scratch_(expect(frontend::nft::ScratchNamespace::create())) {}

  // What differed in ruleset `index`; empty when nothing did.
  std::string run(std::size_t index);
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  [[nodiscard]] differential::GeneratorOptions generated() const;
  std::string explain(std::size_t index, const differential::Script& script,
                      std::vector<Message> messages, const CgroupReport& first);

  const Arguments& arguments_;
  Hook::Kind kind_;
  CgroupCase case_;
  frontend::nft::ScratchNamespace scratch_;
  Totals totals_;
};

// What is known of a packet at a cgroup and at the chains of nft alike. Connections are not: what
// is dropped before it leaves has become a connection at cgroup:egress, and none at a chain.
differential::GeneratorOptions Judge::generated() const {
  const bool egress = kind_ == Hook::Kind::cgroup_egress;
  return {.hook = egress ? NfHook::output : NfHook::input,
          .facts = differential::Facts::all,
          .max_rules = arguments_.max_rules,
          .input_device = !egress,
          .output_device = egress,
          .connections = false};
}

std::string Judge::run(std::size_t index) {
  std::seed_seq seeds{arguments_.seed, std::uint64_t{index}};
  std::mt19937_64 random(seeds);
  const differential::Script script = differential::generate(generated(), random);
  if (arguments_.verbose) std::cout << "ruleset " << index << "\n" << script.text() << std::flush;
  const auto subject = case_.read(scratch_, script.text());
  if (!subject) {
    ++totals_.refused;
    totals_.last_refusal = subject.error().text() + "\n";
    return {};
  }
  std::vector<Message> messages = case_.messages(*subject, arguments_.packets, random);
  const CgroupReport report = case_.run(*subject, script.text(), messages);
  if (report.refused) {
    ++totals_.refused;
    totals_.last_refusal = report.text + "\n";
    return {};
  }
  ++totals_.rulesets;
  totals_.verdicts += report.verdicts;
  totals_.dropped += report.dropped;
  totals_.not_delivered += report.not_delivered;
  totals_.counted += report.counted;
  totals_.by_ports += report.by_ports;
  for (const Message& message : messages) totals_.nonlinear += message.linear != 0 ? 1 : 0;
  return report.mismatch() ? explain(index, script, std::move(messages), report) : std::string();
}

std::string Judge::explain(std::size_t index, const differential::Script& script,
                           std::vector<Message> messages, const CgroupReport& first) {
  const auto judge = [&](const differential::Script& candidate) {
    const auto subject = case_.read(scratch_, candidate.text());
    return subject ? case_.run(*subject, candidate.text(), messages) : CgroupReport();
  };
  std::cout << "ruleset " << index << ": mismatch, making it smaller\n" << first.text << std::flush;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  differential::drop_runs([&] { return messages.size(); },
                          [&](std::size_t from, std::size_t to) {
                            if (std::chrono::steady_clock::now() > until) return false;
                            std::vector<Message> all = messages;
                            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(from),
                                           messages.begin() + static_cast<std::ptrdiff_t>(to));
                            if (!messages.empty() && judge(script).mismatch()) return true;
                            messages = std::move(all);
                            return false;
                          });
  const differential::Script small =
      differential::minimise(script, [&](const auto& s) { return judge(s).mismatch(); });
  std::ostringstream out;
  out << "ruleset " << index << ", seed " << arguments_.seed
      << ": mismatch\nto see it again:  cgroup_judge --hook " << arguments_.hook << " --seed "
      << arguments_.seed << " --only " << index << " --packets " << arguments_.packets
      << " --max-rules " << arguments_.max_rules << (arguments_.break_a_pass ? " --break\n" : "\n")
      << first.text << "made smaller, to " << messages.size() << " messages:\n"
      << small.text() << judge(small).text;
  for (std::size_t i = 0; i < std::min<std::size_t>(messages.size(), 5); ++i) {
    out << "message: " << describe(messages[i]) << "\n";
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
            << totals.dropped << " drops), " << totals.by_ports << " of them by ports, "
            << totals.nonlinear << " nonlinear messages, " << totals.not_delivered
            << " messages not delivered, " << totals.counted << " packets in counters, "
            << spent.count() << " s\n"
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
  CLI::App app("judges weir's programs at cgroups by chains of nf_tables before the same sockets");
  app.add_option("--hook", arguments.hook, "cgroup:ingress or cgroup:egress");
  app.add_option("--seed", arguments.seed, "of rulesets and messages");
  app.add_option("--rulesets", arguments.rulesets, "random rulesets");
  app.add_option("--packets", arguments.packets, "messages a ruleset");
  app.add_option("--max-rules", arguments.max_rules, "of a ruleset");
  app.add_option("--only", arguments.only, "this one random ruleset");
  app.add_flag("--break", arguments.break_a_pass, "compile wrongly, and notice");
  app.add_flag("--verbose", arguments.verbose, "print each ruleset before it is judged");
  CLI11_PARSE(app, argc, argv);
  using Kind = weir::Hook::Kind;
  const auto hook = weir::parse_hook(arguments.hook);
  if (!hook || (hook->kind != Kind::cgroup_ingress && hook->kind != Kind::cgroup_egress)) {
    std::puts("--hook: expected cgroup:ingress or cgroup:egress");
    return 2;
  }
  if (::geteuid() != 0) {
    std::puts("needs root: makes namespaces and loads BPF programs");
    return 77;
  }
  return weir::test::main_with(arguments, hook->kind);
}
