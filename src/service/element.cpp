// SPDX-License-Identifier: BSD-2-Clause
#include "service/element.h"

#include <algorithm>
#include <map>

#include "backend/set_update.h"
#include "kernel/forward.h"
#include "kernel/kernel.h"
#include "service/dynamic_sets.h"
#include "service/element_notes.h"
#include "service/element_ranges.h"
#include "service/exchange.h"
#include "service/send_targets.h"
#include "service/store.h"

namespace weir::service {
namespace {

using backend::MapWrite;

Result<const SetState*> find_state(const PolicyState& policy, const ElementChange& change) {
  std::string known;
  for (const SetState& set : policy.sets) {
    if (set.set.name == change.set && set.table == change.table && set.family == change.family) {
      return &set;
    }
    known += (known.empty() ? "" : ", ") + std::string(to_string(set.family)) + " " + set.table +
             " " + set.set.name;
  }
  return input_error("policy '" + policy.name + "' has no set " +
                     std::string(to_string(change.family)) + " " + change.table + " " + change.set +
                     " that can change, " +
                     (known.empty() ? "and no other" : "there are: " + known));
}

// The maps of a policy, opened when they are first needed. Values of arrays of one element are
// patched here and written as a whole; readers see the bytes that stay as they were.
class Maps {
 public:
  Maps(const PolicyState& policy, const Paths& paths, const StepHook& at_step)
      : policy_(policy), paths_(paths), at_step_(at_step) {}

  Result<std::uint32_t> version(const backend::SetVersion& version) {
    WEIR_TRY(map, open(version.map));
    WEIR_TRY(value, value_of(*map, version.map));
    return (value->at(version.bit / 8) >> version.bit % 8) & 1U;
  }

  Status apply(const std::vector<MapWrite>& writes) {
    std::map<std::uint32_t, Bytes> patched;
    for (const MapWrite& write : writes) {
      WEIR_TRY(map, open(write.map));
      switch (write.kind) {
        case MapWrite::Kind::put:
          WEIR_CHECK(kernel::write_element(*map, write.key, write.value));
          reach(at_step_, "element: put");
          break;
        case MapWrite::Kind::remove:
          // One that is gone already is as good.
          if (kernel::read_element(*map, write.key, value_size(write.map), false)) {
            WEIR_CHECK(kernel::delete_element(*map, write.key));
          }
          reach(at_step_, "element: removed");
          break;
        case MapWrite::Kind::patch: {
          WEIR_TRY(value, patched_value(write.map, patched));
          invariant(write.offset + write.value.size() <= value->size(), "a patch beyond its map");
          std::ranges::copy(write.value,
                            value->begin() + static_cast<std::ptrdiff_t>(write.offset));
          break;
        }
        case MapWrite::Kind::bit: {
          WEIR_TRY(value, patched_value(write.map, patched));
          std::uint8_t& byte = value->at(write.offset / 8);
          const auto mask = static_cast<std::uint8_t>(1U << write.offset % 8);
          byte = static_cast<std::uint8_t>(write.value.at(0) != 0 ? byte | mask : byte & ~mask);
          break;
        }
      }
    }
    for (const auto& [index, value] : patched) {
      WEIR_TRY(map, open(isa::MapIndex(index)));
      WEIR_CHECK(kernel::write_element(*map, native_bytes(0, 4), value));
      reach(at_step_, "element: patched");
    }
    return {};
  }

  // Entries of the version that does not count, left by a change that was broken off.
  Status remove_stale(const backend::SetPlace& place, std::uint32_t version) {
    if (!place.numbered || place.form == backend::SetForm::sorted_array) return {};
    const std::size_t at = place.form == backend::SetForm::lpm_trie ? 4 : 0;
    WEIR_TRY(map, open(place.map));
    WEIR_TRY(keys, kernel::keys(*map, at + place.key_size));
    for (const Bytes& key : keys) {
      if (load_native(ByteView(key).subspan(at, 4)) != place.number + (version ^ 1)) continue;
      WEIR_CHECK(kernel::delete_element(*map, key));
      reach(at_step_, "element: tidied");
    }
    return {};
  }

 private:
  [[nodiscard]] std::size_t value_size(isa::MapIndex index) const {
    return policy_.maps.at(index.index()).value_size;
  }
  // The value of the one element, with what has been patched in it.
  Result<Bytes*> patched_value(isa::MapIndex index, std::map<std::uint32_t, Bytes>& patched) {
    if (!patched.contains(index.value)) {
      WEIR_TRY(map, open(index));
      WEIR_TRY(value, value_of(*map, index));
      patched[index.value] = std::move(*value);
    }
    return &patched.at(index.value);
  }
  Result<Bytes*> value_of(const kernel::Fd& map, isa::MapIndex index) {
    WEIR_TRY(value, kernel::read_element(map, native_bytes(0, 4), value_size(index), false));
    value_ = std::move(value);
    return &value_;
  }
  Result<const kernel::Fd*> open(isa::MapIndex index) {
    if (!open_.contains(index.value)) {
      WEIR_TRY(map, kernel::open_pinned(paths_.pins(policy_.name) + "/" +
                                        policy_.maps.at(index.index()).pin));
      open_.emplace(index.value, std::move(map));
    }
    return &open_.at(index.value);
  }

