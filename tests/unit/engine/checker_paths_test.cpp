// SPDX-License-Identifier: BSD-2-Clause
//
// The checker's rules about maps and kernel functions, about paths that meet, and its messages.
#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

class MoreRules : public testing::TestWithParam<Case> {};

TEST_P(MoreRules, AreKept) {
  expect_verdict(GetParam());
}

#define LOOKUP                                                     \
  "*(u32 *)(r10 - 4) = 0\n r1 = map[hash]\n r2 = r10\n r2 += -4\n" \
  "call map_lookup_elem\n"

const Case maps[] = {
    {"lookup with a null check",
     LOOKUP "if r0 == 0 goto out\n r0 = *(u64 *)(r0 + 8)\nout:\n exit\n"},
    {"lookup without a null check", LOOKUP "r0 = *(u64 *)(r0 + 0)\n exit\n",
     "expected a comparison with 0 before"},
    {"null check the wrong way",
     LOOKUP "if r0 != 0 goto out\n r0 = *(u64 *)(r0 + 0)\nout:\n r0 = 0\n exit\n",
     "uses 0 as an address"},
    {"null check of a copy",
     LOOKUP "r6 = r0\n if r6 == 0 goto out\n r6 = *(u64 *)(r0 + 8)\nout:\n r0 = 0\n exit\n"},
    {"null check of another lookup", LOOKUP R"(
      r6 = r0
      *(u32 *)(r10 - 4) = 1
      r1 = map[hash]
      r2 = r10
      r2 += -4
      call map_lookup_elem
      if r0 == 0 goto out
      r0 = *(u64 *)(r6 + 0)
    out:
      r0 = 0
      exit
    )",
     "expected a comparison with 0 before"},
    {"arithmetic before the null check", LOOKUP "r0 += 8\n r0 = 0\n exit\n",
     "expected a comparison with 0 before"},
    {"beyond the value", LOOKUP "if r0 == 0 goto out\n r0 = *(u64 *)(r0 + 9)\nout:\n exit\n",
     "which has 16 bytes"},
    {"before the value", LOOKUP "if r0 == 0 goto out\n r0 = *(u64 *)(r0 - 1)\nout:\n exit\n",
     "which has 16 bytes"},
    {"storing a value",
     LOOKUP "if r0 == 0 goto out\n *(u64 *)(r0 + 8) = 1\n r0 = 0\nout:\n exit\n"},
    {"atomic add to a value",
     LOOKUP "r1 = 1\n if r0 == 0 goto out\n lock *(u64 *)(r0 + 8) += r1\n r0 = 0\nout:\n exit\n"},
    {"atomic add to the packet", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = 1
      lock *(u64 *)(r2 + 0) += r3
      r0 = 0
      exit
    )",
     "expected the stack or a map's value"},
    {"a map as memory", "r1 = map[hash]\n r0 = *(u64 *)(r1 + 0)\n exit\n", "as an address"},
    {"a number as map", LOOKUP "r1 = 5\n r2 = r10\n call map_lookup_elem\n exit\n",
     "gets 5 in r1, expected a map"},
    {"a number as key", "r1 = map[hash]\n r2 = 4\n call map_lookup_elem\n exit\n",
     "gets 4 in r2, expected a pointer"},
    {"update",
     "*(u64 *)(r10 - 8) = 0\n *(u64 *)(r10 - 16) = 0\n r1 = map[hash]\n r2 = r10\n"
     "r2 += -8\n r3 = r10\n r3 += -16\n r4 = 0\n call map_update_elem\n exit\n"},
    {"update with a short value",
     "*(u64 *)(r10 - 8) = 0\n r1 = map[hash]\n r2 = r10\n"
     "r2 += -8\n r3 = r2\n r4 = 0\n call map_update_elem\n exit\n",
     "expected bytes from r10"},
    {"direct value", "r1 = map[one][0]+56\n r0 = *(u64 *)(r1 + 0)\n exit\n"},
    {"beyond the direct value", "r1 = map[one][0]+57\n r0 = *(u64 *)(r1 + 0)\n exit\n",
     "which has 64 bytes"},
    {"a direct value beyond its end", "r1 = map[one][0]+64\n r0 = 0\n exit\n",
     "addresses byte 64 of a value of 64"},
    {"a direct value of a larger array", "r1 = map[array][0]+0\n r0 = 0\n exit\n",
     "expected an array of one element"},
    {"a read-only value", "r1 = map[fixed][0]+0\n r0 = *(u64 *)(r1 + 0)\n exit\n"},
    {"writing a read-only value", "r1 = map[fixed][0]+0\n *(u64 *)(r1 + 0) = 1\n r0 = 0\n exit\n",
     "which is read-only"},
    {"a bounded index into a value", R"(
      r2 = *(u32 *)(r1 + 12)
      r0 = 0
      if r2 > 15 goto out
      r2 <<= 2
      r3 = map[one][0]+0
      r3 += r2
      r0 = *(u32 *)(r3 + 0)
    out:
      exit
    )"},
    {"an index one too large", R"(
      r2 = *(u32 *)(r1 + 12)
      r0 = 0
      if r2 > 16 goto out
      r2 <<= 2
      r3 = map[one][0]+0
      r3 += r2
      r0 = *(u32 *)(r3 + 0)
    out:
      exit
    )",
     "which has 64 bytes"},
    {"an index that may be negative", R"(
      r2 = *(u32 *)(r1 + 12)
      r0 = 0
      if r2 > 15 goto out
      r2 -= 1
      r3 = map[one][0]+0
      r3 += r2
      r0 = *(u8 *)(r3 + 0)
    out:
      exit
    )",
     "which has 64 bytes"},
    {"an index without bounds", R"(
      r2 = *(u64 *)(r10 - 8)
      r3 = map[one][0]+0
      r3 += r2
      r0 = *(u8 *)(r3 + 0)
      exit
    )",
     "was not written"},
};
INSTANTIATE_TEST_SUITE_P(Maps, MoreRules, testing::ValuesIn(maps));

