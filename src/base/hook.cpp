// SPDX-License-Identifier: BSD-2-Clause
#include "base/hook.h"

#include <array>
#include <utility>

namespace weir {
namespace {

constexpr std::array<std::pair<Family, std::string_view>, 6> families = {{
    {Family::ip, "ip"},
    {Family::ip6, "ip6"},
    {Family::inet, "inet"},
    {Family::arp, "arp"},
    {Family::bridge, "bridge"},
    {Family::netdev, "netdev"},
}};

constexpr std::array<std::string_view, 7> nf_hooks = {"prerouting",  "input",   "forward", "output",
                                                      "postrouting", "ingress", "egress"};

struct KindName {
  Hook::Kind kind;
  std::string_view name;  // of netfilter hooks what stands before the colon
  bool takes_target;      // a device or cgroup behind '@'
};
constexpr std::array<KindName, 7> kinds = {{
    {Hook::Kind::xdp, "xdp", true},
    {Hook::Kind::tc_ingress, "tc:ingress", true},
    {Hook::Kind::tc_egress, "tc:egress", true},
    {Hook::Kind::netfilter, "netfilter", false},
    {Hook::Kind::cgroup_ingress, "cgroup:ingress", true},
    {Hook::Kind::cgroup_egress, "cgroup:egress", true},
    {Hook::Kind::socket, "socket", false},
}};

}  // namespace

std::string_view to_string(Family family) {
  for (const auto& [value, name] : families) {
    if (value == family) return name;
  }
  throw InvariantError("family out of range");
}

std::string_view to_string(Nfproto nfproto) {
  switch (nfproto) {
    case Nfproto::other:
      return "other";
    case Nfproto::ipv4:
      return "ipv4";
    case Nfproto::ipv6:
      return "ipv6";
  }
  throw InvariantError("network protocol out of range");
}

std::string_view to_string(NfHook hook) {
  return nf_hooks.at(static_cast<std::size_t>(hook));
}

std::string to_string(const Hook& hook) {
  std::string out(kinds.at(static_cast<std::size_t>(hook.kind)).name);
  if (hook.kind == Hook::Kind::netfilter) out += ":" + std::string(to_string(hook.nf_hook));
  if (!hook.device.empty()) out += "@" + hook.device;
  return out;
}

Result<Hook> parse_hook(std::string_view text) {
  const auto wrong = [&] {
    return input_error("unknown hook '" + std::string(text) +
                       "', expected xdp, tc:ingress|egress (each with or without @DEVICE), "
                       "netfilter:prerouting|input|forward|output|postrouting, "
                       "cgroup:ingress|egress (with or without @PATH) or socket");
  };
  Hook hook;
  std::string_view name = text;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    name = text.substr(0, at);
    hook.device = text.substr(at + 1);
    if (hook.device.empty()) return input_error("expected a device or cgroup after '@'");
  }
  for (const KindName& kind : kinds) {
    if (kind.kind == Hook::Kind::netfilter || kind.name != name) continue;
    if (!kind.takes_target && !hook.device.empty()) return wrong();
    hook.kind = kind.kind;
    return hook;
  }
  constexpr std::string_view prefix = "netfilter:";
  if (!name.starts_with(prefix) || !hook.device.empty()) return wrong();
  for (std::size_t i = 0; i <= static_cast<std::size_t>(NfHook::postrouting); ++i) {
    if (nf_hooks[i] == name.substr(prefix.size())) {
      hook.kind = Hook::Kind::netfilter;
      hook.nf_hook = static_cast<NfHook>(i);
      return hook;
    }
  }
  return wrong();
}

Result<Family> parse_family(std::string_view text) {
  for (const auto& [value, name] : families) {
    if (name == text) return value;
  }
  return input_error("unknown family '" + std::string(text) +
                     "', expected ip, ip6, inet, arp, bridge or netdev");
}

bool is_ip(Family family) {
  return family == Family::ip || family == Family::ip6 || family == Family::inet;
}

bool sees_frames(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
    case Hook::Kind::socket:
      return true;
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      return false;
  }
  throw InvariantError("hook kind out of range");
}

bool sees(Family family, Nfproto nfproto) {
  switch (family) {
    case Family::inet:
      return nfproto != Nfproto::other;
    case Family::ip:
      return nfproto == Nfproto::ipv4;
    case Family::ip6:
      return nfproto == Nfproto::ipv6;
    case Family::arp:
      return nfproto == Nfproto::other;
    case Family::netdev:
    case Family::bridge:
      return true;
  }
  throw InvariantError("family out of range");
}

}  // namespace weir
