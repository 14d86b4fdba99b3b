// SPDX-License-Identifier: BSD-2-Clause
//
// A pair of veth devices in a namespace of their own: frames are sent into one end, an XDP program
// sits at the other, and what it passes is seen there by a packet socket (generic XDP runs before
// packet sockets see a frame, native XDP before there is an skb).
//
// Delivery happens in the softirq that ends the send, so that what passes has passed when send()
// looks; late_arrivals() counts the times when that was not so. Both ends are silent: IPv6 is off,
// nothing answers ARP.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"

namespace weir::test {

class XdpWorld {
 public:
  XdpWorld();

  // For as long as the link lives.
  [[nodiscard]] Result<kernel::Fd> attach(const kernel::Fd& program, kernel::XdpMode mode);
  // Whether the frame passed. Frames are 14 bytes to the device's MTU and an Ethernet header long;
  // one that the sending device does not take counts as not passed.
  [[nodiscard]] bool send(ByteView frame);
  [[nodiscard]] std::vector<bool> send_batch(std::span<const Bytes> frames);
  [[nodiscard]] std::uint64_t late_arrivals() const { return late_arrivals_; }

  [[nodiscard]] const Netns& netns() const { return netns_; }
  // Of the device that the program sits at, "weir0".
  [[nodiscard]] std::uint32_t ifindex() const { return ifindex_; }

 private:
  bool receive();

  Netns netns_;
  std::uint32_t ifindex_ = 0;
  kernel::Fd sender_;
  kernel::Fd receiver_;
  std::uint64_t late_arrivals_ = 0;
};

}  // namespace weir::test
