// SPDX-License-Identifier: BSD-2-Clause
#include "service/element_ranges.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "imr/dynamic_sets.h"
#include "service/element_notes.h"
#include "service/rule_swap.h"
#include "service/send_targets.h"

namespace weir::service {
namespace {

// The same elements, of maps with the same values; whatever they keep.
bool same_values(const imr::Set& a, const imr::Set& b) {
  return std::ranges::equal(a.elements, b.elements,
                            [](const imr::Element& one, const imr::Element& other) {
                              return one.key == other.key && one.data == other.data;
                            });
}

// Whether `set` has all elements of `part`; of maps, by their keys.
bool has_keys(const imr::Set& set, const imr::Set& part) {
  return std::ranges::includes(set.elements, part.elements, {}, &imr::Element::key,
                               &imr::Element::key);
}
// In elements with their keys in order: of a set, or living ones.
bool has_key(const auto& elements, const Bytes& key) {
  using Element = std::ranges::range_value_t<decltype(elements)>;
  return std::ranges::binary_search(elements, key, {}, &Element::key);
}
// Whether `known` has an element of `part` that `fewer` does not have.
bool knows_more(const imr::Set& known, const imr::Set& fewer, const imr::Set& part) {
  return std::ranges::any_of(part.elements, [&](const imr::Element& element) {
    return has_key(known.elements, element.key) && !has_key(fewer.elements, element.key);
  });
}

// A set with the elements of these keys, for delete_elements().
imr::Set of_keys(const imr::Set& set, const std::vector<Bytes>& keys) {
  std::vector<imr::Element> elements;
  for (const Bytes& key : keys) elements.push_back({.key = key, .last = key, .verdict = {}});
  imr::Set out = set;
  out.elements = std::move(elements);
  return out;
}

// Removes what the map has beyond the elements of the set: what is deleted, and what a change that
// was broken off left.
Status drop_others(const PolicyState& policy, const ElementChange& change, const imr::Set& set,
                   const Paths& paths) {
  const DynamicSetState* state = find_dynamic(policy, change);
  invariant(state != nullptr, "a set with intervals that is gone");
  WEIR_TRY(living, living_elements(policy, *state, paths));
  std::vector<Bytes> gone;
  for (const driver::LivingElement& element : living) {
    if (!has_key(set.elements, element.key)) gone.push_back(element.key);
  }
  return delete_elements(policy, *state, of_keys(set, gone), paths);
}

// The elements in words that are the same for the same element, whatever the user's were.
ElementChange in_our_words(const ElementChange& change, const std::vector<imr::Element>& elements,
                           const imr::Set& set) {
  std::string text;
  for (const imr::Element& element : elements) {
    text += (text.empty() ? "{ " : ", ") + key_text(set, element.key);
    if (change.kind == ElementChange::Kind::remove) continue;
    if (!element.held.empty()) text += state_text(set, element.held);
    if (element.expires != 0) {
      text += " timeout " + std::to_string(imr::timeout_of(element)) + "ms";
    }
    if (element.timeout != 0) text += " expires " + std::to_string(element.expires) + "ms";
    if (set.is_data_map()) text += " : " + data_text(set, element.data);
  }
  ElementChange out = change;
  out.elements = text + " }";
  return out;
}

std::vector<imr::Element> elements_of(const imr::Set& set) {
  return {set.elements.begin(), set.elements.end()};
}

// The policy without the elements of `known` that have expired, where its notes can say so: nft
// would refuse others that overlap them.
PolicyState without_expired(const PolicyState& policy, const ElementChange& change,
                            const imr::Set& known,
                            const std::vector<driver::LivingElement>& living) {
  std::vector<imr::Element> expired;
  for (const imr::Element& element : known.elements) {
    if (!has_key(living, element.key)) expired.push_back(element);
  }
  if (expired.empty()) return policy;
  ElementChange gone = change;
  gone.kind = ElementChange::Kind::remove;
  const auto without = [&](const imr::Set& set, const std::vector<imr::Element>& elements) {
    imr::Set out = set;
    std::vector<imr::Element> rest;
    for (const imr::Element& element : set.elements) {
      if (!has_key(elements, element.key)) rest.push_back(element);
    }
    out.elements = std::move(rest);
    return out;
  };
  auto all =
      noted(policy, in_our_words(gone, expired, known), without(known, expired), same_values);
  if (all) return std::move(*all);
  PolicyState out = policy;
  imr::Set left = known;
  for (const imr::Element& element : expired) {
    const imr::Set after = without(left, {element});
    auto one = noted(out, in_our_words(gone, {element}, known), after, same_values);
    if (!one) continue;
    out = std::move(*one);
    left = after;
  }
  return out;
}

Result<PolicyState> noted_change(const PolicyState& base, const ElementChange& change,
                                 const imr::Set& given, const imr::Set& after) {
  auto ours = noted(base, in_our_words(change, elements_of(given), given), after, same_values);
  return ours ? std::move(ours) : noted(base, change, after, same_values);
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
  WEIR_CHECK(drop_others(policy, change, *known, paths));
  WEIR_TRY(living, living_elements(policy, state, paths));
  const PolicyState base = without_expired(policy, change, *known, living);
  WEIR_TRY(base_rules, ruleset_with(base, {}));
  WEIR_TRY(before, find_set(base_rules, change));
  WEIR_TRY(new_rules, ruleset_with(base, {command_of(change)}));
  WEIR_TRY(after, find_set(new_rules, change));
  if (!after->native_reason.empty()) return input_error(after->native_reason);
  WEIR_TRY(named, ruleset_with_alone(policy, state, change, living));
  WEIR_TRY(given, find_set(named, change));
  const bool adds = change.kind == ElementChange::Kind::add;
  if (adds && !(has_keys(*after, *given) && has_keys(*after, *before))) {
    return input_error("the set " + change.set +
                       " merges elements, and these have times or states of their own: delete " +
                       "what they would be merged with first");
  }
  if (!adds) WEIR_CHECK(check_living(policy, state, *given, paths));
  if (adds) WEIR_CHECK(check_targets(new_rules, policy));
  if (adds && same_values(*before, *after)) return add_elements(policy, state, *given, paths);
  // Expired ones that come again: programs that know them would see them before the others.
  if (adds && knows_more(*known, *before, *given)) {
    WEIR_TRY(without, swap_elements(policy, base.elements, {}, paths, at_step));
    const DynamicSetState* its = find_dynamic(without, change);
    invariant(its != nullptr, "a set with intervals that is gone");
    return change_ranges(without, *its, change, paths, at_step);
  }
  WEIR_TRY(changed, noted_change(base, change, *given, *after));
  const auto fill = [&](const PolicyState& next, const std::vector<kernel::Fd>& maps) -> Status {
    const DynamicSetState* its = find_dynamic(next, change);
    invariant(its != nullptr, "a set with intervals that is gone");
    return adds ? add_elements(*its, maps.at(its->map), *given) : Status();
  };
  const auto now = swap_elements(policy, changed.elements, fill, paths, at_step);
  if (now) return drop_others(*now, change, *after, paths);
  if (adds) WEIR_CHECK(drop_others(policy, change, *known, paths));
  return std::unexpected(now.error());
}

}  // namespace weir::service
