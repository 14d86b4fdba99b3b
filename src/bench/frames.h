// SPDX-License-Identifier: BSD-2-Clause
//
// A trace as frames on a wire, and the program that puts them on it: live frames are copies of one,
// so each is rewritten, to the next of the trace, before it goes to a device.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"
#include "packet/address.h"

namespace weir::bench {

// Of the devices at the two ends of the wire.
using packet::MacAddress;
inline constexpr MacAddress sender_address = {2, 0, 0, 0, 0, 1};
inline constexpr MacAddress receiver_address = {2, 0, 0, 0, 0, 2};

inline constexpr std::uint32_t link_header_size = 14;
// A packet, from its IP header on, as a frame from one end to the other: at least 60 bytes, as
// Ethernet has it.
[[nodiscard]] Bytes frame_of(const Bytes& packet);

// Frames in slots of one size, one behind the other: the frame, padded, and in the last 4 bytes of
// the slot its length.
class FrameTrace {
 public:
  // Of packets from their IP header on, at most 1,500 bytes each.
  explicit FrameTrace(const std::vector<Bytes>& packets);

  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::uint32_t slot_size() const { return slot_size_; }
  // Of the longest frame, rounded up to 4 bytes: what live frames are made with.
  [[nodiscard]] std::uint32_t frame_size() const { return slot_size_ - 4; }
  [[nodiscard]] bool all_of_one_length() const { return all_of_one_length_; }
  [[nodiscard]] const Bytes& slots() const { return slots_; }

 private:
  std::uint32_t count_ = 0;
  std::uint32_t slot_size_ = 0;
  bool all_of_one_length_ = true;
  Bytes slots_;
};

// The program, with the trace in its map `trace`. Its map `control` is one element of two 4-byte
// numbers: which frame of the trace is next, and the index of the device that frames are redirected
// to. Behind the last frame comes the first.
[[nodiscard]] Result<isa::Object> sending_program(const FrameTrace& trace);
inline constexpr std::size_t control_map = 0;  // into Object::maps

}  // namespace weir::bench