#define DYNPTR                                                        \
  "r6 = *(u64 *)(r1 + 8)\n r1 = r6\n r2 = 0\n r3 = r10\n r3 += -16\n" \
  "call kfunc bpf_dynptr_from_skb\n"
#define SLICE                                                       \
  "r1 = r10\n r1 += -16\n r2 = 4\n r3 = r10\n r3 += -24\n r4 = 8\n" \
  "call kfunc bpf_dynptr_slice\n"

const Case kernel_functions[] = {
    {"slice", DYNPTR SLICE "if r0 == 0 goto out\n r2 = *(u64 *)(r0 + 0)\nout:\n r0 = 1\n exit\n",
     accepted, netfilter},
    {"slice without a null check", DYNPTR SLICE "r2 = *(u64 *)(r0 + 0)\n r0 = 1\n exit\n",
     "expected a comparison with 0 before", netfilter},
    {"beyond the slice",
     DYNPTR SLICE "if r0 == 0 goto out\n r2 = *(u64 *)(r0 + 1)\nout:\n r0 = 1\n exit\n",
     "which has 8 bytes", netfilter},
    {"writing a slice",
     DYNPTR SLICE "if r0 == 0 goto out\n *(u64 *)(r0 + 0) = 1\nout:\n r0 = 1\n exit\n",
     "which is read-only", netfilter},
    {"slice without a dynptr", "*(u64 *)(r10 - 16) = 0\n" SLICE "r0 = 1\n exit\n",
     "where no dynptr stands", netfilter},
    {"slice of an overwritten dynptr", DYNPTR "*(u8 *)(r10 - 8) = 0\n" SLICE "r0 = 1\n exit\n",
     "where no dynptr stands", netfilter},
    {"reading a dynptr", DYNPTR "r2 = *(u64 *)(r10 - 16)\n r0 = 1\n exit\n", "reads the dynptr",
     netfilter},
    {"a dynptr that is not aligned",
     "r1 = *(u64 *)(r1 + 8)\n r2 = 0\n r3 = r10\n r3 += -20\n call kfunc bpf_dynptr_from_skb\n"
     "r0 = 1\n exit\n",
     "16 aligned bytes", netfilter},
    {"a dynptr of no skb",
     "r2 = 0\n r3 = r10\n r3 += -16\n call kfunc bpf_dynptr_from_skb\n"
     "r0 = 1\n exit\n",
     "expected the context's struct sk_buff", netfilter},
    {"slice of an unknown size",
     DYNPTR "r4 = *(u32 *)(r6 + sk_buff.mark)\n r1 = r10\n r1 += -16\n r2 = 4\n r3 = 0\n"
            "call kfunc bpf_dynptr_slice\n r0 = 1\n exit\n",
     "expected a known size", netfilter},
    {"slice without a buffer",
     DYNPTR "r1 = r10\n r1 += -16\n r2 = 4\n r3 = 0\n r4 = 8\n call kfunc bpf_dynptr_slice\n"
            "r0 = 1\n exit\n",
     accepted, netfilter},
    {"a buffer that is too short",
     DYNPTR "r1 = r10\n r1 += -16\n r2 = 4\n r3 = r10\n r3 += -4\n r4 = 8\n"
            "call kfunc bpf_dynptr_slice\n r0 = 1\n exit\n",
     "expected bytes from r10", netfilter},
    {"a buffer over a spilled pointer",
     "*(u64 *)(r10 - 24) = r1\n" DYNPTR SLICE "r1 = *(u64 *)(r10 - 24)\n r2 = *(u64 *)(r1 + 0)\n"
     "r0 = 1\n exit\n",
     "as an address", netfilter},
    {"cast of a number",
     "r1 = 64\n r2 = 0\n call kfunc bpf_rdonly_cast\n r1 = *(u64 *)(r0 + 99)\n"
     "r0 = 1\n exit\n",
     accepted, netfilter},
    {"cast of a slice, without a null check",
     DYNPTR SLICE "r1 = r0\n r2 = 0\n call kfunc bpf_rdonly_cast\n r1 = *(u8 *)(r0 + 5000)\n"
                  "r0 = 1\n exit\n",
     accepted, netfilter},
    {"writing through a cast",
     "r1 = r10\n r2 = 0\n call kfunc bpf_rdonly_cast\n *(u8 *)(r0 - 1) = 1\n r0 = 1\n exit\n",
     "which is read-only", netfilter},
    {"cast to a type", "r2 = 1\n call kfunc bpf_rdonly_cast\n r0 = 1\n exit\n", "expected 0",
     netfilter},
    {"a cast as key",
     "r1 = r10\n r2 = 0\n call kfunc bpf_rdonly_cast\n r2 = r0\n r1 = map[hash]\n"
     "call map_lookup_elem\n r0 = 1\n exit\n",
     "expected a pointer to 4 bytes", netfilter},
    {"probe read",
     "r1 = r10\n r1 += -8\n r2 = 8\n r3 = 64\n call probe_read_kernel\n"
     "r0 = *(u64 *)(r10 - 8)\n exit\n"},
    {"probe read of an unknown size",
     "r2 = *(u32 *)(r1 + 12)\n r1 = r10\n r1 += -8\n r3 = 64\n call probe_read_kernel\n exit\n",
     "expected a known size"},
    {"probe read past the stack",
     "r1 = r10\n r1 += -8\n r2 = 9\n r3 = 64\n call probe_read_kernel\n exit\n",
     "expected bytes from r10"},
};
INSTANTIATE_TEST_SUITE_P(KernelFunctions, MoreRules, testing::ValuesIn(kernel_functions));

