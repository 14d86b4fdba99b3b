// SPDX-License-Identifier: BSD-2-Clause
//
// The judge against the kernel's own nf_tables: random rulesets at the forward hook, packets
// directed at their edges.
//
//   forward_judge [--seed N] [--rulesets N] [--packets N] [--only N] [--break] [FILE.nft...]
//
// Ruleset i of a run depends on the seed and on i alone; --only runs that one. Every third ruleset
// tracks connections and gets whole flows. Files are judged before what is random. --break compiles
// with a pass that is wrong, and succeeds when that is noticed. Exit 77: not root.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <random>
#include <sstream>

#include "kernel/forward_case.h"
#include "kernel/scripts.h"
#include "kernel/shrink.h"

namespace weir::test {
namespace {

using Kind = ForwardReport::Kind;

struct Arguments {
  std::uint64_t seed = 0;
  std::size_t rulesets = 500;
  std::size_t packets = 500;
  std::optional<std::size_t> only;
  bool break_a_pass = false;
  bool verbose = false;
  std::vector<std::string> files;
};

class Judge {
 public:
  explicit Judge(const Arguments& arguments)
      : arguments_(arguments),
        stateless_(false, {.break_a_pass = arguments.break_a_pass}),
        tracking_(true, {.break_a_pass = arguments.break_a_pass}) {}

  // False after a mismatch.
  bool run_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) give_up("cannot read " + path);
    const std::string script(std::istreambuf_iterator<char>(file), {});
    std::mt19937_64 random(arguments_.seed);
    const bool connections = script.find("ct state") != std::string::npos;
    const bool good = judge(path, script, connections, random);
    if (good && refused_ + left_to_kernel_ > 0) give_up(path + " was not judged: " + last_refusal_);
    return good;
  }

  bool run_random(std::size_t index) {
    std::seed_seq seeds{arguments_.seed, std::uint64_t{index}};
    std::mt19937_64 random(seeds);
    const bool connections = index % 3 == 2;
    const std::string script = random_script({.connections = connections}, random);
    return judge("ruleset " + std::to_string(index), script, connections, random, index);
  }

  [[nodiscard]] std::size_t judged() const { return judged_; }
  [[nodiscard]] std::size_t refused() const { return refused_; }
  [[nodiscard]] const std::string& mismatch() const { return mismatch_; }
  [[nodiscard]] const std::string& last_refusal() const { return last_refusal_; }
  [[nodiscard]] std::string totals() const {
    std::ostringstream out;
    out << judged_ << " rulesets judged (" << refused_ << " more refused by nft, "
        << left_to_kernel_ << " left to the kernel), " << verdicts_ << " verdicts (" << dropped_
        << " drops), " << evaluated_ << " by the evaluator too, " << counted_
        << " packets in counters";
    return out.str();
  }

 private:
  bool judge(const std::string& name, const std::string& script, bool connections,
             std::mt19937_64& random, std::optional<std::size_t> index = {}) {
    if (arguments_.verbose) std::cout << name << "\n" << script << std::flush;
    const auto ruleset = ForwardCase::read(script);
    if (!ruleset) {
      ++refused_;
      last_refusal_ = ruleset.error().text() + "\n" + script;
      return true;
    }
    std::vector<Sent> traffic = make_traffic(*ruleset, connections, random);
    ForwardCase& forward = connections ? tracking_ : stateless_;
    const ForwardReport report = forward.run(script, traffic);
    switch (report.kind) {
      case Kind::refused_by_nft:
        ++refused_;
        last_refusal_ = report.text + "\n" + script;
        return true;
      case Kind::left_to_kernel:
        ++left_to_kernel_;
        last_refusal_ = report.text + "\n" + script;
        return true;
      case Kind::mismatch:
        explain(name, script, connections, std::move(traffic), report, index);
        return false;
      case Kind::judged:
        break;
    }
    ++judged_;
    verdicts_ += report.verdicts;
    dropped_ += report.dropped;
    evaluated_ += report.evaluated;
    counted_ += report.counted;
    return true;
  }

