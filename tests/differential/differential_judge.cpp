// SPDX-License-Identifier: BSD-2-Clause
//
// evaluator = interpreter = kernel test run, for every generated pair of a ruleset and a packet.
// Run by ctest with a few hundred rulesets a hook, and by hand with as many as there is time for.
// Without root, the kernel is left out, and the summary says so. At the netfilter hooks every fifth
// ruleset asks for facts that no test run carries (devices, marks, connections), and is left to the
// evaluator and the interpreter.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "backend/profile.h"
#include "backend/servable.h"
#include "differential/drop_runs.h"
#include "differential/failure.h"
#include "differential/generator.h"
#include "differential/judge.h"
#include "passes/pipeline.h"

namespace weir::differential {
namespace {

struct Settings {
  std::uint64_t seed = 0;
  std::size_t first = 0;
  std::size_t rulesets = 200;
  std::size_t packets = 200;
  std::size_t rules = 0;
  std::size_t max_rules = 1000;
  std::string hook = "netfilter:forward";
  std::string family;
  bool break_a_pass = false;
  bool keep_going = false;
  bool timing = false;
  bool flat = false;
  bool show = false;
  bool each_pass = false;
  bool with_kernel = true;
};

// A script that nft takes and weir translates whole; the generator aims at nothing else, and may
// miss now and then.
struct Generated {
  Script script;
  RulesetAtHook subject;
  bool beyond_test_run = false;  // its packets are not for a test run
  bool seldom_facts = false;     // of GeneratorOptions
};

// Whether a hook refuses the rules for the one thing that depends on the chains around them.
bool moves_headers(const RulesetAtHook& subject) {
  const backend::Profile profile = backend::profile_for(subject.hook);
  const auto moves = [](const backend::Need& need) {
    return need.kind == backend::Need::Kind::move_headers;
  };
  for (const driver::Attachment& attachment : subject.attachments) {
    for (const imr::Unit& unit : driver::units_of(subject.ruleset, attachment)) {
      for (const imr::Rule& rule : unit.ruleset.rules) {
        if (std::ranges::any_of(backend::unserved(unit, rule, profile), moves)) return true;
      }
    }
  }
  return false;
}

class Run {
 public:
  Run(Settings settings, Hook hook, std::optional<Family> family,
      frontend::nft::ScratchNamespace scratch)
      : settings_(std::move(settings)),
        hook_(std::move(hook)),
        family_(family),
        scratch_(std::move(scratch)) {}

  // The number of rulesets with a mismatch.
  std::size_t all();
  // Whether each judge notices a pass that is wrong on purpose.
  bool broken();
  void summary(std::size_t failed) const;
  [[nodiscard]] bool too_many_refusals() const {
    // One script in fifty makes libnftables end its process; one in twenty, and a few, is too many.
    return (refused_ + native_) * 20 > settings_.rulesets + 200;
  }

 private:
  Generated generate_accepted(std::size_t index, std::mt19937_64& random);
  std::optional<Mismatch> one(std::size_t index);
  std::optional<Mismatch> judge_one(const Generated& generated,
                                    std::span<const packet::Packet> packets,
                                    const JudgeOptions& options, std::size_t index);
  void explain(const Generated& generated, std::span<const packet::Packet> packets,
               const JudgeOptions& options, std::size_t index, const Mismatch& found);
  [[nodiscard]] std::string rerun(std::size_t index) const;
  std::optional<Mismatch> without_each_pass(const Generated& generated,
                                            std::span<const packet::Packet> packets,
                                            std::size_t index);
  JudgeOptions variant(const JudgeOptions& plain, bool seldom_facts, std::mt19937_64& random) const;

