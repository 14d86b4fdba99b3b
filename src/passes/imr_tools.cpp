// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_tools.h"

#include <algorithm>
#include <variant>

#include "imr/reading.h"
#include "imr/visit.h"

namespace weir::passes {

using imr::ExprId;

std::optional<Bytes> constant_value(const imr::Unit& unit, ExprId expr) {
  using Value = std::optional<Bytes>;
  return imr::match_on(
      unit.ruleset[expr], [](const imr::Immediate& e) -> Value { return e.value; },
      [&](const imr::Meta& e) -> Value {
        if (e.key != imr::MetaKey::nfproto) return std::nullopt;
        return Bytes{imr::nfproto_value(unit)};
      },
      [&](const imr::MaskXor& e) -> Value {
        Value value = constant_value(unit, e.source);
        if (!value) return value;
        for (std::size_t i = 0; i < value->size(); ++i) {
          (*value)[i] = static_cast<std::uint8_t>(((*value)[i] & e.mask[i]) ^ e.flip[i]);
        }
        return value;
      },
      [&](const imr::ByteSwap& e) -> Value {
        Value value = constant_value(unit, e.source);
        if (!value) return value;
        for (auto at = value->begin(); at != value->end(); at += e.unit) {
          std::reverse(at, at + e.unit);
        }
        return value;
      },
      [](const imr::Payload&) -> Value { return std::nullopt; },
      [](const imr::HeaderField&) -> Value { return std::nullopt; },
      [](const imr::Extension&) -> Value { return std::nullopt; },
      [](const imr::Ct&) -> Value { return std::nullopt; },
      [](const imr::Shift&) -> Value { return std::nullopt; },
      [](const imr::Concat&) -> Value { return std::nullopt; },
      [](const imr::MapLookup&) -> Value { return std::nullopt; },
      [](const imr::Numgen&) -> Value { return std::nullopt; },
      [](const imr::Random&) -> Value { return std::nullopt; },
      [](const imr::Hash&) -> Value { return std::nullopt; },
      [](const imr::Nexthop&) -> Value { return std::nullopt; });
}

std::vector<imr::ChainId> unit_chains(const imr::Unit& unit) {
  std::vector<imr::ChainId> chains;
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      if (std::ranges::find(chains, chain) == chains.end()) chains.push_back(chain);
    }
  }
  return chains;
}

void remove_rules(imr::Chain& chain, const std::function<bool(imr::RuleId)>& dead) {
  std::erase_if(chain.rules, dead);
}

bool acts_before(const imr::Ruleset& ruleset, const imr::Rule& rule, std::size_t index) {
  const auto acts = [&](const imr::Statement& statement) {
    const std::vector<ExprId> operands = imr::operands(statement);
    const auto varies = [&](ExprId operand) { return imr::varies(ruleset, operand); };
    if (std::ranges::any_of(operands, varies)) return true;
    return imr::match_on(
        statement, [](const imr::Counter&) { return true; }, [](const imr::Meter&) { return true; },
        [](const imr::Choice&) { return true; }, [](const imr::VerdictMap&) { return true; },
        [](const imr::MetaWrite&) { return true; }, [](const imr::PayloadWrite&) { return true; },
        [](const imr::OptionWrite&) { return true; }, [](const imr::OptionStrip&) { return true; },
        [](const imr::Answer&) { return true; }, [](const imr::Forward&) { return true; },
        [](const imr::Duplicate&) { return true; }, [](const imr::Log&) { return true; },
        [](const imr::VerdictStatement& s) {
          return s.verdict.kind != imr::Verdict::Kind::continue_;
        },
        [](const imr::Native&) { return true; }, [](const imr::Match&) { return false; },
        [](const imr::MatchRange&) { return false; }, [](const imr::DynamicSet&) { return true; },
        // Elements with statements act.
        [&](const imr::MatchSet& s) { return ruleset[s.set].dynamic.has_value(); });
  };
  return std::any_of(rule.statements.begin(),
                     rule.statements.begin() + static_cast<std::ptrdiff_t>(index), acts);
}

ChainNames::ChainNames(const imr::Ruleset& ruleset) {
  for (const imr::Chain& chain : ruleset.chains) taken_.emplace(chain.table, chain.name);
}

std::string ChainNames::fresh(imr::TableId table, const std::string& stem) {
  unsigned& last = last_[{table, stem}];
  for (;;) {
    std::string name = stem + std::to_string(++last);
    if (taken_.emplace(table, name).second) return name;
  }
}

}  // namespace weir::passes
