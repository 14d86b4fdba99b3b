// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule.h"

#include "service/rule_swap.h"
#include "service/store.h"

namespace weir::service {

Status check_rule_words(std::string_view words) {
  const auto refused = [&](const std::string& found) {
    return input_error("found " + found + ", expected the words of one nft rule command");
  };
  int depth = 0;
  bool quoted = false;
  for (const char c : words) {
    if (c == '\n' || c == '\r') return refused("the end of a line");
    if (c == '\0') return refused("a NUL byte");
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '#') return refused("a comment");
    if (c == '\\') return refused("a backslash");
    if (c == '{') ++depth;
    if (c == '}' && --depth < 0) return refused("a '}' without a '{'");
    if (c == ';' && depth == 0) return refused("a ';'");
  }
  if (quoted) return refused("a '\"' without another one");
  if (depth != 0) return refused("a '{' without a '}'");
  return {};
}

Status change_rules(const std::string& name, const RuleChange& change, const Paths& paths,
                    const StepHook& at_step) {
  WEIR_CHECK(check_rule_words(change.words));
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  WEIR_TRY(policy, load_changeable(name, paths));
  WEIR_CHECK(swap_rules(policy, change, paths, at_step));
  return {};
}

}  // namespace weir::service
