// SPDX-License-Identifier: BSD-2-Clause
#include "classify/runs.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "classify/run_sources.h"
#include "classify/tests.h"

namespace weir::classify {
namespace {

// What the tests of one rule may multiply to, and all rules of a run together.
constexpr std::size_t most_of_rule = 1024;
constexpr std::size_t most_per_rule = 4;
constexpr std::size_t always_enough = 8192;

// The test that the statement is, if it can be told by fields of a key.
std::optional<Test> told_test(const imr::Unit& unit, const imr::Statement& statement) {
  auto test = test_of(unit.ruleset, statement);
  if (test && !is_told(unit, *test)) test.reset();
  return test;
}

// The mark that a statement gives all packets alike.
std::optional<std::uint32_t> written_mark(const imr::Ruleset& ruleset,
                                          const imr::MetaWrite& write) {
  const auto* immediate = std::get_if<imr::Immediate>(&ruleset[write.value]);
  std::uint32_t out = 0;
  if (write.key != imr::MetaKey::mark || immediate == nullptr ||
      immediate->value.size() != sizeof(out)) {
    return std::nullopt;
  }
  std::memcpy(&out, immediate->value.data(), sizeof(out));
  return out;
}

// Whether packets come by the statement on their way through the rows of a list: it is counted,
// marked, or led on.
bool needs_no_test(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  const auto* write = std::get_if<imr::MetaWrite>(&statement);
  return std::holds_alternative<imr::Counter>(statement) ||
         std::holds_alternative<imr::VerdictStatement>(statement) ||
         std::holds_alternative<imr::VerdictMap>(statement) ||
         (write != nullptr && written_mark(ruleset, *write).has_value());
}

// Calls `visit` for each test that the key is to tell, of the rules and of those that they lead to.
template <typename Visit>
void for_each_test(const imr::Unit& unit, std::span<const imr::RuleId> rules, const Visit& visit) {
  for (const imr::RuleId rule : rules) {
    for (const imr::Statement& statement : unit.ruleset[rule].statements) {
      if (const auto* map = std::get_if<imr::VerdictMap>(&statement)) {
        const auto tests = tests_of(unit.ruleset, *map);
        for (const TestedVerdict& one : *tests) visit(one.test);
      }
      if (needs_no_test(unit.ruleset, statement)) continue;
      const auto test = told_test(unit, statement);
      if (!test) break;  // the rule's tail
      visit(*test);
    }
  }
}

// The number of the tail's code, which is that of one of these already, or a new one.
std::size_t code_of(const imr::Ruleset& ruleset, const Tail& tail, std::vector<Tail>& tails) {
  const auto known = std::ranges::find_if(
      tails, [&](const Tail& other) { return same_code(ruleset, tail, other); });
  const auto number = static_cast<std::size_t>(known - tails.begin());
  if (known == tails.end()) tails.push_back(tail);
  return number;
}

// Whether bytes of the packet are looked at.
bool looks_at_packet(const imr::Ruleset& ruleset, imr::ExprId expr) {
  return std::holds_alternative<imr::Payload>(ruleset[expr]) ||
         std::ranges::any_of(imr::sources(ruleset[expr]),
                             [&](imr::ExprId source) { return looks_at_packet(ruleset, source); });
}

// Walks the rules as a packet that may meet any of them would, and notes what it would have to be
// like.
class Maker {
 public:
  Maker(const imr::Unit& unit, bool matched, Sources sources)
      : unit_(unit), ruleset_(unit.ruleset), matched_(matched), sources_(std::move(sources)) {}

  // The values that the rules look at, and those that they lead to.
  [[nodiscard]] bool find_fields(std::span<const imr::RuleId> rules);
  std::optional<Run> run(std::span<const imr::RuleId> rules);

 private:
  // Of one rule, or of the jumps that lead to a chain: what the packet is like if one of them
  // holds.
  using Rows = std::vector<Ranges>;
  // A chain that is being walked: the actions that end it.
  struct Frame {
    bool top = false;
    std::vector<std::uint32_t> returns;
  };

  [[nodiscard]] bool chain(std::span<const imr::RuleId> rules, const Rows& under, Frame& frame);
  [[nodiscard]] bool rule(imr::RuleId id, Rows rows, Frame& frame);
  // From the tail of its rule on.
  [[nodiscard]] bool with_tail(const Tail& tail, RunAction action, const Rows& rows, Frame& frame);
  [[nodiscard]] std::optional<Rows> narrowed(const Rows& rows, const Test& test) const;
  [[nodiscard]] bool verdict(const imr::Verdict& verdict, RunAction action, const Rows& rows,
                             Frame& frame);
  [[nodiscard]] bool other_chain(imr::ChainId chain, const Rows& rows, bool comes_back,
                                 Frame& frame);
  // The number of the action.
  std::uint32_t put(RunAction action, const Rows& rows);
  void put_return(RunAction action, const Rows& rows, Frame& frame);
  void put_on(RunAction action, const Rows& rows);

