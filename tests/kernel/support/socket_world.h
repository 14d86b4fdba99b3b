// SPDX-License-Identifier: BSD-2-Clause
//
// A namespace of one host with sockets and one TUN device, "eth0": whatever comes in by it is for
// this host, at every address; whatever the host sends leaves by it. Sockets are those of a cgroup,
// to which a program of weir can be attached, or of none, beside rules of nft.
//
// UDP comes to a UDP socket, TCP to a listening one, which answers every connection request with a
// cookie and keeps no state, and all else to raw sockets. Everything happens inside of the call
// that sends (tun_get_user() and the raw and UDP sockets' sendmsg()).
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "isa/program.h"
#include "kernel/kernel.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/tun.h"

namespace weir::test {

class SocketWorld {
 public:
  enum class Sockets : std::uint8_t { in_cgroup, elsewhere };
  explicit SocketWorld(Sockets sockets);

  static constexpr std::uint32_t device_index = 2;

  // Makes the sockets that deliver() and send() will need for these packets: moving a process from
  // cgroup to cgroup takes its time.
  void prepare(std::span<const ByteView> packets);

  // Whether a socket got the packet, or, of TCP, answered it. `linear` as in Tun::write().
  [[nodiscard]] bool deliver(ByteView packet, std::uint16_t linear);

  struct Departure {
    std::optional<Bytes> packet;  // as it left by the device
    bool refused = false;         // the sender was told EPERM
  };
  // Sends the packet as it is, but for the IPv4 checksum and length; or, with `by_udp`, a datagram
  // by a UDP socket, with its addresses, ports and content.
  [[nodiscard]] Departure send(ByteView packet, std::uint32_t mark, bool by_udp);
  // Whether send() can use a UDP socket for it.
  [[nodiscard]] static bool is_datagram(ByteView packet);

  // Replaces all rules by those of `text`.
  [[nodiscard]] Status load_ruleset(std::string_view text);
  [[nodiscard]] Result<std::vector<RuleCounter>> counters() { return nft_.counters(); }
  // To the cgroup, for as long as the link lives.
  [[nodiscard]] Result<kernel::Fd> attach(const kernel::Fd& program, isa::Direction direction);

 private:
  struct Key {
    bool v4 = true;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;  // of UDP and TCP
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  [[nodiscard]] static std::optional<Key> key_of(ByteView packet);
  [[nodiscard]] static kernel::Fd receiver_for(const Key& key);
  [[nodiscard]] bool drain_device();
  [[nodiscard]] kernel::Fd take_datagram_socket(bool v4);

  Netns netns_;
  Nft nft_;
  std::unique_ptr<Tun> device_;
  std::optional<kernel::ScratchCgroup> cgroup_;
  std::map<Key, kernel::Fd> receivers_;
  kernel::Fd raw_[2];                    // of IPv6 and IPv4
  std::vector<kernel::Fd> datagram_[2];  // unbound
  Bytes buffer_;
};

}  // namespace weir::test
