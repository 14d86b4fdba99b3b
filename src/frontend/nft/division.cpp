// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/division.h"

#include <algorithm>

namespace weir::frontend::nft {
namespace {

// With fewer parts than this a script is read as it is.
constexpr std::size_t fewest_parts = 3;
// What is no rule is read with each part: of a part, it is the smaller share.
constexpr std::size_t least_share = 4;

}  // namespace

Division::Division(std::string_view script, const std::vector<RuleExtent>& rules)
    : script_(script), rules_(rules) {
  if (rules.empty()) return;
  std::size_t text = 0;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (runs_.empty() || !rules[i].adjacent) {
      runs_.push_back({i, i});
    } else {
      text += rules[i].begin - rules[i - 1].end;
    }
    runs_.back().last = i + 1;
    text += rules[i].end - rules[i].begin;
  }
  const std::size_t rest = script.size() - text;
  const std::size_t by_rules = rules.size() / least_rules_of_part;
  const std::size_t by_text = text / std::max<std::size_t>(1, rest * least_share);
  parts_ = std::min(by_rules, by_text);
  if (parts_ < fewest_parts) parts_ = 1;
}

std::size_t Division::first(std::size_t index) const {
  return rules_.size() * index / parts_;
}

std::string Division::with_rules(std::size_t first, std::size_t last) const {
  std::string out;
  std::size_t done = 0;
  for (const Run& run : runs_) {
    const std::size_t begin = rules_[run.first].begin;
    out += script_.substr(done, begin - done);
    const std::size_t from = std::max(first, run.first);
    const std::size_t to = std::min(last, run.last);
    if (from < to) {
      out += script_.substr(rules_[from].begin, rules_[to - 1].end - rules_[from].begin);
    }
    done = rules_[run.last - 1].end;
  }
  out += script_.substr(done);
  return out;
}

}  // namespace weir::frontend::nft
