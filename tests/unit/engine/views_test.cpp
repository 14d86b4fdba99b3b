// SPDX-License-Identifier: BSD-2-Clause
//
// Programs at TC, cgroup and socket hooks: what they see of a packet, and what they leave behind.
#include "engine/map.h"
#include "unit/engine/programs.h"

namespace weir::engine {
namespace {

using isa::ProgramType;

constexpr ProgramType views[] = {ProgramType::sched_cls, ProgramType::cgroup_skb,
                                 ProgramType::socket_filter};

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}

// What a program leaves in the map `one`: `text` puts it into r6, with the context in r9.
std::uint64_t seen(ProgramType type, std::string_view text, const Input& input) {
  const std::string whole = "r9 = r1\n" + std::string(text) +
                            "\n r2 = map[one][0]+0\n *(u64 *)(r2 + 0) = r6\n r0 = 1\n exit\n";
  auto engine = Engine::load(object_of(type, whole));
  EXPECT_TRUE(engine) << engine.error().text();
  if (!engine) return 0xdead;
  EXPECT_EQ(engine->run(0, input), 1U);
  const Bytes key(4);
  return load_native(ByteView(engine->map(isa::MapIndex(2)).lookup(key.data()), 8));
}

std::uint64_t minus(std::uint64_t number) {
  return 0 - number;
}

TEST(Views, ShowWhatIsKnownBesideTheBytes) {
  const Bytes bytes = counting(60);
  const Input input = {.bytes = bytes,
                       .network_offset = 14,
                       .mark = 0x1234,
                       .priority = 6,
                       .hash = 99,
                       .iif = 3,
                       .oif = 4,
                       .iifname = "in0",
                       .oifname = "out0",
                       .pkttype = 2,
                       .protocol = 0x0008,
                       .vlan_present = true,
                       .vlan_protocol = 0x88a8,
                       .vlan_tci = 0x6005};
  for (const auto type : views) {
    const auto member = [&](int offset) {
      return seen(type, "r6 = *(u32 *)(r9 + " + std::to_string(offset) + ")", input);
    };
    EXPECT_EQ(member(0), 60U);
    EXPECT_EQ(member(4), 2U);
    EXPECT_EQ(member(8), 0x1234U);
    EXPECT_EQ(member(16), 8U) << "as it stands in memory";
    EXPECT_EQ(member(20), 1U);
    EXPECT_EQ(member(24), 0x6005U);
    EXPECT_EQ(member(28), 0xa888U) << "as it stands in memory";
    EXPECT_EQ(member(32), 6U);
    EXPECT_EQ(member(36), 3U) << "where it came in";
    EXPECT_EQ(member(40), 4U) << "where it goes out";
    EXPECT_EQ(member(68), 99U);
    EXPECT_EQ(seen(type, "r6 = *(u8 *)(r9 + 9)", input), 0x12U) << "a part of the mark";
    const std::string behind = "r1 = r9\n call kfunc bpf_cast_to_kern_ctx\n";
    EXPECT_EQ(seen(type, behind + "r6 = *(u32 *)(r0 + sk_buff.skb_iif)", input), 3U);
    EXPECT_EQ(seen(type, behind + "r6 = *(u16 *)(r0 + sk_buff.vlan_tci)", input), 0x6005U);
    EXPECT_EQ(seen(type,
                   behind + "r1 = *(u64 *)(r0 + sk_buff.dev)\n"
                            "r6 = *(u32 *)(r1 + net_device.ifindex)",
                   input),
              4U);
    EXPECT_EQ(seen(type,
                   behind + "r6 = *(u16 *)(r0 + sk_buff.network_header)\n"
                            "r1 = *(u16 *)(r0 + sk_buff.mac_header)\n r6 -= r1",
                   input),
              14U);
  }
  const Input incoming = {.bytes = bytes, .iif = 3, .iifname = "in0"};
  EXPECT_EQ(seen(ProgramType::sched_cls, "r6 = *(u32 *)(r9 + 40)", incoming), 3U);
  EXPECT_EQ(seen(ProgramType::sched_cls, "r6 = *(u32 *)(r9 + 20)", incoming), 0U);
}

TEST(Views, ShowDevicesAtXdp) {
  const Bytes bytes = counting(60);
  EXPECT_EQ(seen(ProgramType::xdp,
                 "r1 = r9\n call kfunc bpf_cast_to_kern_ctx\n"
                 "r1 = *(u64 *)(r0 + xdp_buff.rxq)\n r1 = *(u64 *)(r1 + xdp_rxq_info.dev)\n"
                 "r6 = *(u8 *)(r1 + net_device.name)",
                 {.bytes = bytes, .iif = 3, .iifname = "in0"}),
            std::uint64_t{'i'});
}

// r6 = 4 bytes at r2 of the packet, or r0 where they are not there.
std::string loading(std::string_view helper, std::string_view offset, int start = 0) {
  return "r1 = r9\n r2 = " + std::string(offset) +
         "\n r3 = r10\n r3 += -8\n r4 = 4\n r5 = " + std::to_string(start) + "\n call " +
         std::string(helper) + "\n r6 = r0\n if r0 != 0 goto out\n r6 = *(u32 *)(r10 - 8)\nout:\n";
}

TEST(Views, LoadBytesWhereverTheyLie) {
  const Bytes bytes = counting(40);
  const Input input = {.bytes = bytes, .linear_length = 20};
  for (const auto type : views) {
    const auto at = [&](std::string_view offset) {
      return seen(type, loading("skb_load_bytes", offset), input);
    };
    EXPECT_EQ(at("4"), 0x07060504U);
    EXPECT_EQ(at("18"), 0x15141312U) << "across the end of the linear part";
    EXPECT_EQ(at("36"), 0x27262524U);
    EXPECT_EQ(at("37"), minus(14)) << "not all are there";
    EXPECT_EQ(at("-1"), minus(14));
  }
}

TEST(Views, LoadBytesFromTheirHeaders) {
  const Bytes bytes = counting(60);
  // A socket's own view: the packet begins at the transport header.
  const Input input = {.bytes = bytes, .data_offset = 34, .network_offset = 14};
  const auto at = [&](std::string_view offset, int start) {
    return seen(ProgramType::socket_filter, loading("skb_load_bytes_relative", offset, start),
                input);
  };
  EXPECT_EQ(at("0", 0), 0x03020100U);
  EXPECT_EQ(at("0", 1), 0x11100f0eU);
  EXPECT_EQ(at("42", 1), 0x3b3a3938U);
  EXPECT_EQ(at("43", 1), minus(14));
  EXPECT_EQ(at("0", 2), minus(14)) << "no such header";
  EXPECT_EQ(seen(ProgramType::socket_filter, loading("skb_load_bytes", "0"), input), 0x25242322U);
  EXPECT_EQ(seen(ProgramType::socket_filter, "r6 = *(u32 *)(r9 + 0)", input), 26U);
}

// r6 = the byte at offset 30 by direct access, or -1.
constexpr std::string_view direct = R"(
  r6 = -1
  r2 = *(u32 *)(r9 + 76)
  r3 = *(u32 *)(r9 + 80)
  r4 = r2
  r4 += 31
  if r4 > r3 goto short
  r6 = *(u8 *)(r2 + 30)
short:
)";

