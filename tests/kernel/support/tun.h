// SPDX-License-Identifier: BSD-2-Clause
//
// A TUN device: what is written to it arrives in its namespace, what its namespace sends through it
// can be read.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "kernel/kernel.h"

namespace weir::test {

class Tun {
 public:
  // In the calling thread's namespace, down. Packets are bare IPv4 or IPv6.
  explicit Tun(const std::string& name);

  // False when the device itself takes no such packet: neither IPv4 nor IPv6 by its first nibble,
  // empty, or too long. Not 0: of a packet that fits no page (5,000 bytes do not) only `linear`
  // bytes lie in the linear part of its skb, and what the stack pulls in before the forward hook:
  // the network header, and that of UDP and TCP. The packet must be as long as that.
  bool write(ByteView packet, std::uint16_t linear = 0);
  // The next packet, valid until the next call; nothing when there is none now.
  std::optional<ByteView> read();

 private:
  kernel::Fd fd_;
  Bytes buffer_;
};

}  // namespace weir::test
