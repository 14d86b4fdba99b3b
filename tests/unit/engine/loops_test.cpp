// SPDX-License-Identifier: BSD-2-Clause
//
// bpf_loop(): a function of the program, called round by round until it says so.
#include "engine/map.h"
#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

class Loops : public testing::TestWithParam<Case> {};

TEST_P(Loops, KeepTheRules) {
  expect_verdict(GetParam());
}

const Case rows[] = {
    {"a loop over a number on the stack", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = 10
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r0 = *(u64 *)(r10 - 8)
      exit
    f:
      r3 = map[one][0]+0
      r3 = *(u64 *)(r3 + 0)
      *(u64 *)(r2 + 0) = r3
      r0 = 0
      exit
    )"},
    {"a pointer on the stack", R"(
      *(u64 *)(r10 - 8) = r1
      r1 = 10
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r1 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r1 + 12)
      exit
    f:
      r3 = *(u64 *)(r2 + 0)
      r0 = *(u32 *)(r3 + 12)
      r0 &= 1
      exit
    )"},
    {"a pointer on the stack that a round overwrites", R"(
      *(u64 *)(r10 - 8) = r1
      r1 = 10
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r1 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r1 + 12)
      exit
    f:
      *(u64 *)(r2 + 0) = 1
      r0 = 0
      exit
    )",
     "as an address"},
    {"a number that the second round lets grow too far", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = 10
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r0 = 0
      exit
    f:
      r3 = *(u64 *)(r2 + 0)
      r4 = map[one][0]+0
      r4 += r3
      r0 = *(u8 *)(r4 + 0)
      r3 += 40
      *(u64 *)(r2 + 0) = r3
      r0 = 0
      exit
    )",
     "which has 64 bytes"},
    {"a number that stays within its bounds", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = 10
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r0 = 0
      exit
    f:
      r3 = *(u64 *)(r2 + 0)
      r4 = map[one][0]+0
      r4 += r3
      r0 = *(u8 *)(r4 + 0)
      r3 += 40
      r3 &= 63
      *(u64 *)(r2 + 0) = r3
      r0 = 0
      exit
    )"},
    {"a number that grows and is not needed", R"(
      *(u64 *)(r10 - 8) = 0
      r1 = 1000000
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r0 = *(u64 *)(r10 - 8)
      exit
    f:
      r3 = *(u64 *)(r2 + 0)
      r3 += 1
      *(u64 *)(r2 + 0) = r3
      r0 = 0
      exit
    )"},
    {"no memory for the callback",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
     "f:\n r0 = r1\n r0 &= 1\n exit\n"},
    {"other memory for the callback",
     "r1 = 1\n r2 = function f\n r3 = map[one][0]+0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
     "f:\n r0 = 0\n exit\n",
     "a pointer to the stack, or 0"},
    {"a callback that is no function",
     "r1 = 1\n r2 = 5\n r3 = 0\n r4 = 0\n call loop\n r0 = 1\n exit\n", "expected a function"},
    {"a callback gets two arguments",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
     "f:\n r0 = r3\n exit\n",
     "reads r3, which was not written"},
    {"a callback that returns any number",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
     "f:\n r0 = r1\n exit\n",
     "to a loop, expected 0 or 1"},
    {"what comes back is any number",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n exit\nf:\n r0 = 0\n exit\n",
     "expected 0 or 1", netfilter},
    {"a loop clobbers r1 to r5",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n r0 = r1\n exit\n"
     "f:\n r0 = 0\n exit\n",
     "reads r1, which was not written"},
    {"an endless loop around a loop", R"(
      r6 = 0
    again:
      r1 = 1
      r2 = function f
      r3 = 0
      r4 = 0
      call loop
      if r6 == 0 goto again
      r0 = 1
      exit
    f:
      r0 = 0
      exit
    )",
     "a loop that ends"},
    {"an endless loop around a loop that writes the stack", R"(
      r6 = *(u32 *)(r1 + 12)
      *(u64 *)(r10 - 8) = 0
    again:
      r1 = 1
      r2 = function f
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      if r6 == 0 goto again
      r0 = 1
      exit
    f:
      r3 = map[one][0]+0
      r3 = *(u64 *)(r3 + 0)
      *(u64 *)(r2 + 0) = r3
      r0 = 0
      exit
    )",
     "a loop that ends"},
    {"an endless loop within the callback",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
     "f:\n r0 = 0\nagain:\n if r1 == 5 goto again\n exit\n",
     "a loop that ends"},
    {"a loop around a loop", R"(
      r6 = 0
    again:
      r1 = 1
      r2 = function f
      r3 = 0
      r4 = 0
      call loop
      r6 += 1
      if r6 < 5 goto again
      r0 = 1
      exit
    f:
      r0 = 0
      exit
    )"},
    {"a loop within a loop", R"(
      r1 = 1
      r2 = function f
      r3 = 0
      r4 = 0
      call loop
      r0 = 1
      exit
    f:
      r1 = 1
      r2 = function g
      r3 = 0
      r4 = 0
      call loop
      r0 &= 1
      exit
    g:
      r0 = 0
      exit
    )"},
};
INSTANTIATE_TEST_SUITE_P(All, Loops, testing::ValuesIn(rows));

std::uint64_t run(std::string_view text) {
  auto engine = Engine::load(object_of(xdp, text));
  EXPECT_TRUE(engine) << engine.error().text();
  const Bytes frame(60);
  return engine ? engine->run(0, {.bytes = frame}) : 0xdead;
}

// The sum of the rounds' numbers, up to one of them; and how many rounds there were.
std::string summing(int rounds, int last) {
  return "*(u64 *)(r10 - 8) = 0\n r7 = 1000\n r1 = " + std::to_string(rounds) +
         "\n r2 = function f\n r3 = r10\n r3 += -8\n r4 = 0\n call loop\n r0 *= r7\n"
         "r1 = *(u64 *)(r10 - 8)\n r0 += r1\n exit\n"
         "f:\n r3 = *(u64 *)(r2 + 0)\n r3 += r1\n r3 &= 255\n *(u64 *)(r2 + 0) = r3\n"
         "r7 = 5\n r0 = 0\n if r1 != " +
         std::to_string(last) + " goto out\n r0 = 1\nout:\n exit\n";
}

TEST(LoopsRun, UntilTheCallbackSaysSo) {
  EXPECT_EQ(run(summing(10, 4)), 5010U);
  EXPECT_EQ(run(summing(10, 100)), 10045U);
  EXPECT_EQ(run(summing(0, 0)), 0U);
}

TEST(LoopsRun, HaveBounds) {
  const auto answer = [](std::uint64_t rounds, int flags) {
    return run("r1 = " + std::to_string(rounds) + "\n r2 = function f\n r3 = 0\n r4 = " +
               std::to_string(flags) + "\n call loop\n exit\nf:\n r0 = 1\n exit\n");
  };
  EXPECT_EQ(answer(1U << 23, 0), 1U);
  EXPECT_EQ(answer((1U << 23) + 1, 0), static_cast<std::uint64_t>(-7)) << "-E2BIG";
  EXPECT_EQ(answer(1, 1), static_cast<std::uint64_t>(-22)) << "-EINVAL";
}

}  // namespace
}  // namespace weir::engine
