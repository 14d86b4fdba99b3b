// SPDX-License-Identifier: BSD-2-Clause
#include "service/state.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <system_error>

#include "service/journal.h"
#include "service/state_parse.h"

namespace weir::service {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr int format_version = 5;
constexpr std::size_t longest_policy_name = 40;

// Without its rules.
ordered_json chain_json(const ChainState& chain) {
  ordered_json out = {
      {"family", to_string(chain.family)}, {"table", chain.table}, {"name", chain.name}};
  if (chain.base) {
    out["base"] = {{"type", chain.base->type},
                   {"hook", static_cast<int>(chain.base->hook)},
                   {"priority", chain.base->priority},
                   {"drop_by_policy", chain.base->drop_by_policy},
                   {"devices", chain.base->devices}};
  }
  return out;
}

ordered_json attachment_json(const AttachmentState& attachment) {
  ordered_json out = {
      {"hook", to_string(attachment.hook)},    {"nfproto", static_cast<int>(attachment.nfproto)},
      {"priority", attachment.priority},       {"mode", attachment.mode},
      {"chains", attachment.chains},           {"program_name", attachment.program_name},
      {"program_id", attachment.program_id},   {"link_id", attachment.link_id},
      {"defragments", attachment.defragments}, {"place", attachment.place},
      {"forwarded", attachment.forwarded}};
  if (const auto& filter = attachment.filter) {
    out["filter"] = {{"ifindex", filter->ifindex},
                     {"egress", filter->direction == isa::Direction::egress},
                     {"priority", filter->priority},
                     {"handle", filter->handle}};
  }
  return out;
}

// Those that a document of parse_state() has the indices of.
using Rules = std::vector<RuleState>;

Result<ChainState> chain_from(const ordered_json& json, Rules& rules) {
  ChainState chain;
  WEIR_TRY(family, parse_family(json.at("family").get<std::string>()));
  chain.family = family;
  chain.table = json.at("table");
  chain.name = json.at("name");
  if (json.contains("base")) {
    const ordered_json& from = json.at("base");
    imr::BaseChain base;
    base.type = from.at("type");
    const int hook = from.at("hook").get<int>();
    if (hook < 0 || hook > static_cast<int>(NfHook::egress)) return input_error("unknown hook");
    base.hook = static_cast<NfHook>(hook);
    base.priority = from.at("priority");
    base.drop_by_policy = from.at("drop_by_policy");
    base.devices = from.at("devices").get<std::vector<std::string>>();
    chain.base = std::move(base);
  }
  for (const ordered_json& number : json.at("rules")) {
    const auto index = number.get<std::size_t>();
    if (index >= rules.size()) return input_error("found a number, expected a rule");
    chain.rules.push_back(std::move(rules[index]));
  }
  return chain;
}

Result<AttachmentState> attachment_from(const ordered_json& json) {
  AttachmentState out;
  WEIR_TRY(hook, parse_hook(json.at("hook").get<std::string>()));
  out.hook = hook;
  const int nfproto = json.at("nfproto").get<int>();
  const auto is = [&](Nfproto wanted) { return nfproto == static_cast<int>(wanted); };
  if (!is(Nfproto::ipv4) && !is(Nfproto::ipv6) && !is(Nfproto::other)) {
    return input_error("unknown network protocol");
  }
  out.nfproto = static_cast<Nfproto>(nfproto);
  out.priority = json.at("priority");
  out.mode = json.at("mode");
  out.chains = json.at("chains").get<std::vector<std::string>>();
  out.program_name = json.at("program_name");
  out.program_id = json.at("program_id");
  out.link_id = json.at("link_id");
  out.defragments = json.at("defragments");
  out.place = json.at("place");
  out.forwarded = json.at("forwarded");
  if (!json.contains("filter")) return out;
  const ordered_json& filter = json.at("filter");
  out.filter =
      kernel::TcFilter{.ifindex = filter.at("ifindex"),
                       .direction = filter.at("egress").get<bool>() ? isa::Direction::egress
                                                                    : isa::Direction::ingress,
                       .priority = filter.at("priority"),
                       .handle = filter.at("handle")};
  return out;
}

Result<std::vector<ElementsState>> elements_from(const ordered_json& json) {
  std::vector<ElementsState> out;
  for (const ordered_json& from : json) {
    WEIR_TRY(family, parse_family(from.at("family").get<std::string>()));
    out.push_back({.family = family,
                   .table = from.at("table"),
                   .set = from.at("set"),
                   .deleted = from.at("deleted").get<std::vector<std::string>>(),
                   .added = from.at("added").get<std::vector<std::string>>()});
  }
  return out;
}

ordered_json elements_json(const std::vector<ElementsState>& elements) {
  ordered_json out = ordered_json::array();
  for (const ElementsState& changed : elements) {
    out.push_back({{"family", to_string(changed.family)},
                   {"table", changed.table},
                   {"set", changed.set},
                   {"deleted", changed.deleted},
                   {"added", changed.added}});
  }
  return out;
}

Result<std::vector<ChainState>> chains_from(const ordered_json& json, Rules& rules) {
  std::vector<ChainState> out;
  for (const ordered_json& from : json) {
    WEIR_TRY(chain, chain_from(from, rules));
    out.push_back(std::move(chain));
  }
  return out;
}

Result<PolicyState> policy_from(const ordered_json& json, Rules& rules);

// What is to come has the text of what is there, unless it says another one.
Status read_next(const ordered_json& json, Rules& rules, PolicyState& policy) {
  if (json.is_null()) return {};
  WEIR_TRY(next, policy_from(json, rules));
  if (!json.contains("source")) next.source = policy.source;
  policy.next.push_back(std::move(next));
  return {};
}

Result<PolicyState> policy_from(const ordered_json& json, Rules& rules) {
  PolicyState policy;
  if (json.at("version").get<int>() != format_version) {
    return input_error("expected format version " + std::to_string(format_version));
  }
  policy.name = json.at("name");
  policy.since = json.at("since");
  policy.namespace_id = json.at("namespace_id");
  policy.locked = json.at("locked");
  policy.settled = json.at("settled");
  policy.confirm_by = json.at("confirm_by");
  policy.source = json.value("source", "");
  policy.commands = json.at("commands").get<std::vector<std::string>>();
  policy.has_counters = json.at("has_counters");
  policy.counter_room = json.at("counter_room");
  policy.old_counters = json.at("old_counters");
  policy.keeps_connections = json.at("keeps_connections");
  policy.from_object = json.at("from_object");
  if (const ordered_json& name = json.at("classifier"); !name.is_null()) {
    policy.classifier = classify::parse_kind(name.get<std::string>());
  }
  policy.generation = json.at("generation");
  policy.fingerprint = json.at("fingerprint");
  policy.edition = json.at("edition");
  WEIR_TRY(chains, chains_from(json.at("chains"), rules));
  policy.chains = std::move(chains);
  WEIR_TRY(unreached, chains_from(json.at("unreached"), rules));
  policy.unreached = std::move(unreached);
  for (const ordered_json& from : json.at("attachments")) {
    WEIR_TRY(attachment, attachment_from(from));
    policy.attachments.push_back(std::move(attachment));
  }
  for (const ordered_json& from : json.at("maps")) {
    policy.maps.push_back({.name = from.at("name"),
                           .id = from.at("id"),
                           .value_size = from.at("value_size"),
                           .pin = from.at("pin")});
  }
  for (const ordered_json& from : json.at("sets")) policy.sets.push_back(set_from_json(from));
  for (const ordered_json& from : json.value("dynamic_sets", ordered_json::array())) {
    policy.dynamic_sets.push_back({.map = from.at("map"), .text = from.at("set")});
  }
  WEIR_TRY(elements, elements_from(json.at("elements")));
  policy.elements = std::move(elements);
  if (const ordered_json& pending = json.at("pending"); !pending.is_null()) {
    WEIR_TRY(changed, elements_from(pending.at("elements")));
    policy.pending = PendingState{.set = set_from_json(pending.at("set")),
                                  .version = pending.at("version"),
                                  .elements = std::move(changed)};
  }
  WEIR_CHECK(check_policy_name(policy.name));
  WEIR_CHECK(read_next(json.at("next"), rules, policy));
  return policy;
}

std::string text_of(const ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

// The object without what ends it.
std::string open_text(const ordered_json& json) {
  std::string text = text_of(json, 1);
  text.resize(text.size() - std::string_view("\n}").size());
  return text;
}

// Rule by rule, a line each: as one document, a million of them take gigabytes.
void write_chains(std::ostream& out, const std::vector<ChainState>& chains) {
  const char* before_chain = "[\n";
  for (const ChainState& chain : chains) {
    out << before_chain << open_text(chain_json(chain)) << ",\n \"rules\": [";
    const char* before_rule = "\n";
    for (const RuleState& rule : chain.rules) {
      out << before_rule << text_of(to_json(rule));
      before_rule = ",\n";
    }
    out << "]}";
    before_chain = ",\n";
  }
  out << (chains.empty() ? "[]" : "]");
}

// Without chains, and without what is to come.
ordered_json policy_json(const PolicyState& policy) {
  ordered_json attachments = ordered_json::array();
  for (const AttachmentState& attachment : policy.attachments) {
    attachments.push_back(attachment_json(attachment));
  }
  ordered_json maps = ordered_json::array();
  for (const MapState& map : policy.maps) {
    maps.push_back(
        {{"name", map.name}, {"id", map.id}, {"value_size", map.value_size}, {"pin", map.pin}});
  }
  ordered_json sets = ordered_json::array();
  for (const SetState& set : policy.sets) sets.push_back(to_json(set));
  ordered_json dynamic_sets = ordered_json::array();
  for (const DynamicSetState& set : policy.dynamic_sets) {
    dynamic_sets.push_back({{"map", set.map}, {"set", set.text}});
  }
  ordered_json classifier = nullptr;
  if (policy.classifier) classifier = to_string(*policy.classifier);
  ordered_json pending = nullptr;
  if (const auto& change = policy.pending) {
    pending = {{"set", to_json(change->set)},
               {"version", change->version},
               {"elements", elements_json(change->elements)}};
  }
  return {{"version", format_version},
          {"name", policy.name},
          {"since", policy.since},
          {"namespace_id", policy.namespace_id},
          {"locked", policy.locked},
          {"settled", policy.settled},
          {"confirm_by", policy.confirm_by},
          {"has_counters", policy.has_counters},
          {"counter_room", policy.counter_room},
          {"old_counters", policy.old_counters},
          {"keeps_connections", policy.keeps_connections},
          {"from_object", policy.from_object},
          {"classifier", std::move(classifier)},
          {"generation", policy.generation},
          {"fingerprint", policy.fingerprint},
          {"edition", policy.edition},
          {"attachments", std::move(attachments)},
          {"maps", std::move(maps)},
          {"sets", std::move(sets)},
          {"dynamic_sets", std::move(dynamic_sets)},
          {"elements", elements_json(policy.elements)},
          {"pending", std::move(pending)},
          {"commands", policy.commands},
          {"source", policy.source}};
}

void write_parts(std::ostream& out, const ordered_json& json, const PolicyState& policy) {
  out << open_text(json) << ",\n \"chains\": ";
  write_chains(out, policy.chains);
  out << ",\n \"unreached\": ";
  write_chains(out, policy.unreached);
  out << ",\n \"next\": ";
}

// What is to come has its text where it is another one.
void write(std::ostream& out, const PolicyState& policy) {
  write_parts(out, policy_json(policy), policy);
  if (policy.next.empty()) {
    out << "null";
  } else {
    const PolicyState& next = policy.next.front();
    ordered_json json = policy_json(next);
    if (next.source == policy.source) json.erase("source");
    write_parts(out, json, next);
    out << "null}";
  }
  out << "}\n";
}

void collect_names(const std::string& directory, bool files, std::set<std::string>& names) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const fs::path& path = entry.path();
    if (files && path.extension() != ".json") continue;
    // An empty directory is one that an apply which was killed had made to put its pins at.
    if (!files && fs::is_empty(path, error) && !error) continue;
    const std::string name = files ? path.stem().string() : path.filename().string();
    if (check_policy_name(name)) names.insert(name);
  }
}

