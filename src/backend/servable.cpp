// SPDX-License-Identifier: BSD-2-Clause
#include "backend/servable.h"

#include <algorithm>
#include <variant>

#include "backend/sets.h"
#include "imr/reading.h"

namespace weir::backend {
namespace {

using flow::ContextKey;

// Whether programs of the profile can load the fact at all.
bool loads(const Profile& profile, ContextKey key) {
  switch (flow::source_of(key)) {
    case flow::Source::context:
      // A card has no processors of the host.
      return key != ContextKey::cpu || !profile.limits.contains(Limit::offload);
    case flow::Source::structure:
      // The context of netfilter programs are these structures.
      return profile.kernel_functions || profile.program_type == isa::ProgramType::netfilter;
    case flow::Source::memory:
      return profile.kernel_functions && profile.untrusted_memory;
  }
  throw InvariantError("source of a fact out of range");
}

bool serves_meta(const Profile& profile, imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::nfproto:
      return true;
    case imr::MetaKey::l4proto:
      return profile.reads_packets;
    case imr::MetaKey::protocol:
      if (profile.start == Profile::Start::frame) return profile.reads_packets;
      break;
    case imr::MetaKey::mark:
    case imr::MetaKey::iif:
    case imr::MetaKey::oif:
    case imr::MetaKey::iifname:
    case imr::MetaKey::oifname:
    case imr::MetaKey::length:
    case imr::MetaKey::pkttype:
    case imr::MetaKey::iiftype:
    case imr::MetaKey::oiftype:
    case imr::MetaKey::iifgroup:
    case imr::MetaKey::oifgroup:
    case imr::MetaKey::iifkind:
    case imr::MetaKey::oifkind:
    case imr::MetaKey::priority:
    case imr::MetaKey::cpu:
    case imr::MetaKey::rtclassid:
      break;
    case imr::MetaKey::skuid:
    case imr::MetaKey::skgid:
    case imr::MetaKey::cgroup:
      if (!profile.has_socket) return false;
      break;
  }
  const auto fact = profile.context_key(key);
  return fact && loads(profile, *fact);
}

// Collects what one rule asks for.
struct Collector {
  const imr::Unit& unit;
  std::vector<Need> needs = {};

  void add(Need::Kind kind, imr::MetaKey key = imr::MetaKey::l4proto) {
    const Need need{.kind = kind, .meta = key};
    if (std::ranges::find(needs, need) == needs.end()) needs.push_back(need);
  }
  void expr(imr::ExprId id) { std::visit(*this, unit.ruleset[id]); }
  void set(imr::SetId id) {
    switch (set_form(unit.ruleset[id])) {
      case SetForm::code:
      case SetForm::hash:
        return;
      case SetForm::sorted_array:
      case SetForm::lpm_trie:
      case SetForm::classes:
        return add(Need::Kind::mapped_set);
    }
    throw InvariantError("set form out of range");
  }

  void operator()(const imr::Immediate&) {}
  void operator()(const imr::Payload& payload) {
    add(payload.base == imr::HeaderBase::link ? Need::Kind::link : Need::Kind::packet);
  }
  void operator()(const imr::HeaderField&) {}
  void operator()(const imr::Extension&) { add(Need::Kind::packet); }
  void operator()(const imr::Meta& meta) {
    // A device that chains of this family never have at this hook reads as none.
    if (imr::is_of_input(meta.key) && !imr::has_input_device(unit)) return;
    if (imr::is_of_output(meta.key) && !imr::has_output_device(unit)) return;
    add(Need::Kind::meta, meta.key);
  }
  void operator()(const imr::Ct& ct) {
    add(ct.key == imr::CtKey::state ? Need::Kind::connection : Need::Kind::connection_details);
  }
  void operator()(const imr::MaskXor& op) { expr(op.source); }
  void operator()(const imr::Shift& op) { expr(op.source); }
  void operator()(const imr::ByteSwap& op) { expr(op.source); }
  void operator()(const imr::Concat& op) {
    for (const imr::ExprId part : op.parts) expr(part);
  }
  void operator()(const imr::MapLookup& op) {
    expr(op.key);
    set(op.map);
  }
  void operator()(const imr::Match& match) { expr(match.lhs); }
  void operator()(const imr::MatchRange& match) { expr(match.lhs); }
  void operator()(const imr::MatchSet& match) {
    expr(match.key);
    set(match.set);
  }
  void operator()(const imr::VerdictMap& map) {
    expr(map.key);
    set(map.map);
  }
  void operator()(const imr::VerdictStatement&) {}
  void operator()(const imr::Counter&) {}
  void operator()(const imr::MetaWrite& write) {
    expr(write.value);
    add(Need::Kind::write_meta, write.key);
  }
  void operator()(const imr::Native&) {}
};

std::string names(const Limits& limits) {
  std::string out;
  for (const Limit limit : all_limits) {
    if (limits.contains(limit)) out += (out.empty() ? "" : ", ") + std::string(to_string(limit));
  }
  return out;
}

// "xdp, tc:ingress or netfilter:prerouting|input": the hooks that serve the need.
std::string hooks_that_serve(const Need& need, const Limits& limits) {
  std::vector<std::string> found;
  std::string netfilter;
  for (const Hook& hook : all_hooks()) {
    if (limits.contains(Limit::offload) && hook.kind != Hook::Kind::xdp) continue;
    if (!serves(profile_for(hook, {.limits = limits}), need)) continue;
    if (hook.kind != Hook::Kind::netfilter) {
      found.push_back(to_string(hook));
    } else if (netfilter.empty()) {
      netfilter = to_string(hook);
      found.push_back(netfilter);
    } else {
      found.back() += "|" + std::string(to_string(hook.nf_hook));
    }
  }
  std::string out;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) out += i + 1 == found.size() ? " or " : ", ";
    out += found[i];
  }
  return out;
}

