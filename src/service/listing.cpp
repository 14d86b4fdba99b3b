// SPDX-License-Identifier: BSD-2-Clause
#include "service/listing.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <variant>

#include "imr/dynamic_sets.h"
#include "kernel/kernel.h"
#include "service/attach.h"
#include "service/dynamic_sets.h"
#include "service/guard.h"
#include "service/meters.h"
#include "service/netns.h"
#include "service/rule_text.h"
#include "service/store.h"

namespace weir::service {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string count_words(const Count& count) {
  return "packets " + std::to_string(count.packets) + " bytes " + std::to_string(count.bytes);
}

bool is_number(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string chain_header(const ChainState& chain) {
  std::string out = "\tchain " + chain.name + " {\n";
  if (!chain.base) return out;
  const imr::BaseChain& base = *chain.base;
  out += "\t\ttype " + base.type + " hook " + std::string(to_string(base.hook));
  for (const std::string& device : base.devices) out += " device \"" + device + "\"";
  return out + " priority " + std::to_string(base.priority) + "; policy " +
         (base.drop_by_policy ? "drop" : "accept") + ";\n";
}

struct LinkStatus {
  std::optional<bool> attached;  // nothing: it could not be looked at
  std::string why;
};

// What is not pinned, since the policy waits for confirmation, is found by its number.
Result<kernel::Fd> open_object(const PolicyState& policy, const std::string& pin,
                               kernel::ObjectKind kind, std::uint32_t id, const Paths& paths) {
  if (standing(policy, paths) == Standing::waiting) return kernel::open_by_id(kind, id);
  return kernel::open_pinned(paths.pins(policy.name) + "/" + pin);
}

LinkStatus filter_status(const PolicyState& policy, const AttachmentState& attachment) {
  const auto here = current_namespace();
  if (!here || *here != policy.namespace_id) {
    return {.attached = std::nullopt, .why = "it is in another network namespace"};
  }
  const auto program = kernel::tc_filter_program(*attachment.filter);
  if (program && *program == attachment.program_id) return {.attached = true, .why = {}};
  return {.attached = false, .why = "the filter is gone"};
}

LinkStatus link_status(const PolicyState& policy, std::size_t index, const Paths& paths) {
  const AttachmentState& attachment = policy.attachments.at(index);
  if (attachment.filter) return filter_status(policy, attachment);
  const std::string pin = link_pin(attachment);
  if (standing(policy, paths) == Standing::settled) {
    const std::string path = paths.pins(policy.name) + "/" + pin;
    std::error_code error;
    const bool pinned = std::filesystem::exists(path, error);
    if (error) return {.attached = std::nullopt, .why = error.message()};
    if (!pinned) return {.attached = false, .why = path + " is gone"};
  }
  const auto link = open_object(policy, pin, kernel::ObjectKind::link, attachment.link_id, paths);
  if (!link) return {.attached = std::nullopt, .why = link.error().message};
  const auto info = kernel::link_info(*link);
  if (!info) return {.attached = std::nullopt, .why = info.error().message};
  switch (info->kind) {
    case kernel::LinkKind::xdp:
    case kernel::LinkKind::tcx:
      if (info->ifindex == 0) return {.attached = false, .why = "the device is gone"};
      break;
    case kernel::LinkKind::cgroup:
      if (info->cgroup == 0) return {.attached = false, .why = "the cgroup is gone"};
      break;
    case kernel::LinkKind::netfilter:
    case kernel::LinkKind::other:
      break;
  }
  return {.attached = true, .why = {}};
}

std::int64_t seconds_left(const PolicyState& policy) {
  return std::max<std::int64_t>(0, (policy.confirm_by - boot_milliseconds() + 999) / 1000);
}

// All rules of the policy, each as `body` makes it of the chain and the rule.
template <typename Body>
Result<ordered_json> rules_json(const PolicyState& policy, const Body& body) {
  ordered_json rules = ordered_json::array();
  for (const ChainState& chain : policy.chains) {
    for (const RuleState& rule : chain.rules) {
      ordered_json entry = {{"family", to_string(chain.family)},
                            {"table", chain.table},
                            {"chain", chain.name},
                            {"handle", rule.handle}};
      WEIR_CHECK(body(rule, entry));
      entry["programs"] = rule.programs;
      entry["maps"] = rule.maps;
      rules.push_back(std::move(entry));
    }
  }
  return rules;
}

// Those of the chain's table whose elements packets change.
Result<std::string> sets_text(const PolicyState& policy, const ChainState& chain,
                              const Paths& paths) {
  std::string out;
  for (const DynamicSetState& state : policy.dynamic_sets) {
    const imr::Ruleset one = described(state);
    const imr::Set& set = one.sets.front();
    const imr::Table& table = one[set.table];
    if (table.family != chain.family || table.name != chain.table) continue;
    WEIR_TRY(elements, living_elements(policy, state, paths));
    out += listed(set, elements) + "\n";
  }
  return out;
}

}  // namespace

Result<kernel::Fd> open_map(const PolicyState& policy, const MapState& map, const Paths& paths) {
  return open_object(policy, map.pin, kernel::ObjectKind::map, map.id, paths);
}

Result<std::vector<Count>> live_counts(const PolicyState& policy, const RuleState& rule,
                                       const Paths& paths) {
  std::vector<Count> out;
  if (rule.counters.empty()) return out;
  std::optional<kernel::Fd> map;
  std::optional<kernel::Fd> old_map;
  if (policy.has_counters) {
    const auto known = std::ranges::find(policy.maps, "counters", &MapState::name);
    invariant(known != policy.maps.end(), "counters in no map");
    WEIR_TRY(opened, open_map(policy, *known, paths));
    map = std::move(opened);
  }
  if (!policy.old_counters.empty()) {
    WEIR_TRY(opened, kernel::open_pinned(paths.pins(policy.name) + "/" + policy.old_counters));
    old_map = std::move(opened);
  }
  for (const CounterState& counter : rule.counters) {
    Count count = {.packets = counter.packets, .bytes = counter.bytes};
    const auto add = [&](const kernel::Fd& from, std::uint32_t index) -> Status {
      WEIR_TRY(more, read_count(from, index));
      count.packets += more.packets;
      count.bytes += more.bytes;
      return {};
    };
    if (map) WEIR_CHECK(add(*map, counter.index));
    if (old_map && counter.carried) WEIR_CHECK(add(*old_map, *counter.carried));
    out.push_back(count);
  }
  return out;
}

std::string with_counts(std::string_view rule_text, const std::vector<Count>& counts) {
  const std::vector<std::string_view> parts = words(rule_text);
  std::string out;
  std::size_t next = 0;
  const auto put = [&](std::string_view word) { (out += out.empty() ? "" : " ") += word; };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    while (i < parts.size() && behind_element(parts, i) != i) {
      for (const std::size_t end = behind_element(parts, i); i < end; ++i) put(parts[i]);
    }
    if (i == parts.size()) break;
    put(parts[i]);
    if (parts[i] != "counter" || next == counts.size()) continue;
    // One with a name has its values there, and those of a map come behind all others.
    if (i + 1 < parts.size() && parts[i + 1] == "name") {
      if (names_one(parts, i + 1)) ++next;
      continue;
    }
    put(count_words(counts[next++]));
    const bool has_values = i + 4 < parts.size() && parts[i + 1] == "packets" &&
                            is_number(parts[i + 2]) && parts[i + 3] == "bytes" &&
                            is_number(parts[i + 4]);
    if (has_values) i += 4;
  }
  return out;
}