std::set<imr::ChainId> taken_chains(const imr::Ruleset& ruleset,
                                    const std::vector<driver::Attachment>& attachments) {
  std::set<imr::ChainId> taken;
  for (const driver::Attachment& attachment : attachments) {
    for (const imr::ChainId root : attachment.roots) {
      const auto reached = imr::reachable_chains(ruleset, root);
      taken.insert(reached.begin(), reached.end());
    }
  }
  return taken;
}

// Without rules.
ChainState describe_chain(const imr::Ruleset& ruleset, imr::ChainId id) {
  const imr::Chain& chain = ruleset[id];
  const imr::Table& table = ruleset[chain.table];
  return {.family = table.family,
          .table = table.name,
          .name = chain.name,
          .base = chain.base,
          .rules = {}};
}

}  // namespace

Status check_policy_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= longest_policy_name &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_' || c == '-';
                    });
  if (good) return {};
  return input_error("'" + std::string(name) +
                     "' cannot name a policy, expected 1 to 40 letters, digits, '_' or '-'");
}

std::string pin_name(const PolicyState& policy, std::string_view what) {
  // The BPF file system takes no dots.
  const std::string suffix = policy.generation == 0 ? "" : "+" + std::to_string(policy.generation);
  return std::string(what) + suffix;
}