std::string refusal(const Need& need, const Profile& profile) {
  std::string out = to_string(need) + " is not known there";
  if (need.kind == Need::Kind::write_meta) out = to_string(need) + " is not possible there";
  if (need.kind == Need::Kind::mapped_set) out = to_string(need) + " has no place there";
  const bool limited = profile.limits != Limits{};
  if (limited) out += " within --limit " + names(profile.limits);
  std::string hooks = hooks_that_serve(need, profile.limits);
  if (hooks.empty()) return out + "; no hook has it" + (limited ? " within these limits" : "");
  return out + "; use " + hooks;
}

}  // namespace

std::string to_string(const Need& need) {
  switch (need.kind) {
    case Need::Kind::link:
      return "the link-layer header";
    case Need::Kind::packet:
      return "the packet's content";
    case Need::Kind::meta:
      return "meta " + std::string(to_string(need.meta));
    case Need::Kind::connection:
      return "ct state";
    case Need::Kind::connection_details:
      return "ct beyond state";
    case Need::Kind::write_meta:
      return "writing meta " + std::string(to_string(need.meta));
    case Need::Kind::mapped_set:
      return "a large set with intervals";
  }
  throw InvariantError("need out of range");
}

std::vector<Need> all_needs() {
  using imr::MetaKey;
  std::vector<Need> out = {{.kind = Need::Kind::link}, {.kind = Need::Kind::packet}};
  for (const MetaKey key :
       {MetaKey::protocol, MetaKey::nfproto,  MetaKey::l4proto, MetaKey::length, MetaKey::pkttype,
        MetaKey::mark,     MetaKey::priority, MetaKey::cpu,     MetaKey::iif,    MetaKey::iifname,
        MetaKey::iiftype,  MetaKey::iifgroup, MetaKey::iifkind, MetaKey::oif,    MetaKey::oifname,
        MetaKey::oiftype,  MetaKey::oifgroup, MetaKey::oifkind, MetaKey::skuid,  MetaKey::skgid,
        MetaKey::cgroup,   MetaKey::rtclassid}) {
    out.push_back({.kind = Need::Kind::meta, .meta = key});
  }
  out.push_back({.kind = Need::Kind::connection});
  out.push_back({.kind = Need::Kind::connection_details});
  out.push_back({.kind = Need::Kind::write_meta, .meta = MetaKey::mark});
  out.push_back({.kind = Need::Kind::mapped_set});
  return out;
}

bool serves(const Profile& profile, const Need& need) {
  switch (need.kind) {
    case Need::Kind::link:
      return profile.reads_packets && profile.start != Profile::Start::network;
    case Need::Kind::packet:
      return profile.reads_packets;
    case Need::Kind::meta:
      return serves_meta(profile, need.meta);
    case Need::Kind::connection:
      return profile.has_conntrack && loads(profile, ContextKey::ct_info);
    case Need::Kind::connection_details:
      return profile.has_conntrack && loads(profile, ContextKey::ct_status);
    case Need::Kind::write_meta:
      return need.meta == imr::MetaKey::mark && profile.writes_mark;
    case Need::Kind::mapped_set:
      return profile.map_values;
  }
  throw InvariantError("need out of range");
}

std::vector<Need> unserved(const imr::Unit& unit, const imr::Rule& rule, const Profile& profile) {
  Collector collector{unit};
  for (const imr::Statement& statement : rule.statements) std::visit(collector, statement);
  std::erase_if(collector.needs, [&](const Need& need) { return serves(profile, need); });
  return std::move(collector.needs);
}

Status check_servable(const imr::Unit& unit, const Profile& profile) {
  if (profile.limits.contains(Limit::offload) && unit.hook.kind != Hook::Kind::xdp) {
    return input_error("hook " + to_string(unit.hook) +
                       ": --limit offload is for programs that a network card runs; use xdp");
  }
  // A frame's headers are read for whatever rules there are.
  if (!profile.reads_packets && profile.start == Profile::Start::frame) {
    return input_error("hook " + to_string(unit.hook) +
                       ": no way to the packet is left within --limit " + names(profile.limits));
  }
  Diagnostic diagnostic{.message = "rules that hook " + to_string(unit.hook) + " cannot serve"};
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      for (const imr::RuleId id : unit.ruleset[chain].rules) {
        const imr::Rule& rule = unit.ruleset[id];
        for (const Need& need : unserved(unit, rule, profile)) {
          std::string note = imr::qualified_name(unit.ruleset, rule.chain);
          if (rule.origin.location.line != 0) {
            note = rule.origin.location.file + ":" + std::to_string(rule.origin.location.line) +
                   ": " + note;
          }
          diagnostic.notes.push_back(note + " handle " + std::to_string(rule.origin.handle) + " '" +
                                     rule.origin.text + "': " + refusal(need, profile));
        }
      }
    }
  }
  if (diagnostic.notes.empty()) return {};
  return std::unexpected(std::move(diagnostic));
}

}  // namespace weir::backend
