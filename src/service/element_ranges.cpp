// SPDX-License-Identifier: BSD-2-Clause
#include "service/element_ranges.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "service/element_notes.h"
#include "service/rule_swap.h"

namespace weir::service {
namespace {

bool same_keys(const imr::Set& a, const imr::Set& b) {
  return std::ranges::equal(a.elements, b.elements, {}, &imr::Element::key, &imr::Element::key);
}

// Whether `set` has all elements of `part`; of maps, by their keys.
bool has_keys(const imr::Set& set, const imr::Set& part) {
  return std::ranges::includes(set.elements, part.elements, {}, &imr::Element::key,
                               &imr::Element::key);
}

// Removes what the map has beyond the elements of the set.
Status drop_others(const PolicyState& policy, const ElementChange& change, const imr::Set& set,
                   const Paths& paths) {
  const DynamicSetState* state = find_dynamic(policy, change);
  invariant(state != nullptr, "a set with intervals that is gone");
  WEIR_TRY(living, living_elements(policy, *state, paths));
  imr::Set others = set;
  std::vector<imr::Element> gone;
  for (const driver::LivingElement& element : living) {
    const bool stays =
        std::ranges::binary_search(set.elements, element.key, {}, &imr::Element::key);
    if (!stays) gone.push_back({.key = element.key, .last = element.key, .verdict = {}});
  }
  others.elements = std::move(gone);
  return delete_elements(policy, *state, others, paths);
}

// The policy without the elements of `before` that have expired, where its notes can say so: nft
// would refuse others that overlap them.
Result<PolicyState> without_expired(const PolicyState& policy, const DynamicSetState& state,
                                    const ElementChange& change, const imr::Set& before,
                                    const Paths& paths) {
  WEIR_TRY(living, living_elements(policy, state, paths));
  imr::Set after = before;
  std::vector<imr::Element> staying;
  std::string expired;
  for (const imr::Element& element : before.elements) {
    if (std::ranges::binary_search(living, element.key, {}, &driver::LivingElement::key)) {
      staying.push_back(element);
    } else {
      expired += (expired.empty() ? "" : ", ") + key_text(before, element.key);
    }
  }
  if (expired.empty()) return policy;
  after.elements = std::move(staying);
  ElementChange gone = change;
  gone.kind = ElementChange::Kind::remove;
  gone.elements = "{ " + expired + " }";
  auto out = noted(policy, gone, after, same_keys);
  if (!out) return policy;
  return out;
}

}  // namespace

Status change_ranges(const PolicyState& policy, const DynamicSetState& state,
                     const ElementChange& change, const Paths& paths, const StepHook& at_step) {
  if (policy.from_object) {
    return input_error("policy '" + policy.name + "' comes from an ELF object, whose programs " +
                       "know the intervals of set " + change.set + ": compile the changed " +
                       "ruleset, and apply it with --replace");
  }
  WEIR_TRY(old_rules, ruleset_with(policy, {}));
  WEIR_TRY(known, find_set(old_rules, change));
  WEIR_TRY(base, without_expired(policy, state, change, *known, paths));
  WEIR_TRY(base_rules, ruleset_with(base, {}));
  WEIR_TRY(before, find_set(base_rules, change));
  WEIR_TRY(new_rules, ruleset_with(base, {command_of(change)}));
  WEIR_TRY(after, find_set(new_rules, change));
  if (!after->native_reason.empty()) return input_error(after->native_reason);
  WEIR_TRY(named, ruleset_with_alone(policy, state, change));
  WEIR_TRY(given, find_set(named, change));
  const bool adds = change.kind == ElementChange::Kind::add;
  if (adds && !(has_keys(*after, *given) && has_keys(*after, *before))) {
    return input_error("the set " + change.set +
                       " merges elements, and these have times or states " +
                       "of their own: delete what they would be merged with first");
  }
  if (!adds) WEIR_CHECK(check_living(policy, state, *given, paths));
  if (adds && same_keys(*known, *after)) return add_elements(policy, state, *given, paths);
  WEIR_TRY(changed, noted(base, change, *after, same_keys));
  if (adds) WEIR_CHECK(add_elements(policy, state, *given, paths));
  auto now = swap_elements(policy, changed.elements, paths, at_step);
  const Status tidied = drop_others(now ? *now : policy, change, now ? *after : *known, paths);
  if (!now) return std::unexpected(now.error());
  return tidied;
}

}  // namespace weir::service
