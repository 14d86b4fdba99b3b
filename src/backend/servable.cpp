// SPDX-License-Identifier: BSD-2-Clause
#include "backend/servable.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <variant>

#include "backend/sets.h"
#include "imr/reading.h"

namespace weir::backend {
namespace {

using flow::ContextKey;

constexpr std::uint64_t ethertype_ipv4 = 0x0800;
constexpr std::uint64_t ethertype_ipv6 = 0x86dd;
constexpr std::uint8_t ip_protocol_tcp = 6;
constexpr std::uint8_t ip_protocol_gre = 47;

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
    case imr::MetaKey::rtipsec:
    case imr::MetaKey::time:
    case imr::MetaKey::hour:
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

bool writes_meta(const Profile& profile, imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::mark:
      return profile.writes_mark;
    case imr::MetaKey::priority:
      return profile.writes_priority;
    case imr::MetaKey::pkttype:
      return profile.writes_pkttype;
    default:
      return false;
  }
}

// The devices that have an egress chain in the ruleset.
std::set<std::string_view> guarded_devices(const imr::Ruleset& ruleset) {
  std::set<std::string_view> guarded;
  for (const imr::Chain& chain : ruleset.chains) {
    if (!chain.base || chain.base->hook != NfHook::egress || ruleset[chain.table].dormant) continue;
    guarded.insert(chain.base->devices.begin(), chain.base->devices.end());
  }
  return guarded;
}

// Whether packets that are sent out by the device may meet an egress chain of the ruleset there.
bool meets_egress_chain(const imr::Unit& unit, imr::ExprId device) {
  const imr::Ruleset& ruleset = unit.ruleset;
  const std::set<std::string_view> guarded = guarded_devices(ruleset);
  if (guarded.empty()) return false;
  const auto is_guarded = [&](const Bytes& index) {
    const auto known = std::ranges::find(
        ruleset.interfaces, static_cast<std::uint32_t>(load_native(index)), &imr::Interface::index);
    return known == ruleset.interfaces.end() || guarded.contains(known->name);
  };
  const imr::Expr& value = ruleset[device];
  if (const auto* constant = std::get_if<imr::Immediate>(&value))
    return is_guarded(constant->value);
  const auto* lookup = std::get_if<imr::MapLookup>(&value);
  if (lookup == nullptr || !ruleset[lookup->map].anonymous) return true;
  const imr::Set& map = ruleset[lookup->map];
  return std::ranges::any_of(map.elements, is_guarded, &imr::Element::data) ||
         (map.catch_all && is_guarded(map.catch_all->data));
}

// Collects what one rule asks for.
struct Collector {
  const imr::Unit& unit;
  std::vector<Need> needs = {};
  // Of the packets that come so far in the rule; 0: of several. In a unit of other protocols there
  // may be IP packets that cannot be parsed.
  std::uint64_t protocol = unit.nfproto == Nfproto::ipv4   ? ethertype_ipv4
                           : unit.nfproto == Nfproto::ipv6 ? ethertype_ipv6
                                                           : 0;
  std::optional<std::uint8_t> l4proto = {};  // of them, where the rule has asked
  bool reached = true;                       // whether any do

