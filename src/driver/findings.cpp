// SPDX-License-Identifier: BSD-2-Clause
//
// The rules are run once with all packets at the same time: at each rule it is known which packets
// come there, and which would if no rule before had accepted or dropped any. Backwards it is known
// which packets are dropped from there on, and which of them something else happens to.
#include "driver/findings.h"

#include <algorithm>
#include <set>

#include "driver/bdd.h"
#include "driver/conditions.h"
#include "passes/imr_resolve_fields.h"
#include "passes/imr_tools.h"

namespace weir::driver {
namespace {

using Set = Bdd::Set;
using Kind = imr::Verdict::Kind;

constexpr std::size_t most_nodes = 1'000'000;
constexpr std::size_t most_steps = 10'000'000;
constexpr std::size_t most_rule_visits = 200'000;

// What may be said of a rule, from one place where it is met, and in the end from all.
enum class Standing : std::uint8_t { unvisited, never_matches, shadowed, redundant, needed };

struct RuleStanding {
  Standing standing = Standing::unvisited;
  std::optional<imr::RuleId> by;
  bool by_several = false;

  void add(const RuleStanding& other) {
    if (other.standing == Standing::unvisited) return;
    if (other.standing == Standing::shadowed && standing == Standing::shadowed) {
      by_several = by_several || other.by_several || by != other.by;
      return;
    }
    if (other.standing > standing) *this = other;
  }
};

// The packets that come back from a chain, and what it may have done to them.
struct Visit {
  Set back = Bdd::none;
  bool wrote = false;  // some have another mark
  bool lost = false;   // some may have been changed in any way
};

// What becomes of packets from some place on.
struct Behind {
  Set dropped = Bdd::none;
  Set effects = Bdd::none;
};

class Analysis {
 public:
  Analysis(const imr::Unit& unit, bool with_redundancy)
      : ruleset_(unit.ruleset),
        bdd_(most_nodes, most_steps),
        conditions_(unit, bdd_),
        with_redundancy_(with_redundancy),
        standings_(unit.ruleset.rules.size()) {}

  void root(imr::ChainId chain) {
    takers_.clear();
    visited_.clear();
    const bool drops = ruleset_[chain].base->drop_by_policy;
    const Set packets = conditions_.packets();
    visit(chain, packets, packets, {.dropped = drops ? Bdd::all : Bdd::none});
  }
  [[nodiscard]] std::vector<RuleStanding> take() { return std::move(standings_); }

 private:
  struct Taker {
    imr::RuleId rule;
    Set packets;  // that would be ended by it, if not before
  };
  // A rule list on the way: what comes to the next rule.
  struct Walk {
    Set reach;    // packets that come here
    Set without;  // and those that would if no rule accepted or dropped
    Visit visit = {};
  };

  Visit visit(imr::ChainId chain, Set reach, Set without, const Behind& end);
  void run_ends(imr::RuleId rule, const RuleMeaning& meaning, Walk& walk, const Behind& next,
                const Behind& end);
  void go_to(const RuleMeaning& meaning, const RuleEnd& end, Walk& walk, const Behind& then);
  void after_writes(const RuleMeaning& meaning, Walk& walk);
  Set as_changed(const RuleMeaning& meaning, Set packets);
  RuleStanding judge(const RuleMeaning& meaning, const Walk& walk, const Behind& next);
  bool is_redundant(const RuleMeaning& meaning, Set reach, const Behind& next);
  // By position in the chain, the one behind its last rule included.
  std::vector<Behind> behind(imr::ChainId chain, const Behind& end);
  Behind before(const RuleMeaning& meaning, const Behind& next, const Behind& end);
  void count_visit() {
    if (++visits_ > most_rule_visits) throw Bdd::Overflow{};
  }

