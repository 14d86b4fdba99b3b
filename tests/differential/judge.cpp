// SPDX-License-Identifier: BSD-2-Clause
#include "differential/judge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "imr/answer.h"
#include "packet/parse.h"

namespace weir::differential {
namespace {

using driver::EngineKind;
using driver::Runner;
using Kind = Mismatch::Kind;

std::string list_rules(const std::vector<imr::RuleId>& rules) {
  std::string out;
  for (const imr::RuleId rule : rules) out += " " + std::to_string(rule.value);
  return out.empty() ? " none" : out;
}

std::string verdict_of(const imr::Outcome& outcome) {
  const std::string word = outcome.verdict == imr::Outcome::Verdict::accept ? "accept" : "drop";
  return word + (outcome.mark ? ", mark " + std::to_string(*outcome.mark) : "") +
         (outcome.priority ? ", priority " + std::to_string(*outcome.priority) : "") +
         (outcome.type ? ", type " + std::to_string(static_cast<unsigned>(*outcome.type)) : "") +
         (outcome.bytes ? ", bytes " + to_hex(*outcome.bytes) : "");
}

std::string logs_of(const imr::Outcome& outcome) {
  std::string out;
  for (const imr::LogRecord& one : outcome.logged) {
    out += "\n  rule " + std::to_string(one.rule.value) + " log " + std::to_string(one.number) +
           ", " + std::to_string(one.length) + " bytes: " + to_hex(one.bytes);
  }
  return out.empty() ? " nothing" : out;
}

std::string describe(const imr::SentFrame& frame) {
  const std::string device = frame.device ? std::to_string(*frame.device) : "a device";
  return device + " " + to_hex(frame.bytes);
}

std::string sent_of(const imr::Outcome& outcome) {
  std::string out = outcome.sent ? "to " + describe(*outcome.sent) : "nothing";
  for (const imr::SentFrame& copy : outcome.duplicates) out += ", a copy to " + describe(copy);
  return out;
}

// But for the device, where an engine cannot tell.
bool same_sent(const std::optional<imr::SentFrame>& found,
               const std::optional<imr::SentFrame>& wanted) {
  if (!found || !wanted) return found.has_value() == wanted.has_value();
  return found->bytes == wanted->bytes && (!found->device || found->device == wanted->device);
}

std::string describe(const imr::Outcome& outcome) {
  std::string out = verdict_of(outcome);
  out += ", decided by ";
  out += outcome.decided_by ? "rule " + std::to_string(outcome.decided_by->value) : "a policy";
  return out + ", matched rules" + list_rules(outcome.matched);
}

Mismatch mismatch(Kind kind, std::string what, std::optional<std::size_t> packet = {}) {
  return {.kind = kind, .what = std::move(what), .packet = packet};
}

struct Judged {
  std::vector<imr::Outcome> outcomes;
  std::vector<driver::CounterTotal> counters;
  std::vector<driver::LivingElement> elements;  // of dynamic sets
};

// By its own clock, the kernel keeps other times.
std::vector<driver::LivingElement> without_times(std::vector<driver::LivingElement> elements) {
  for (driver::LivingElement& element : elements) {
    if (element.expires) element.expires = 1;
  }
  return elements;
}

std::string list_elements(const imr::Ruleset& ruleset,
                          const std::vector<driver::LivingElement>& elements) {
  std::string out;
  for (const driver::LivingElement& element : elements) {
    out += "\n  " + ruleset[element.set].name + " " + to_hex(element.key);
    for (const std::uint64_t word : element.words) out += " " + std::to_string(word);
    if (element.expires) out += " expires " + std::to_string(*element.expires);
    if (!element.data.empty()) out += " : " + to_hex(element.data);
  }
  return out.empty() ? " nothing" : out;
}

std::optional<Mismatch> compare_elements(EngineKind kind, const imr::Ruleset& ruleset,
                                         Runner& runner, const Judged& expected) {
  const std::string name(to_string(kind));
  auto found = runner.elements();
  if (!found) return mismatch(Kind::crash, name + ": " + found.error().text());
  const bool timed = kind == EngineKind::interpreter;
  const auto elements = timed ? std::move(*found) : without_times(std::move(*found));
  const auto wanted = timed ? expected.elements : without_times(expected.elements);
  if (elements == wanted) return std::nullopt;
  return mismatch(Kind::elements, "evaluator leaves" + list_elements(ruleset, wanted) + "\n" +
                                      name + " leaves" + list_elements(ruleset, elements));
}

// One engine over all packets, against what the evaluator said.
std::optional<Mismatch> compare(EngineKind kind, const RulesetAtHook& subject,
                                const driver::Compilation& compilation,
                                std::span<const packet::Packet> packets, const Judged& expected,
                                bool traced) {
  const std::string name(to_string(kind));
  auto runner = Runner::create(kind, subject.ruleset, compilation);
  if (!runner) {
    return mismatch(kind == EngineKind::interpreter ? Kind::checker : Kind::verifier,
                    name + " refuses the program: " + runner.error().text());
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    auto outcome = runner->run(packets[i]);
    if (!outcome) return mismatch(Kind::crash, name + ": " + outcome.error().text(), i);
    const imr::Outcome& wanted = expected.outcomes[i];
    const std::string both = "evaluator: " + describe(wanted) + "\n" + name + ": " +
                             (traced ? describe(*outcome) : verdict_of(*outcome));
    if (outcome->verdict != wanted.verdict) return mismatch(Kind::verdict, both, i);
    // Nobody asks for the mark of a packet that was dropped.
    const bool goes_on = wanted.verdict == imr::Outcome::Verdict::accept;
    const std::uint32_t mark = packets[i].mark;
    if (goes_on && outcome->mark.value_or(mark) != wanted.mark.value_or(mark)) {
      return mismatch(Kind::mark, both, i);
    }
    if (goes_on && kind == EngineKind::interpreter) {
      const packet::Packet& packet = packets[i];
      const bool same = outcome->priority.value_or(packet.priority) ==
                            wanted.priority.value_or(packet.priority) &&
                        outcome->type.value_or(packet.type) == wanted.type.value_or(packet.type);
      if (!same) return mismatch(Kind::mark, both, i);
    }
    if (goes_on && outcome->bytes_known && outcome->bytes != wanted.bytes) {
      return mismatch(Kind::bytes, both, i);
    }
    if ((outcome->sent_known && !same_sent(outcome->sent, wanted.sent)) ||
        (outcome->duplicates_known && outcome->duplicates != wanted.duplicates)) {
      return mismatch(
          Kind::bytes,
          "evaluator sends " + sent_of(wanted) + "\n" + name + " sends " + sent_of(*outcome), i);
    }
    if (outcome->logged_known && outcome->logged != wanted.logged) {
      return mismatch(
          Kind::logs,
          "evaluator logs" + logs_of(wanted) + "\n" + name + " logs" + logs_of(*outcome), i);
    }
    if (!traced) continue;
    if (outcome->matched != wanted.matched || outcome->decided_by != wanted.decided_by) {
      return mismatch(Kind::rules, both, i);
    }
  }
  auto counters = runner->counters();
  if (!counters) return mismatch(Kind::crash, name + ": " + counters.error().text());
  for (std::size_t i = 0; i < expected.counters.size(); ++i) {
    const driver::CounterTotal& wanted = expected.counters[i];
    const driver::CounterTotal& found = counters->at(i);
    if (found == wanted) continue;
    return mismatch(Kind::counters, "counter " + std::to_string(i) + " of rule " +
                                        std::to_string(subject.ruleset.counters[i].rule.value) +
                                        ": evaluator: " + differential::describe(wanted) + "; " +
                                        name + ": " + differential::describe(found));
  }
  return compare_elements(kind, subject.ruleset, *runner, expected);
}

std::optional<Mismatch> judge_throwing(const RulesetAtHook& subject,
                                       std::span<const packet::Packet> packets,
                                       const JudgeOptions& options, Tally& tally) {
  const auto compilation = driver::compile(subject.ruleset, subject.attachments, options.compiler);
  if (!compilation) return mismatch(Kind::compiler, compilation.error().text());
  Judged expected;
  auto evaluator = Runner::create(EngineKind::evaluator, subject.ruleset, *compilation);
  if (!evaluator) return mismatch(Kind::crash, evaluator.error().text());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    auto outcome = evaluator->run(packets[i]);
    if (!outcome) return mismatch(Kind::crash, "evaluator: " + outcome.error().text(), i);
    ++tally.pairs;
    tally.matched += outcome->matched.empty() ? 0 : 1;
    tally.dropped += outcome->verdict == imr::Outcome::Verdict::drop ? 1 : 0;
    tally.marked += outcome->mark ? 1 : 0;
    tally.written += outcome->bytes ? 1 : 0;
    expected.outcomes.push_back(std::move(*outcome));
  }
  auto counters = evaluator->counters();
  if (!counters) return mismatch(Kind::crash, counters.error().text());
  expected.counters = std::move(*counters);
  auto elements = evaluator->elements();
  if (!elements) return mismatch(Kind::crash, elements.error().text());
  expected.elements = std::move(*elements);