  void add(Need::Kind kind, imr::MetaKey key = imr::MetaKey::l4proto) {
    const Need need{.kind = kind, .meta = key};
    if (std::ranges::find(needs, need) == needs.end()) needs.push_back(need);
  }
  void expr(imr::ExprId id) { std::visit(*this, unit.ruleset[id]); }
  void set(imr::SetId id) {
    if (unit.ruleset[id].dynamic) return add(Need::Kind::dynamic_set);
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
  void operator()(const imr::Numgen&) { add(Need::Kind::meter); }
  void operator()(const imr::Random&) {}
  void operator()(const imr::Hash& hash) { expr(hash.source); }
  void operator()(const imr::Nexthop& hop) {
    add(Need::Kind::next_hop);
    expr(hop.source);
  }
  void operator()(const imr::Match& match) {
    expr(match.lhs);
    const auto* meta = std::get_if<imr::Meta>(&unit.ruleset[match.lhs]);
    if (meta == nullptr || match.op != imr::Relop::eq) return;
    if (meta->key == imr::MetaKey::nfproto) {
      reached = reached && match.rhs == Bytes{imr::nfproto_value(unit)};
    }
    if (meta->key == imr::MetaKey::protocol && match.rhs.size() == 2) {
      const std::uint64_t told = load_big_endian(match.rhs);
      reached = reached && (protocol == 0 || protocol == told);
      protocol = told;
    }
    if (meta->key == imr::MetaKey::l4proto && match.rhs.size() == 1) l4proto = match.rhs[0];
  }
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
  void operator()(const imr::Meter&) { add(Need::Kind::meter); }
  void operator()(const imr::Choice& choice) {
    expr(choice.place);
    if (!choice.meters.empty()) add(Need::Kind::meter);
  }
  void operator()(const imr::Answer&) {
    add(Need::Kind::answer);
    // They leave by the device that the program is at, wherever that will be.
    const std::set<std::string_view> guarded = guarded_devices(unit.ruleset);
    const std::string& own = unit.hook.device;
    if (own.empty() ? !guarded.empty() : guarded.contains(own)) add(Need::Kind::egress_chain);
  }
  void operator()(const imr::Forward& forward) { send(Need::Kind::forward, forward.device); }
  void operator()(const imr::Duplicate& duplicate) {
    send(Need::Kind::duplicate, duplicate.device);
  }
  void send(Need::Kind kind, imr::ExprId device) {
    expr(device);
    add(kind);
    if (meets_egress_chain(unit, device)) add(Need::Kind::egress_chain);
  }
  void operator()(const imr::Log&) { add(Need::Kind::log); }
  void operator()(const imr::DynamicSet& change) {
    expr(change.key);
    if (change.data) expr(*change.data);
    set(change.set);
  }
  void operator()(const imr::MetaWrite& write) {
    expr(write.value);
    add(Need::Kind::write_meta, write.key);
  }
  void operator()(const imr::PayloadWrite& write) {
    expr(write.value);
    const bool transport = write.base == imr::HeaderBase::transport;
    add(Need::Kind::write_packet);
    if (write.base == imr::HeaderBase::link) add(Need::Kind::link);
    if (write.pseudo_header || (transport && write.checksum)) add(Need::Kind::write_transport);
    if (unit.roots.size() > 1 && reached && moves_headers(write)) add(Need::Kind::move_headers);
    if (reached && moves_inner(write)) add(Need::Kind::move_inner);
  }
  void operator()(const imr::OptionWrite& write) {
    expr(write.value);
    add(Need::Kind::write_packet);
    add(Need::Kind::write_transport);
  }
  void operator()(const imr::OptionStrip&) {
    add(Need::Kind::write_packet);
    add(Need::Kind::write_transport);
  }
  // Each chain of the kernel looks for headers anew, a program once for all its chains.
  [[nodiscard]] bool moves_headers(const imr::PayloadWrite& write) const {
    if (write.base != imr::HeaderBase::network) return false;
    for (std::size_t i = 0; i < write.length; ++i) {
      if ((changed_bits(write, i) & looked_at(write.offset + i)) != 0) return true;
    }
    return false;
  }
  // The kernel looks for what stands behind the transport header when the first rule of a chain
  // wants it, and a program where it may be wanted.
  [[nodiscard]] bool moves_inner(const imr::PayloadWrite& write) const {
    const bool looked_behind = std::ranges::any_of(unit.ruleset.exprs, [](const imr::Expr& one) {
      const auto* load = std::get_if<imr::Payload>(&one);
      return load != nullptr && load->base == imr::HeaderBase::inner;
    });
    if (!looked_behind) return false;
    if (write.base != imr::HeaderBase::transport) {
      // Of raw bytes, those of the transport header may be.
      const unsigned fixed = unit.nfproto == Nfproto::ipv4 ? 20 : 40;
      return write.base == imr::HeaderBase::network && write.offset + write.length > fixed;
    }
    for (std::size_t i = 0; i < write.length; ++i) {
      const std::size_t at = write.offset + i;
      const bool of_gre = at < 2 && l4proto.value_or(ip_protocol_gre) == ip_protocol_gre;
      const bool of_tcp = at == 12 && l4proto.value_or(ip_protocol_tcp) == ip_protocol_tcp;
      if ((of_gre || of_tcp) && changed_bits(write, i) != 0) return true;
    }
    return false;
  }
  // Bits of a byte of the network header that tell where headers are, and the last protocol.
  [[nodiscard]] std::uint8_t looked_at(std::size_t at) const {
    constexpr std::array<std::uint8_t, 10> of_ipv4 = {0xff, 0,    0xff, 0xff, 0,
                                                      0,    0x1f, 0xff, 0,    0xff};
    constexpr std::array<std::uint8_t, 7> of_ipv6 = {0xf0, 0, 0, 0, 0xff, 0xff, 0xff};
    constexpr std::size_t ipv6_header = 40;
    std::uint8_t out = 0;
    if (protocol != ethertype_ipv6 && at < of_ipv4.size()) out = of_ipv4[at];
    if (protocol == ethertype_ipv4) return out;
    // Extension headers stand behind it.
    if (at >= ipv6_header) return 0xff;
    return static_cast<std::uint8_t>(out | (at < of_ipv6.size() ? of_ipv6[at] : 0));
  }
  // What of byte `index` may come to be something else: nft writes flags by writing all of the
  // bytes that they are in.
  [[nodiscard]] std::uint8_t changed_bits(const imr::PayloadWrite& write, std::size_t index) const {
    const auto* masked = std::get_if<imr::MaskXor>(&unit.ruleset[write.value]);
    if (masked == nullptr) return 0xff;
    const auto* source = std::get_if<imr::Payload>(&unit.ruleset[masked->source]);
    const bool same =
        source != nullptr && source->base == write.base && source->offset == write.offset;
    return same ? static_cast<std::uint8_t>(~masked->mask[index] | masked->flip[index]) : 0xff;
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
  const bool acts = need.kind == Need::Kind::write_meta || need.kind == Need::Kind::write_packet ||
                    need.kind == Need::Kind::write_transport || need.kind == Need::Kind::answer ||
                    need.kind == Need::Kind::forward || need.kind == Need::Kind::duplicate;
  if (acts) out = to_string(need) + " is not possible there";
  if (need.kind == Need::Kind::move_headers) {
    return to_string(need) + " is not possible where another chain follows in one program";
  }
  if (need.kind == Need::Kind::move_inner) {
    return to_string(need) + " is not possible where a rule looks behind it";
  }
  if (need.kind == Need::Kind::egress_chain) {
    out = to_string(need) + ", which this hook does not lead through as nft does";
  }
  if (need.kind == Need::Kind::mapped_set || need.kind == Need::Kind::meter ||
      need.kind == Need::Kind::log || need.kind == Need::Kind::dynamic_set) {
    out = to_string(need) + " has no place there";
  }
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
      // As nft writes it.
      if (need.meta == imr::MetaKey::rtipsec) return "rt ipsec";
      return "meta " + std::string(to_string(need.meta));
    case Need::Kind::next_hop:
      return "rt nexthop";
    case Need::Kind::connection:
      return "ct state";
    case Need::Kind::connection_details:
      return "ct beyond state";
    case Need::Kind::write_meta:
      return "writing meta " + std::string(to_string(need.meta));
    case Need::Kind::write_packet:
      return "writing packets";
    case Need::Kind::write_transport:
      return "mending transport checksums";
    case Need::Kind::move_headers:
      return "writing where headers are";
    case Need::Kind::move_inner:
      return "writing where the transport header ends";
    case Need::Kind::mapped_set:
      return "a large set with intervals";
    case Need::Kind::meter:
      return "a limit, quota or sequence";
    case Need::Kind::answer:
      return "answering packets";
    case Need::Kind::forward:
      return "sending packets out by a device";
    case Need::Kind::duplicate:
      return "sending copies of packets";
    case Need::Kind::egress_chain:
      return "sending by a device that may have an egress chain";
    case Need::Kind::log:
      return "a log";
    case Need::Kind::dynamic_set:
      return "a dynamic set, or one with timeouts";
  }
  throw InvariantError("need out of range");
}

std::vector<Need> all_needs() {
  using imr::MetaKey;
  std::vector<Need> out = {{.kind = Need::Kind::link}, {.kind = Need::Kind::packet}};
  for (const MetaKey key :
       {MetaKey::protocol, MetaKey::nfproto,   MetaKey::l4proto, MetaKey::length, MetaKey::pkttype,
        MetaKey::mark,     MetaKey::priority,  MetaKey::cpu,     MetaKey::iif,    MetaKey::iifname,
        MetaKey::iiftype,  MetaKey::iifgroup,  MetaKey::iifkind, MetaKey::oif,    MetaKey::oifname,
        MetaKey::oiftype,  MetaKey::oifgroup,  MetaKey::oifkind, MetaKey::skuid,  MetaKey::skgid,
        MetaKey::cgroup,   MetaKey::rtclassid, MetaKey::rtipsec, MetaKey::time,   MetaKey::hour}) {
    out.push_back({.kind = Need::Kind::meta, .meta = key});
  }
  out.push_back({.kind = Need::Kind::next_hop});
  out.push_back({.kind = Need::Kind::connection});
  out.push_back({.kind = Need::Kind::connection_details});
  for (const MetaKey key : {MetaKey::mark, MetaKey::priority, MetaKey::pkttype}) {
    out.push_back({.kind = Need::Kind::write_meta, .meta = key});
  }
  out.push_back({.kind = Need::Kind::write_packet});
  out.push_back({.kind = Need::Kind::write_transport});
  out.push_back({.kind = Need::Kind::answer});
  out.push_back({.kind = Need::Kind::forward});
  out.push_back({.kind = Need::Kind::duplicate});
  out.push_back({.kind = Need::Kind::egress_chain});
  out.push_back({.kind = Need::Kind::mapped_set});
  out.push_back({.kind = Need::Kind::meter});
  out.push_back({.kind = Need::Kind::log});
  out.push_back({.kind = Need::Kind::dynamic_set});
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
    case Need::Kind::next_hop:
      // Who knows the packet's route knows it all.
      return serves_meta(profile, imr::MetaKey::rtclassid);
    case Need::Kind::connection:
      return profile.has_conntrack && loads(profile, ContextKey::ct_info);
    case Need::Kind::connection_details:
      return profile.has_conntrack && loads(profile, ContextKey::ct_status);
    case Need::Kind::write_meta:
      return writes_meta(profile, need.meta);
    case Need::Kind::write_packet:
      return profile.writes_packets;
    case Need::Kind::write_transport:
      return profile.writes_packets && profile.knows_open_checksums;
    case Need::Kind::move_headers:
    case Need::Kind::move_inner:
      return false;
    case Need::Kind::mapped_set:
    case Need::Kind::meter:
      return profile.map_values;
    case Need::Kind::answer:
      return profile.emit_answer != nullptr && profile.local_calls && profile.per_cpu_maps &&
             loads(profile, ContextKey::ip_ttl);
    case Need::Kind::forward:
      return profile.forwards;
    case Need::Kind::duplicate:
      return profile.duplicates;
    case Need::Kind::egress_chain:
      // XDP_REDIRECT and XDP_TX go to the driver past all chains; and where egress chains send to
      // one another, the kernel ends what goes round sooner than it does of programs
      // (NF_RECURSION_LIMIT against XMIT_RECURSION_LIMIT). What tc:ingress sends comes to programs
      // at tc:egress, which is where chains are that are applied with it, but not to those of
      // nf_tables (skb->nf_skip_egress is set): the service looks for such (send_targets.h).
      return profile.duplicates && profile.direction == isa::Direction::ingress;
    case Need::Kind::log:
      return profile.emit_copy != nullptr && profile.local_calls;
    case Need::Kind::dynamic_set:
      // What expired is swept by a function of the program.
      return profile.map_values && profile.local_calls;
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
