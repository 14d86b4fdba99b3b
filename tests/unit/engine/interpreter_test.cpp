// SPDX-License-Identifier: BSD-2-Clause
//
// What instructions compute: a program each, and its r0.
#include <gtest/gtest.h>

#include "engine/map.h"
#include "unit/engine/programs.h"

namespace weir::engine {
namespace {

struct Case {
  std::string_view text;  // "exit" follows
  std::uint64_t expected = 0;
};

std::uint64_t run(isa::ProgramType type, std::string_view text, const Input& input = {}) {
  auto engine = Engine::load(object_of(type, std::string(text) + "\nexit\n"));
  EXPECT_TRUE(engine) << engine.error().text();
  return engine ? engine->run(0, input) : 0xdead;
}

class Instructions : public testing::TestWithParam<Case> {};

TEST_P(Instructions, Compute) {
  EXPECT_EQ(run(isa::ProgramType::xdp, GetParam().text), GetParam().expected) << GetParam().text;
}

constexpr std::uint64_t minus(std::uint64_t value) {
  return 0 - value;
}

const Case arithmetic[] = {
    {"r0 = 7\n r0 += -9", minus(2)},
    {"w0 = 7\n w0 += -9", 0xfffffffe},
    {"r0 = 7\n r1 = 9\n r0 -= r1", minus(2)},
    {"r0 = 0xffffffff00000001 ll\n w0 += 1", 2},
    {"r0 = 0x100000000 ll\n r0 *= 3", 0x300000000},
    {"r0 = 0x100000003 ll\n w0 *= 3", 9},
    {"r0 = 100\n r1 = 7\n r0 /= r1", 14},
    {"r0 = 100\n r1 = 0\n r0 /= r1", 0},
    {"r0 = 100\n r1 = 0\n r0 %= r1", 100},
    {"r0 = 0x200000064 ll\n r1 = 0\n w0 %= w1", 100},
    {"r0 = 100\n r0 %= 7", 2},
    {"r0 = -100\n r0 s/= 7", minus(14)},
    {"r0 = -100\n r0 s%= 7", minus(2)},
    {"w0 = -100\n w0 s/= 7", 0xfffffff2},
    {"r0 = 0x8000000000000000 ll\n r1 = -1\n r0 s/= r1", 0x8000000000000000},
    {"r0 = 0x8000000000000000 ll\n r1 = -1\n r0 s%= r1", 0},
    {"r0 = 5\n r1 = 0\n r0 s%= r1", 5},
    {"r0 = 0xf0\n r0 |= 0x0f", 0xff},
    {"r0 = -1\n r0 &= 0xff", 0xff},
    {"r0 = -1\n r0 &= -256", 0xffffffffffffff00},
    {"r0 = 0xff\n r1 = 0x0f\n r0 ^= r1", 0xf0},
    {"r0 = -1\n w0 ^= 0", 0xffffffff},
    {"r0 = 1\n r0 <<= 63", 0x8000000000000000},
    {"r0 = 3\n w0 <<= 31", 0x80000000},
    {"r0 = 1\n r1 = 65\n r0 <<= r1", 2},
    {"r0 = 1\n r1 = 33\n w0 <<= w1", 2},
    {"r0 = -1\n r0 >>= 60", 0xf},
    {"r0 = -1\n w0 >>= 28", 0xf},
    {"r0 = -16\n r0 s>>= 2", minus(4)},
    {"r0 = -16\n w0 s>>= 2", 0xfffffffc},
    {"r0 = 0x7ffffff0\n w0 s>>= 2", 0x1ffffffc},
    {"r0 = 5\n r0 = -r0", minus(5)},
    {"r0 = 5\n w0 = -w0", 0xfffffffb},
};
INSTANTIATE_TEST_SUITE_P(Arithmetic, Instructions, testing::ValuesIn(arithmetic));

const Case moves[] = {
    {"r0 = -1", minus(1)},
    {"w0 = -1", 0xffffffff},
    {"r1 = 0x1234567890 ll\n w0 = w1", 0x34567890},
    {"r1 = 0x80\n r0 = (s8)r1", minus(0x80)},
    {"r1 = 0x17f\n r0 = (s8)r1", 0x7f},
    {"r1 = 0x80\n w0 = (s8)w1", 0xffffff80},
    {"r1 = 0x8000\n r0 = (s16)r1", minus(0x8000)},
    {"r1 = 0x8000\n w0 = (s16)w1", 0xffff8000},
    {"r1 = 0x80000000 ll\n r0 = (s32)r1", 0xffffffff80000000},
    {"r0 = 0x1122334455667788 ll\n r0 = be16 r0", 0x8877},
    {"r0 = 0x1122334455667788 ll\n r0 = be32 r0", 0x88776655},
    {"r0 = 0x1122334455667788 ll\n r0 = be64 r0", 0x8877665544332211},
    {"r0 = 0x1122334455667788 ll\n r0 = le16 r0", 0x7788},
    {"r0 = 0x1122334455667788 ll\n r0 = le32 r0", 0x55667788},
    {"r0 = 0x1122334455667788 ll\n r0 = le64 r0", 0x1122334455667788},
    {"r0 = 0x1122334455667788 ll\n r0 = bswap16 r0", 0x8877},
    {"r0 = 0x1122334455667788 ll\n r0 = bswap32 r0", 0x88776655},
    {"r0 = 0x1122334455667788 ll\n r0 = bswap64 r0", 0x8877665544332211},
};
INSTANTIATE_TEST_SUITE_P(Moves, Instructions, testing::ValuesIn(moves));

const Case memory[] = {
    {"r1 = 0x1122334455667788 ll\n *(u64 *)(r10 - 8) = r1\n r0 = *(u8 *)(r10 - 7)", 0x77},
    {"r1 = 0x1122334455667788 ll\n *(u64 *)(r10 - 8) = r1\n r0 = *(u16 *)(r10 - 8)", 0x7788},
    {"r1 = 0x1122334455667788 ll\n *(u64 *)(r10 - 8) = r1\n r0 = *(u32 *)(r10 - 6)", 0x33445566},
    {"*(u64 *)(r10 - 8) = -2\n r0 = *(u64 *)(r10 - 8)", minus(2)},
    {"*(u32 *)(r10 - 4) = -2\n r0 = *(u32 *)(r10 - 4)", 0xfffffffe},
    {"*(u64 *)(r10 - 8) = 0x80\n r0 = *(s8 *)(r10 - 8)", minus(0x80)},
    {"*(u64 *)(r10 - 8) = 0x8000\n r0 = *(s16 *)(r10 - 8)", minus(0x8000)},
    {"*(u64 *)(r10 - 8) = 0x80000000\n r0 = *(s32 *)(r10 - 8)", 0xffffffff80000000},
    {"*(u64 *)(r10 - 8) = -1\n *(u8 *)(r10 - 5) = 0\n *(u16 *)(r10 - 8) = 0x1234\n"
     "r0 = *(u64 *)(r10 - 8)",
     0xffffffff00ff1234},
    {"*(u64 *)(r10 - 8) = 5\n r1 = 3\n lock *(u64 *)(r10 - 8) += r1\n r0 = *(u64 *)(r10 - 8)", 8},
    {"*(u64 *)(r10 - 8) = -1\n r1 = 1\n lock *(u32 *)(r10 - 8) += r1\n r0 = *(u64 *)(r10 - 8)",
     0xffffffff00000000},
    {"*(u64 *)(r10 - 8) = 5\n r0 = 3\n r0 = atomic64_fetch_add((u64 *)(r10 - 8), r0)", 5},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n lock *(u64 *)(r10 - 8) &= r1\n r0 = *(u64 *)(r10 - 8)", 2},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n lock *(u64 *)(r10 - 8) |= r1\n r0 = *(u64 *)(r10 - 8)", 7},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n lock *(u64 *)(r10 - 8) ^= r1\n r0 = *(u64 *)(r10 - 8)", 5},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n r1 = atomic64_xchg((u64 *)(r10 - 8), r1)\n"
     "r0 = *(u64 *)(r10 - 8)\n r0 <<= 4\n r0 |= r1",
     0x36},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n r0 = 6\n"
     "r0 = atomic64_cmpxchg((u64 *)(r10 - 8), r0, r1)\n r1 = *(u64 *)(r10 - 8)\n"
     "r0 <<= 4\n r0 |= r1",
     0x63},
    {"*(u64 *)(r10 - 8) = 6\n r1 = 3\n r0 = 7\n"
     "r0 = atomic64_cmpxchg((u64 *)(r10 - 8), r0, r1)\n r1 = *(u64 *)(r10 - 8)\n"
     "r0 <<= 4\n r0 |= r1",
     0x66},
};
INSTANTIATE_TEST_SUITE_P(Memory, Instructions, testing::ValuesIn(memory));