TEST(Views, AccessTheLinearPartDirectly) {
  const Bytes bytes = counting(40);
  for (const auto type : {ProgramType::sched_cls, ProgramType::cgroup_skb}) {
    EXPECT_EQ(seen(type, direct, {.bytes = bytes}), 30U);
    EXPECT_EQ(seen(type, direct, {.bytes = bytes, .linear_length = 31}), 30U);
    EXPECT_EQ(seen(type, direct, {.bytes = bytes, .linear_length = 30}), minus(1));
  }
}

TEST(Views, PullBytesIntoTheLinearPart) {
  const Bytes bytes = counting(40);
  const auto pulling = [&](int length) {
    return seen(ProgramType::sched_cls,
                "r1 = r9\n r2 = " + std::to_string(length) + "\n call skb_pull_data\n" +
                    std::string(direct),
                {.bytes = bytes, .linear_length = 20});
  };
  EXPECT_EQ(pulling(31), 30U);
  EXPECT_EQ(pulling(40), 30U);
  EXPECT_EQ(pulling(30), minus(1)) << "no more than was asked for";
  EXPECT_EQ(pulling(41), minus(1)) << "longer than the packet";
}

TEST(Views, SliceTheirPackets) {
  const Bytes bytes = counting(40);
  for (const auto type : views) {
    EXPECT_EQ(seen(type,
                   "r1 = r9\n r2 = 0\n r3 = r10\n r3 += -16\n call kfunc bpf_dynptr_from_skb\n"
                   "r1 = r10\n r1 += -16\n r2 = 18\n r3 = r10\n r3 += -24\n r4 = 4\n"
                   "call kfunc bpf_dynptr_slice\n r6 = -1\n if r0 == 0 goto out\n"
                   "r6 = *(u32 *)(r0 + 0)\nout:\n",
                   {.bytes = bytes, .linear_length = 20}),
              0x15141312U);
  }
}

TEST(Views, LeaveMarkAndPriorityBehind) {
  const Bytes bytes = counting(40);
  auto engine = Engine::load(object_of(ProgramType::sched_cls,
                                       "r2 = 7\n *(u32 *)(r1 + 8) = r2\n r2 = 9\n"
                                       "*(u32 *)(r1 + 32) = r2\n r0 = *(u32 *)(r1 + 8)\n exit\n"));
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_EQ(engine->run(0, {.bytes = bytes, .mark = 1}), 7U);
  EXPECT_EQ(engine->output(0).mark, 7U);
  EXPECT_EQ(engine->output(0).priority, 9U);

  auto other = Engine::load(object_of(ProgramType::cgroup_skb, "r0 = 1\n exit\n"));
  ASSERT_TRUE(other) << other.error().text();
  EXPECT_EQ(other->run(0, {.bytes = bytes, .mark = 5}), 1U);
  EXPECT_EQ(other->output(0).mark, 5U) << "as it came";
}

}  // namespace
}  // namespace weir::engine