  const PolicyState& policy_;
  const Paths& paths_;
  const StepHook& at_step_;
  std::map<std::uint32_t, kernel::Fd> open_;
  Bytes value_;
};

// Which elements there are, only the map knows.
Status change_dynamic(const PolicyState& policy, const DynamicSetState& state,
                      const ElementChange& change, const Paths& paths) {
  std::vector<driver::LivingElement> living;
  if (change.kind == ElementChange::Kind::remove) {
    WEIR_TRY(found, living_elements(policy, state, paths));
    living = std::move(found);
  }
  WEIR_TRY(ruleset, ruleset_with_alone(policy, state, change, living));
  if (change.kind == ElementChange::Kind::add) WEIR_CHECK(check_targets(ruleset, policy));
  WEIR_TRY(given, find_set(ruleset, change));
  if (change.kind == ElementChange::Kind::add) return add_elements(policy, state, *given, paths);
  WEIR_CHECK(check_living(policy, state, *given, paths));
  return delete_elements(policy, state, *given, paths);
}

bool same_elements(const imr::Set& a, const imr::Set& b) {
  return a.elements == b.elements && a.catch_all == b.catch_all;
}

}  // namespace

Status check_elements(std::string_view text) {
  const auto refused = [&] {
    return input_error("'" + std::string(text) + "' is no list of elements, expected { ... }");
  };
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (c == '\n' || c == '\0') return refused();
    if (quoted) continue;
    if (c == ';' || c == '#' || c == '\\') return refused();
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0 && i + 1 != text.size()) return refused();
    if (depth == 0 && c != '}') return refused();
  }
  if (text.empty() || depth != 0 || quoted) return refused();
  return {};
}

std::vector<std::string> split_elements(std::string_view text) {
  std::vector<std::string> out;
  std::string one;
  bool quoted = false;
  const auto end_one = [&] {
    const auto first = one.find_first_not_of(" \t");
    if (first != std::string::npos) {
      out.push_back(one.substr(first, one.find_last_not_of(" \t") - first + 1));
    }
    one.clear();
  };
  for (const char c : text.substr(1, text.size() - 2)) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) {
      end_one();
    } else {
      one += c;
    }
  }
  end_one();
  return out;
}

Status settle_elements(PolicyState& policy, const Paths& paths) {
  if (!policy.pending) return {};
  const StepHook nobody;
  WEIR_TRY(version, Maps(policy, paths, nobody).version(policy.pending->set.set.place.version));
  if (version == policy.pending->version) policy.elements = std::move(policy.pending->elements);
  policy.pending.reset();
  return {};
}

Status change_elements(const std::string& name, const ElementChange& change, const Paths& paths,
                       const StepHook& at_step) {
  WEIR_CHECK(check_elements(change.elements));
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  WEIR_TRY(policy, load_policy(name, paths));
  WEIR_CHECK(check_changeable(policy, paths));
  WEIR_CHECK(settle_exchange(policy, paths));
  // Programs may still be in the version that a change before left, which this one is to write.
  if (policy.pending) kernel::wait_for_programs();
  WEIR_CHECK(settle_elements(policy, paths));
  if (const DynamicSetState* dynamic = find_dynamic(policy, change)) {
    const bool ranges = described(*dynamic).sets.front().dynamic->ranges;
    return ranges ? change_ranges(policy, *dynamic, change, paths, at_step)
                  : change_dynamic(policy, *dynamic, change, paths);
  }
  WEIR_TRY(state, find_state(policy, change));
  WEIR_TRY(old_rules, ruleset_with(policy, {}));
  WEIR_TRY(new_rules, ruleset_with(policy, {command_of(change)}));
  if (change.kind == ElementChange::Kind::add) WEIR_CHECK(check_targets(new_rules, policy));
  WEIR_TRY(before, find_set(old_rules, change));
  WEIR_TRY(after, find_set(new_rules, change));
  if (same_elements(*before, *after)) return {};
  WEIR_TRY(changed, noted(policy, change, *after, same_elements));

  Maps maps(policy, paths, at_step);
  const backend::UpdatableSet& set = state->set;
  WEIR_TRY(version, maps.version(set.place.version));
  WEIR_TRY(update, backend::set_update(set, *before, *after, version));
  WEIR_CHECK(maps.remove_stale(set.place, version));
  WEIR_CHECK(maps.apply(update.prepare));
  const auto next = static_cast<std::uint32_t>(update.change.value.at(0));
  policy.pending = PendingState{.set = *state, .version = next, .elements = changed.elements};
  WEIR_CHECK(save(policy, paths));
  reach(at_step, "element: noted");
  WEIR_CHECK(maps.apply({update.change}));
  WEIR_CHECK(save(changed, paths));
  reach(at_step, "element: saved");
  kernel::wait_for_programs();
  return maps.apply(update.clean_up);
}

}  // namespace weir::service