std::string program_pin(const PolicyState& policy, std::size_t program) {
  return pin_name(policy, "program_" + std::to_string(program));
}

std::string link_pin(const AttachmentState& attachment) {
  return "link_" + std::to_string(attachment.place);
}

std::string place_pin(const AttachmentState& attachment) {
  return "place_" + std::to_string(attachment.place);
}

RuleState describe_rule(const imr::Ruleset& ruleset, imr::RuleId id) {
  const imr::Rule& rule = ruleset[id];
  RuleState out = {.handle = rule.origin.handle,
                   .line = rule.origin.location.line,
                   .text = rule.origin.text,
                   .counters = {}};
  const auto add = [&](imr::CounterId counter) {
    const imr::CounterState& initial = ruleset.counters.at(counter.index());
    out.counters.push_back({.index = counter.value,
                            .packets = initial.packets,
                            .bytes = initial.bytes,
                            .name = initial.name.str()});
  };
  for (const imr::Statement& statement : rule.statements) {
    if (const auto* log = std::get_if<imr::Log>(&statement)) {
      if (!out.log) out.log = LogUse{.rule = id.value, .statements = {}};
      out.log->statements.push_back(
          {.prefix = log->prefix.str(), .group = log->group, .level = log->level});
    }
    if (const auto* counter = std::get_if<imr::Counter>(&statement)) add(counter->counter);
  }
  // Behind those that stand in the rule's text.
  for (const imr::Statement& statement : rule.statements) {
    const auto* choice = std::get_if<imr::Choice>(&statement);
    if (choice != nullptr) std::ranges::for_each(choice->counters, add);
  }
  for (const imr::MeterId meter : imr::meters_of(ruleset, rule)) {
    MeterUse& use = out.meters.emplace_back(MeterUse{.index = meter.value});
    const imr::MeterState& state = ruleset.meters.at(meter.index());
    if (state.kind == imr::MeterState::Kind::quota) use.quota = state.amount;
  }
  return out;
}

