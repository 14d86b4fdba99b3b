// SPDX-License-Identifier: BSD-2-Clause
//
// A wire: two veth devices in a network namespace of their own, where nothing else is sent. Frames
// that go in at one end come out of the other, and what is measured stands there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "kernel/kernel.h"
#include "kernel/netns.h"

namespace weir::bench {

class Wire {
 public:
  static constexpr const char* input_device = "wire0";
  // The device that frames come out of; another name may be asked for.
  static constexpr const char* default_device = "wire1";

  // What comes out meets an XDP program, `taking`, which ends every frame, and adds one to the
  // number at byte 8 * XDP_PASS of the value of `counts` for each that it would pass.
  [[nodiscard]] static Result<Wire> to_driver(const kernel::Fd& taking, kernel::Fd counts,
                                              const std::string& device = {});
  // What comes out goes to the stack; IPv4 and IPv6 packets that come as far as the last place of
  // the prerouting hook are counted and end there.
  [[nodiscard]] static Result<Wire> to_stack(const std::string& device = {});

  [[nodiscard]] const kernel::Netns& netns() const { return netns_; }
  // The index of the device that frames go in by, and of the one that they come out of.
  [[nodiscard]] std::uint32_t input() const { return input_; }
  [[nodiscard]] std::uint32_t output() const { return output_; }
  // Keeps a program where it is attached.
  void keep(kernel::Fd link) { links_.push_back(std::move(link)); }
  // Packets that have been accepted so far.
  [[nodiscard]] Result<std::uint64_t> accepted() const;

 private:
  explicit Wire(kernel::Netns netns) : netns_(std::move(netns)) {}
  [[nodiscard]] static Result<Wire> create(const std::string& device);
  [[nodiscard]] Status lay(const std::string& device);

  kernel::Netns netns_;
  std::uint32_t input_ = 0;
  std::uint32_t output_ = 0;
  kernel::Fd counts_;
  std::vector<kernel::Fd> links_;
};

// The map `counts` of a wire.
[[nodiscard]] isa::MapSpec counts_map();
// Packets that its value says have been accepted.
[[nodiscard]] Result<std::uint64_t> accepted_in(const kernel::Fd& counts);

// Has frames that are redirected into the peer of a veth device come out of it, one by one, for as
// long as the link lives. In the namespace of the calling thread, as is what follows.
[[nodiscard]] Result<kernel::Fd> receive_frames(const std::string& device);
// A program for netfilter hooks that ends all packets, and counts them in its first map.
[[nodiscard]] Result<kernel::LoadedObject> ending_program();

struct Sent {
  double ns = 0;               // CPU time of the calling thread, in which all becomes of a frame
  std::uint64_t accepted = 0;  // packets
};

// Sends frames of one trace.
class Sender {
 public:
  [[nodiscard]] static Result<Sender> create(const FrameTrace& trace);
  // `count` frames from the one of index `first` on, the first behind the last. All of them again
  // when a signal comes between.
  [[nodiscard]] Result<Sent> send(const Wire& wire, std::uint32_t first, std::uint32_t count) const;
  // The same into a device of another namespace, as ns alone.
  [[nodiscard]] Result<double> send(const kernel::Netns& netns, std::uint32_t device,
                                    std::uint32_t first, std::uint32_t count) const;

  // Of frames that are made, and end where they were: no device takes them.
  [[nodiscard]] Result<double> send_nowhere(std::uint32_t count) const;

 private:
  [[nodiscard]] Status aim(std::uint32_t device, std::uint32_t first) const;
  Sender(kernel::LoadedObject loaded, Bytes frame)
      : loaded_(std::move(loaded)), frame_(std::move(frame)) {}

  kernel::LoadedObject loaded_;
  Bytes frame_;
};

}  // namespace weir::bench