  // About one in ten packets does not reach the hook: there are more of them than were asked for.
  std::vector<Sent> make_traffic(const imr::Ruleset& ruleset, bool connections,
                                 std::mt19937_64& random) const {
    const std::size_t count = arguments_.packets + arguments_.packets / 5;
    std::vector<Sent> traffic =
        connections ? flow_traffic(count * 2 / 3, random) : std::vector<Sent>();
    std::vector<Sent> directed =
        directed_traffic(ruleset, count - std::min(count, traffic.size()), random);
    // A lone fragment would be held back, and whatever it meets there depends on time.
    if (connections) {
      std::erase_if(directed, [](const Sent& sent) { return is_fragment(sent.bytes); });
    }
    std::ranges::move(directed, std::back_inserter(traffic));
    if (!connections) {
      std::ranges::move(nonlinear_traffic(ruleset, 20, random), std::back_inserter(traffic));
    }
    return traffic;
  }

  void explain(const std::string& name, const std::string& script, bool connections,
               std::vector<Sent> traffic, const ForwardReport& first,
               std::optional<std::size_t> index) {
    std::ostringstream out;
    out << name << ", seed " << arguments_.seed << ": mismatch\n";
    if (index) {
      out << "to see it again:  forward_judge --seed " << arguments_.seed << " --only " << *index
          << " --packets " << arguments_.packets << (arguments_.break_a_pass ? " --break\n" : "\n");
    }
    out << first.text << script;
    std::cout << out.str() << std::flush;
    out.str("");
    ForwardCase fresh(connections, {.break_a_pass = arguments_.break_a_pass});
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    const auto fails = [&](const std::string& text, std::span<const Sent> packets) {
      if (std::chrono::steady_clock::now() > until) return false;
      return fresh.run(text, packets).kind == Kind::mismatch;
    };
    const Shrunk small = shrink(script, std::move(traffic), fails);
    const ForwardReport again = fresh.run(small.script, small.traffic);
    out << "made smaller, to " << small.traffic.size() << " packets:\n"
        << small.script << again.text;
    for (std::size_t i = 0; i < std::min<std::size_t>(small.traffic.size(), 5); ++i) {
      out << "packet: " << describe(small.traffic[i]) << "\n";
    }
    mismatch_ = out.str();
  }

  const Arguments& arguments_;
  ForwardCase stateless_;
  ForwardCase tracking_;
  std::size_t judged_ = 0;
  std::size_t refused_ = 0;
  std::size_t left_to_kernel_ = 0;
  std::size_t verdicts_ = 0;
  std::size_t dropped_ = 0;
  std::size_t evaluated_ = 0;
  std::size_t counted_ = 0;
  std::string last_refusal_;
  std::string mismatch_;
};

// False when something differed.
bool run(Judge& judge, const Arguments& arguments) {
  for (const std::string& file : arguments.files) {
    if (!judge.run_file(file)) return false;
  }
  if (arguments.only) return judge.run_random(*arguments.only);
  const std::size_t wanted = judge.judged() + arguments.rulesets;
  for (std::size_t i = 0; judge.judged() < wanted; ++i) {
    if (!judge.run_random(i)) return false;
    if (i > 2 * arguments.rulesets + 10) {
      give_up("nft or weir takes too few of the rulesets; the last refusal:\n" +
              judge.last_refusal());
    }
  }
  return true;
}

int main_with(const Arguments& arguments) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(arguments.seed));
  const auto start = std::chrono::steady_clock::now();
  Judge judge(arguments);
  const bool good = run(judge, arguments);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  std::cout << judge.mismatch() << judge.totals() << ", " << spent.count() << " s\n";
  if (!judge.last_refusal().empty()) std::cout << "last refusal: " << judge.last_refusal();
  if (!arguments.break_a_pass) return good ? 0 : 1;
  std::cout << (good ? "the broken pass was not noticed\n" : "the broken pass was noticed\n");
  return good ? 1 : 0;
}

}  // namespace
}  // namespace weir::test

int main(int argc, char** argv) {
  weir::test::Arguments arguments;
  CLI::App app("judges weir's programs at the forward hook by nf_tables");
  app.add_option("--seed", arguments.seed, "of rulesets and packets");
  app.add_option("--rulesets", arguments.rulesets, "random rulesets");
  app.add_option("--packets", arguments.packets, "packets a ruleset that must reach the hook");
  app.add_option("--only", arguments.only, "this one random ruleset");
  app.add_flag("--break", arguments.break_a_pass, "compile wrongly, and notice");
  app.add_flag("--verbose", arguments.verbose, "print each ruleset before it is judged");
  app.add_option("FILES", arguments.files, "rulesets to judge first");
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0) {
    std::puts("needs root: makes namespaces and loads BPF programs");
    return 77;
  }
  return weir::test::main_with(arguments);
}
