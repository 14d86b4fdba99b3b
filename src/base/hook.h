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

// The network protocol of one packet, as the kernel's chains tell packets apart (of IP packets,
// state->pf at netfilter hooks). `other`: ARP and all else, and in chains of families netdev and
// bridge also what claims to be IP and cannot be parsed (nft_set_pktinfo_unspec()).
enum class Nfproto : std::uint8_t { other = 0, ipv4 = 2, ipv6 = 10 };

// enum nf_inet_hooks in linux/netfilter.h; behind them, `ingress` (netdev and inet chains) and
// `egress` (netdev chains).
enum class NfHook : std::uint8_t {
  prerouting,
  input,
  forward,
  output,
  postrouting,
  ingress,
  egress
};

struct Hook {
  enum class Kind : std::uint8_t {
    xdp,
    tc_ingress,
    tc_egress,
    netfilter,
    cgroup_ingress,
    cgroup_egress,
    socket,
  };

  Kind kind = Kind::netfilter;
  NfHook nf_hook = NfHook::forward;  // of netfilter hooks only
  std::string device;  // after '@': of cgroup hooks the cgroup's path; empty when none was given

  friend bool operator==(const Hook&, const Hook&) = default;
};

[[nodiscard]] std::string_view to_string(Family family);
[[nodiscard]] std::string_view to_string(Nfproto nfproto);
[[nodiscard]] std::string_view to_string(NfHook hook);
[[nodiscard]] std::string to_string(const Hook& hook);

// "xdp", "xdp@eth0", "tc:ingress@eth0", "netfilter:forward", "cgroup:egress@/sys/fs/cgroup/web",
// "socket". Anything else is an input error that lists the hooks.
[[nodiscard]] Result<Hook> parse_hook(std::string_view text);
[[nodiscard]] Result<Family> parse_family(std::string_view text);

// Whether a program at the hook has packets from the link header on, and not from the network
// header.
[[nodiscard]] bool sees_frames(const Hook& hook);

// The three families whose chains hang at the netfilter hooks of the IP stack.
[[nodiscard]] bool is_ip(Family family);
// Whether packets of `nfproto` traverse tables of `family`.
[[nodiscard]] bool sees(Family family, Nfproto nfproto);

}  // namespace weir
