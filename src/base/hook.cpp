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

constexpr std::array<std::string_view, 6> nf_hooks = {"prerouting", "input",       "forward",
                                                      "output",     "postrouting", "ingress"};

}  // namespace

std::string_view to_string(Family family) {
  for (const auto& [value, name] : families) {
    if (value == family) return name;
  }
  throw InvariantError("family out of range");
}

std::string_view to_string(Nfproto nfproto) {
  return nfproto == Nfproto::ipv4 ? "ipv4" : "ipv6";
}

std::string_view to_string(NfHook hook) {
  return nf_hooks.at(static_cast<std::size_t>(hook));
}

std::string to_string(const Hook& hook) {
  std::string out =
      hook.kind == Hook::Kind::xdp ? "xdp" : "netfilter:" + std::string(to_string(hook.nf_hook));
  if (!hook.device.empty()) out += "@" + hook.device;
  return out;
}

Result<Hook> parse_hook(std::string_view text) {
  const auto wrong = [&] {
    return input_error("unknown hook '" + std::string(text) +
                       "', expected xdp, xdp@DEVICE or "
                       "netfilter:prerouting|input|forward|output|postrouting");
  };
  Hook hook;
  std::string_view name = text;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    name = text.substr(0, at);
    hook.device = text.substr(at + 1);
    if (hook.device.empty()) return input_error("expected a device name after '@'");
  }
  if (name == "xdp") {
    hook.kind = Hook::Kind::xdp;
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

bool sees(Family family, Nfproto nfproto) {
  switch (family) {
    case Family::inet:
      return true;
    case Family::ip:
      return nfproto == Nfproto::ipv4;
    case Family::ip6:
      return nfproto == Nfproto::ipv6;
    case Family::arp:
    case Family::netdev:
    case Family::bridge:
      return false;
  }
  throw InvariantError("family out of range");
}

}  // namespace weir