// 1 when the jump is taken, 2 when not.
struct Jump {
  std::uint64_t left = 0;
  std::string_view condition;  // between "if" and "goto"; r2 is the left side
  bool taken = false;
};

class Jumps : public testing::TestWithParam<Jump> {};

TEST_P(Jumps, AreTakenWhenTheyHold) {
  const Jump& jump = GetParam();
  const std::string text = "r2 = " + std::to_string(jump.left) + " ll\n r3 = -1\n r0 = 1\n if " +
                           std::string(jump.condition) + " goto out\n r0 = 2\nout:";
  EXPECT_EQ(run(isa::ProgramType::xdp, text), jump.taken ? 1 : 2)
      << jump.left << ": " << jump.condition;
}

const Jump jumps[] = {
    {5, "r2 == 5", true},
    {5, "r2 == 6", false},
    {0x100000005, "r2 == 5", false},
    {0x100000005, "w2 == 5", true},
    {5, "r2 != 5", false},
    {5, "r2 > 4", true},
    {5, "r2 > 5", false},
    {5, "r2 >= 5", true},
    {5, "r2 < 5", false},
    {5, "r2 <= 5", true},
    {5, "r2 > -1", false},
    {5, "r2 s> -1", true},
    {5, "r2 s> r3", true},
    {5, "r2 > r3", false},
    {minus(5), "r2 s< 0", true},
    {minus(5), "r2 s<= -5", true},
    {minus(5), "r2 s>= -4", false},
    {minus(5), "r2 < 0", false},
    {0xfffffffb, "w2 s< 0", true},
    {0xfffffffb, "r2 s< 0", false},
    {0xfffffffb, "w2 s>= -5", true},
    {0x1fffffffb, "w2 > w3", false},
    {0xffffffff, "w2 >= w3", true},
    {0xffffffff, "r2 >= r3", false},
    {6, "r2 & 2", true},
    {6, "r2 & 9", false},
    {0x600000000, "w2 & -1", false},
    {0x600000000, "r2 & -1", true},
};
INSTANTIATE_TEST_SUITE_P(Conditions, Jumps, testing::ValuesIn(jumps));

