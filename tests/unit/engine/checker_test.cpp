// SPDX-License-Identifier: BSD-2-Clause
//
// The checker's rules, each with a program that keeps it and one that does not. For those refused,
// a part of the message.
#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

class Rules : public testing::TestWithParam<Case> {};

TEST_P(Rules, AreKept) {
  expect_verdict(GetParam());
}

const Case flow[] = {
    {"exit", "r0 = 1\n exit\n"},
    {"falls off the end", "r0 = 1\n", "falls off the end"},
    {"falls off behind a jump", "r0 = 1\n if r0 == 1 goto -2\n", "falls off the end"},
    {"jump out of the program", "r0 = 1\n goto +5\n exit\n", "jumps out of the program"},
    {"jump before the program", "r0 = 1\n goto -3\n exit\n", "jumps out of the program"},
    {"jump into a wide instruction", "goto +1\n r0 = 5 ll\n exit\n", "middle of an instruction"},
    {"unreachable instruction", "r0 = 1\n exit\n r0 = 2\n exit\n", "can never be reached"},
    {"endless loop", "r0 = 1\nloop:\n goto loop\n", "a loop that ends"},
    {"endless loop on an unknown number", R"(
      r2 = *(u32 *)(r1 + 12)
    loop:
      if r2 != 5 goto loop
      r0 = 1
      exit
    )",
     "a loop that ends"},
    {"bounded loop", "r0 = 0\nloop:\n r0 += 1\n if r0 < 190 goto loop\n exit\n"},
    {"bounded loop from an unknown number", R"(
      r2 = map[one][0]+0
      r3 = *(u64 *)(r2 + 0)
      r0 = 0
    loop:
      if r3 >= 190 goto out
      r3 += 1
      r4 = *(u64 *)(r2 + 8)
      if r4 == 7 goto out
      if r4 == 9 goto more
      r0 = 1
    more:
      goto loop
    out:
      exit
    )"},
    {"bounded loop whose counter is spilled",
     R"(
      r2 = map[one][0]+0
      r3 = *(u64 *)(r2 + 0)
      *(u64 *)(r10 - 8) = r3
    loop:
      r0 = *(u64 *)(r10 - 8)
      if r0 >= 190 goto out
      r0 = *(u64 *)(r10 - 8)
      r0 += 1
      *(u64 *)(r10 - 8) = r0
      r4 = *(u64 *)(r2 + 8)
      if r4 != 7 goto loop
    out:
      exit
    )"},
    {"a loop that runs too long", "r0 = 0\nloop:\n r0 += 1\n if r0 < 900000 goto loop\n exit\n",
     "expected at most 1000000"},
    {"unknown helper", "call #999\n exit\n", "does not have"},
    {"unknown kernel function", "call kfunc bpf_nothing\n exit\n", "does not have"},
    {"unknown field", "r0 = *(u32 *)(r1 + sk_buff.nothing)\n exit\n", "does not have"},
};
INSTANTIATE_TEST_SUITE_P(Flow, Rules, testing::ValuesIn(flow));

const Case registers[] = {
    {"register that was not written", "r0 = r2\n exit\n", "reads r2, which was not written"},
    {"r0 at exit", "exit\n", "reads r0, which was not written"},
    {"written on one path only", "if r1 == 0 goto out\n r2 = 1\nout:\n r0 = 0\n exit\n"},
    {"r0 of one path only", R"(
      r2 = *(u32 *)(r1 + 12)
      if r2 == 0 goto out
      r0 = 1
    out:
      exit
    )",
     "reads r0, which was not written"},
    {"calls clobber r1 to r5", "r5 = 1\n call ktime_get_ns\n r0 = r5\n exit\n",
     "reads r5, which was not written"},
    {"calls keep r6", "r6 = 1\n call ktime_get_ns\n r0 = r6\n exit\n"},
    {"r10 is read-only", "r10 = 1\n r0 = 0\n exit\n", "writes r10"},
    {"r10 += is a write", "r10 += -8\n r0 = 0\n exit\n", "writes r10"},
    {"division by a constant zero", "r0 = 1\n r0 /= 0\n exit\n", "divides by zero"},
    {"shift beyond the width", "r0 = 1\n r0 <<= 64\n exit\n", "shifts by more"},
    {"32-bit shift beyond the width", "w0 = 1\n w0 <<= 32\n exit\n", "shifts by more"},
    {"a pointer as verdict", "r0 = r1\n exit\n", "expected a number"},
    {"netfilter verdict 1", "r0 = 1\n exit\n", accepted, netfilter},
    {"netfilter verdict 2", "r0 = 2\n exit\n", "expected 0 or 1", netfilter},
    {"netfilter verdict unknown", "call get_prandom_u32\n exit\n", "expected 0 or 1", netfilter},
    {"netfilter verdict masked", "call get_prandom_u32\n r0 &= 1\n exit\n", accepted, netfilter},
};
INSTANTIATE_TEST_SUITE_P(Registers, Rules, testing::ValuesIn(registers));

