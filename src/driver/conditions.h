// SPDX-License-Identifier: BSD-2-Clause
//
// What each rule of a unit asks of a packet and does to it, as sets of packets. Packet bytes, facts
// and connections are known bit by bit. What may change while the rules stay (the elements of named
// sets) or cannot be put so (shifts, lookups in maps) is one fact that may be true or not.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/bdd.h"
#include "imr/imr.h"

namespace weir::driver {

struct RuleEnd {
  Bdd::Set when = Bdd::none;
  imr::Verdict verdict;
};

struct RuleMeaning {
  Bdd::Set acts = Bdd::none;  // where it does anything at all; of a rule that never does, matches
  Bdd::Set effects = Bdd::none;   // where it does something that a later verdict does not undo
  Bdd::Set writes = Bdd::none;    // of these: where it gives the packet another mark
  Bdd::Set unknown = Bdd::none;   // of these: where the kernel may do anything to the packet
  std::vector<RuleEnd> ends;      // no packet is in two of them
  std::vector<RuleEnd> possible;  // where a named verdict map may lead as long as it holds this
};

class Conditions {
 public:
  // `unit`, which must outlive this, behind the pass resolve-fields. Like all here it may throw
  // Bdd::Overflow.
  Conditions(const imr::Unit& unit, Bdd& sets);

  // The packets that there can be.
  [[nodiscard]] Bdd::Set packets() const { return packets_; }
  [[nodiscard]] const RuleMeaning& meaning(imr::RuleId rule);
  // The set once its packets may have any mark.
  [[nodiscard]] Bdd::Set with_any_mark(Bdd::Set set) { return sets_.forget(set, of_mark_); }

 private:
  struct Bit {
    std::optional<Bdd::Fact> fact;  // none: it is always `flipped`
    bool flipped = false;
  };
  struct Value {
    Bdd::Set present = Bdd::all;
    std::vector<Bit> bits;  // as memcmp(3) compares them: the first byte's highest one first
  };
  struct Reader;  // of one rule
  using Place = std::pair<int, unsigned>;

  void learn_lengths();
  void learn_connections();
  [[nodiscard]] Bdd::Fact new_fact(bool of_mark = false);
  [[nodiscard]] Bdd::Set opaque(const std::string& name, bool of_mark);
  void append_byte(Value& value, Place place, bool of_mark = false);

  [[nodiscard]] Bdd::Set has_bytes(const imr::Payload& load);
  [[nodiscard]] Bdd::Set first_fragment();
  [[nodiscard]] Value constant(ByteView bytes) const;
  [[nodiscard]] Value payload(const imr::Payload& load);
  [[nodiscard]] Value extension(const imr::Extension& item);
  [[nodiscard]] Value meta(imr::MetaKey key);
  [[nodiscard]] Value connection();
  [[nodiscard]] Value connection_fact(const imr::Ct& ct);
  // Nothing where it is not known bit by bit.
  [[nodiscard]] std::optional<Value> value(imr::ExprId expr);

  [[nodiscard]] Bdd::Set literal(const Bit& bit);
  // Of the bits from number `at` on.
  [[nodiscard]] Bdd::Set equal(const Value& value, std::size_t at, ByteView to);
  [[nodiscard]] Bdd::Set at_least(const Value& value, std::size_t at, ByteView least);
  [[nodiscard]] Bdd::Set at_most(const Value& value, std::size_t at, ByteView most);
  [[nodiscard]] Bdd::Set holds_key(const imr::Set& set, const imr::Element& element,
                                   const Value& key);
  [[nodiscard]] Bdd::Set compare(const Value& value, imr::Relop op, ByteView to);

  [[nodiscard]] Bdd::Set condition(const imr::Match& match);
  [[nodiscard]] Bdd::Set condition(const imr::MatchRange& match);
  [[nodiscard]] Bdd::Set condition(const imr::MatchSet& match);
  [[nodiscard]] Bdd::Set has_value(imr::ExprId expr);
  Bdd::Set once();
  // The expression, and another name each time where its value is another one.
  std::string name_of(imr::ExprId expr);
  [[nodiscard]] bool reads_mark(imr::ExprId expr) const;

  const imr::Unit& unit_;
  const imr::Ruleset& ruleset_;
  Bdd& sets_;
  Bdd::Fact facts_ = 0;
  std::vector<bool> of_mark_;          // by fact
  std::map<Place, Bdd::Fact> places_;  // the first of a byte's 8 facts
  std::map<std::string, Bdd::Fact> opaque_;
  // By header and end: whether the packet reaches so far.
  std::map<std::pair<imr::HeaderBase, unsigned>, Bdd::Fact> reaches_;
  Bdd::Set packets_ = Bdd::all;
  std::vector<std::optional<RuleMeaning>> meanings_;
  std::size_t once_ = 0;  // facts that are asked for in one place alone
};

}  // namespace weir::driver