  const imr::Ruleset& ruleset_;
  Bdd bdd_;
  Conditions conditions_;
  bool with_redundancy_;
  std::size_t visits_ = 0;
  std::vector<Taker> takers_;
  std::set<imr::ChainId> visited_;  // of the root
  std::vector<RuleStanding> standings_;
};

// ---- Backwards
// -----------------------------------------------------------------------------------

Behind Analysis::before(const RuleMeaning& meaning, const Behind& next, const Behind& end) {
  Behind out = next;
  const auto become = [&](Set when, const Behind& what) {
    out.dropped = bdd_.choose(when, what.dropped, out.dropped);
    out.effects = bdd_.choose(when, what.effects, out.effects);
  };
  for (const RuleEnd& one : meaning.ends) {
    switch (one.verdict.kind) {
      case Kind::accept:
        become(one.when, {});
        break;
      case Kind::drop:
        become(one.when, {.dropped = Bdd::all});
        break;
      case Kind::return_:
        become(one.when, end);
        break;
      case Kind::jump:
        become(one.when, behind(one.verdict.chain, next).front());
        break;
      case Kind::go_to:
        become(one.when, behind(one.verdict.chain, end).front());
        break;
      case Kind::continue_:
      case Kind::queue:
        throw InvariantError("a verdict that ends no rule among its ends");
    }
  }
  out.effects = bdd_.either(out.effects, meaning.effects);
  return out;
}

std::vector<Behind> Analysis::behind(imr::ChainId chain, const Behind& end) {
  const std::vector<imr::RuleId>& rules = ruleset_[chain].rules;
  std::vector<Behind> out(rules.size() + 1, end);
  if (!with_redundancy_) return out;
  for (std::size_t i = rules.size(); i-- > 0;) {
    count_visit();
    out[i] = before(conditions_.meaning(rules[i]), out[i + 1], end);
  }
  return out;
}

// ---- Forwards
// ------------------------------------------------------------------------------------

// Whether the packets that the rule ends get the same verdict behind it, and nothing else happens.
bool Analysis::is_redundant(const RuleMeaning& meaning, Set reach, const Behind& next) {
  if (!with_redundancy_ || meaning.effects != Bdd::none || !meaning.possible.empty()) return false;
  return std::ranges::all_of(meaning.ends, [&](const RuleEnd& end) {
    const Set taken = bdd_.both(reach, end.when);
    if (!bdd_.disjoint(taken, next.effects)) return false;
    if (end.verdict.kind == Kind::accept) return bdd_.disjoint(taken, next.dropped);
    return end.verdict.kind == Kind::drop && bdd_.contains(next.dropped, taken);
  });
}

RuleStanding Analysis::judge(const RuleMeaning& meaning, const Walk& walk, const Behind& next) {
  if (bdd_.disjoint(walk.without, meaning.acts)) return {.standing = Standing::never_matches};
  if (bdd_.disjoint(walk.reach, meaning.acts)) {
    const Set matched = bdd_.both(walk.without, meaning.acts);
    const auto alone = std::ranges::find_if(
        takers_, [&](const Taker& taker) { return bdd_.contains(taker.packets, matched); });
    if (alone == takers_.end()) return {.standing = Standing::shadowed, .by_several = true};
    return {.standing = Standing::shadowed, .by = alone->rule};
  }
  return {.standing =
              is_redundant(meaning, walk.reach, next) ? Standing::redundant : Standing::needed};
}

// What packets are like once the rule has written to them.
Set Analysis::as_changed(const RuleMeaning& meaning, Set packets) {
  if (packets == Bdd::none) return packets;
  if (meaning.unknown != Bdd::none) return conditions_.packets();
  return meaning.writes != Bdd::none ? conditions_.with_any_mark(packets) : packets;
}

// Into another chain, `then` being what comes behind that one. Where a map may hold something else
// by then, nothing is taken away from the packets that come behind the rule.
void Analysis::go_to(const RuleMeaning& meaning, const RuleEnd& end, Walk& walk,
                     const Behind& then) {
  const Set taken = bdd_.both(walk.reach, end.when);
  if (taken == Bdd::none) return;
  const bool certain = meaning.possible.empty();
  const bool comes_back = end.verdict.kind == Kind::jump;
  const Set entry = as_changed(meaning, bdd_.both(walk.without, end.when));
  const std::vector<Taker> takers = takers_;
  const Visit inner = visit(end.verdict.chain, as_changed(meaning, taken), entry, then);
  if (!certain) takers_ = takers;

  if (certain) walk.reach = bdd_.without(walk.reach, end.when);
  if (comes_back) {
    walk.reach = bdd_.either(walk.reach, inner.back);
  } else {
    if (certain) walk.without = bdd_.without(walk.without, end.when);
    walk.visit.back = bdd_.either(walk.visit.back, inner.back);
  }
  // `without` has the packets that come back as they were; what the chain wrote is not known there.
  if (inner.wrote || inner.lost) {
    takers_.clear();
    walk.visit.wrote = true;
    walk.without = conditions_.with_any_mark(walk.without);
  }
  if (inner.lost) {
    walk.visit.lost = true;
    walk.reach = walk.without = conditions_.packets();
  }
}

void Analysis::run_ends(imr::RuleId rule, const RuleMeaning& meaning, Walk& walk,
                        const Behind& next, const Behind& end) {
  const bool certain = meaning.possible.empty();
  for (const RuleEnd& one : certain ? meaning.ends : meaning.possible) {
    switch (one.verdict.kind) {
      case Kind::accept:
      case Kind::drop:
        if (!certain) break;
        takers_.push_back({rule, bdd_.both(walk.without, one.when)});
        walk.reach = bdd_.without(walk.reach, one.when);
        break;
      case Kind::return_: {
        const Set back = as_changed(meaning, bdd_.both(walk.reach, one.when));
        walk.visit.back = bdd_.either(walk.visit.back, back);
        if (!certain) break;
        walk.reach = bdd_.without(walk.reach, one.when);
        walk.without = bdd_.without(walk.without, one.when);
        break;
      }
      case Kind::jump:
        go_to(meaning, one, walk, next);
        break;
      case Kind::go_to:
        go_to(meaning, one, walk, end);
        break;
      case Kind::continue_:
      case Kind::queue:
        invariant(!certain, "a verdict that ends no rule among its ends");
        break;
    }
  }
}

// Packets with another mark, and packets that the kernel may have changed. All are counted as such.
void Analysis::after_writes(const RuleMeaning& meaning, Walk& walk) {
  const Set changed = bdd_.either(meaning.writes, meaning.unknown);
  if (bdd_.disjoint(walk.without, changed)) return;
  takers_.clear();
  walk.visit.wrote = true;
  walk.visit.lost = walk.visit.lost || meaning.unknown != Bdd::none;
  walk.reach = as_changed(meaning, walk.reach);
  walk.without = as_changed(meaning, walk.without);
}

Visit Analysis::visit(imr::ChainId chain, Set reach, Set without, const Behind& end) {
  const std::vector<imr::RuleId>& rules = ruleset_[chain].rules;
  const std::vector<Behind> later = behind(chain, end);
  const bool again = !visited_.insert(chain).second;
  Walk walk{.reach = reach, .without = without};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    count_visit();
    const RuleMeaning& meaning = conditions_.meaning(rules[i]);
    const Behind& next = later[i + 1];
    RuleStanding here = judge(meaning, walk, next);
    // What packets that met the rule before lack here may be its own doing, and what becomes of
    // those that it takes before is said here.
    const bool of_itself =
        here.standing == Standing::redundant || here.by_several || here.by == rules[i];
    if (again && of_itself) here = {.standing = Standing::needed};
    standings_[rules[i].index()].add(here);
    run_ends(rules[i], meaning, walk, next, end);
    after_writes(meaning, walk);
  }
  walk.visit.back = bdd_.either(walk.visit.back, walk.reach);
  return walk.visit;
}

// ---- All units
// -----------------------------------------------------------------------------------

// The kernel may go on in a chain that no translated rule leads to.
bool leads_elsewhere(const imr::Native& native) {
  return native.text.str().find("jump ") != std::string::npos ||
         native.text.str().find("goto ") != std::string::npos ||
         native.text.str().find("map") != std::string::npos;
}

std::vector<RuleStanding> nothing_known(const imr::Unit& unit) {
  std::vector<RuleStanding> out(unit.ruleset.rules.size());
  for (const imr::ChainId chain : passes::unit_chains(unit)) {
    for (const imr::RuleId rule : unit.ruleset[chain].rules) {
      out[rule.index()].standing = Standing::needed;
    }
  }
  return out;
}

bool has_unseen_jumps(const imr::Unit& unit) {
  for (const imr::ChainId chain : passes::unit_chains(unit)) {
    for (const imr::RuleId rule : unit.ruleset[chain].rules) {
      for (const imr::Statement& statement : unit.ruleset[rule].statements) {
        const auto* native = std::get_if<imr::Native>(&statement);
        if (native != nullptr && leads_elsewhere(*native)) return true;
      }
    }
  }
  return false;
}

std::vector<RuleStanding> standings(imr::Unit unit) {
  if (has_unseen_jumps(unit)) return nothing_known(unit);
  passes::imr_resolve_fields(unit);
  for (const bool with_redundancy : {true, false}) {
    try {
      Analysis analysis(unit, with_redundancy);
      for (const imr::ChainId root : unit.roots) analysis.root(root);
      return analysis.take();
    } catch (const Bdd::Overflow&) {
      continue;  // with less to find out, or not at all
    }
  }
  return nothing_known(unit);
}

Finding finding(const imr::Ruleset& ruleset, imr::RuleId rule, const RuleStanding& found) {
  Finding out{.kind = Finding::Kind::never_matches, .rule = rule, .by = {}, .text = {}};
  switch (found.standing) {
    case Standing::never_matches:
      out.text = "no packet matches it";
      return out;
    case Standing::shadowed:
      out.kind = Finding::Kind::shadowed;
      if (found.by && !found.by_several) {
        const imr::Origin& origin = ruleset[*found.by].origin;
        out.by = found.by;
        out.text = "every packet that it matches is ended before by handle " +
                   std::to_string(origin.handle) + ", '" + origin.text + "'";
      } else {
        out.text = "every packet that it matches is ended by the rules before it";
      }
      return out;
    case Standing::redundant:
      out.kind = Finding::Kind::redundant;
      out.text = "without it, every packet gets the same verdict, and nothing else changes";
      return out;
    case Standing::unvisited:
    case Standing::needed:
      break;
  }
  throw InvariantError("a finding about a rule that is needed");
}

}  // namespace

std::string_view to_string(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::never_matches:
      return "never-matches";
    case Finding::Kind::shadowed:
      return "shadowed";
    case Finding::Kind::redundant:
      return "redundant";
  }
  throw InvariantError("kind of finding out of range");
}

std::vector<Finding> find_findings(const imr::Ruleset& ruleset,
                                   const std::vector<Attachment>& attachments) {
  std::vector<RuleStanding> all(ruleset.rules.size());
  for (const Attachment& attachment : attachments) {
    for (const imr::Unit& unit : units_of(ruleset, attachment)) {
      const std::vector<RuleStanding> some = standings(unit);
      for (std::size_t i = 0; i < all.size(); ++i) all[i].add(some[i]);
    }
  }
  std::vector<Finding> out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool certain =
        all[i].standing != Standing::unvisited && all[i].standing != Standing::needed;
    if (certain) out.push_back(finding(ruleset, imr::RuleId(i), all[i]));
  }
  return out;
}

}  // namespace weir::driver