// Paths that meet with different knowledge: what one of them knows must not help the other.
const Case joins[] = {
    {"the first path knows the bounds", R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = *(u32 *)(r1 + 16)
      if r3 == 0 goto meet
      r2 &= 7
    meet:
      r4 = map[one][0]+0
      r4 += r2
      r0 = *(u8 *)(r4 + 0)
      exit
    )",
     "which has 64 bytes"},
    {"the second path knows the bounds", R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = *(u32 *)(r1 + 16)
      if r3 != 0 goto meet
      r2 &= 7
    meet:
      r4 = map[one][0]+0
      r4 += r2
      r0 = *(u8 *)(r4 + 0)
      exit
    )",
     "which has 64 bytes"},
    {"the paths' pointers have different ranges", R"(
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 20
      r0 = 0
      if r4 <= r3 goto meet
      r4 = r2
      r4 += 14
      if r4 > r3 goto out
    meet:
      r0 = *(u8 *)(r2 + 14)
    out:
      exit
    )",
     "prove 14 bytes"},
    {"only one path has equal registers", R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = *(u32 *)(r1 + 16)
      r5 = *(u32 *)(r1 + 8)
      if r5 != 0 goto meet
      r2 = r3
    meet:
      r0 = 0
      if r2 > 7 goto out
      r4 = map[one][0]+0
      r4 += r3
      r0 = *(u8 *)(r4 + 0)
    out:
      exit
    )",
     "which has 64 bytes"},
    {"only one path has one lookup in two registers", LOOKUP R"(
      r6 = r0
      r7 = r0
      call get_prandom_u32
      if r0 == 0 goto meet
      *(u32 *)(r10 - 4) = 1
      r1 = map[hash]
      r2 = r10
      r2 += -4
      call map_lookup_elem
      r7 = r0
    meet:
      if r6 == 0 goto out
      r0 = *(u64 *)(r7 + 0)
    out:
      r0 = 0
      exit
    )",
     "expected a comparison with 0 before"},
    {"a flag tells which bounds hold",
     R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = 0
      if r2 > 7 goto meet
      r3 = 1
    meet:
      r0 = 0
      if r3 == 0 goto out
      r4 = map[one][0]+56
      r4 += r2
      r0 = *(u8 *)(r4 + 0)
    out:
      exit
    )"},
    {"a flag tells which bounds do not hold",
     R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = 1
      if r2 > 7 goto meet
      r3 = 0
    meet:
      r0 = 0
      if r3 == 0 goto out
      r4 = map[one][0]+56
      r4 += r2
      r0 = *(u8 *)(r4 + 0)
    out:
      exit
    )",
     "which has 64 bytes"},
    {"a flag that went through the stack and arithmetic",
     R"(
      r2 = *(u32 *)(r1 + 12)
      r3 = 5
      if r2 > 7 goto meet
      r3 = 4
    meet:
      *(u64 *)(r10 - 8) = r3
      r5 = *(u32 *)(r1 + 16)
      if r5 == 0 goto on
      r5 = 0
    on:
      r6 = *(u64 *)(r10 - 8)
      r6 -= 4
      w7 = w6
      r0 = 0
      if r7 == 0 goto out
      r4 = map[one][0]+56
      r4 += r2
      r0 = *(u8 *)(r4 + 0)
    out:
      exit
    )",
     "which has 64 bytes"},
    {"a verdict that only one path knows",
     R"(
      r6 = *(u64 *)(r1 + bpf_nf_ctx.skb)
      r2 = *(u32 *)(r6 + sk_buff.mark)
      r0 = 1
      if r2 != 0 goto meet
      r0 = r2
      r0 += 2
    meet:
      r3 = r0
      r0 = r3
      exit
    )",
     "expected 0 or 1", netfilter},
    {"only one path spilled a pointer", R"(
      *(u64 *)(r10 - 8) = r1
      r2 = *(u32 *)(r1 + 12)
      if r2 == 0 goto meet
      *(u64 *)(r10 - 8) = 0
    meet:
      r3 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r3 + 12)
      exit
    )",
     "as an address"},
};
INSTANTIATE_TEST_SUITE_P(Joins, MoreRules, testing::ValuesIn(joins));