  const imr::Unit& unit_;
  const imr::Ruleset& ruleset_;
  bool matched_;
  Sources sources_;
  std::size_t most_ = always_enough;
  Rows list_;
  std::vector<std::uint32_t> action_;
  std::vector<RunAction> actions_;
  std::vector<Tail> tails_;
  std::set<imr::RuleId> rules_;
};

// All combinations of the boxes with what is known already.
std::optional<Maker::Rows> Maker::narrowed(const Rows& rows, const Test& test) const {
  Rows out;
  for (const Box& box : test.boxes) {
    std::vector<Sources::FieldRange> ranges;
    for (std::size_t i = 0; i < box.size(); ++i) {
      const auto of_value = sources_.ranges(test.values[i], box[i]);
      if (!of_value) return std::nullopt;
      ranges.insert(ranges.end(), of_value->begin(), of_value->end());
    }
    for (const Ranges& row : rows) {
      Ranges both = row;
      bool possible = true;
      for (const auto& [field, range] : ranges) {
        Range& narrow = both[field];
        narrow = {std::max(narrow.first, range.first), std::min(narrow.last, range.last)};
        possible = possible && narrow.first <= narrow.last;
      }
      if (possible) out.push_back(std::move(both));
      if (out.size() > most_of_rule) return std::nullopt;
    }
  }
  return out;
}

std::uint32_t Maker::put(RunAction action, const Rows& rows) {
  action.matched = action.matched && matched_;
  for (const Ranges& row : rows) {
    list_.push_back(row);
    action_.push_back(static_cast<std::uint32_t>(actions_.size()));
  }
  actions_.push_back(action);
  return static_cast<std::uint32_t>(actions_.size() - 1);
}

// To what follows these rows.
void Maker::put_on(RunAction action, const Rows& rows) {
  const bool does_something = action.counter.valid() || action.mark || action.tail;
  if (!does_something && !(action.matched && matched_)) return;
  action.end = RunAction::End::on;
  action.resume = static_cast<std::uint32_t>(list_.size() + rows.size());
  put(action, rows);
}

void Maker::put_return(RunAction action, const Rows& rows, Frame& frame) {
  action.end = frame.top ? RunAction::End::leave : RunAction::End::on;
  const std::uint32_t number = put(action, rows);
  if (!frame.top) frame.returns.push_back(number);
}

bool Maker::other_chain(imr::ChainId id, const Rows& rows, bool comes_back, Frame& frame) {
  Frame inner;
  if (!chain(ruleset_[id].rules, rows, inner)) return false;
  for (const std::uint32_t number : inner.returns) {
    actions_[number].resume = static_cast<std::uint32_t>(list_.size());
  }
  if (!comes_back) put_return({}, rows, frame);
  return true;
}

bool Maker::verdict(const imr::Verdict& verdict, RunAction action, const Rows& rows, Frame& frame) {
  switch (verdict.kind) {
    case imr::Verdict::Kind::accept:
      action.end = RunAction::End::accept;
      put(action, rows);
      return true;
    case imr::Verdict::Kind::drop:
      action.end = RunAction::End::drop;
      put(action, rows);
      return true;
    case imr::Verdict::Kind::return_:
      put_return(action, rows, frame);
      return true;
    case imr::Verdict::Kind::jump:
    case imr::Verdict::Kind::go_to:
      put_on(action, rows);
      return other_chain(verdict.chain, rows, verdict.kind == imr::Verdict::Kind::jump, frame);
    case imr::Verdict::Kind::continue_:
    case imr::Verdict::Kind::queue:
      break;
  }
  throw InvariantError("classification: a verdict that does not suit a run");
}

bool Maker::rule(imr::RuleId id, Rows rows, Frame& frame) {
  rules_.insert(id);
  RunAction action{.rule = id, .counter = {}, .matched = false};
  const auto& statements = ruleset_[id].statements;
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const imr::Statement& statement = statements[i];
    if (const auto* counter = std::get_if<imr::Counter>(&statement)) {
      if (action.counter.valid()) put_on(std::exchange(action, {.rule = id}), rows);
      action.counter = counter->counter;
      continue;
    }
    if (const auto* end = std::get_if<imr::VerdictStatement>(&statement)) {
      action.matched = true;
      return verdict(end->verdict, action, rows, frame);
    }
    const auto* write = std::get_if<imr::MetaWrite>(&statement);
    if (write != nullptr && needs_no_test(ruleset_, statement)) {
      action.mark = written_mark(ruleset_, *write);
      continue;
    }
    const auto* map = std::get_if<imr::VerdictMap>(&statement);
    const auto test = map == nullptr ? told_test(unit_, statement) : std::nullopt;
    if (!test && map == nullptr) return with_tail({id, i}, action, rows, frame);
    if (action.counter.valid() || action.mark) put_on(std::exchange(action, {.rule = id}), rows);
    if (map != nullptr) {
      action.matched = true;
      const auto tests = tests_of(ruleset_, *map);
      for (const TestedVerdict& one : *tests) {
        const auto inside = narrowed(rows, one.test);
        if (!inside) return false;
        if (!inside->empty() && !verdict(one.verdict, action, *inside, frame)) return false;
      }
      return true;
    }
    auto inside = narrowed(rows, *test);
    if (!inside) return false;
    rows = std::move(*inside);
    if (rows.empty()) return true;  // no packet is like that
  }
  action.matched = true;
  put_on(action, rows);
  return true;
}

bool Maker::with_tail(const Tail& tail, RunAction action, const Rows& rows, Frame& frame) {
  action.tail = tail;
  action.code = static_cast<std::uint32_t>(code_of(ruleset_, tail, tails_));
  if (tails_.size() > most_tails) return false;
  action.may_fail = may_fail(ruleset_, tail);
  action.matched = true;
  const std::size_t number = actions_.size();
  const std::size_t end = tail.from + statements_of(ruleset_, tail).size();
  if (end == ruleset_[tail.rule].statements.size()) {
    put_on(action, rows);
  } else {
    const imr::Statement& last = ruleset_[tail.rule].statements[end];
    const imr::Verdict& lead = std::get<imr::VerdictStatement>(last).verdict;
    if (!verdict(lead, action, rows, frame)) return false;
  }
  actions_[number].otherwise = static_cast<std::uint32_t>(list_.size());
  return true;
}

bool Maker::chain(std::span<const imr::RuleId> rules, const Rows& under, Frame& frame) {
  return std::ranges::all_of(
      rules, [&](imr::RuleId id) { return rule(id, under, frame) && list_.size() <= most_; });
}

bool Maker::find_fields(std::span<const imr::RuleId> rules) {
  const auto note = [&](const Test& test) { sources_.add(test); };
  for_each_test(unit_, rules, note);
  std::size_t all = rules.size();
  for (const imr::ChainId other : chains_behind(ruleset_, rules)) {
    for_each_test(unit_, ruleset_[other].rules, note);
    all += ruleset_[other].rules.size();
  }
  most_ = std::max(always_enough, all * most_per_rule);
  return sources_.make_fields();
}

std::optional<Run> Maker::run(std::span<const imr::RuleId> rules) {
  Ranges any;
  std::vector<std::uint8_t> bits;
  for (const RunField& field : sources_.fields()) {
    any.push_back({0, prefix_mask(field.bits(), field.bits())});
    bits.push_back(field.bits());
  }
  Frame top{.top = true, .returns = {}};
  if (!chain(rules, {any}, top)) return std::nullopt;
  // Of chains that are part of the run, too.
  Company company;
  const bool fit = std::ranges::all_of(
      rules_, [&](imr::RuleId rule) { return company.takes(ruleset_, rule, std::nullopt); });
  if (!fit) return std::nullopt;
  Run out{.fields = sources_.fields(),
          .sources = sources_.sources(),
          .list = RuleList(std::move(bits)),
          .action = std::move(action_),
          .actions = std::move(actions_),
          .rules = {rules_.begin(), rules_.end()},
          .tails = std::move(tails_)};
  for (const Ranges& row : list_) out.list.add(row);
  return out;
}

}  // namespace