  const bool traced = options.compiler.trace;
  if (options.interpreter) {
    auto found = compare(EngineKind::interpreter, subject, *compilation, packets, expected, traced);
    if (found) return found;
    tally.interpreter_runs += packets.size();
  }
  if (options.kernel) {
    auto found = compare(EngineKind::kernel, subject, *compilation, packets, expected, traced);
    if (found) return found;
    tally.kernel_runs += packets.size();
  }
  return std::nullopt;
}

// The kernel's clock would tell how many answers there are that have a limit by the second: theirs
// is by the day here.
std::optional<RulesetAtHook> with_seldom_answers(const RulesetAtHook& subject) {
  const imr::MeterState limit = imr::limit_of_answers();
  if (std::ranges::find(subject.ruleset.meters, limit) == subject.ruleset.meters.end()) {
    return std::nullopt;
  }
  constexpr std::uint64_t day = 86400;
  RulesetAtHook out = subject;
  for (imr::MeterState& meter : out.ruleset.meters.edit()) {
    if (meter == limit) meter = {.amount = 1, .unit = day, .burst = 9};
  }
  return out;
}

}  // namespace

std::string describe(const driver::CounterTotal& total) {
  return std::to_string(total.packets) + " packets, " + std::to_string(total.bytes) + " bytes";
}

// An InvariantError would end the run without the ruleset that broke the promise.
std::optional<Mismatch> judge(const RulesetAtHook& subject, std::span<const packet::Packet> packets,
                              const JudgeOptions& options, Tally& tally) {
  try {
    const std::optional<RulesetAtHook> slowed = with_seldom_answers(subject);
    return judge_throwing(slowed ? *slowed : subject, packets, options, tally);
  } catch (const std::exception& error) {
    return mismatch(Kind::crash, std::string("exception: ") + error.what());
  }
}

}  // namespace weir::differential
