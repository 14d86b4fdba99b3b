// SPDX-License-Identifier: BSD-2-Clause
//
// The places where a ruleset can run, as the command line names them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weir {

// Address families of nf_tables tables (enum nfproto in linux/netfilter.h).
enum class Family : std::uint8_t { inet = 1, ip = 2, arp = 3, netdev = 5, bridge = 7, ip6 = 10 };

// The network protocol of one packet at a netfilter hook (state->pf in the kernel).
enum class Nfproto : std::uint8_t { ipv4 = 2, ipv6 = 10 };

// enum nf_inet_hooks in linux/netfilter.h; `ingress` is there for netdev and inet chains.
enum class NfHook : std::uint8_t { prerouting, input, forward, output, postrouting, ingress };

struct Hook {
  enum class Kind : std::uint8_t { xdp, netfilter };

  Kind kind = Kind::netfilter;
  NfHook nf_hook = NfHook::forward;  // of netfilter hooks only
  std::string device;                // after '@'; empty when none was given

  friend bool operator==(const Hook&, const Hook&) = default;
};

[[nodiscard]] std::string_view to_string(Family family);
[[nodiscard]] std::string_view to_string(Nfproto nfproto);
[[nodiscard]] std::string_view to_string(NfHook hook);
[[nodiscard]] std::string to_string(const Hook& hook);

// "xdp", "xdp@eth0", "netfilter:forward". Anything else is an input error that lists the hooks.
[[nodiscard]] Result<Hook> parse_hook(std::string_view text);
[[nodiscard]] Result<Family> parse_family(std::string_view text);

// Whether packets of `nfproto` traverse tables of `family`.
[[nodiscard]] bool sees(Family family, Nfproto nfproto);

}  // namespace weir