TEST(Interpreter, RunsLoopsAndCountsInstructions) {
  auto engine = Engine::load(
      object_of(isa::ProgramType::xdp, "r0 = 0\nagain:\nr0 += 3\nif r0 < 30 goto again\nexit\n"));
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_EQ(engine->run(0, {}), 30U);
  EXPECT_EQ(engine->executed(), 22U);
}

TEST(Interpreter, CallsFunctions) {
  constexpr std::string_view text = R"(
    r6 = 5
    *(u64 *)(r10 - 8) = 7
    r1 = 100
    call outer
    r1 = *(u64 *)(r10 - 8)
    r0 += r1
    r0 += r6
    exit
  outer:
    r6 = r1
    *(u64 *)(r10 - 8) = 1000
    r1 = 20
    call inner
    r0 += r6
    r1 = *(u64 *)(r10 - 8)
    r0 += r1
    exit
  inner:
    *(u64 *)(r10 - 8) = 0
    r6 = 0
    r0 = r1
    r0 *= 3
  )";
  EXPECT_EQ(run(isa::ProgramType::xdp, text), 60U + 100 + 1000 + 7 + 5);
}

constexpr std::string_view xdp_load = R"(
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 14
  r0 = 0
  if r4 > r3 goto out
  r0 = *(u16 *)(r2 + 12)
  r0 = be16 r0
out:
)";

TEST(Interpreter, ReadsPacketsAtXdp) {
  Bytes frame(14);
  frame[12] = 0x08;
  frame[13] = 0x06;
  EXPECT_EQ(run(isa::ProgramType::xdp, xdp_load, {.bytes = frame}), 0x0806U);
  frame.pop_back();
  EXPECT_EQ(run(isa::ProgramType::xdp, xdp_load, {.bytes = frame}), 0U) << "13 bytes";
  EXPECT_EQ(run(isa::ProgramType::xdp, "r0 = *(u32 *)(r1 + 12)", {.bytes = frame, .iif = 7}), 7U);
}

