// SPDX-License-Identifier: BSD-2-Clause
//
// Traces as frames: what stands in their slots.
#include "bench/frames.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/traces.h"

namespace weir::bench {
namespace {

std::uint64_t length_in(const FrameTrace& trace, std::size_t slot) {
  const std::size_t end = (slot + 1) * trace.slot_size();
  return load_native(ByteView(trace.slots()).subspan(end - 4, 4));
}

TEST(Frames, ArePacketsBehindAnEthernetHeader) {
  const Bytes packet = to_packet(
      {.source = 0x0a000001, .destination = 0x0a000002, .destination_port = 80, .protocol = 6});
  const FrameTrace trace({packet, packet});
  ASSERT_EQ(trace.count(), 2U);
  EXPECT_EQ(trace.slot_size(), 64U);
  EXPECT_EQ(trace.frame_size(), 60U);
  EXPECT_TRUE(trace.all_of_one_length());
  const ByteView slot = ByteView(trace.slots()).subspan(64, 64);
  EXPECT_EQ(to_hex(slot.first(14)), "0x0200000000020200000000010800");
  EXPECT_TRUE(std::ranges::equal(slot.subspan(14, packet.size()), packet));
  EXPECT_EQ(length_in(trace, 1), 60U);
}

TEST(Frames, MayBeOfDifferentLengths) {
  const FrameTrace trace({Bytes(40, 0x45), Bytes(101, 0x60), Bytes(200, 0x45)});
  EXPECT_FALSE(trace.all_of_one_length());
  EXPECT_GE(trace.frame_size(), 214U);
  EXPECT_EQ(trace.slot_size() % 8, 0U);
  EXPECT_EQ(length_in(trace, 0), 60U);
  EXPECT_EQ(length_in(trace, 1), 115U);
  EXPECT_EQ(length_in(trace, 2), 214U);
  const ByteView second = ByteView(trace.slots()).subspan(trace.slot_size(), 14);
  EXPECT_EQ(to_hex(second.subspan(12, 2)), "0x86dd");
}

// Live frames are of a size that the copying ends at; a frame that is shorter has to be cut, even
// if all are of one length.
TEST(Frames, OfOneOddLengthAreCut) {
  const FrameTrace trace({Bytes(63, 0x45), Bytes(63, 0x45)});
  EXPECT_EQ(trace.frame_size(), 84U);
  EXPECT_FALSE(trace.all_of_one_length());
}

TEST(Frames, ComeWithAProgramThatSendsThem) {
  for (const std::size_t second : {40U, 333U, 1500U}) {
    const auto object = sending_program(FrameTrace({Bytes(40, 0x45), Bytes(second, 0x45)}));
    ASSERT_TRUE(object) << object.error().text();
    EXPECT_EQ(object->maps.at(control_map).value_size, 8U);
  }
}

}  // namespace
}  // namespace weir::bench
