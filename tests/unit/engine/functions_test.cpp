// SPDX-License-Identifier: BSD-2-Clause
//
// Functions of global linkage: checked once and on their own, for any arguments of the declared
// kinds; their calls, by these alone.
#include <algorithm>

#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

using Argument = isa::Subprogram::Argument;
constexpr Argument number = {.kind = Argument::Kind::scalar};
constexpr Argument context = {.kind = Argument::Kind::context};
constexpr Argument memory(std::uint32_t size) {
  return {.kind = Argument::Kind::memory, .size = size};
}

// The functions that `text` calls, in the order of their code, all global with these arguments.
isa::Object with_functions(isa::ProgramType type, std::string_view text,
                           const std::vector<std::vector<Argument>>& arguments) {
  isa::Object object = object_of(type, text);
  isa::Program& program = object.programs.front();
  std::vector<std::uint32_t> starts;
  for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) {
    const isa::Insn& insn = program.insns[slot];
    if (isa::opcode(insn) != isa::Opcode::call_local) continue;
    starts.push_back(slot + 1 + static_cast<std::uint32_t>(insn.imm));
  }
  std::ranges::sort(starts);
  starts.erase(std::ranges::unique(starts).begin(), starts.end());
  EXPECT_EQ(starts.size(), arguments.size()) << text;
  for (std::size_t i = 0; i < std::min(starts.size(), arguments.size()); ++i) {
    program.subprograms.push_back({.start = starts[i],
                                   .name = "f" + std::to_string(i),
                                   .global = true,
                                   .arguments = arguments[i]});
  }
  return object;
}

struct Row {
  std::string_view rule;
  std::string_view text;
  std::vector<std::vector<Argument>> arguments;
  std::string_view expected = accepted;
  isa::ProgramType type = xdp;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.rule;
}

class GlobalFunctions : public testing::TestWithParam<Row> {};

TEST_P(GlobalFunctions, KeepTheRules) {
  const Row& row = GetParam();
  const Status status = check(with_functions(row.type, row.text, row.arguments), 0);
  if (row.expected == accepted) {
    EXPECT_TRUE(status) << row.text << status.error().text();
  } else if (status) {
    ADD_FAILURE() << row.text << "was accepted, expected: " << row.expected;
  } else {
    EXPECT_NE(status.error().text().find(row.expected), std::string::npos)
        << row.text << status.error().text() << "\nexpected: " << row.expected;
  }
}