TEST(Interpreter, KeepsMapsBetweenRuns) {
  auto engine = Engine::load(object_of(isa::ProgramType::xdp, R"(
    *(u32 *)(r10 - 4) = 2
    r1 = map[counters]
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 8)
    r1 += 10
    *(u64 *)(r0 + 8) = r1
    r0 = r1
    exit
  out:
    r0 = 0
    exit
  )"));
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_EQ(engine->run(0, {}), 10U);
  EXPECT_EQ(engine->run(0, {}), 20U);
  const Bytes key = native_bytes(2, 4);
  const std::uint8_t* value = engine->map(isa::MapIndex(4)).lookup(key.data());
  EXPECT_EQ(load_native(ByteView(value + 8, 8)), 20U);
}

TEST(Interpreter, UpdatesAndDeletesEntries) {
  constexpr std::string_view update = R"(
    *(u32 *)(r10 - 4) = 9
    *(u64 *)(r10 - 24) = 123
    *(u64 *)(r10 - 16) = 0
    r1 = map[hash]
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -24
    r4 = 0
    call map_update_elem
    r1 = map[hash]
    r2 = r10
    r2 += -4
  )";
  constexpr std::string_view lookup = R"(
    call map_lookup_elem
    if r0 == 0 goto none
    r0 = *(u64 *)(r0 + 0)
    exit
  none:
    r0 = -1
  )";
  EXPECT_EQ(run(isa::ProgramType::xdp, std::string(update) + std::string(lookup)), 123U);
  EXPECT_EQ(run(isa::ProgramType::xdp, std::string(update) +
                                           "call map_delete_elem\n r1 = map[hash]\n"
                                           "r2 = r10\n r2 += -4\n" +
                                           std::string(lookup)),
            minus(1));
}

TEST(Interpreter, ReadsNetfilterContexts) {
  const Bytes bytes(40, 0xab);
  const Input input = {.bytes = bytes,
                       .linear_length = 24,
                       .mark = 0x11,
                       .iif = 3,
                       .iifname = "eth0",
                       .pkttype = 2,
                       .protocol = 0x0008,
                       .ct_info = 2,
                       .has_connection = true};
  const auto member = [&](std::string_view load) {
    auto object = object_of(isa::ProgramType::netfilter,
                            "r2 = *(u64 *)(r1 + bpf_nf_ctx.skb)\n"
                            "r3 = *(u64 *)(r1 + bpf_nf_ctx.state)\n" +
                                std::string(load) +
                                "\nr6 = map[one][0]+8\n *(u64 *)(r6 + 0) = r4\n r0 = 1\n exit\n");
    auto engine = Engine::load(object);
    EXPECT_TRUE(engine) << engine.error().text();
    if (!engine) return std::uint64_t{0xdead};
    EXPECT_EQ(engine->run(0, input), 1U);
    const Bytes key(4);
    return load_native(ByteView(engine->map(isa::MapIndex(2)).lookup(key.data()) + 8, 8));
  };
  EXPECT_EQ(member("r4 = *(u32 *)(r2 + sk_buff.mark)"), 0x11U);
  EXPECT_EQ(member("r4 = *(u32 *)(r2 + sk_buff.len)"), 40U);
  EXPECT_EQ(member("r4 = *(u32 *)(r2 + sk_buff.data_len)"), 16U);
  EXPECT_EQ(member("r4 = *(u8 *)(r2 + sk_buff.pkt_type)\n r4 &= 7"), 2U);
  EXPECT_EQ(member("r4 = *(u16 *)(r2 + sk_buff.protocol)"), 8U);
  EXPECT_EQ(member("r4 = *(u64 *)(r2 + sk_buff._nfct)\n r4 &= 7"), 2U);
  EXPECT_NE(member("r4 = *(u64 *)(r2 + sk_buff._nfct)\n r4 >>= 3"), 0U);
  EXPECT_EQ(member("r4 = *(u64 *)(r2 + sk_buff.data)\n r5 = *(u64 *)(r2 + sk_buff.head)\n"
                   "r4 -= r5\n r5 = *(u16 *)(r2 + sk_buff.network_header)\n r4 -= r5"),
            0U);
  EXPECT_EQ(member("r4 = *(u64 *)(r3 + nf_hook_state.in)\n r4 = *(u32 *)(r4 + net_device.ifindex)"),
            3U);
  EXPECT_EQ(
      member("r4 = *(u64 *)(r3 + nf_hook_state.out)\n r4 = *(u32 *)(r4 + net_device.ifindex)"), 0U)
      << "no output device";
  const std::string_view name = R"(
    r1 = *(u64 *)(r3 + nf_hook_state.in)
    r1 += net_device.name
    r2 = 0
    call kfunc bpf_rdonly_cast
    r4 = *(u64 *)(r0 + 0)
  )";
  EXPECT_EQ(member(name), 0x30687465U) << "\"eth0\"";
}