namespace {

// Other than those that a map leads to, which come behind it.
bool has_own_counter(std::string_view rule_text) {
  const std::vector<std::string_view> parts = words(rule_text);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    while (i < parts.size() && behind_element(parts, i) != i) i = behind_element(parts, i);
    if (i == parts.size()) break;
    if (parts[i] != "counter") continue;
    const bool named = i + 1 < parts.size() && parts[i + 1] == "name";
    if (!named || names_one(parts, i + 1)) return true;
  }
  return false;
}

// Counters with names that the policy's rules of the table share.
Result<std::map<std::string, Count>> shared_counters(const PolicyState& policy,
                                                     const ChainState& table, const Paths& paths) {
  std::map<std::string, Count> out;
  for (const ChainState& chain : policy.chains) {
    if (chain.family != table.family || chain.table != table.table) continue;
    for (const RuleState& rule : chain.rules) {
      const auto has_name = [](const CounterState& one) { return !one.name.empty(); };
      if (std::ranges::none_of(rule.counters, has_name)) continue;
      WEIR_TRY(counts, live_counts(policy, rule, paths));
      for (std::size_t i = 0; i < counts.size(); ++i) {
        if (has_name(rule.counters[i])) out.emplace(rule.counters[i].name, counts[i]);
      }
    }
  }
  return out;
}

