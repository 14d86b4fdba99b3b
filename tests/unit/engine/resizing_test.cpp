// SPDX-License-Identifier: BSD-2-Clause
//
// Programs that make packets longer and shorter, sum up bytes, and send packets elsewhere.
#include <cerrno>

#include "engine/map.h"
#include "unit/engine/programs.h"

namespace weir::engine {
namespace {

using isa::ProgramType;

constexpr std::size_t link_header = 14;

// A frame whose bytes count from 0.
Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}

struct Left {
  std::uint64_t result = 0;
  Bytes packet;
  Sent sent;
};

// After `text`, with the context in r1 and r9, what it left in r0 and of a frame of 64 bytes.
Left run(ProgramType type, std::string_view text) {
  const bool at_xdp = type == ProgramType::xdp;
  auto engine = Engine::load(object_of(type, "r9 = r1\n" + std::string(text) +
                                                 "\n r2 = map[one][0]+0\n *(u64 *)(r2 + 0) = r0\n"
                                                 " r0 = 1\n exit\n"));
  EXPECT_TRUE(engine) << engine.error().text();
  if (!engine) return {};
  const Bytes bytes = counting(64);
  const Input input{.bytes = bytes,
                    .network_offset = at_xdp ? 0U : static_cast<std::uint32_t>(link_header),
                    .linear_length = 20,
                    .protocol = 0x0008};
  static_cast<void>(engine->run(0, input));
  const Bytes key(4);
  return {load_native(ByteView(engine->map(isa::MapIndex(2)).lookup(key.data()), 8)),
          engine->packet(0), engine->sent(0)};
}

std::string call(std::string_view helper, const std::string& arguments) {
  return "r1 = r9\n" + arguments + " call " + std::string(helper) + "\n";
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes part(std::size_t from, std::size_t to) {
  const Bytes all = counting(64);
  return {all.begin() + static_cast<std::ptrdiff_t>(from),
          all.begin() + static_cast<std::ptrdiff_t>(to)};
}

TEST(Resizing, FramesGrowAndShrinkAtBothEnds) {
  const Left shorter = run(ProgramType::xdp, call("xdp_adjust_head", " r2 = 4\n"));
  EXPECT_EQ(shorter.result, 0U);
  EXPECT_EQ(shorter.packet, part(4, 64));
  EXPECT_EQ(run(ProgramType::xdp, call("xdp_adjust_head", " r2 = -4\n")).packet,
            joined(Bytes(4), counting(64)));
  EXPECT_EQ(run(ProgramType::xdp, call("xdp_adjust_tail", " r2 = -10\n")).packet, part(0, 54));
  EXPECT_EQ(run(ProgramType::xdp, call("xdp_adjust_tail", " r2 = 3\n")).packet,
            joined(counting(64), Bytes(3)));
}

TEST(Resizing, FramesKeepALinkHeader) {
  for (const char* const helper : {"xdp_adjust_head", "xdp_adjust_tail"}) {
    const bool head = std::string_view(helper).ends_with("head");
    const Left kept = run(ProgramType::xdp, call(helper, head ? " r2 = 51\n" : " r2 = -51\n"));
    EXPECT_EQ(static_cast<std::int64_t>(kept.result), -EINVAL) << helper;
    EXPECT_EQ(kept.packet, counting(64));
  }
}

TEST(Resizing, PacketsGrowAndShrinkBehindTheirLinkHeader) {
  const std::string flags = " r3 = 1\n r4 = 0\n";
  const Left shorter = run(ProgramType::sched_cls, call("skb_adjust_room", " r2 = -10\n" + flags));
  EXPECT_EQ(shorter.result, 0U);
  EXPECT_EQ(shorter.packet, joined(part(0, 14), part(24, 64)));
  EXPECT_EQ(run(ProgramType::sched_cls, call("skb_adjust_room", " r2 = 6\n" + flags)).packet,
            joined(joined(part(0, 14), Bytes(6)), part(14, 64)));
  const Left kept = run(ProgramType::sched_cls, call("skb_adjust_room", " r2 = -31\n" + flags));
  EXPECT_EQ(static_cast<std::int64_t>(kept.result), -ENOTSUP) << "an IP header has to be left";
}

TEST(Resizing, PacketsGrowAndShrinkAtTheirEnd) {
  const auto to = [](int size) {
    return run(ProgramType::sched_cls,
               call("skb_change_tail", " r2 = " + std::to_string(size) + "\n r3 = 0\n"));
  };
  EXPECT_EQ(to(30).packet, part(0, 30)) << "and what was not linear goes as well";
  EXPECT_EQ(to(70).packet, joined(counting(64), Bytes(6)));
  EXPECT_EQ(static_cast<std::int64_t>(to(10).result), -EINVAL) << "the link header stays";
}

TEST(Resizing, PointersIntoThePacketAreVoidBehindIt) {
  const std::string text = R"(
    r6 = *(u32 *)(r1 + 0)
    r2 = *(u32 *)(r1 + 4)
    r3 = r6
    r3 += 4
    if r3 > r2 goto out
    r1 = r9
    r2 = 0
    call xdp_adjust_tail
    r0 = *(u8 *)(r6 + 0)
  out:
    r0 = 0
    exit
)";
  const Status status = check(object_of(ProgramType::xdp, "r9 = r1\n" + text), 0);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().text().find("r6, which was not written"), std::string::npos)
      << status.error().text();
}

TEST(Sums, AreOfWordsAsTheyStand) {
  const std::string text = R"(
    r1 = 0xffffffff
    *(u64 *)(r10 - 8) = r1
    r1 = 0
    r2 = 0
    r3 = r10
    r3 += -8
    r4 = 8
    r5 = 2
    call csum_diff
)";
  // 2 + 0xffffffff, and what is carried.
  EXPECT_EQ(run(ProgramType::xdp, text).result, 2U);
}

TEST(Redirections, SayWhatTheProgramHasToReturn) {
  EXPECT_EQ(run(ProgramType::sched_cls, "r1 = 3\n r2 = 0\n call redirect\n").result, 7U);
  EXPECT_EQ(run(ProgramType::sched_cls, "r1 = 3\n r2 = 4\n call redirect\n").result, 2U);
  EXPECT_EQ(run(ProgramType::xdp, "r1 = 3\n r2 = 0\n call redirect\n").result, 4U);
  EXPECT_EQ(run(ProgramType::xdp, "r1 = 3\n r2 = 1\n call redirect\n").result, 0U);
}

TEST(Redirections, TellTheDeviceAndWhatWasCopied) {
  const std::string copy = " r2 = 5\n r3 = 0\n";
  const Left left =
      run(ProgramType::sched_cls,
          call("clone_redirect", copy) + call("skb_change_tail", " r2 = 30\n r3 = 0\n") +
              call("clone_redirect", copy) + " r1 = 3\n r2 = 0\n call redirect\n");
  EXPECT_EQ(left.sent.device, 3U);
  ASSERT_EQ(left.sent.copies.size(), 2U);
  EXPECT_EQ(left.sent.copies[0].device, 5U);
  EXPECT_EQ(left.sent.copies[0].bytes, counting(64));
  EXPECT_EQ(left.sent.copies[1].bytes, part(0, 30)) << "as it was then";
  EXPECT_TRUE(run(ProgramType::sched_cls, " r0 = 0\n").sent.copies.empty());
}

}  // namespace
}  // namespace weir::engine
