// SPDX-License-Identifier: BSD-2-Clause
//
// A namespace that forwards from one TUN device to another, so that a ruleset or a weir program at
// its hooks decides which packets arrive. A judge makes three: one with nft's rules, one with
// weir's program, and one without either, since the stack itself drops packets too (bad header
// checksums, expired TTLs, martians, multicast): what does not arrive there says nothing about
// rules.
//
// Forwarding happens inside of the write to the TUN device: tun_get_user() hands the packet to
// netif_receive_skb() itself and the output device has no queue. So whatever arrives has arrived
// when send() looks for it; late_arrivals() counts the times when that was not so.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hook.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/tun.h"

namespace weir::test {

// Has the stack of the calling thread's namespace forward almost anything, by devices made later
// too.
void configure_forwarding();

class ForwardingWorld {
 public:
  struct Devices {
    std::string in = "tun0";
    std::string out = "tun1";
  };
  // Devices get the interface indices 2 and 3, in this order, in every world.
  static constexpr std::uint32_t in_index = 2;
  static constexpr std::uint32_t out_index = 3;

  ForwardingWorld() : ForwardingWorld(Devices()) {}
  explicit ForwardingWorld(const Devices& devices);

  // From the first device to the second, or from the second to the first.
  enum class Way : std::uint8_t { forth, back };

  // Whether the packet, or whatever it set free (held-back fragments), arrived behind the world.
  // `linear` as in Tun::write().
  [[nodiscard]] bool send(ByteView packet, std::uint16_t linear = 0, Way way = Way::forth);
  [[nodiscard]] std::vector<bool> send_batch(std::span<const Bytes> packets);
  // All that arrived, as changed on its way (TTL, checksum).
  [[nodiscard]] std::vector<Bytes> exchange(ByteView packet, std::uint16_t linear = 0,
                                            Way way = Way::forth);
  [[nodiscard]] std::uint64_t late_arrivals() const { return late_arrivals_; }

  // Replaces all rules by those of `text`.
  [[nodiscard]] Status load_ruleset(std::string_view text);
  // Counters in rules, in the order of the listing; an error of nft is the end of the test.
  [[nodiscard]] Result<std::vector<RuleCounter>> counters() { return nft_.counters(); }
  // Tracks connections as a ruleset with a ct expression would, and forgets known ones.
  [[nodiscard]] Status track_connections();
  [[nodiscard]] Status forget_connections();

  // Attaches a weir program to a hook of this world, for as long as the link lives.
  [[nodiscard]] Result<kernel::Fd> attach(const kernel::Fd& program, Nfproto nfproto, NfHook hook,
                                          std::int32_t priority, bool defragment = false);
  [[nodiscard]] const Netns& netns() const { return netns_; }

 private:
  void drain();

  Netns netns_;
  std::unique_ptr<Tun> in_;
  std::unique_ptr<Tun> out_;
  Nft nft_;
  std::uint64_t late_arrivals_ = 0;
};

}  // namespace weir::test
