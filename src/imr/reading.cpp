// SPDX-License-Identifier: BSD-2-Clause
//
// Kernel sources followed here, of Linux 6.18: net/netfilter/nft_chain_filter.c and
// include/linux/netfilter_netdev.h.
#include "imr/reading.h"

namespace weir::imr {

Reading reading_of(const Ruleset& ruleset, const Hook& hook, ChainId root) {
  if (!sees_frames(hook)) return Reading::stack;
  const Chain& chain = ruleset[root];
  switch (ruleset[chain.table].family) {
    case Family::netdev:
    case Family::bridge:
      return Reading::netdev;
    case Family::arp:
      return Reading::arp;
    case Family::inet:
      return chain.base && chain.base->hook == NfHook::ingress ? Reading::ingress : Reading::frame;
    case Family::ip:
    case Family::ip6:
      return Reading::frame;
  }
  throw InvariantError("family out of range");
}

Reading reading_of(const Unit& unit) {
  return reading_of(unit.ruleset, unit.hook, unit.roots.at(0));
}

Family family_of(const Unit& unit) {
  return unit.ruleset[unit.ruleset[unit.roots.at(0)].table].family;
}

bool has_nf_tables_quirks(const Unit& unit) {
  switch (unit.hook.kind) {
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      return true;
    case Hook::Kind::xdp:
      return reading_of(unit) == Reading::netdev || reading_of(unit) == Reading::ingress;
    case Hook::Kind::socket:
      return false;
  }
  throw InvariantError("hook kind out of range");
}

bool counts_link_header(const Unit& unit) {
  switch (unit.hook.kind) {
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
    case Hook::Kind::tc_ingress:
      return false;
    case Hook::Kind::tc_egress:
      // Devices get skb->data at the link header; bridge hooks come before that.
      return family_of(unit) != Family::bridge;
    case Hook::Kind::xdp:
      return reading_of(unit) == Reading::frame;
    case Hook::Kind::socket:
      return true;
  }
  throw InvariantError("hook kind out of range");
}

std::uint8_t nfproto_value(const Unit& unit) {
  const Family family = family_of(unit);
  return is_ip(family) ? static_cast<std::uint8_t>(unit.nfproto)
                       : static_cast<std::uint8_t>(family);
}

bool has_input_device(const Unit& unit) {
  const Family family = family_of(unit);
  const bool of_device = family == Family::netdev || family == Family::arp;
  return !of_device || unit.hook.kind != Hook::Kind::tc_egress;
}

bool has_output_device(const Unit& unit) {
  const Family family = family_of(unit);
  const bool of_device =
      family == Family::netdev || family == Family::arp || reading_of(unit) == Reading::ingress;
  return !of_device || unit.hook.kind == Hook::Kind::tc_egress;
}

bool is_of_input(MetaKey key) {
  return key == MetaKey::iif || key == MetaKey::iifname || key == MetaKey::iiftype ||
         key == MetaKey::iifgroup || key == MetaKey::iifkind;
}

bool is_of_output(MetaKey key) {
  return key == MetaKey::oif || key == MetaKey::oifname || key == MetaKey::oiftype ||
         key == MetaKey::oifgroup || key == MetaKey::oifkind;
}

}  // namespace weir::imr
