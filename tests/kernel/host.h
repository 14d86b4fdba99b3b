// SPDX-License-Identifier: BSD-2-Clause
//
// A host in a namespace of its own, and a script's programs at its netfilter hooks: what is
// compared is nft's rules and weir's programs with the same traffic.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "imr/imr.h"
#include "kernel/counters.h"
#include "kernel/programs.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/tun.h"

namespace weir::test {

constexpr std::uint16_t first_port = 1000;
constexpr std::uint16_t last_port = 1019;

// What a datagram was, and how often it got through: (IP version, destination port, payload).
using Arrivals = std::multiset<std::tuple<int, std::uint16_t, std::size_t>>;

// Bound to a port of IPv6 and IPv4.
[[nodiscard]] kernel::Fd udp_socket(std::uint16_t port);

// A host behind one TUN device, 10.0.0.1 and 2001:db8::1, with a socket at every port.
class Host {
 public:
  Host();

  [[nodiscard]] const Netns& netns() const { return netns_; }
  [[nodiscard]] Nft& nft() { return nft_; }
  [[nodiscard]] Tun& tun() { return *tun_; }

  Arrivals receive_all();

  Arrivals send_all();

 private:
  // A work queue makes an IPv6 address this host's own (addrconf_dad_work()), with "nodad" as well.
  static void await_address();

  void write(bool v6, std::uint16_t port, std::size_t payload);

  void send(const char* address, std::uint16_t port, std::size_t payload);

  Netns netns_;
  Nft nft_;
  std::unique_ptr<Tun> tun_;
  std::map<std::uint16_t, kernel::Fd> sockets_;
};

// A script's programs at the netfilter hooks of a namespace, until they are taken off.
class AttachedScript {
 public:
  AttachedScript(const Netns& netns, const std::string& script);

  void detach() { links_.clear(); }

  void expect_counted(const std::vector<RuleCounter>& by_nft) const;
  // Those with names that rules count with, which began with nothing.
  void expect_counted(
      const std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>& by_nft) const;

 private:
  imr::Ruleset ruleset_;
  Programs programs_;
  std::vector<kernel::Fd> links_;
};

// The script as nft's rules and as weir's programs, each at a host of its own as `prepared` makes
// it, with the same traffic: each rule counts as nft does, and each counter with a name. How many
// rules counted something, and not all packets, which the last one does.
[[nodiscard]] std::size_t expect_counted_as_nft(
    const std::string& script, const std::function<std::unique_ptr<Host>()>& prepared,
    const std::function<void(Host&)>& traffic);

}  // namespace weir::test
