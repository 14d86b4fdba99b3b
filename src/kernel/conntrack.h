// SPDX-License-Identifier: BSD-2-Clause
//
// The connections of a scratch namespace: tracked, forgotten, and put there by hand, so that a
// packet finds the one that it is to belong to.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hook.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// What connection tracking tells one direction of a connection by.
struct ConnectionTuple {
  Nfproto nfproto = Nfproto::ipv4;
  std::uint8_t protocol = 0;
  Bytes source;  // 4 or 16 bytes
  Bytes destination;
  // Ports of TCP, UDP, UDP-Lite, SCTP and DCCP; of ICMP queries `source_port` is the identifier.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
};

class Conntrack {
 public:
  // Of the calling thread's namespace, where connections of both families are tracked from now on.
  [[nodiscard]] static Result<Conntrack> open();

  [[nodiscard]] Status forget_all();
  // A connection whose packets went both ways; TCP is established, whatever its numbers.
  [[nodiscard]] Status add(const ConnectionTuple& original, const ConnectionTuple& reply);
  // A connection that another one, which is made as well, let expect, and of which no packet has
  // been seen.
  [[nodiscard]] Status add_expected(const ConnectionTuple& original, const ConnectionTuple& reply);

 private:
  explicit Conntrack(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

}  // namespace weir::kernel