std::vector<ChainState> describe_chains(const imr::Ruleset& ruleset,
                                        const std::vector<driver::Attachment>& attachments) {
  std::vector<ChainState> out;
  for (const imr::ChainId id : taken_chains(ruleset, attachments)) {
    ChainState& state = out.emplace_back(describe_chain(ruleset, id));
    for (const imr::RuleId rule : ruleset[id].rules) {
      state.rules.push_back(describe_rule(ruleset, rule));
    }
  }
  return out;
}

std::vector<ChainState> describe_unreached(const imr::Ruleset& ruleset,
                                           const std::vector<driver::Attachment>& attachments) {
  const std::set<imr::ChainId> taken = taken_chains(ruleset, attachments);
  std::vector<ChainState> out;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const imr::ChainId id(i);
    if (taken.contains(id)) continue;
    ChainState state = describe_chain(ruleset, id);
    for (const imr::RuleId rule : ruleset[id].rules) {
      RuleState one = describe_rule(ruleset, rule);
      one.text.clear();
      if (!one.counters.empty()) state.rules.push_back(std::move(one));
    }
    if (!state.rules.empty()) out.push_back(std::move(state));
  }
  return out;
}

std::vector<driver::Attachment> attachments_of(const PolicyState& policy,
                                               const imr::Ruleset& ruleset) {
  std::vector<driver::Attachment> out;
  for (const AttachmentState& state : policy.attachments) {
    driver::Attachment attachment = {.hook = state.hook,
                                     .nfproto = state.nfproto,
                                     .priority = state.priority,
                                     .defragments = state.defragments,
                                     .roots = {}};
    for (const std::string& name : state.chains) {
      for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
        const imr::ChainId id(i);
        if (imr::qualified_name(ruleset, id) == name) attachment.roots.push_back(id);
      }
    }
    out.push_back(std::move(attachment));
  }
  return out;
}