std::optional<Tail> tail_of(const imr::Unit& unit, imr::RuleId id) {
  const auto& statements = unit.ruleset[id].statements;
  const auto found = std::ranges::find_if(statements, [&](const imr::Statement& statement) {
    return !needs_no_test(unit.ruleset, statement) && !told_test(unit, statement);
  });
  if (found == statements.end()) return std::nullopt;
  return Tail{id, static_cast<std::size_t>(found - statements.begin())};
}

bool Suitability::suits(const imr::Verdict& verdict) {
  switch (verdict.kind) {
    case imr::Verdict::Kind::accept:
    case imr::Verdict::Kind::drop:
    case imr::Verdict::Kind::return_:
      return true;
    case imr::Verdict::Kind::continue_:
    case imr::Verdict::Kind::queue:
      return false;
    case imr::Verdict::Kind::jump:
    case imr::Verdict::Kind::go_to: {
      if (!scope_.other_chains || barred_.contains(verdict.chain)) return false;
      const auto found = known_.find(verdict.chain);
      if (found != known_.end()) return found->second;
      const bool all = std::ranges::all_of(unit_.ruleset[verdict.chain].rules,
                                           [&](imr::RuleId rule) { return suits(rule); });
      return known_[verdict.chain] = all;
    }
  }
  throw InvariantError("verdict out of range");
}

