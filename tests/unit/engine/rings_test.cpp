// SPDX-License-Identifier: BSD-2-Clause
//
// Ring buffers: what the checker wants of their records, and what comes out of them.
#include "engine/ring_buffer.h"

#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

class Rings : public testing::TestWithParam<Case> {};

TEST_P(Rings, KeepTheRules) {
  expect_verdict(GetParam());
}

const Case records[] = {
    {"a record, written and submitted", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      *(u64 *)(r0 + 8) = 7
      r1 = r0
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )"},
    {"beyond the record", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      *(u64 *)(r0 + 9) = 7
      r1 = r0
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "touches 8 bytes"},
    {"without a look whether it is null", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      r1 = r0
      r2 = 0
      call ringbuf_submit
      r0 = 0
      exit
    )",
     "expected a record of a ring buffer"},
    {"a record that is kept", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      r0 = 0
      exit
    )",
     "was not submitted"},
    {"a record that is kept on one way", R"(
      r6 = *(u32 *)(r1 + 12)
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      if r6 == 7 goto out
      r1 = r0
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "was not submitted"},
    {"a record that is gone", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r6 = r0
      r1 = r0
      r2 = 0
      call ringbuf_submit
      *(u64 *)(r6 + 0) = 7
    out:
      r0 = 0
      exit
    )",
     "reads r6, which was not written"},
    {"a spilled record that is gone", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      *(u64 *)(r10 - 8) = r0
      r1 = r0
      r2 = 0
      call ringbuf_submit
      r6 = *(u64 *)(r10 - 8)
    out:
      r0 = 0
      exit
    )",
     "was not written"},
    {"twice submitted", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r6 = r0
      r1 = r6
      r2 = 0
      call ringbuf_submit
      r1 = r6
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "reads r6, which was not written"},
    {"from within the record", R"(
      r1 = map[ring]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r0 += 8
      r1 = r0
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "expected a record of a ring buffer"},
    {"a size that is not known", R"(
      r2 = *(u32 *)(r1 + 12)
      r1 = map[ring]
      r3 = 0
      call ringbuf_reserve
      r0 = 0
      exit
    )",
     "expected a known size"},
    {"a record of what is no ring", R"(
      r1 = map[array]
      r2 = 16
      r3 = 0
      call ringbuf_reserve
      r0 = 0
      exit
    )",
     "expected a ring buffer"},
    {"a key of a ring", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = map[ring]
      r2 = r10
      r2 += -8
      call map_lookup_elem
      r0 = 0
      exit
    )",
     "expected a map with keys"},
};
INSTANTIATE_TEST_SUITE_P(Records, Rings, testing::ValuesIn(records));

const Case copies[] = {
    {"as many bytes of the packet as fit", R"(
      r6 = r1
      r7 = *(u32 *)(r1 + 4)
      r8 = *(u32 *)(r1 + 0)
      r7 -= r8
      r1 = map[ring]
      r2 = 64
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r8 = r0
      if r7 == 0 goto submit
      if r7 > 64 goto submit
      r1 = r6
      r2 = 0
      r3 = r8
      r4 = r7
      call xdp_load_bytes
    submit:
      r1 = r8
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )"},
    {"perhaps more than fit", R"(
      r6 = r1
      r7 = *(u32 *)(r1 + 4)
      r8 = *(u32 *)(r1 + 0)
      r7 -= r8
      r1 = map[ring]
      r2 = 64
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r8 = r0
      if r7 == 0 goto submit
      if r7 > 65 goto submit
      r1 = r6
      r2 = 0
      r3 = r8
      r4 = r7
      call xdp_load_bytes
    submit:
      r1 = r8
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "touches 65 bytes"},
    {"perhaps none", R"(
      r6 = r1
      r7 = *(u32 *)(r1 + 4)
      r8 = *(u32 *)(r1 + 0)
      r7 -= r8
      r1 = map[ring]
      r2 = 64
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto out
      r8 = r0
      if r7 > 64 goto submit
      r1 = r6
      r2 = 0
      r3 = r8
      r4 = r7
      call xdp_load_bytes
    submit:
      r1 = r8
      r2 = 0
      call ringbuf_submit
    out:
      r0 = 0
      exit
    )",
     "expected a known size"},
};
INSTANTIATE_TEST_SUITE_P(Copies, Rings, testing::ValuesIn(copies));

RingBuffer ring_of(std::uint32_t bytes) {
  return RingBuffer({.name = "r",
                     .type = isa::MapType::ringbuf,
                     .key_size = 0,
                     .value_size = 0,
                     .max_entries = bytes});
}

TEST(RingBuffer, GivesWhatWasSubmittedInOrder) {
  RingBuffer ring = ring_of(4096);
  std::uint8_t* first = ring.reserve(3);
  std::uint8_t* second = ring.reserve(1);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  *first = 1;
  *second = 2;
  EXPECT_TRUE(ring.submit(second));
  EXPECT_TRUE(ring.take().empty()) << "the first one is not whole yet";
  EXPECT_TRUE(ring.submit(first));
  EXPECT_EQ(ring.take(), (std::vector<Bytes>{{1, 0, 0}, {2}}));
  EXPECT_TRUE(ring.take().empty());
  EXPECT_FALSE(ring.submit(first)) << "it was taken";
}

TEST(RingBuffer, IsFullUntilSomebodyReads) {
  RingBuffer ring = ring_of(4096);
  // 8 bytes of header each; the last byte of the ring is never used.
  std::uint8_t* only = ring.reserve(4096 - 16);
  ASSERT_NE(only, nullptr);
  EXPECT_EQ(ring.reserve(1), nullptr);
  EXPECT_TRUE(ring.submit(only));
  EXPECT_EQ(ring.reserve(1), nullptr);
  EXPECT_EQ(ring.take().size(), 1U);
  EXPECT_NE(ring.reserve(1), nullptr);
}

TEST(RingBuffer, SizesAsTheKernelWantsThem) {
  isa::MapSpec spec = ring_of(4096).spec();
  EXPECT_TRUE(Map::create(spec));
  spec.max_entries = 6000;
  EXPECT_FALSE(Map::create(spec)) << "no power of two";
  spec.max_entries = 2048;
  EXPECT_FALSE(Map::create(spec)) << "less than a page";
  spec.max_entries = 4096;
  spec.key_size = 4;
  EXPECT_FALSE(Map::create(spec)) << "with keys";
}

}  // namespace
}  // namespace weir::engine