// Reads the 4 bytes at r7 of the packet through untrusted memory, into r0's low bit via a map.
std::uint64_t packet_word(std::string_view how, std::uint32_t offset, const Input& input) {
  const std::string text = "r7 = " + std::to_string(offset) + "\n r8 = *(u64 *)(r1 + 8)\n" +
                           std::string(how) +
                           "\nr1 = map[one][0]+0\n *(u64 *)(r1 + 0) = r6\n r0 = 1\n exit\n";
  auto engine = Engine::load(object_of(isa::ProgramType::netfilter, text));
  EXPECT_TRUE(engine) << engine.error().text();
  if (!engine) return 0xdead;
  EXPECT_EQ(engine->run(0, input), 1U);
  const Bytes key(4);
  return load_native(ByteView(engine->map(isa::MapIndex(2)).lookup(key.data()), 8));
}

constexpr std::string_view through_untrusted = R"(
  r1 = *(u64 *)(r8 + sk_buff.data)
  r1 += r7
  r2 = 0
  call kfunc bpf_rdonly_cast
  r6 = *(u32 *)(r0 + 0)
)";

constexpr std::string_view through_slice = R"(
  r1 = r8
  r2 = 0
  r3 = r10
  r3 += -16
  call kfunc bpf_dynptr_from_skb
  r1 = r10
  r1 += -16
  r2 = r7
  r3 = r10
  r3 += -24
  r4 = 4
  call kfunc bpf_dynptr_slice
  r6 = -1
  if r0 == 0 goto out
  r1 = r0
  r2 = 0
  call kfunc bpf_rdonly_cast
  r6 = *(u32 *)(r0 + 0)
out:
)";

TEST(Interpreter, ReadsThroughUntrustedMemory) {
  Bytes bytes(20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const Input input = {.bytes = bytes, .linear_length = 12};
  EXPECT_EQ(packet_word(through_untrusted, 4, input), 0x07060504U);
  EXPECT_EQ(packet_word(through_untrusted, 8, input), 0x0b0a0908U);
  EXPECT_EQ(packet_word(through_untrusted, 9, input), 0U) << "beyond the linear part";
  EXPECT_EQ(packet_word(through_untrusted, 0x7fffffff, input), 0U);
}

TEST(Interpreter, SlicesPackets) {
  Bytes bytes(20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const Input input = {.bytes = bytes, .linear_length = 12};
  EXPECT_EQ(packet_word(through_slice, 8, input), 0x0b0a0908U) << "in the linear part";
  EXPECT_EQ(packet_word(through_slice, 10, input), 0x0d0c0b0aU) << "across its end";
  EXPECT_EQ(packet_word(through_slice, 16, input), 0x13121110U);
  EXPECT_EQ(packet_word(through_slice, 17, input), minus(1)) << "beyond the packet";
}

TEST(Interpreter, ProbesKernelMemory) {
  constexpr std::string_view probe = R"(
    *(u64 *)(r10 - 8) = -1
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = %
    call probe_read_kernel
    r1 = *(u64 *)(r10 - 8)
    if r1 == 0 goto out
    r0 = r1
  out:
  )";
  const auto with = [&](std::string_view source) {
    std::string text(probe);
    text.replace(text.find('%'), 1, source);
    return run(isa::ProgramType::xdp, text);
  };
  EXPECT_EQ(with("64"), minus(14)) << "-EFAULT, and zeros";
  EXPECT_EQ(with("r10\n r3 += -8"), minus(1)) << "the stack itself";
}

}  // namespace
}  // namespace weir::engine
