// SPDX-License-Identifier: BSD-2-Clause
//
// Which base chains run where: the command line's contract for HOOK and --chain.
#include <algorithm>
#include <utility>

#include "driver/compile.h"
#include "driver/reassembly.h"
#include "imr/reading.h"

namespace weir::driver {
namespace {

using imr::ChainId;
using imr::Ruleset;

// Base chains of tables that are awake, in the order in which the kernel runs them.
std::vector<ChainId> base_chains(const Ruleset& ruleset) {
  std::vector<ChainId> chains;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const imr::Chain& chain = ruleset.chains[i];
    if (chain.base && !ruleset[chain.table].dormant) chains.emplace_back(i);
  }
  std::ranges::stable_sort(chains, {}, [&](ChainId id) { return ruleset[id].base->priority; });
  return chains;
}

// Where the root belongs among those that come in priority order: of chains with one priority the
// youngest runs first (nf_hook_entries_grow() in net/netfilter/core.c).
void add_root(const Ruleset& ruleset, ChainId id, std::vector<ChainId>& roots) {
  const std::int32_t priority = ruleset[id].base->priority;
  const auto behind = std::ranges::find_if(
      roots, [&](ChainId root) { return ruleset[root].base->priority >= priority; });
  roots.insert(behind, id);
}

// Chains of one hook, protocol and priority are one program: a netfilter link shares its priority
// with nothing else.
void add_netfilter(const Ruleset& ruleset, ChainId id, std::vector<Attachment>& out) {
  const imr::BaseChain& base = *ruleset[id].base;
  if (base.hook > NfHook::postrouting || !is_ip(ruleset[ruleset[id].table].family)) return;
  const Hook hook{.kind = Hook::Kind::netfilter, .nf_hook = base.hook, .device = {}};
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
    if (!sees(ruleset[ruleset[id].table].family, nfproto)) continue;
    const auto same = std::ranges::find_if(out, [&](const Attachment& attachment) {
      return attachment.hook == hook && attachment.nfproto == nfproto &&
             attachment.priority == base.priority;
    });
    if (same != out.end()) {
      add_root(ruleset, id, same->roots);
      continue;
    }
    out.push_back({.hook = hook,
                   .nfproto = nfproto,
                   .priority = base.priority,
                   .defragments = runs_behind_reassembly(ruleset, nfproto, base.priority),
                   .roots = {id}});
  }
}

// ---- Which hooks can serve a chain -------------------------------------------------------------

using Kind = Hook::Kind;

// Chains that see packets of one device, where it gets them or is to send them; those of bridges at
// the ports. Where an IP chain runs instead of at its own hook is up to the user.
std::vector<Kind> serving_kinds(const Ruleset& ruleset, ChainId id) {
  const NfHook hook = ruleset[id].base->hook;
  switch (ruleset[ruleset[id].table].family) {
    case Family::ip:
    case Family::ip6:
    case Family::inet:
      if (hook == NfHook::ingress) return {Kind::tc_ingress, Kind::xdp};
      return {Kind::xdp,           Kind::tc_ingress, Kind::tc_egress, Kind::cgroup_ingress,
              Kind::cgroup_egress, Kind::socket};
    case Family::netdev:
      if (hook == NfHook::ingress) return {Kind::tc_ingress, Kind::xdp};
      return {Kind::tc_egress};
    case Family::arp:
      if (hook == NfHook::input) return {Kind::tc_ingress, Kind::xdp};
      return {Kind::tc_egress};
    case Family::bridge:
      if (hook == NfHook::forward) return {Kind::tc_ingress, Kind::tc_egress};
      if (hook == NfHook::prerouting || hook == NfHook::input) return {Kind::tc_ingress};
      return {Kind::tc_egress};
  }
  throw InvariantError("family out of range");
}

std::string names(const std::vector<Kind>& kinds, std::string_view device) {
  std::string out;
  for (const Kind kind : kinds) {
    out += (out.empty() ? "" : " or ") +
           to_string(Hook{.kind = kind, .nf_hook = {}, .device = std::string(device)});
  }
  return out;
}

Status check_servable(const Ruleset& ruleset, const Hook& hook, ChainId id) {
  const std::vector<Kind> kinds = serving_kinds(ruleset, id);
  if (std::ranges::find(kinds, hook.kind) != kinds.end()) return {};
  return input_error("chain " + imr::qualified_name(ruleset, id) + " of hook " +
                     std::string(to_string(ruleset[id].base->hook)) + " cannot run at " +
                     to_string(hook) + ", expected " + names(kinds, ""));
}

// The chains of one program read packets alike.
Status check_alike(const Ruleset& ruleset, const Hook& hook, const std::vector<ChainId>& roots) {
  const auto family = [&](ChainId id) { return ruleset[ruleset[id].table].family; };
  for (const ChainId id : roots) {
    const bool alike =
        (is_ip(family(id)) && is_ip(family(roots.front()))) || family(id) == family(roots.front());
    if (alike &&
        imr::reading_of(ruleset, hook, id) == imr::reading_of(ruleset, hook, roots.front())) {
      continue;
    }
    return input_error("chains " + imr::qualified_name(ruleset, roots.front()) + " and " +
                       imr::qualified_name(ruleset, id) + " cannot run in one program at " +
                       to_string(hook) + ": they read packets in different ways");
  }
  return {};
}

// ---- Chains at the hooks that they name --------------------------------------------------------