  Settings settings_;
  Hook hook_;
  std::optional<Family> family_;
  frontend::nft::ScratchNamespace scratch_;
  Tally plain_;
  Tally variants_;
  std::size_t refused_ = 0;
  std::size_t native_ = 0;
  std::size_t too_large_ = 0;  // with all runs searched
  std::size_t rules_ = 0;
};

std::mt19937_64 random_for(std::uint64_t seed, std::size_t index) {
  return std::mt19937_64(seed * 0x9e3779b97f4a7c15 + index);
}

// Hooks that base chains of the family name and that a program at `hook` can stand in for.
NfHook draw_hook(const std::optional<Family>& family, const Hook& hook, std::mt19937_64& random) {
  const bool out = hook.kind == Hook::Kind::tc_egress;
  if (family == Family::netdev) return out ? NfHook::egress : NfHook::ingress;
  if (family == Family::arp) return out ? NfHook::output : NfHook::input;
  if (family != Family::bridge) return hook.nf_hook;
  constexpr std::array received = {NfHook::prerouting, NfHook::input, NfHook::forward};
  constexpr std::array sent = {NfHook::forward, NfHook::output, NfHook::postrouting};
  return (out ? sent : received)[random() % 3];
}

Generated Run::generate_accepted(std::size_t index, std::mt19937_64& random) {
  GeneratorOptions options{.hook = draw_hook(family_, hook_, random),
                           .rules = settings_.rules,
                           .max_rules = settings_.max_rules,
                           .user_chains = !settings_.flat,
                           .family = family_};
  const bool beyond_test_run = !settings_.break_a_pass && index % 5 == 4;
  if (hook_.kind == Hook::Kind::netfilter) {
    options.facts = beyond_test_run ? Facts::all : Facts::test_run;
    options.seldom_facts = beyond_test_run && index % 2 == 0;
  } else {
    // A chain of a device knows that neither of the two has the other; others are not asked.
    const bool at_tc = hook_.kind == Hook::Kind::tc_ingress || hook_.kind == Hook::Kind::tc_egress;
    options.facts = beyond_test_run && at_tc ? Facts::all : Facts::bytes;
    const bool of_device = family_ == Family::netdev || family_ == Family::arp;
    options.input_device = of_device || hook_.kind == Hook::Kind::tc_ingress;
    options.output_device = of_device || hook_.kind == Hook::Kind::tc_egress;
    options.connections = false;
    const backend::Profile profile = backend::profile_for(hook_);
    options.marks = profile.writes_mark;
    options.writes = profile.writes_packets && family_ != Family::arp;
    options.transport_writes = profile.knows_open_checksums;
    options.answers =
        profile.emit_answer != nullptr && family_ != Family::arp && family_ != Family::bridge;
    options.forwards = family_ == Family::netdev && profile.forwards;
    options.duplicates = family_ == Family::netdev && profile.duplicates;
    // A test run takes the link header off what socket filters get.
    options.length = hook_.kind != Hook::Kind::socket || beyond_test_run;
  }
  // A test run takes that header off for counts and logs as well.
  options.state = hook_.kind != Hook::Kind::socket || beyond_test_run;
  options.chance = beyond_test_run && hook_.kind != Hook::Kind::xdp;
  for (;;) {
    Script script = generate(options, random);
    auto subject = read_at_hook(scratch_, script.text(), hook_);
    if (!subject) {
      ++refused_;
      std::cout << "nft refuses: " << subject.error().text() << "\n";
      invariant(refused_ < 20 + settings_.rulesets / 10, "nft refuses too many scripts");
      continue;
    }
    const auto whole = [](const imr::Rule& rule) {
      return imr::translation(rule) == imr::Translation::full;
    };
    if (const auto rule = std::ranges::find_if_not(subject->ruleset.rules, whole);
        rule != subject->ruleset.rules.end()) {
      ++native_;
      std::cout << "stays with the kernel: " << rule->origin.text << ": "
                << std::get<imr::Native>(rule->statements.back()).reason << "\n";
      invariant(native_ < 20 + settings_.rulesets / 10, "too many scripts hold untranslated rules");
      continue;
    }
    if (moves_headers(*subject)) {
      ++native_;
      std::cout << "writes where headers are, in front of another chain\n";
      continue;
    }
    return {.script = std::move(script),
            .subject = std::move(*subject),
            .beyond_test_run = beyond_test_run && hook_.kind != Hook::Kind::xdp,
            .seldom_facts = options.seldom_facts};
  }
}

// The same ruleset compiled in another way must mean the same.
JudgeOptions Run::variant(const JudgeOptions& plain, bool seldom_facts,
                          std::mt19937_64& random) const {
  JudgeOptions options = plain;
  switch (random() % 5) {
    case 0:
      options.compiler.trace = true;
      break;
    case 3:
      options.compiler.small_parts = true;
      options.compiler.trace = random() % 2 == 0;
      break;
    case 4:
      options.compiler.all_runs = true;
      options.compiler.trace = random() % 2 == 0;
      options.compiler.small_parts = random() % 3 == 0;
      if (const std::size_t kind = random() % 4; kind < classify::all_kinds.size()) {
        options.compiler.classifier = classify::all_kinds[kind];
      }
      break;
    case 1:
      for (const passes::ImrPass& pass : passes::imr_passes()) {
        if (!pass.required && random() % 2 == 0) {
          options.compiler.disabled_passes.emplace_back(pass.name);
        }
      }
      for (const passes::FlowPass& pass : passes::flow_passes()) {
        if (random() % 2 == 0) options.compiler.disabled_passes.emplace_back(pass.name);
      }
      // Without it rules of the other protocol stay in a program, and what they would write there
      // is refused where it could be of headers (backend::Need::Kind::move_headers).
      if (backend::profile_for(hook_).writes_packets) {
        std::erase(options.compiler.disabled_passes, "fold-constants");
      }
      break;
    default:
      // Without it, seldom facts are refused.
      options.compiler.untrusted_memory = seldom_facts;
      options.compiler.trace = hook_.kind == Hook::Kind::xdp;
      break;
  }
  return options;
}

std::optional<Mismatch> Run::judge_one(const Generated& generated,
                                       std::span<const packet::Packet> packets,
                                       const JudgeOptions& options, std::size_t index) {
  Tally& tally = options.compiler.trace || !options.compiler.untrusted_memory ||
                         options.compiler.small_parts || options.compiler.all_runs ||
                         !options.compiler.disabled_passes.empty()
                     ? variants_
                     : plain_;
  auto found = judge(generated.subject, packets, options, tally);
  // Short runs are searched for tests only, in more code than the same rules have otherwise.
  const bool too_large =
      found && found->kind == Mismatch::Kind::compiler && options.compiler.all_runs &&
      found->what.find("are more than the kernel's verifier follows") != std::string::npos;
  if (too_large) {
    ++too_large_;
    invariant(too_large_ < 5 + settings_.rulesets / 10, "too many scripts are too large");
    return std::nullopt;
  }
  if (found) explain(generated, packets, options, index, *found);
  return found;
}

// The command that judges this ruleset again, with the same packets and in the same ways.
std::string Run::rerun(std::size_t index) const {
  std::string command = "differential_judge --seed " + std::to_string(settings_.seed) +
                        " --first " + std::to_string(index) + " --rulesets 1 --hook " +
                        to_string(hook_) + " --packets " + std::to_string(settings_.packets) +
                        " --max-rules " + std::to_string(settings_.max_rules);
  if (!settings_.family.empty()) command += " --family " + settings_.family;
  if (settings_.rules != 0) command += " --rules " + std::to_string(settings_.rules);
  if (settings_.flat) command += " --flat";
  if (settings_.break_a_pass) command += " --break";
  if (settings_.each_pass) command += " --each-pass";
  return command;
}

// All that it takes to see the mismatch again, in the output and in files.
void Run::explain(const Generated& generated, std::span<const packet::Packet> packets,
                  const JudgeOptions& options, std::size_t index, const Mismatch& found) {
  std::vector<packet::Packet> kept(packets.begin(), packets.end());
  if (found.packet) kept = {packets[*found.packet]};
  Tally ignored;
  const auto fails = [&](const Script& script) {
    const auto subject = read_at_hook(scratch_, script.text(), hook_);
    if (!subject) return false;
    const auto again = judge(*subject, kept, options, ignored);
    return again && again->kind == found.kind;
  };
  const Script smallest = minimise(generated.script, fails);
  const auto subject = read_at_hook(scratch_, smallest.text(), hook_);
  auto again = subject ? judge(*subject, kept, options, ignored) : std::nullopt;
  if (again) {
    drop_runs([&] { return kept.size(); },
              [&](std::size_t from, std::size_t to) {
                std::vector<packet::Packet> fewer = kept;
                fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(from),
                            fewer.begin() + static_cast<std::ptrdiff_t>(to));
                auto less = judge(*subject, fewer, options, ignored);
                if (!less || less->kind != found.kind) return false;
                kept = std::move(fewer);
                again = std::move(less);
                return true;
              });
  }
  const std::string place = std::to_string(settings_.seed) + "-" + std::to_string(index);
  const auto directory = std::filesystem::absolute("differential-failures") / place;
  record_failure(directory / "whole", generated.script, generated.subject, packets, found, options);
  std::cout << "MISMATCH at " << to_string(hook_) << " of seed " << settings_.seed << ", ruleset "
            << index << (settings_.break_a_pass ? ", a pass being wrong on purpose" : "")
            << "\nto see it again:  " << rerun(index)
            << "\nall its forms in: " << directory.string() << "\ncompiled with: trace "
            << options.compiler.trace << ", untrusted memory " << options.compiler.untrusted_memory
            << ", small parts " << options.compiler.small_parts << ", all runs "
            << options.compiler.all_runs << ", classifier "
            << (options.compiler.classifier ? to_string(*options.compiler.classifier) : "any")
            << ", disabled passes";
  for (const std::string& pass : options.compiler.disabled_passes) std::cout << " " << pass;
  std::cout << "\n"
            << (again ? record_failure(directory / "minimal", smallest, *subject, kept, *again,
                                       options)
                      : found.what + "\n(does not come back when judged again)\n")
            << "\n"
            << std::flush;
}

// Every pass that can be switched off, by itself, and then all of them at once.
std::optional<Mismatch> Run::without_each_pass(const Generated& generated,
                                               std::span<const packet::Packet> packets,
                                               std::size_t index) {
  std::vector<std::string> names;
  for (const passes::ImrPass& pass : passes::imr_passes()) {
    if (!pass.required) names.emplace_back(pass.name);
  }
  for (const passes::FlowPass& pass : passes::flow_passes()) {
    if (std::ranges::find(names, pass.name) == names.end()) names.emplace_back(pass.name);
  }
  JudgeOptions options{.compiler = {}, .interpreter = true, .kernel = false};
  options.compiler.trace = true;
  for (const std::string& name : names) {
    options.compiler.disabled_passes = {name};
    if (auto found = judge_one(generated, packets, options, index)) return found;
  }
  options.compiler.disabled_passes = names;
  return judge_one(generated, packets, options, index);
}

std::optional<Mismatch> Run::one(std::size_t index) {
  std::mt19937_64 random = random_for(settings_.seed, index);
  const Generated generated = generate_accepted(index, random);
  if (settings_.show) std::cout << generated.script.text() << "\n" << std::flush;
  rules_ += generated.subject.ruleset.rules.size();
  const bool facts = generated.beyond_test_run;
  const std::vector<packet::Packet> packets =
      packets_for(generated.subject, settings_.packets, facts, random);
  if (settings_.each_pass) return without_each_pass(generated, packets, index);
  const JudgeOptions plain{
      .compiler = {}, .interpreter = true, .kernel = settings_.with_kernel && !facts};
  if (auto found = judge_one(generated, packets, plain, index)) return found;
  if (index % 4 == 3) return std::nullopt;
  return judge_one(generated, packets, variant(plain, generated.seldom_facts, random), index);
}

std::size_t Run::all() {
  std::size_t failed = 0;
  for (std::size_t i = 0; i < settings_.rulesets; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto found = one(settings_.first + i);
    const auto taken = std::chrono::steady_clock::now() - start;
    if (settings_.timing) {
      std::cout << "ruleset " << settings_.first + i << ": " << taken / std::chrono::milliseconds(1)
                << " ms" << "\n"
                << std::flush;
    }
    if (!found) continue;
    ++failed;
    if (!settings_.keep_going) break;
  }
  return failed;
}

bool Run::broken() {
  const auto notices = [&](bool interpreter) {
    for (std::size_t i = settings_.first; i < settings_.first + settings_.rulesets; ++i) {
      std::mt19937_64 random = random_for(settings_.seed, i);
      const Generated generated = generate_accepted(i, random);
      const auto packets = packets_for(generated.subject, settings_.packets, false, random);
      JudgeOptions options{.compiler = {}, .interpreter = interpreter, .kernel = !interpreter};
      options.compiler.break_a_pass = true;
      const auto found = judge_one(generated, packets, options, i);
      if (!found) continue;
      const bool judged =
          found->kind == Mismatch::Kind::verdict || found->kind == Mismatch::Kind::mark ||
          found->kind == Mismatch::Kind::bytes || found->kind == Mismatch::Kind::logs ||
          found->kind == Mismatch::Kind::counters;
      std::cout << (interpreter ? "interpreter" : "kernel") << (judged ? " notices" : " fails on")
                << " the broken pass at ruleset " << i << ": " << found->what << "\n";
      return judged;
    }
    std::cout << (interpreter ? "interpreter" : "kernel") << " does not notice the broken pass\n";
    return false;
  };
  const bool by_interpreter = notices(true);
  if (!settings_.with_kernel) {
    std::cout << "not root: the kernel's test run is left out\n";
    return by_interpreter;
  }
  return notices(false) && by_interpreter;
}

void Run::summary(std::size_t failed) const {
  std::cout << to_string(hook_) << (family_ ? " " + settings_.family : "") << ": "
            << settings_.rulesets << " rulesets with " << rules_ << " rules, " << plain_.pairs
            << " pairs judged (" << plain_.matched << " matched a rule, " << plain_.dropped
            << " dropped, " << plain_.marked << " given a mark, " << plain_.written
            << " other bytes), " << plain_.interpreter_runs << " by the interpreter, "
            << plain_.kernel_runs << " by the kernel; " << variants_.pairs
            << " more traced, with passes off, in small parts, all runs searched or by slices ("
            << variants_.kernel_runs << " by the kernel too); nft refused " << refused_
            << " scripts, " << native_ << " were not translated whole, " << too_large_
            << " are too large with all runs searched; " << failed << " mismatches, seed "
            << settings_.seed << "\n";
  if (!settings_.with_kernel) std::cout << "not root: the kernel's test run was left out\n";
}

int run(int argc, char** argv) {
  Settings settings;
  settings.seed = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                             std::chrono::microseconds(1));
  CLI::App app("evaluator = interpreter = kernel test run, over generated rulesets and packets");
  app.add_option("--seed", settings.seed, "of everything; the time of day by default");
  app.add_option("--first", settings.first, "number of the first ruleset of the seed");
  app.add_option("--rulesets", settings.rulesets, "how many");
  app.add_option("--packets", settings.packets, "for each ruleset");
  app.add_option("--rules", settings.rules, "of each ruleset; drawn by default");
  app.add_option("--max-rules", settings.max_rules, "of each ruleset whose size is drawn");
  app.add_option("--hook", settings.hook, "xdp, tc:DIRECTION, cgroup:DIRECTION or netfilter:HOOK");
  app.add_option("--family", settings.family, "netdev, bridge or arp; the IP families by default");
  app.add_flag("--break", settings.break_a_pass, "make a pass wrong; succeed if all judges notice");
  app.add_flag("--each-pass", settings.each_pass,
               "only: each pass switched off alone, and all, by evaluator and interpreter");
  app.add_flag("--keep-going", settings.keep_going, "do not stop at the first mismatch");
  app.add_flag("--timing", settings.timing, "say how long each ruleset takes");
  app.add_flag("--show", settings.show, "print every ruleset before it is judged");
  app.add_flag("--flat", settings.flat, "base chains only");
  CLI11_PARSE(app, argc, argv);

  settings.with_kernel = ::geteuid() == 0;
  const auto hook = parse_hook(settings.hook);
  if (!hook) {
    std::cerr << hook.error().text() << "\n";
    return 1;
  }
  std::optional<Family> family;
  if (!settings.family.empty()) {
    const auto known = parse_family(settings.family);
    if (!known) {
      std::cerr << known.error().text() << "\n";
      return 1;
    }
    family = *known;
  }
  auto scratch = frontend::nft::ScratchNamespace::create();
  if (!scratch) {
    std::cerr << scratch.error().text() << "\n";
    return 1;
  }
  std::cout << "seed " << settings.seed << "\n" << std::flush;
  const bool break_a_pass = settings.break_a_pass;
  Run judges(std::move(settings), *hook, family, std::move(*scratch));
  if (break_a_pass) return judges.broken() ? 0 : 1;
  const std::size_t failed = judges.all();
  judges.summary(failed);
  if (judges.too_many_refusals()) {
    std::cout
        << "FAILED: too few of the scripts were judged (refused, not translated whole, or too "
           "much for the verifier)\n";
    return 1;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace weir::differential

int main(int argc, char** argv) {
  return weir::differential::run(argc, argv);
}
