// SPDX-License-Identifier: BSD-2-Clause
//
// Requests to netlink: just what attaching, probing and scratch namespaces need.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::kernel {

// A netlink message under construction. Attributes nest by remembering where they began.
class Message {
 public:
  // NLM_F_REQUEST and NLM_F_ACK are added to `flags`.
  Message(std::uint16_t type, std::uint16_t flags);

  void append(const void* data, std::size_t size);
  void attribute(std::uint16_t type, std::string_view text);  // with a zero behind it
  void attribute(std::uint16_t type, std::uint32_t number);
  void attribute_of(std::uint16_t type, ByteView bytes);
  [[nodiscard]] std::size_t open(std::uint16_t type);
  void close(std::size_t start);
  [[nodiscard]] Bytes finish() const;

 private:
  void close(std::size_t start, std::size_t length);

  Bytes bytes_;
};

struct Answer {
  Bytes payload;      // of the message before the acknowledgement (NLM_F_ECHO, or a question)
  int error = 0;      // errno of a refusal
  std::string words;  // the kernel's own about it, where it has some

  [[nodiscard]] Status status() const;
};
// Sends the message to a protocol of netlink and waits for its acknowledgement.
[[nodiscard]] Result<Answer> ask(const Message& message, int protocol = NETLINK_ROUTE);

// The payload of the first attribute of this type among `attributes`; empty when there is none.
[[nodiscard]] ByteView find_attribute(ByteView attributes, std::uint16_t type);

}  // namespace weir::kernel