const Case calls[] = {
    {"a function", "r1 = 1\n call f\n exit\nf:\n r0 = r1\n exit\n"},
    {"a function gets r1 to r5 only", "r6 = 1\n call f\n exit\nf:\n r0 = r6\n exit\n",
     "reads r6, which was not written"},
    {"a call clobbers r1 to r5", "r1 = 1\n call f\n r0 = r1\n exit\nf:\n r0 = 0\n exit\n",
     "reads r1, which was not written"},
    {"a call keeps r6 to r9 and the stack",
     R"(
      r6 = r1
      *(u64 *)(r10 - 8) = r1
      call f
      r0 = *(u32 *)(r6 + 12)
      r6 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r6 + 12)
      exit
    f:
      r6 = 0
      *(u64 *)(r10 - 8) = r6
      r0 = 0
      exit
    )"},
    {"a function has a stack of its own",
     "*(u64 *)(r10 - 8) = 1\n call f\n exit\nf:\n r0 = *(u64 *)(r10 - 8)\n exit\n",
     "which was not written"},
    {"a function that returns nothing", "call f\n r0 = 0\n exit\nf:\n r1 = 0\n exit\n",
     "reads r0, which was not written"},
    {"the caller's stack as an argument", R"(
      *(u64 *)(r10 - 8) = 3
      *(u64 *)(r10 - 16) = r1
      r1 = r10
      r1 += -16
      call f
      r1 = *(u64 *)(r10 - 16)
      r0 = *(u32 *)(r1 + 12)
      r1 = *(u64 *)(r10 - 8)
      r2 = map[one][0]+0
      r2 += r1
      r0 = *(u8 *)(r2 + 0)
      exit
    f:
      r2 = *(u64 *)(r1 + 0)
      r0 = *(u32 *)(r2 + 12)
      r2 = *(u64 *)(r1 + 8)
      r2 += 60
      *(u64 *)(r1 + 8) = r2
      exit
    )"},
    {"a number on the caller's stack that a function lets grow", R"(
      *(u64 *)(r10 - 8) = 3
      r1 = r10
      r1 += -8
      call f
      r1 = *(u64 *)(r10 - 8)
      r2 = map[one][0]+0
      r2 += r1
      r0 = *(u8 *)(r2 + 0)
      exit
    f:
      r0 = *(u64 *)(r1 + 0)
      r0 += 61
      *(u64 *)(r1 + 0) = r0
      exit
    )",
     "which has 64 bytes"},
    {"a number on the caller's stack that only one path bounds", R"(
      r6 = *(u32 *)(r1 + 12)
      r2 = *(u32 *)(r1 + 16)
      *(u64 *)(r10 - 8) = 3
      if r2 != 0 goto meet
      *(u64 *)(r10 - 8) = 64
    meet:
      r1 = r10
      r1 += -8
      call f
      exit
    f:
      r1 = *(u64 *)(r1 + 0)
      r4 = map[one][0]+0
      r4 += r1
      r0 = *(u8 *)(r4 + 0)
      exit
    )",
     "which has 64 bytes"},
    {"the caller's stack, not written before",
     "r1 = r10\n r1 += -8\n call f\n exit\nf:\n r0 = *(u64 *)(r1 + 0)\n exit\n",
     "which was not written"},
    {"a function that writes its caller's stack first", R"(
      r1 = r10
      r1 += -8
      call f
      r0 = *(u64 *)(r10 - 8)
      exit
    f:
      *(u64 *)(r1 + 0) = 1
      r0 = 0
      exit
    )"},
    {"a pointer to a function's stack in its caller's", R"(
      r1 = r10
      r1 += -8
      call f
      exit
    f:
      *(u64 *)(r1 + 0) = r10
      r0 = 0
      exit
    )",
     "in the stack of a calling function"},
    {"the caller's stack beyond its end",
     "r1 = r10\n call f\n exit\nf:\n *(u64 *)(r1 + 0) = 1\n r0 = 0\n exit\n", "at r10 + 0"},
    {"the caller's stack counts where it is touched", R"(
      *(u8 *)(r10 - 8) = 1
      r1 = r10
      r1 += -480
      call f
      exit
    f:
      *(u64 *)(r1 + 0) = 1
      *(u64 *)(r10 - 40) = 1
      r0 = 0
      exit
    )",
     "528 bytes of stack together"},
    {"a stale pointer to the stack is no argument",
     "r2 = r10\n r1 = 1\n call f\n r0 = 0\n exit\nf:\n r0 = r1\n exit\n"},
    {"a function's stack returned", "call f\n r0 = 0\n exit\nf:\n r0 = r10\n exit\n",
     "which is gone then"},
    {"the context as an argument", "call f\n exit\nf:\n r0 = *(u32 *)(r1 + 12)\n exit\n"},
    {"a jump into another function", "if r1 == 0 goto f\n call f\n exit\nf:\n r0 = 0\n exit\n",
     "jumps into another function"},
    {"control falls into a function", "r0 = 0\n call f\nf:\n r0 = 0\n exit\n", "falls off the end"},
    {"endless recursion", "r0 = 0\n call f\n exit\nf:\n call f\n exit\n", "at depth 8"},
    {"stacks that fit together",
     "*(u8 *)(r10 - 480) = 1\n call f\n exit\nf:\n *(u64 *)(r10 - 32) = 1\n r0 = 0\n exit\n"},
    {"stacks that do not fit together",
     "*(u8 *)(r10 - 480) = 1\n call f\n exit\nf:\n *(u64 *)(r10 - 40) = 1\n r0 = 0\n exit\n",
     "528 bytes of stack together"},
    {"a number that the function bounds",
     R"(
      r1 = *(u32 *)(r1 + 12)
      call f
      r4 = map[one][0]+0
      r4 += r0
      r0 = *(u8 *)(r4 + 48)
      exit
    f:
      r0 = 0
      if r1 > 15 goto out
      r0 = r1
    out:
      exit
    )"},
    {"a number that only one of two calls bounds",
     R"(
      r6 = *(u32 *)(r1 + 12)
      r1 = 3
      call f
      r4 = map[one][0]+0
      r4 += r0
      r0 = *(u8 *)(r4 + 48)
      r1 = r6
      call f
      r4 = map[one][0]+0
      r4 += r0
      r0 = *(u8 *)(r4 + 48)
      exit
    f:
      r0 = r1
      if r1 != 16 goto out
      r0 = 0
    out:
      exit
    )",
     "which has 64 bytes"},
    {"a caller's number that only one path bounds",
     R"(
      r6 = *(u32 *)(r1 + 12)
      r2 = *(u32 *)(r1 + 16)
      if r2 != 0 goto meet
      r6 &= 15
    meet:
      r1 = r2
      call f
      r4 = map[one][0]+0
      r4 += r6
      r0 = *(u8 *)(r4 + 48)
      exit
    f:
      r0 = r1
      if r1 != 16 goto out
      r0 = 0
    out:
      exit
    )",
     "which has 64 bytes"},
};
INSTANTIATE_TEST_SUITE_P(Calls, MoreRules, testing::ValuesIn(calls));

