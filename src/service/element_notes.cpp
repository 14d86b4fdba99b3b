// SPDX-License-Identifier: BSD-2-Clause
#include "service/element_notes.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/nft/nft.h"
#include "imr/dynamic_sets.h"
#include "service/dynamic_sets.h"

namespace weir::service {
namespace {

// An element without the time, state, comment or value that stands behind its key.
std::string_view key_part(std::string_view element) {
  constexpr std::array<std::string_view, 8> behind = {
      " timeout ", " expires ", " counter", " limit ", " quota ", " last", " comment ", " : "};
  std::size_t end = element.size();
  for (const std::string_view word : behind) {
    end = std::min(end, element.find(word));
  }
  return element.substr(0, end);
}

// Elements of a map are deleted by their keys, and cannot be added without data.
std::string with_data(std::string_view elements, const std::string& data) {
  std::string out;
  for (const std::string& element : split_elements(elements)) {
    const bool has_data = element.find(" : ") != std::string::npos;
    out += (out.empty() ? "{ " : ", ") + element + (has_data ? "" : " : " + data);
  }
  return out + " }";
}

bool is_changed(const imr::Ruleset& ruleset, const imr::Set& set, const ElementChange& change) {
  const imr::Table& table = ruleset[set.table];
  return set.name == change.set && table.name == change.table && table.family == change.family;
}

// What has gone by since nft read the elements of the change.
void forget_passed_time(const ElementChange& change, imr::Ruleset& ruleset) {
  for (imr::Set& set : ruleset.sets) {
    if (!is_changed(ruleset, set, change)) continue;
    std::vector<imr::Element> elements(set.elements.begin(), set.elements.end());
    for (imr::Element& element : elements) {
      element.expires = imr::timeout_of(element);
      element.timeout = 0;
    }
    set.elements = std::move(elements);
  }
}

// Takes each element out of `from` that is there; the others.
template <typename Part>
std::vector<std::string> cancel(const std::vector<std::string>& elements,
                                std::vector<std::string>& from, const Part& part) {
  std::vector<std::string> rest;
  for (const std::string& each : elements) {
    const auto same = [&](std::string_view other) { return part(other) == part(each); };
    if (std::erase_if(from, same) == 0) rest.push_back(each);
  }
  return rest;
}

// Where elements are that are deleted: among those that were added since, or, beyond that, in the
// text, which has some that were added again.
enum class Deleted : std::uint8_t { once, from_text_too };

// The changes of the set with one more. What takes back an earlier change cancels it, so that there
// are never more of them than differences.
void note_change(const ElementChange& change, Deleted deleted, PolicyState& policy) {
  const auto same = [&](const ElementsState& each) {
    return each.family == change.family && each.table == change.table && each.set == change.set;
  };
  auto noted = std::ranges::find_if(policy.elements, same);
  if (noted == policy.elements.end()) {
    policy.elements.push_back({.family = change.family, .table = change.table, .set = change.set});
    noted = std::prev(policy.elements.end());
  }
  const bool adds = change.kind == ElementChange::Kind::add;
  const std::vector<std::string> elements = split_elements(change.elements);
  // What comes again may have another time, state or value; what goes is named by its key.
  std::vector<std::string> rest = adds ? cancel(elements, noted->deleted, std::identity())
                                       : cancel(elements, noted->added, key_part);
  if (!adds && deleted == Deleted::from_text_too) rest = elements;
  std::vector<std::string>& list = adds ? noted->added : noted->deleted;
  for (const std::string& each : rest) {
    if (std::ranges::find(list, each) == list.end()) list.push_back(each);
  }
  if (noted->added.empty() && noted->deleted.empty()) policy.elements.erase(noted);
}

}  // namespace

std::string command_of(const ElementChange& change) {
  return std::string(change.kind == ElementChange::Kind::add ? "add" : "delete") + " element " +
         std::string(to_string(change.family)) + " " + change.table + " " + change.set + " " +
         change.elements;
}

Result<imr::Ruleset> ruleset_with(const PolicyState& policy, const std::vector<std::string>& more) {
  frontend::nft::Options options{.interface_index = {}, .commands = change_commands(policy)};
  options.commands.insert(options.commands.end(), more.begin(), more.end());
  auto ruleset = frontend::nft::read_script(policy.source, "elements", options);
  if (ruleset) return ruleset;
  Diagnostic error = ruleset.error();
  error.location = {};
  return std::unexpected(error);
}

Result<const imr::Set*> find_set(const imr::Ruleset& ruleset, const ElementChange& change) {
  for (const imr::Set& set : ruleset.sets) {
    if (is_changed(ruleset, set, change)) return &set;
  }
  return input_error("the ruleset has no set " + std::string(to_string(change.family)) + " " +
                     change.table + " " + change.set);
}

Result<imr::Ruleset> ruleset_with_alone(const PolicyState& policy, const DynamicSetState& state,
                                        const ElementChange& change,
                                        const std::vector<driver::LivingElement>& living) {
  const std::string name =
      std::string(to_string(change.family)) + " " + change.table + " " + change.set;
  const imr::Ruleset one = described(state);
  const imr::Set& set = one.sets.front();
  std::string elements = change.elements;
  if (set.is_data_map() && change.kind == ElementChange::Kind::remove && !living.empty()) {
    elements = with_data(elements, data_text(set, living.front().data));
  }
  WEIR_TRY(out, ruleset_with(policy,
                             {std::string("flush ") + (set.is_data_map() ? "map " : "set ") + name,
                              "add element " + name + " " + elements}));
  if (elements.find(" expires ") == std::string::npos) forget_passed_time(change, out);
  return out;
}

const DynamicSetState* find_dynamic(const PolicyState& policy, const ElementChange& change) {
  for (const DynamicSetState& state : policy.dynamic_sets) {
    const imr::Ruleset one = described(state);
    if (is_changed(one, one.sets.front(), change)) return &state;
  }
  return nullptr;
}

Result<PolicyState> noted(const PolicyState& policy, const ElementChange& change,
                          const imr::Set& after, bool (*same)(const imr::Set&, const imr::Set&)) {
  for (const Deleted deleted : {Deleted::once, Deleted::from_text_too}) {
    PolicyState changed = policy;
    note_change(change, deleted, changed);
    const auto ruleset = ruleset_with(changed, {});
    if (!ruleset) continue;
    WEIR_TRY(set, find_set(*ruleset, change));
    if (same(*set, after)) return changed;
  }
  return input_error(
      "one of these elements was written in another way when it was added or deleted before");
}

}  // namespace weir::service