// Base chains of one device, family and direction are one program, in the kernel's order.
Status add_own_hook(const Ruleset& ruleset, ChainId id, std::vector<Attachment>& out) {
  const imr::BaseChain& base = *ruleset[id].base;
  const Family family = ruleset[ruleset[id].table].family;
  if (family == Family::bridge || family == Family::arp) {
    return input_error("chain " + imr::qualified_name(ruleset, id) +
                       " names no hook that weir can take: with --hook and --chain it can run at " +
                       names(serving_kinds(ruleset, id), "DEVICE"));
  }
  if (base.hook <= NfHook::postrouting) {
    add_netfilter(ruleset, id, out);
    return {};
  }
  if (base.devices.empty()) {
    return input_error("chain " + imr::qualified_name(ruleset, id) + " names no device");
  }
  for (const std::string& device : base.devices) {
    const Hook hook{.kind = base.hook == NfHook::ingress ? Kind::tc_ingress : Kind::tc_egress,
                    .nf_hook = {},
                    .device = device};
    const auto same = std::ranges::find_if(out, [&](const Attachment& attachment) {
      return attachment.hook == hook &&
             check_alike(ruleset, hook, {attachment.roots.front(), id}).has_value();
    });
    if (same != out.end()) {
      add_root(ruleset, id, same->roots);
    } else {
      out.push_back({.hook = hook, .nfproto = {}, .priority = base.priority, .roots = {id}});
    }
  }
  return {};
}

// Of several base chains, those of family netdev that name this hook, and the device if one is
// given.
std::vector<ChainId> own_netdev_chains(const Ruleset& ruleset, const Hook& hook,
                                       const std::vector<ChainId>& bases) {
  std::vector<ChainId> own;
  if (hook.kind != Kind::tc_ingress && hook.kind != Kind::tc_egress) return own;
  const NfHook wanted = hook.kind == Kind::tc_ingress ? NfHook::ingress : NfHook::egress;
  for (const ChainId id : bases) {
    const imr::BaseChain& base = *ruleset[id].base;
    if (ruleset[ruleset[id].table].family != Family::netdev || base.hook != wanted) continue;
    const bool named = std::ranges::find(base.devices, hook.device) != base.devices.end();
    if (hook.device.empty() || named) add_root(ruleset, id, own);
  }
  return own;
}

std::string candidates(const Ruleset& ruleset, const std::vector<ChainId>& chains) {
  std::string out;
  for (const ChainId id : chains) {
    const imr::Table& table = ruleset[ruleset[id].table];
    out += (out.empty() ? "" : ", ") + std::string(to_string(table.family)) + "/" + table.name +
           "/" + ruleset[id].name;
  }
  return out;
}

Result<ChainId> find_chain(const Ruleset& ruleset, const std::vector<ChainId>& bases,
                           const ChainName& name) {
  for (const ChainId id : bases) {
    const imr::Table& table = ruleset[ruleset[id].table];
    if (table.family == name.family && table.name == name.table && ruleset[id].name == name.chain) {
      return id;
    }
  }
  return input_error("no base chain " + std::string(to_string(name.family)) + "/" + name.table +
                     "/" + name.chain + ", expected one of " + candidates(ruleset, bases));
}

}  // namespace

Result<ChainName> parse_chain_name(std::string_view text) {
  const auto first = text.find('/');
  const auto second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos || second == first + 1 || second + 1 == text.size()) {
    return input_error("'" + std::string(text) + "' is not FAMILY/TABLE/CHAIN");
  }
  WEIR_TRY(family, parse_family(text.substr(0, first)));
  return ChainName{.family = family,
                   .table = std::string(text.substr(first + 1, second - first - 1)),
                   .chain = std::string(text.substr(second + 1))};
}

Result<std::vector<Attachment>> plan(const Ruleset& ruleset, const std::optional<Hook>& hook,
                                     const std::vector<ChainName>& chains) {
  const std::vector<ChainId> bases = base_chains(ruleset);
  std::vector<ChainId> named;
  for (const ChainName& name : chains) {
    WEIR_TRY(id, find_chain(ruleset, bases, name));
    named.push_back(id);
  }
  std::vector<Attachment> out;
  if (!hook || hook->kind == Hook::Kind::netfilter) {
    if (hook && !chains.empty()) {
      return input_error(
          "--chain goes with hooks other than netfilter, which take every base chain "
          "of their own");
    }
    for (const ChainId id : named.empty() ? bases : named) {
      if (!hook) {
        WEIR_CHECK(add_own_hook(ruleset, id, out));
      } else if (ruleset[id].base->hook == hook->nf_hook) {
        add_netfilter(ruleset, id, out);
      }
    }
    if (out.empty()) {
      return input_error("no base chain" +
                         (hook ? " for hook " + to_string(*hook) : std::string()) +
                         " that weir can take; the ruleset has: " +
                         (bases.empty() ? "none" : candidates(ruleset, bases)));
    }
    return out;
  }

  Attachment attachment{.hook = *hook, .roots = std::move(named)};
  if (attachment.roots.empty()) {
    attachment.roots = bases.size() == 1 ? bases : own_netdev_chains(ruleset, *hook, bases);
  }
  if (attachment.roots.empty()) {
    return input_error("which base chain decides at " + to_string(*hook) +
                       "? Choose with --chain: " +
                       (bases.empty() ? "the ruleset has none" : candidates(ruleset, bases)));
  }
  for (const ChainId root : attachment.roots) WEIR_CHECK(check_servable(ruleset, *hook, root));
  WEIR_CHECK(check_alike(ruleset, *hook, attachment.roots));
  out.push_back(std::move(attachment));
  return out;
}

}  // namespace weir::driver