// As nft lists them.
std::string counters_text(const std::map<std::string, Count>& counters) {
  std::string out;
  for (const auto& [name, count] : counters) {
    out += "\tcounter " + name + " {\n\t\t" + count_words(count) + "\n\t}\n\n";
  }
  return out;
}

Result<ordered_json> counters_json(const PolicyState& policy, const Paths& paths) {
  ordered_json out = ordered_json::array();
  std::set<std::pair<Family, std::string>> seen;
  for (const ChainState& chain : policy.chains) {
    if (!seen.emplace(chain.family, chain.table).second) continue;
    WEIR_TRY(counters, shared_counters(policy, chain, paths));
    for (const auto& [name, count] : counters) {
      out.push_back({{"family", to_string(chain.family)},
                     {"table", chain.table},
                     {"name", name},
                     {"packets", count.packets},
                     {"bytes", count.bytes}});
    }
  }
  return out;
}

ordered_json element_json(const imr::Set& set, const driver::LivingElement& element) {
  constexpr std::uint64_t millisecond = 1'000'000;
  ordered_json out = {{"key", key_text(set, element.key)},
                      {"data", nullptr},
                      {"expires_ms", nullptr},
                      {"packets", nullptr},
                      {"bytes", nullptr},
                      {"used", nullptr}};
  if (set.is_data_map()) out["data"] = data_text(set, element.data);
  if (element.expires) out["expires_ms"] = *element.expires / millisecond;
  std::span<const std::uint64_t> words = element.words;
  for (const imr::ElementStatement& statement : set.dynamic->statements) {
    if (std::holds_alternative<imr::ElementCounter>(statement)) {
      out["packets"] = words[0];
      out["bytes"] = words[1];
    } else if (const auto& meter = std::get<imr::MeterState>(statement);
               meter.kind == imr::MeterState::Kind::quota) {
      out["used"] = std::min(words[0], meter.amount);
    }
    words = words.subspan(imr::words_of(statement));
  }
  return out;
}

// Sets whose elements packets change.
Result<ordered_json> sets_json(const PolicyState& policy, const Paths& paths) {
  ordered_json out = ordered_json::array();
  for (const DynamicSetState& state : policy.dynamic_sets) {
    const imr::Ruleset one = described(state);
    const imr::Set& set = one.sets.front();
    ordered_json elements = ordered_json::array();
    WEIR_TRY(living, living_elements(policy, state, paths));
    for (const auto& element : living) elements.push_back(element_json(set, element));
    out.push_back({{"family", to_string(one[set.table].family)},
                   {"table", one[set.table].name},
                   {"name", set.name},
                   {"size", set.dynamic->size},
                   {"elements", std::move(elements)}});
  }
  return out;
}

}  // namespace

Result<std::string> list_text(const PolicyState& policy, const Paths& paths) {
  WEIR_TRY(held, read_meters(policy, paths));
  std::string out;
  std::string open_table;
  for (const ChainState& chain : policy.chains) {
    const std::string table = std::string(to_string(chain.family)) + " " + chain.table;
    if (table != open_table) {
      out += (open_table.empty() ? "table " : "}\ntable ") + table + " { # policy " + policy.name +
             "\n";
      WEIR_TRY(counters, shared_counters(policy, chain, paths));
      out += counters_text(counters);
      open_table = table;
      WEIR_TRY(sets, sets_text(policy, chain, paths));
      out += sets;
    } else {
      out += "\n";
    }
    out += chain_header(chain);
    for (const RuleState& rule : chain.rules) {
      WEIR_TRY(counts, live_counts(policy, rule, paths));
      out += "\t\t" + with_used(with_counts(rule.text, counts), rule.meters, held) + " # handle " +
             std::to_string(rule.handle) + "\n";
    }
    out += "\t}\n";
  }
  return open_table.empty() ? out : out + "}\n";
}