TEST(Checker, NamesInstructionAndRule) {
  isa::Object object = object_of(xdp, "r6 = r1\n r0 = *(u8 *)(r10 - 1)\n exit\n");
  object.rule_names = {"inet filter input handle 4", "inet filter input handle 5"};
  object.programs[0].origins = {{0, -1}, {1, 1}, {2, 0}};
  const Status status = check(object, 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text(),
            "program test, instruction 1 (r0 = *(u8 *)(r10 - 1)) of rule \"inet filter input "
            "handle 5\": reads the byte at r10 - 1, which was not written");
}

// Rules as the backend emits them: each test leaves for the next rule, the last one counts.
TEST(Checker, IsLinearInTheNumberOfRules) {
  std::string text =
      "r2 = *(u32 *)(r1 + 0)\n r3 = *(u32 *)(r1 + 4)\n r4 = r2\n r4 += 54\n r0 = 2\n"
      "if r4 > r3 goto out\n r6 = *(u32 *)(r2 + 26)\n r7 = *(u32 *)(r2 + 30)\n"
      "r8 = *(u16 *)(r2 + 36)\n r9 = *(u8 *)(r2 + 23)\n";
  constexpr int rules = 1000;
  for (int i = 0; i < rules; ++i) {
    const std::string next = "rule" + std::to_string(i + 1);
    const auto test = [&](const char* reg) {
      return "r1 = " + std::string(reg) + "\n r1 ^= " + std::to_string(i * 7919) +
             "\n if r1 != 0 goto " + next + "\n";
    };
    text += test("r6") + test("r7") + test("r8") + test("r9");
    text += "*(u32 *)(r10 - 4) = " + std::to_string(i % 4) +
            "\n r1 = map[counters]\n r2 = r10\n r2 += -4\n call map_lookup_elem\n"
            "if r0 == 0 goto skip" +
            std::to_string(i) + "\n r1 = *(u64 *)(r0 + 0)\n r1 += 1\n *(u64 *)(r0 + 0) = r1\nskip" +
            std::to_string(i) + ":\n r0 = " + std::to_string(i % 2 + 1) + "\n goto out\n" + next +
            ":\n";
  }
  text += "r0 = 1\nout:\n exit\n";
  const isa::Object object = object_of(xdp, text);
  const Status status = check(object, 0);
  EXPECT_TRUE(status) << status.error().text();
}

}  // namespace
}  // namespace weir::engine