const Case stack[] = {
    {"stack", "*(u64 *)(r10 - 512) = 1\n r0 = *(u64 *)(r10 - 512)\n exit\n"},
    {"below the stack", "*(u64 *)(r10 - 520) = 1\n r0 = 0\n exit\n", "expected bytes from r10"},
    {"above the stack", "*(u64 *)(r10 - 4) = 1\n r0 = 0\n exit\n", "expected bytes from r10"},
    {"at r10", "*(u8 *)(r10 + 0) = 1\n r0 = 0\n exit\n", "expected bytes from r10"},
    {"uninitialised stack", "r0 = *(u64 *)(r10 - 8)\n exit\n", "was not written"},
    {"partly initialised stack", "*(u32 *)(r10 - 8) = 1\n r0 = *(u64 *)(r10 - 8)\n exit\n",
     "byte at r10 - 4, which was not written"},
    {"initialised in parts",
     "*(u32 *)(r10 - 8) = 1\n *(u32 *)(r10 - 4) = 1\n r0 = *(u64 *)(r10 - 8)\n exit\n"},
    {"initialised on one path only", R"(
      r2 = *(u32 *)(r1 + 12)
      if r2 == 0 goto out
      *(u64 *)(r10 - 8) = 1
    out:
      r0 = *(u64 *)(r10 - 8)
      exit
    )",
     "was not written"},
    {"a spilled context comes back", R"(
      *(u64 *)(r10 - 8) = r1
      r2 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r2 + 12)
      exit
    )"},
    {"a part of a spilled pointer", R"(
      *(u64 *)(r10 - 8) = r1
      r0 = *(u32 *)(r10 - 8)
      exit
    )",
     "reads a part of the context"},
    {"an overwritten pointer is one no more", R"(
      *(u64 *)(r10 - 8) = r1
      *(u8 *)(r10 - 8) = 0
      r2 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r2 + 12)
      exit
    )",
     "as an address"},
    {"a spilled number keeps its bounds", R"(
      r2 = *(u32 *)(r1 + 12)
      r2 &= 7
      *(u64 *)(r10 - 8) = r2
      r3 = *(u64 *)(r10 - 8)
      r4 = map[one][0]+0
      r4 += r3
      r0 = *(u8 *)(r4 + 56)
      exit
    )"},
    {"a comparison narrows the spilled copy", R"(
      r2 = *(u32 *)(r1 + 12)
      *(u64 *)(r10 - 8) = r2
      r0 = 0
      if r2 > 7 goto out
      r3 = *(u64 *)(r10 - 8)
      r4 = map[one][0]+0
      r4 += r3
      r0 = *(u8 *)(r4 + 56)
    out:
      exit
    )"},
    {"a pointer stored in part", "*(u32 *)(r10 - 8) = r1\n r0 = 0\n exit\n",
     "expected 8 aligned bytes"},
    {"a variable place on the stack", R"(
      r2 = *(u32 *)(r1 + 12)
      r2 &= 7
      r3 = r10
      r3 += r2
      *(u8 *)(r3 - 16) = 1
      r0 = 0
      exit
    )",
     "expected a known number"},
    {"an uninitialised key", R"(
      r1 = map[hash]
      r2 = r10
      r2 += -4
      call map_lookup_elem
      r0 = 0
      exit
    )",
     "byte at r10 - 4, which was not written"},
    {"a key across the end of the stack", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = map[hash]
      r2 = r10
      r2 += -2
      call map_lookup_elem
      r0 = 0
      exit
    )",
     "expected bytes from r10"},
};
INSTANTIATE_TEST_SUITE_P(Stack, Rules, testing::ValuesIn(stack));

