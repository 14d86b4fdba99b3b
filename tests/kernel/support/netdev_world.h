// SPDX-License-Identifier: BSD-2-Clause
//
// Three devices in a row, in a namespace of their own, so that rules at the ingress or the egress
// of the device "eth0" decide which frames come out at the end:
//
//   ingress:  in0 -> eth0, out0 -> out1      what eth0 lets in is handed on to out0
//   egress:   in0 -> mid0, eth0 -> out1      what mid0 gets is handed on to eth0
//
// Where "->" is a pair of veth devices, and "," a chain of nf_tables behind all other rules of that
// ingress, whose `fwd` knows no protocols. It stands behind XDP and TC as well. Frames that are
// handed on have their outermost tag in the metadata, as received ones have, and not in the bytes,
// where a packet socket that sends would leave it. Or "," is a bridge of both ports, which learns
// nothing, for rules of bridges and programs at the port that is "eth0". Or eth0 ends at a host
// that answers who asks for any address, for rules of ARP: what comes out, at in0, is an answer.
//
// There is another pair "away0 -> away1" beside a chain that hands on, for rules that send frames
// out by a device.
//
// A packet socket at out1 sees what arrives, in the softirq that ends the send; late_arrivals()
// counts the times when that was not so. All devices are silent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "isa/program.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"

namespace weir::test {

class NetdevWorld {
 public:
  enum class Middle : std::uint8_t { rules, bridge, host };
  // Longer frames are not delivered; native XDP wants less than a page.
  NetdevWorld(isa::Direction direction, std::uint32_t mtu, Middle middle = Middle::rules);

  // A checksum that the stack leaves to the device: from which byte on, and where it goes, counted
  // from there.
  struct OpenChecksum {
    std::uint16_t start = 0;
    std::uint16_t offset = 0;
  };
  // Whether the frame came out. One that no device takes (shorter than an Ethernet header, too
  // long) does not. Not 0: of a frame that fits no page only `linear` bytes lie in the linear part
  // of its skb, and at least 14; with 0, 14.
  [[nodiscard]] bool send(ByteView frame, std::uint16_t linear = 0, std::uint32_t mark = 0,
                          std::optional<OpenChecksum> open = {});
  struct Received {
    std::uint32_t mark = 0;
    Bytes bytes;  // without a tag that is in metadata
    friend bool operator==(const Received&, const Received&) = default;
  };
  // The frame that came out last. The mark is that of the question, where it is an answer, and the
  // bytes are not asked for then.
  [[nodiscard]] const Received& arrived() const { return arrived_; }
  // What came to away1 for the frame that was sent last, in order; each is told once.
  [[nodiscard]] std::vector<Received> sent_away();
  // The frame that came back at in0 for the one that was sent last, with its checksum whole; of
  // several, the last. Not asked for where what comes out is an answer.
  [[nodiscard]] std::optional<Bytes> answer();
  [[nodiscard]] std::uint64_t late_arrivals() const { return late_arrivals_; }

  // Replaces all rules by those of `text`.
  [[nodiscard]] Status load_ruleset(std::string_view text);
  [[nodiscard]] Result<std::vector<RuleCounter>> counters() { return nft_.counters(); }

  // To eth0, for as long as the link lives.
  [[nodiscard]] Result<kernel::Fd> attach_tcx(const kernel::Fd& program);
  [[nodiscard]] Result<kernel::Fd> attach_xdp(const kernel::Fd& program, kernel::XdpMode mode);

  // Of eth0, the same in every world of one direction.
  [[nodiscard]] std::uint32_t ifindex() const { return ifindex_; }
  // For as long as what comes back lives.
  [[nodiscard]] Inside enter() const { return Inside(netns_); }
  [[nodiscard]] std::optional<bool> takes_xdp_frames(const std::string& device);
  // Of away0.
  [[nodiscard]] std::uint32_t away_index() const { return away_index_; }
  // To which frames must be addressed that are not for other hosts; there are none at a bridge.
  [[nodiscard]] static ByteView hardware_address();

 private:
  [[nodiscard]] std::optional<Received> receive(const kernel::Fd& socket);
  bool receive_answer();

  Netns netns_;
  Nft nft_;
  isa::Direction direction_;
  Middle middle_;
  std::uint32_t ifindex_ = 0;
  std::uint32_t away_index_ = 0;
  kernel::Fd sender_;
  kernel::Fd receiver_;
  kernel::Fd answers_;
  kernel::Fd away_;
  std::vector<kernel::Fd> takers_;
  Bytes buffer_;
  Bytes received_;
  std::uint32_t mark_ = 0;  // of the sending socket
  Received arrived_;
  Bytes answer_;
  std::uint64_t late_arrivals_ = 0;
};

}  // namespace weir::test