void Suitability::bar(const std::set<imr::ChainId>& chains) {
  barred_.insert(chains.begin(), chains.end());
  known_.clear();
}

bool Suitability::suits(imr::RuleId id) {
  const imr::Rule& rule = unit_.ruleset[id];
  if (rule.synthetic || rule.run != 0 || rule.statements.empty()) return false;
  std::size_t boxes = 1;
  bool narrow = false;
  for (std::size_t i = 0; i < rule.statements.size(); ++i) {
    const imr::Statement& statement = rule.statements[i];
    if (const auto* end = std::get_if<imr::VerdictStatement>(&statement)) {
      return suits(end->verdict);
    }
    if (const auto* map = std::get_if<imr::VerdictMap>(&statement)) {
      const auto tests = tests_of(unit_.ruleset, *map);
      return tests && std::ranges::all_of(*tests, [&](const TestedVerdict& one) {
               return suits(one.verdict) && is_told(unit_, one.test);
             });
    }
    if (needs_no_test(unit_.ruleset, statement)) continue;
    const auto test = told_test(unit_, statement);
    if (!test) {
      tails_[id] = i;
      // Where all packets meet it, nothing is searched for that would not be asked anyway.
      return narrow && suits(Tail{id, i});
    }
    if (!scope_.whole_sets && test->values.front().set.valid()) return false;
    boxes *= test->boxes.size();
    if (boxes > most_of_rule) return false;
    narrow = narrow || std::ranges::any_of(test->values, [&](const TestedValue& value) {
               return looks_at_packet(unit_.ruleset, value.expr);
             });
  }
  return true;
}

std::optional<Tail> Suitability::tail(imr::RuleId rule) const {
  const auto found = tails_.find(rule);
  if (found == tails_.end()) return std::nullopt;
  return Tail{rule, found->second};
}

bool Suitability::suits(const Tail& tail) {
  const std::span<const imr::Statement> statements = statements_of(unit_.ruleset, tail);
  if (!std::ranges::all_of(statements, can_be_tail)) return false;
  const std::size_t end = tail.from + statements.size();
  const auto& all = unit_.ruleset[tail.rule].statements;
  return end == all.size() || suits(std::get<imr::VerdictStatement>(all[end]).verdict);
}

bool Company::takes(const imr::Ruleset& ruleset, imr::RuleId rule,
                    const std::optional<Tail>& tail) {
  std::set<imr::MetaKey> read = read_;
  std::set<imr::MetaKey> written = written_;
  for (const imr::Statement& statement : ruleset[rule].statements) {
    const auto* write = std::get_if<imr::MetaWrite>(&statement);
    if (write != nullptr) written.insert(write->key);
    for (const imr::MetaKey key :
         {imr::MetaKey::mark, imr::MetaKey::priority, imr::MetaKey::pkttype}) {
      const bool reads = std::ranges::any_of(imr::operands(statement), [&](imr::ExprId operand) {
        return imr::reads(ruleset, operand, key);
      });
      if (reads) read.insert(key);
    }
  }
  const auto tested = [&](imr::MetaKey key) { return read.contains(key); };
  if (std::ranges::any_of(written, tested)) return false;
  if (tail && code_of(ruleset, *tail, tails_) >= most_tails) return false;
  read_ = std::move(read);
  written_ = std::move(written);
  return true;
}

std::set<imr::ChainId> chains_behind(const imr::Ruleset& ruleset,
                                     std::span<const imr::RuleId> rules) {
  std::set<imr::ChainId> out;
  for (const imr::RuleId rule : rules) {
    for (const imr::ChainId target : imr::targets(ruleset, ruleset[rule])) {
      if (out.contains(target)) continue;
      const std::vector<imr::ChainId> reached = imr::reachable_chains(ruleset, target);
      out.insert(reached.begin(), reached.end());
    }
  }
  return out;
}

std::optional<Run> make_run(const imr::Unit& unit, std::span<const imr::RuleId> rules,
                            bool matched) {
  Maker maker(unit, matched, Sources(unit));
  if (!maker.find_fields(rules)) return std::nullopt;
  return maker.run(rules);
}

std::optional<Run> make_run_like(const Run& other, const imr::Unit& unit,
                                 std::span<const imr::RuleId> rules, bool matched) {
  return Maker(unit, matched, Sources(unit, other)).run(rules);
}

}  // namespace weir::classify