std::vector<std::string> change_commands(const PolicyState& policy) {
  std::vector<std::string> out;
  const auto add = [&](const char* verb, const ElementsState& changed,
                       const std::vector<std::string>& elements) {
    if (elements.empty()) return;
    std::string list;
    for (const std::string& each : elements) list += (list.empty() ? "" : ", ") + each;
    out.push_back(std::string(verb) + " element " + std::string(to_string(changed.family)) + " " +
                  changed.table + " " + changed.set + " { " + list + " }");
  };
  for (const ElementsState& changed : policy.elements) {
    add("delete", changed, changed.deleted);
    add("add", changed, changed.added);
  }
  out.insert(out.end(), policy.commands.begin(), policy.commands.end());
  return out;
}

std::string source_text(const PolicyState& policy) {
  std::string out = policy.source;
  for (const std::string& command : change_commands(policy)) {
    out += (out.ends_with('\n') ? "" : "\n") + command + "\n";
  }
  return out;
}

std::string to_json(const PolicyState& policy) {
  std::ostringstream out;
  write(out, policy);
  return std::move(out).str();
}

Result<PolicyState> policy_from_json(std::string_view text, const std::string& file) {
  try {
    Rules rules;
    auto policy = policy_from(parse_state(text, rules), rules);
    if (!policy) {
      return input_error(file + ": not a state file of weir: " + policy.error().message);
    }
    return policy;
  } catch (const nlohmann::json::exception& error) {
    return input_error(file + ": not a state file of weir: " + error.what());
  }
}

Status save(const PolicyState& policy, const Paths& paths) {
  std::error_code error;
  fs::create_directories(paths.state, error);
  if (error) return system_error("creating " + paths.state, error.value());
  const std::string file = paths.state_file(policy.name);
  const std::string temporary = file + ".new";
  {
    std::ofstream out(temporary, std::ios::trunc | std::ios::binary);
    write(out, policy);
    out.close();
    if (!out) return system_error("writing " + temporary, errno);
  }
  fs::rename(temporary, file, error);
  if (error) return system_error("writing " + file, error.value());
  // Its lines are of the edition before, and nobody reads them any more.
  fs::remove(paths.journal(policy.name), error);
  return {};
}

Result<PolicyState> load_policy(const std::string& name, const Paths& paths) {
  WEIR_CHECK(check_policy_name(name));
  // Opened first: of what is written meanwhile, it has no less than the state file lacks.
  std::ifstream journal(paths.journal(name), std::ios::binary);
  const std::string file = paths.state_file(name);
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::string known;
    for (const std::string& other : policy_names(paths)) {
      known += (known.empty() ? "" : ", ") + other;
    }
    return input_error("no policy '" + name + "' is applied, " +
                       (known.empty() ? "and no other" : "there are: " + known));
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto policy = policy_from_json(text, file);
  if (policy) WEIR_CHECK(replay(journal, *policy, paths));
  return policy;
}

std::vector<std::string> policy_names(const Paths& paths) {
  std::set<std::string> names;
  collect_names(paths.state, true, names);
  collect_names(paths.pins(), false, names);
  return {names.begin(), names.end()};
}

}  // namespace weir::service