Result<std::string> list_json(const PolicyState& policy, const Paths& paths) {
  WEIR_TRY(rules, rules_json(policy, [&](const RuleState& rule, ordered_json& entry) -> Status {
             WEIR_TRY(counts, live_counts(policy, rule, paths));
             entry["line"] = rule.line == 0 ? ordered_json(nullptr) : ordered_json(rule.line);
             entry["text"] = rule.text;
             entry["packets"] = nullptr;
             entry["bytes"] = nullptr;
             if (!counts.empty() && has_own_counter(rule.text)) {
               entry["packets"] = counts.front().packets;
               entry["bytes"] = counts.front().bytes;
             }
             return {};
           }));
  WEIR_TRY(counters, counters_json(policy, paths));
  WEIR_TRY(sets, sets_json(policy, paths));
  return dump({{"name", policy.name},
               {"rules", std::move(rules)},
               {"counters", std::move(counters)},
               {"sets", std::move(sets)}});
}

std::string status_text(const PolicyState& policy, const Paths& paths) {
  std::string out = "policy " + policy.name + ", since " + policy.since + ", network namespace " +
                    std::to_string(policy.namespace_id);
  const auto here = current_namespace();
  if (here && *here == policy.namespace_id) out += " (this one)";
  if (policy.locked) out += ", locked";
  out += "\n";
  if (standing(policy, paths) == Standing::waiting) {
    out += "  waits for confirmation, " + std::to_string(seconds_left(policy)) +
           " s left: weir confirm " + policy.name + " keeps it\n";
  }
  for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
    const AttachmentState& attachment = policy.attachments[i];
    out += "  " + place_text(attachment);
    for (const std::string& chain : attachment.chains) out += ", chain " + chain;
    out += ": program " + std::to_string(attachment.program_id) + " " + attachment.program_name;
    if (!attachment.filter) out += ", link " + std::to_string(attachment.link_id);
    const LinkStatus link = link_status(policy, i, paths);
    if (!link.attached) {
      out += ", cannot be looked at: " + link.why;
    } else if (!*link.attached) {
      out += ", NOT ATTACHED: " + link.why;
    }
    out += "\n";
  }
  for (const MapState& map : policy.maps) {
    out += "  map " + std::to_string(map.id) + " " + map.name + "\n";
  }
  if (policy.keeps_connections && standing(policy, paths) == Standing::settled) {
    out += "  table inet " + conntrack_table(policy.name) + " keeps connection tracking on\n";
  }
  return out;
}

std::string status_json(const PolicyState& policy, const Paths& paths) {
  ordered_json attachments = ordered_json::array();
  for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
    const AttachmentState& attachment = policy.attachments[i];
    ordered_json entry = {{"hook", to_string(attachment.hook)},
                          {"family", nullptr},
                          {"priority", nullptr},
                          {"mode", nullptr},
                          {"chains", attachment.chains},
                          {"program", attachment.program_id},
                          {"link", nullptr},
                          {"attached", nullptr}};
    if (!attachment.filter) entry["link"] = attachment.link_id;
    if (const LinkStatus link = link_status(policy, i, paths); link.attached) {
      entry["attached"] = *link.attached;
    }
    if (attachment.hook.kind == Hook::Kind::netfilter) {
      entry["family"] = to_string(attachment.nfproto);
      entry["priority"] = attachment.priority;
    }
    if (!attachment.mode.empty()) entry["mode"] = attachment.mode;
    attachments.push_back(std::move(entry));
  }
  ordered_json maps = ordered_json::array();
  for (const MapState& map : policy.maps) maps.push_back({{"name", map.name}, {"id", map.id}});
  ordered_json waiting = nullptr;
  if (standing(policy, paths) == Standing::waiting) {
    waiting = {{"seconds_left", seconds_left(policy)}, {"guard", nullptr}};
    if (const auto guard = guard_of(policy.name, paths)) waiting["guard"] = *guard;
  }
  const auto rules =
      rules_json(policy, [](const RuleState&, ordered_json&) -> Status { return {}; });
  return dump({{"name", policy.name},
               {"since", policy.since},
               {"namespace", policy.namespace_id},
               {"locked", policy.locked},
               {"waiting", std::move(waiting)},
               {"attachments", std::move(attachments)},
               {"maps", std::move(maps)},
               {"rules", rules.value_or(ordered_json::array())}});
}

}  // namespace weir::service
