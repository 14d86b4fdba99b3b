// SPDX-License-Identifier: BSD-2-Clause
#include "service/meters.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "service/listing.h"
#include "service/rule_text.h"

namespace weir::service {
namespace {

constexpr std::string_view map_name = "meters";
constexpr std::size_t word_size = 8;

// Calls `body` with the name and the state of each rule that has meters.
template <typename Body>
void for_each_user(const PolicyState& policy, const Body& body) {
  for (const auto* chains : {&policy.chains, &policy.unreached}) {
    for (const ChainState& chain : *chains) {
      for (const RuleState& rule : chain.rules) {
        if (rule.meters.empty()) continue;
        body(RuleName{chain.family, chain.table, chain.name, rule.handle}, rule);
      }
    }
  }
}

}  // namespace

Result<std::vector<std::uint64_t>> read_meters(const PolicyState& policy, const Paths& paths) {
  std::vector<std::uint64_t> out;
  const auto known = std::ranges::find(policy.maps, map_name, &MapState::name);
  if (known == policy.maps.end()) return out;
  WEIR_TRY(map, open_map(policy, *known, paths));
  WEIR_TRY(value, kernel::read_element(map, native_bytes(0, 4), known->value_size, false));
  for (std::size_t at = 0; at + word_size <= value.size(); at += word_size) {
    out.push_back(load_native(ByteView(value).subspan(at, word_size)));
  }
  return out;
}

Status carry_meters(const PolicyState& policy, const std::optional<RuleName>& replaced,
                    const PolicyState& next, const kernel::Fd& map, const Paths& paths) {
  WEIR_TRY(held, read_meters(policy, paths));
  std::map<RuleName, const RuleState*> before;
  for_each_user(policy, [&](const RuleName& name, const RuleState& rule) {
    if (!replaced || *replaced != name) before.emplace(name, &rule);
  });
  const auto place = std::ranges::find(next.maps, map_name, &MapState::name);
  invariant(place != next.maps.end(), "meters in no map");
  WEIR_TRY(value, kernel::read_element(map, native_bytes(0, 4), place->value_size, false));
  for_each_user(next, [&](const RuleName& name, const RuleState& rule) {
    const auto known = before.find(name);
    if (known == before.end()) return;
    invariant(known->second->meters.size() == rule.meters.size(),
              "a rule that kept its handle has other meters");
    for (std::size_t i = 0; i < rule.meters.size(); ++i) {
      const Bytes word = native_bytes(held.at(known->second->meters[i].index), word_size);
      std::ranges::copy(
          word, value.begin() + static_cast<std::ptrdiff_t>(word_size * rule.meters[i].index));
    }
  });
  return kernel::write_element(map, native_bytes(0, 4), value);
}

std::string with_used(const std::string& rule_text, const std::vector<MeterUse>& meters,
                      const std::vector<std::uint64_t>& held) {
  std::vector<std::string> used;
  for (const MeterUse& meter : meters) {
    if (!meter.quota) continue;
    const std::uint64_t bytes = std::min(held.at(meter.index), *meter.quota);
    used.push_back(bytes == 0 ? "" : "used " + amount_words(bytes));
  }
  if (used.empty()) return rule_text;
  const std::vector<std::string_view> parts = words(rule_text);
  std::string out;
  std::size_t next = 0;
  const auto put = [&](std::string_view word) {
    if (!word.empty()) (out += out.empty() ? "" : " ") += word;
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    while (i < parts.size() && behind_element(parts, i) != i) {
      for (const std::size_t end = behind_element(parts, i); i < end; ++i) put(parts[i]);
    }
    if (i == parts.size()) break;
    put(parts[i]);
    if (parts[i] != "quota" || next == used.size() || i + 2 >= parts.size()) continue;
    if (parts[i + 1] == "name") {  // its amount stands elsewhere
      if (names_one(parts, i + 1)) ++next;
      continue;
    }
    if (parts[i + 1] == "over" || parts[i + 1] == "until") put(parts[++i]);
    for (int amount = 0; amount < 2 && i + 1 < parts.size(); ++amount) put(parts[++i]);
    put(used[next++]);
    if (i + 3 < parts.size() && parts[i + 1] == "used") i += 3;
  }
  return out;
}

}  // namespace weir::service