const Row rows[] = {
    {"a number", "r1 = 1\n call f\n exit\nf:\n r0 = r1\n exit\n", {{number}}},
    {"an argument that was not written",
     "r1 = 0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{number, number}},
     "reads r2, which was not written"},
    {"arguments are not those of a caller",
     R"(
      r1 = 3
      call f
      exit
    f:
      r2 = map[one][0]+0
      r1 &= 127
      r2 += r1
      r0 = *(u8 *)(r2 + 0)
      exit
    )",
     {{number}},
     "which has 64 bytes"},
    {"a function gets its own arguments only",
     "r1 = 1\n r2 = 2\n call f\n exit\nf:\n r0 = r2\n exit\n",
     {{number}},
     "reads r2, which was not written"},
    {"what comes back is any number",
     R"(
      r1 = 1
      call f
      r2 = map[one][0]+0
      r0 &= 127
      r2 += r0
      r0 = *(u8 *)(r2 + 0)
      exit
    f:
      r0 = 1
      exit
    )",
     {{number}},
     "which has 64 bytes"},
    {"a call clobbers r1 to r5",
     "r1 = 1\n r5 = 1\n call f\n r0 = r5\n exit\nf:\n r0 = 0\n exit\n",
     {{number}},
     "reads r5, which was not written"},
    {"a call keeps r6 to r9 and the stack",
     R"(
      r6 = r1
      *(u64 *)(r10 - 8) = r1
      r1 = 1
      call f
      r0 = *(u32 *)(r6 + 12)
      r6 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r6 + 12)
      exit
    f:
      r0 = 0
      exit
    )",
     {{number}}},
    {"a pointer for a number",
     "call f\n exit\nf:\n r0 = 0\n exit\n",
     {{number}},
     "expected a number"},
    {"the context", "call f\n exit\nf:\n r0 = *(u32 *)(r1 + 12)\n exit\n", {{context}}},
    {"a number for the context",
     "r1 = 0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{context}},
     "expected the context"},
    {"a moved context",
     "r1 += 4\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{context}},
     "expected the context"},
    {"the stack as memory",
     R"(
      *(u64 *)(r10 - 8) = 1
      r1 = r10
      r1 += -8
      call f
      r0 = *(u64 *)(r10 - 8)
      exit
    f:
      r0 = 0
      if r1 == 0 goto out
      r0 = *(u64 *)(r1 + 0)
      *(u64 *)(r1 + 0) = 5
    out:
      exit
    )",
     {{memory(8)}}},
    {"memory that may be null",
     "r1 = 0\n call f\n exit\nf:\n r0 = *(u64 *)(r1 + 0)\n exit\n",
     {{memory(8)}},
     "expected a comparison with 0"},
    {"memory beyond its size",
     R"(
      r1 = 0
      call f
      exit
    f:
      r0 = 0
      if r1 == 0 goto out
      r0 = *(u64 *)(r1 + 8)
    out:
      exit
    )",
     {{memory(8)}},
     "which has 8 bytes"},
    {"the stack, not written before",
     "r1 = r10\n r1 += -8\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(8)}},
     "which was not written"},
    {"less of the stack than the function may touch",
     "*(u64 *)(r10 - 8) = 1\n r1 = r10\n r1 += -8\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(16)}},
     "touches 16 bytes at r10 - 8"},
    {"what memory holds is not known behind a call",
     R"(
      *(u64 *)(r10 - 8) = 1
      r1 = r10
      r1 += -8
      call f
      r1 = *(u64 *)(r10 - 8)
      r2 = map[one][0]+0
      r1 &= 127
      r2 += r1
      r0 = *(u8 *)(r2 + 0)
      exit
    f:
      r0 = 0
      exit
    )",
     {{memory(8)}},
     "which has 64 bytes"},
    {"a pointer in memory is gone behind a call",
     R"(
      *(u64 *)(r10 - 8) = r1
      r1 = r10
      r1 += -8
      call f
      r1 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r1 + 12)
      exit
    f:
      r0 = 0
      exit
    )",
     {{memory(8)}},
     "as an address"},
    {"a map's value as memory",
     "r1 = map[one][0]+0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(64)}}},
    {"a map's value that is too small",
     "r1 = map[one][0]+0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(65)}},
     "which has 64 bytes"},
    {"memory that is read-only",
     "r1 = map[fixed][0]+0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(8)}},
     "read-only"},
    {"the context as memory",
     "call f\n exit\nf:\n r0 = 0\n exit\n",
     {{memory(4)}},
     "writes to the context"},
    {"a function that returns a pointer",
     "r1 = 1\n call f\n exit\nf:\n r0 = r10\n exit\n",
     {{number}},
     "expected a number"},
    {"the verdict of a function is none of the program",
     R"(
      r1 = 1
      call f
      r0 = 1
      exit
    f:
      r0 = 77
      exit
    )",
     {{number}},
     accepted,
     netfilter},
    {"a verdict out of a function must be bounded",
     "r1 = 1\n call f\n exit\nf:\n r0 = 1\n exit\n",
     {{number}},
     "expected 0 or 1",
     netfilter},
    {"functions that call one another",
     R"(
      r1 = 1
      call f
      exit
    f:
      call g
      exit
    g:
      r0 = 0
      exit
    )",
     {{number}, {number}}},
    {"recursion",
     "r1 = 1\n call f\n exit\nf:\n call f\n exit\n",
     {{number}},
     "comes to call itself"},
    {"stacks that fit together",
     "*(u8 *)(r10 - 480) = 1\n r1 = 1\n call f\n exit\n"
     "f:\n *(u64 *)(r10 - 32) = 1\n r0 = 0\n exit\n",
     {{number}}},
    {"stacks that do not fit together",
     "*(u8 *)(r10 - 480) = 1\n r1 = 1\n call f\n exit\n"
     "f:\n *(u64 *)(r10 - 40) = 1\n r0 = 0\n exit\n",
     {{number}},
     "528 bytes of stack together"},
    {"eight functions at once",
     R"(
      r1 = 1
      call b
      exit
    b:
      call c
      exit
    c:
      call d
      exit
    d:
      call e
      exit
    e:
      call f
      exit
    f:
      call g
      exit
    g:
      call h
      exit
    h:
      r0 = 0
      exit
    )",
     {{number}, {number}, {number}, {number}, {number}, {number}, {number}}},
    {"nine functions at once",
     R"(
      r1 = 1
      call b
      exit
    b:
      call c
      exit
    c:
      call d
      exit
    d:
      call e
      exit
    e:
      call f
      exit
    f:
      call g
      exit
    g:
      call h
      exit
    h:
      call i
      exit
    i:
      r0 = 0
      exit
    )",
     {{number}, {number}, {number}, {number}, {number}, {number}, {number}, {number}},
     "9 functions deep"},
    {"pointers into the packet behind a function that leaves it alone",
     R"(
      r6 = *(u32 *)(r1 + 76)
      r2 = *(u32 *)(r1 + 80)
      r3 = r6
      r3 += 4
      r0 = 0
      if r3 > r2 goto out
      call f
      r0 = *(u32 *)(r6 + 0)
    out:
      exit
    f:
      r0 = 0
      exit
    )",
     {{context}},
     accepted,
     isa::ProgramType::sched_cls},
    {"pointers into the packet behind one that pulls",
     R"(
      r6 = *(u32 *)(r1 + 76)
      r2 = *(u32 *)(r1 + 80)
      r3 = r6
      r3 += 4
      r0 = 0
      if r3 > r2 goto out
      call f
      r0 = *(u32 *)(r6 + 0)
    out:
      exit
    f:
      r2 = 0
      call g
      exit
    g:
      call skb_pull_data
      r0 = 0
      exit
    )",
     {{context}, {context, number}},
     "reads r6, which was not written",
     isa::ProgramType::sched_cls},
};
INSTANTIATE_TEST_SUITE_P(All, GlobalFunctions, testing::ValuesIn(rows));