const Case context[] = {
    {"context field", "r0 = *(u32 *)(r1 + 16)\n exit\n"},
    {"between context fields", "r0 = *(u32 *)(r1 + 2)\n exit\n", "no such member"},
    {"a context field in part", "r0 = *(u16 *)(r1 + 12)\n exit\n", "no such member"},
    {"beyond the context", "r0 = *(u32 *)(r1 + 24)\n exit\n", "no such member"},
    {"writing the context", "*(u32 *)(r1 + 12) = 1\n r0 = 0\n exit\n", "read-only"},
    {"a moved context", "r1 += 4\n r0 = *(u32 *)(r1 + 8)\n exit\n", "expected the context itself"},
    {"the context of the other type", "r2 = *(u64 *)(r1 + 8)\n r0 = 0\n exit\n", "no such member"},
    {"one load from context and stack", R"(
      r2 = *(u32 *)(r1 + 12)
      *(u64 *)(r10 - 8) = 0
      r3 = r10
      r3 += -20
      if r2 == 0 goto use
      r3 = r1
    use:
      r0 = *(u32 *)(r3 + 12)
      exit
    )",
     "expected one of them"},
    {"skb members", R"(
      r2 = *(u64 *)(r1 + bpf_nf_ctx.skb)
      r3 = *(u32 *)(r2 + sk_buff.mark)
      r3 = *(u8 *)(r2 + sk_buff.pkt_type)
      r0 = 1
      exit
    )",
     accepted, netfilter},
    {"writing the skb", R"(
      r2 = *(u64 *)(r1 + 8)
      *(u32 *)(r2 + 0) = 1
      r0 = 1
      exit
    )",
     "read-only", netfilter},
    {"across skb members", R"(
      r2 = *(u64 *)(r1 + 8)
      r3 = *(u64 *)(r2 + sk_buff.len)
      r0 = 1
      exit
    )",
     "no such member", netfilter},
    {"a device that may be null is probed", R"(
      r2 = *(u64 *)(r1 + bpf_nf_ctx.state)
      r2 = *(u64 *)(r2 + nf_hook_state.in)
      r3 = *(u32 *)(r2 + net_device.ifindex)
      r0 = 1
      exit
    )",
     accepted, netfilter},
    {"pointer plus a variable into a structure", R"(
      r2 = *(u64 *)(r1 + 8)
      r3 = *(u32 *)(r2 + sk_buff.mark)
      r2 += r3
      r0 = 1
      exit
    )",
     "expected a known number", netfilter},
};
INSTANTIATE_TEST_SUITE_P(Context, Rules, testing::ValuesIn(context));

const Case packet[] = {
    {"proven bytes", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 14
      r0 = 0
      if r4 > r3 goto out
      r0 = *(u16 *)(r2 + 12)
      r0 = *(u8 *)(r4 - 1)
    out:
      exit
    )"},
    {"one byte too many", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 14
      r0 = 0
      if r4 > r3 goto out
      r0 = *(u16 *)(r2 + 13)
    out:
      exit
    )",
     "comparisons with the end of the packet prove 14 bytes"},
    {"the wrong side", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 14
      r0 = 0
      if r4 <= r3 goto out
      r0 = *(u8 *)(r2 + 0)
    out:
      exit
    )",
     "prove 0 bytes"},
    {"no comparison", "r2 = *(u32 *)(r1 + 0)\n r0 = *(u8 *)(r2 + 0)\n exit\n", "prove 0 bytes"},
    {"before the packet", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 14
      r0 = 0
      if r4 > r3 goto out
      r0 = *(u8 *)(r2 - 1)
    out:
      exit
    )",
     "at offset -1"},
    {"the end on the left, equality excluded", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 13
      r0 = 0
      if r3 <= r4 goto out
      r0 = *(u8 *)(r2 + 13)
    out:
      exit
    )"},
    {"a variable offset", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r5 = *(u32 *)(r1 + 12)
      r5 &= 0x7fff
      r2 += r5
      r6 = r2
      r4 = r2
      r4 += 4
      r0 = 0
      if r4 > r3 goto out
      r0 = *(u32 *)(r6 + 0)
    out:
      exit
    )"},
    {"another variable offset", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r5 = *(u32 *)(r1 + 12)
      r5 &= 0x7fff
      r6 = r2
      r6 += r5
      r2 += r5
      r2 += 4
      r0 = 0
      if r2 > r3 goto out
      r0 = *(u32 *)(r6 + 0)
    out:
      exit
    )",
     "prove 0 bytes"},
    {"an offset without bounds", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r5 = *(u32 *)(r1 + 12)
      r2 += r5
      r4 = r2
      r4 += 4
      r0 = 0
      if r4 > r3 goto out
      r0 = *(u32 *)(r2 + 0)
    out:
      exit
    )",
     "prove 0 bytes"},
    {"writing the packet at XDP", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 1
      r0 = 0
      if r4 > r3 goto out
      *(u8 *)(r2 + 0) = 1
    out:
      exit
    )"},
    {"the end moved", R"(
      r3 = *(u32 *)(r1 + 4)
      r3 += 4
      r0 = 0
      exit
    )",
     "which stays as it is"},
    {"reading at the end", "r3 = *(u32 *)(r1 + 4)\n r0 = *(u8 *)(r3 - 1)\n exit\n",
     "as an address"},
    {"32-bit arithmetic on a pointer", "r2 = *(u32 *)(r1 + 0)\n w2 += 1\n r0 = 0\n exit\n",
     "expected 64-bit addition"},
    {"a shifted pointer", "r2 = *(u32 *)(r1 + 0)\n r2 <<= 1\n r0 = 0\n exit\n",
     "expected 64-bit addition"},
    {"two pointers added", "r1 += r10\n r0 = 0\n exit\n", "expected a number"},
};
INSTANTIATE_TEST_SUITE_P(Packet, Rules, testing::ValuesIn(packet));

}  // namespace
}  // namespace weir::engine
