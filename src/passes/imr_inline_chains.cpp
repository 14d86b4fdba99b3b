// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_inline_chains.h"

#include <functional>
#include <map>
#include <variant>

#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

constexpr std::size_t small_chain = 8;    // rules, those of chains that it jumps to included
constexpr std::size_t most_copies = 512;  // rules that may be added to one unit

class Inliner {
 public:
  explicit Inliner(imr::Unit& unit) : unit_(unit), ruleset_(unit.ruleset), names_(unit.ruleset) {}

  void run() {
    forget_empty_chains();
    for (const imr::ChainId chain : unit_chains(unit_)) {
      for_each_jump(chain, [&](imr::Verdict& verdict) { ++sites_[verdict.chain]; });
      for (const imr::RuleId rule : ruleset_[chain].rules) {
        for (const imr::Statement& statement : same()[rule].statements) {
          const auto* lookup = std::get_if<imr::VerdictMap>(&statement);
          if (lookup == nullptr) continue;
          for (const imr::Element& element : ruleset_[lookup->map].elements) {
            if (element.verdict && element.verdict->chain.valid()) {
              ++sites_[element.verdict->chain];
            }
          }
        }
      }
    }
    // Chains made on the way are walked as well.
    for (const imr::ChainId chain : unit_chains(unit_)) walk(chain);
  }

 private:
  // To read rules, which changes none.
  [[nodiscard]] const imr::Ruleset& same() const { return ruleset_; }

  void for_each_jump(imr::ChainId chain, const std::function<void(imr::Verdict&)>& visit) {
    // By index: visiting may add rules, and so move them.
    const std::vector<imr::RuleId> rules = ruleset_[chain].rules;
    for (const imr::RuleId rule : rules) {
      for (std::size_t i = 0; i < same()[rule].statements.size(); ++i) {
        const auto* statement = std::get_if<imr::VerdictStatement>(&same()[rule].statements[i]);
        if (statement == nullptr || !statement->verdict.chain.valid()) continue;
        const imr::Verdict before = statement->verdict;
        imr::Verdict verdict = before;
        visit(verdict);
        if (verdict == before) continue;
        ruleset_[rule].statements.edit()[i] = imr::VerdictStatement{verdict};
      }
    }
  }

  void forget_empty_chains() {
    for (const imr::ChainId chain : unit_chains(unit_)) {
      for_each_jump(chain, [&](imr::Verdict& verdict) {
        if (verdict.kind == imr::Verdict::Kind::jump && ruleset_[verdict.chain].rules.empty()) {
          verdict = {.kind = imr::Verdict::Kind::continue_};
        }
      });
    }
  }

  // Rules of a chain and of those that it jumps to. No further than to more than a small chain has:
  // chains that jump often, 16 deep, would never be counted to the end.
  std::size_t size(imr::ChainId chain) {
    std::size_t rules = ruleset_[chain].rules.size();
    if (rules > small_chain) return rules;
    for_each_jump(chain, [&](imr::Verdict& verdict) {
      if (rules <= small_chain) rules += size(verdict.chain);
    });
    return rules;
  }

  void walk(imr::ChainId chain) {
    for_each_jump(chain, [&](imr::Verdict& verdict) {
      unsigned& sites = sites_[verdict.chain];
      const std::size_t rules = size(verdict.chain);
      if (sites < 2 || rules > small_chain || copies_ + rules > most_copies) return;
      --sites;
      verdict.chain = copy(verdict.chain);
      walk(verdict.chain);
    });
  }

  imr::ChainId copy(imr::ChainId original) {
    imr::Chain chain = ruleset_[original];
    chain.name = names_.fresh(chain.table, chain.name + ".");
    std::vector<imr::RuleId> rules;
    for (const imr::RuleId id : chain.rules) {
      imr::Rule rule = same()[id];
      if (!rule.copy_of.valid()) rule.copy_of = id;
      ruleset_.rules.push_back(std::move(rule));
      rules.emplace_back(ruleset_.rules.size() - 1);
    }
    copies_ += rules.size();
    chain.rules = std::move(rules);
    const imr::ChainId made = ruleset_.add(std::move(chain));
    sites_[made] = 1;
    for_each_jump(made, [&](imr::Verdict& verdict) { ++sites_[verdict.chain]; });
    return made;
  }

  imr::Unit& unit_;
  imr::Ruleset& ruleset_;
  std::map<imr::ChainId, unsigned> sites_;
  ChainNames names_;
  std::size_t copies_ = 0;
};

}  // namespace

void imr_inline_chains(imr::Unit& unit) {
  Inliner(unit).run();
}

}  // namespace weir::passes