// Every call is checked by the declaration, so that many of them cost no more than one each.
TEST(GlobalFunctionsOnce, AreCheckedOnce) {
  std::string text = "r6 = *(u32 *)(r1 + 12)\n";
  for (int i = 0; i < 1000; ++i) {
    text += "r1 = r6\n call f\n if r0 == " + std::to_string(i) + " goto out\n";
  }
  text += "out:\n r0 = 1\n exit\nf:\n r0 = 0\n";
  for (int i = 0; i < 2000; ++i) text += "if r1 == " + std::to_string(i) + " goto end\n r0 += 1\n";
  text += "end:\n r0 = 0\n exit\n";
  const Status status = check(with_functions(xdp, text, {{number}}), 0);
  EXPECT_TRUE(status) << status.error().text();
}

TEST(GlobalFunctionsOnce, RunOnTheCallersMemory) {
  const isa::Object object = with_functions(xdp, R"(
      *(u64 *)(r10 - 16) = 40
      r1 = r10
      r1 += -16
      r2 = 2
      call f
      r6 = *(u64 *)(r10 - 16)
      r0 += r6
      exit
    f:
      r0 = 7
      if r1 == 0 goto out
      r3 = *(u64 *)(r1 + 0)
      r3 += r2
      *(u64 *)(r1 + 0) = r3
    out:
      exit
    )",
                                            {{memory(8), number}});
  auto engine = Engine::load(object);
  ASSERT_TRUE(engine) << engine.error().text();
  const Bytes frame(60);
  EXPECT_EQ(engine->run(0, {.bytes = frame}), 49U);
}

TEST(GlobalFunctionsOnce, MustBeThere) {
  isa::Object object =
      with_functions(xdp, "r1 = 1\n call f\n exit\nf:\n r0 = r1\n exit\n", {{number}});
  object.programs[0].subprograms[0].start += 1;
  const Status status = check(object, 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "program test declares function f0 at slot 4, which nothing calls");
}

}  // namespace
}  // namespace weir::engine
