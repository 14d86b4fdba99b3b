// SPDX-License-Identifier: BSD-2-Clause
#include "service/dynamic_sets.h"

#include <algorithm>
#include <set>

#include "backend/dynamic_sets.h"
#include "imr/dynamic_sets.h"
#include "imr/parse.h"
#include "imr/print.h"
#include "isa/expiry.h"
#include "service/listing.h"
#include "service/store.h"

namespace weir::service {
namespace {

constexpr std::size_t word_size = 8;

const imr::Set& set_of(const imr::Ruleset& described) {
  return described[imr::SetId(std::size_t{0})];
}

// Whether the set of a ruleset is the one that is described.
bool same_name(const imr::Ruleset& described, const imr::Ruleset& ruleset, const imr::Set& set) {
  const imr::Set& known = set_of(described);
  const imr::Table& one = described[known.table];
  const imr::Table& other = ruleset[set.table];
  return one.family == other.family && one.name == other.name && known.name == set.name;
}

// The state that the policy has of the set, or nullptr.
const DynamicSetState* find_same(const PolicyState& policy, const imr::Ruleset& wanted) {
  for (const DynamicSetState& state : policy.dynamic_sets) {
    if (same_name(described(state), wanted, set_of(wanted))) return &state;
  }
  return nullptr;
}

Result<kernel::Fd> map_of(const PolicyState& policy, const DynamicSetState& state,
                          const Paths& paths) {
  return open_map(policy, policy.maps.at(state.map), paths);
}

// A value of the set before as one of the set after.
Bytes carried(const imr::Set& before, const imr::Set& after, ByteView value) {
  const backend::ElementLayout from = backend::layout_of(before);
  const backend::ElementLayout to = backend::layout_of(after);
  Bytes out(value.begin(), value.begin() + word_size);
  if (before.dynamic->statements == after.dynamic->statements) {
    out.insert(out.end(), value.begin() + from.statements, value.begin() + from.data);
  } else {
    for (const std::uint64_t word : backend::first_words(*after.dynamic)) {
      const Bytes bytes = native_bytes(word, word_size);
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
  }
  out.insert(out.end(), value.begin() + from.data, value.end());
  out.resize(to.size);
  return out;
}

// The value of what has the key and has not expired.
std::optional<Bytes> living_value(const kernel::Fd& map, const imr::Ruleset& known, ByteView key) {
  const std::size_t size = backend::layout_of(set_of(known)).size;
  auto value = kernel::read_element(map, key, size, false);
  const bool lives = value && driver::living_element(known, imr::SetId(std::size_t{0}), key, *value,
                                                     kernel::clock_now());
  return lives ? std::optional(std::move(*value)) : std::nullopt;
}
bool is_there(const kernel::Fd& map, const imr::Ruleset& known, ByteView key) {
  return living_value(map, known, key).has_value();
}

// The value of an element that is there, after it is added again: nothing where it stays as it is
// (nft_add_set_elem() of Linux 6.18).
std::optional<isa::MapEntry> renewed(const imr::Set& set, const imr::Element& given, Bytes value) {
  if (!set.dynamic->timeouts) return std::nullopt;
  const std::uint32_t at = backend::layout_of(set).timeout;
  const std::uint64_t timeout = load_native(ByteView(value).subspan(at, word_size));
  if (imr::timeout_of(given) == timeout && given.timeout == 0) return std::nullopt;
  const Bytes fresh = backend::element_value(set, given);
  for (const std::uint32_t word : {std::uint32_t{0}, at}) {
    std::copy_n(fresh.begin() + word, word_size, value.begin() + word);
  }
  return isa::MapEntry{.key = given.key, .value = std::move(value)};
}

}  // namespace

std::vector<DynamicSetState> describe_dynamic_sets(const imr::Ruleset& ruleset,
                                                   const driver::Compilation& compilation) {
  std::vector<DynamicSetState> out;
  if (!compilation.dynamic_sets) return out;
  for (const auto& [name, place] : compilation.dynamic_sets->all()) {
    const auto found = std::ranges::find_if(ruleset.sets, [&](const imr::Set& set) {
      return set.table == name.first && set.name == name.second;
    });
    invariant(found != ruleset.sets.end(), "a dynamic set of no ruleset");
    imr::Ruleset one;
    imr::Set copy = *found;
    copy.elements = {};
    copy.table = one.add(imr::Table(ruleset[found->table]));
    one.add(std::move(copy));
    out.push_back({.map = place.map.value, .text = imr::print(one)});
  }
  return out;
}

imr::Ruleset described(const DynamicSetState& state) {
  auto out = imr::parse_ruleset(state.text, "the policy's state");
  invariant(out && out->sets.size() == 1, "a set that was printed cannot be read");
  return std::move(*out);
}

void keep_sizes(const PolicyState& policy, imr::Ruleset& ruleset) {
  for (imr::Set& set : ruleset.sets) {
    if (!set.dynamic) continue;
    for (const DynamicSetState& state : policy.dynamic_sets) {
      const imr::Ruleset known = described(state);
      const std::uint32_t size = set_of(known).dynamic->size;
      if (same_name(known, ruleset, set) && set.elements.size() <= size) set.dynamic->size = size;
    }
  }
}

Status share_dynamic_sets(const PolicyState& policy, const std::vector<DynamicSetState>& next,
                          const Paths& paths, std::vector<kernel::Fd>& given) {
  for (const DynamicSetState& state : next) {
    const auto same = std::ranges::find(policy.dynamic_sets, state.text, &DynamicSetState::text);
    if (same == policy.dynamic_sets.end()) continue;
    WEIR_TRY(map, map_of(policy, *same, paths));
    given.at(state.map) = std::move(map);
  }
  return {};
}

Status carry_dynamic_sets(const PolicyState& policy, const std::vector<DynamicSetState>& next,
                          const std::vector<kernel::Fd>& maps, const Paths& paths) {
  for (const DynamicSetState& state : next) {
    const imr::Ruleset after = described(state);
    const DynamicSetState* known = find_same(policy, after);
    if (known == nullptr || known->text == state.text) continue;
    const imr::Ruleset before = described(*known);
    const imr::Set& from = set_of(before);
    const imr::Set& to = set_of(after);
    if (from.key_size != to.key_size || from.data_size != to.data_size ||
        from.field_sizes != to.field_sizes || from.dynamic->ranges != to.dynamic->ranges) {
      continue;
    }
    // The map has the elements that the ruleset is written with, and some may be gone by now.
    WEIR_TRY(written, kernel::keys(maps.at(state.map), to.key_size));
    for (const Bytes& key : written) WEIR_CHECK(kernel::delete_element(maps.at(state.map), key));
    WEIR_TRY(map, map_of(policy, *known, paths));
    WEIR_TRY(keys, kernel::keys(map, from.key_size));
    for (const Bytes& key : keys) {
      const auto value = living_value(map, before, key);
      if (!value) continue;
      WEIR_CHECK(kernel::write_element(maps.at(state.map), key, carried(from, to, *value)));
    }
  }
  return {};
}

Result<std::vector<driver::LivingElement>> living_elements(const PolicyState& policy,
                                                           const DynamicSetState& state,
                                                           const Paths& paths) {
  const imr::Ruleset known = described(state);
  const imr::Set& set = set_of(known);
  WEIR_TRY(map, map_of(policy, state, paths));
  WEIR_TRY(found, kernel::keys(map, set.key_size));
  const std::set<Bytes> keys(found.begin(), found.end());
  std::vector<driver::LivingElement> out;
  for (const Bytes& key : keys) {
    const auto value = kernel::read_element(map, key, backend::layout_of(set).size, false);
    if (!value) continue;  // it has just gone
    auto living =
        driver::living_element(known, imr::SetId(std::size_t{0}), key, *value, kernel::clock_now());
    if (living) out.push_back(std::move(*living));
  }
  return out;
}

Status add_elements(const PolicyState& policy, const DynamicSetState& state, const imr::Set& given,
                    const Paths& paths) {
  WEIR_TRY(map, map_of(policy, state, paths));
  return add_elements(state, map, given);
}

Status add_elements(const DynamicSetState& state, const kernel::Fd& map, const imr::Set& given) {
  const imr::Ruleset known = described(state);
  const imr::Set& set = set_of(known);
  // As programs make room, where it is needed: without what has expired.
  WEIR_TRY(keys, kernel::keys(map, set.key_size));
  std::size_t living = 0;
  for (const Bytes& key : keys) {
    if (is_there(map, known, key)) {
      ++living;
    } else {
      [[maybe_unused]] const Status gone = kernel::delete_element(map, key);
    }
  }
  std::vector<isa::MapEntry> fresh;
  std::vector<isa::MapEntry> again;
  for (const imr::Element& element : given.elements) {
    if (auto value = living_value(map, known, element.key)) {
      auto other = renewed(set, element, std::move(*value));
      if (other) again.push_back(std::move(*other));
    } else {
      fresh.push_back({.key = element.key, .value = backend::element_value(set, element)});
    }
  }
  if (living + fresh.size() > set.dynamic->size) {
    return input_error("the set " + set.name + " has room for " +
                       std::to_string(set.dynamic->size) + " elements, and " +
                       std::to_string(living) + " are there");
  }
  fresh.insert(fresh.end(), again.begin(), again.end());
  for (const isa::MapEntry& entry : fresh) {
    WEIR_CHECK(kernel::write_element(map, entry.key, isa::started(entry, kernel::clock_now())));
  }
  return {};
}

Status check_living(const PolicyState& policy, const DynamicSetState& state, const imr::Set& given,
                    const Paths& paths) {
  const imr::Ruleset known = described(state);
  WEIR_TRY(map, map_of(policy, state, paths));
  for (const imr::Element& element : given.elements) {
    if (is_there(map, known, element.key)) continue;
    return input_error("the set " + given.name + " has no element " + key_text(given, element.key));
  }
  return {};
}

Status delete_elements(const PolicyState& policy, const DynamicSetState& state,
                       const imr::Set& given, const Paths& paths) {
  WEIR_TRY(map, map_of(policy, state, paths));
  for (const imr::Element& element : given.elements) {
    [[maybe_unused]] const Status gone = kernel::delete_element(map, element.key);
  }
  return {};
}

}  // namespace weir::service
