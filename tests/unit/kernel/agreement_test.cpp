// SPDX-License-Identifier: BSD-2-Clause
//
// The engine's checker and the kernel's verifier agree on functions of global linkage, on what
// functions may do with their callers' stacks, and on loops with callbacks.
#include <algorithm>

#include "engine/engine.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using Argument = isa::Subprogram::Argument;
constexpr Argument number = {.kind = Argument::Kind::scalar};
constexpr Argument context = {.kind = Argument::Kind::context};
constexpr Argument memory(std::uint32_t size) {
  return {.kind = Argument::Kind::memory, .size = size};
}

struct Row {
  std::string_view rule;
  std::string_view text;
  bool accepted = true;
  // Of the functions, in order of their code; none: static ones.
  std::vector<std::vector<Argument>> global = {};
  ProgramType type = ProgramType::sched_cls;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.rule;
}

isa::Object object_of_row(const Row& row) {
  isa::Object object;
  object.maps = {{.name = "one", .type = isa::MapType::array, .value_size = 64, .max_entries = 1},
                 {.name = "hash",
                  .type = isa::MapType::hash,
                  .key_size = 4,
                  .value_size = 16,
                  .max_entries = 8}};
  const auto assembly = must(isa::assemble(row.text, object.maps));
  isa::Program program{.name = "test",
                       .type = row.type,
                       .insns = assembly.insns,
                       .relocations = assembly.relocations};
  std::vector<std::uint32_t> starts;
  for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) {
    const auto opcode = isa::opcode(program.insns[slot]);
    if (opcode && isa::names_function(*opcode)) {
      starts.push_back(slot + 1 + static_cast<std::uint32_t>(program.insns[slot].imm));
    }
  }
  std::ranges::sort(starts);
  starts.erase(std::ranges::unique(starts).begin(), starts.end());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    program.subprograms.push_back({.start = starts[i], .name = "f" + std::to_string(i)});
    if (i < row.global.size()) {
      program.subprograms.back().global = true;
      program.subprograms.back().arguments = row.global[i];
    }
  }
  object.programs.push_back(std::move(program));
  return object;
}

class Agreement : public testing::TestWithParam<Row> {};

TEST_P(Agreement, IsWhatIsExpected) {
  const auto object = object_of_row(GetParam());
  const auto engine = engine::check(object, 0);
  EXPECT_EQ(engine.has_value(), GetParam().accepted)
      << "engine: " << (engine ? "accepts" : engine.error().text());
  const auto kernel = load(object);
  EXPECT_EQ(kernel.has_value(), GetParam().accepted)
      << "kernel: " << (kernel ? "accepts" : kernel.error().text());
}

// r6 = 4 proven bytes of the packet, r7 = the context.
#define WITH_PACKET              \
  "r7 = r1\n"                    \
  "r6 = *(u32 *)(r1 + 76)\n"     \
  "r2 = *(u32 *)(r1 + 80)\n"     \
  "r3 = r6\n r3 += 4\n r0 = 0\n" \
  "if r3 > r2 goto out\n"

const Row global_rows[] = {
    {"numbers",
     "r1 = 1\n r2 = 2\n call f\n exit\nf:\n r0 = r1\n r0 += r2\n exit\n",
     true,
     {{number, number}}},
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
     false,
     {{number}}},
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
     false,
     {{number}}},
    {"a call clobbers r1 to r5",
     "r1 = 1\n r5 = 1\n call f\n r0 = r5\n exit\nf:\n r0 = 0\n exit\n",
     false,
     {{number}}},
    {"a pointer for a number", "r1 = r10\n call f\n exit\nf:\n r0 = 0\n exit\n", false, {{number}}},
    {"the context", "call f\n exit\nf:\n r0 = *(u32 *)(r1 + 8)\n exit\n", true, {{context}}},
    {"a number for the context",
     "r1 = 0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     false,
     {{context}}},
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
     true,
     {{memory(8)}}},
    {"memory that may be null",
     "r1 = 0\n call f\n exit\nf:\n r0 = *(u64 *)(r1 + 0)\n exit\n",
     false,
     {{memory(8)}}},
    {"null for memory", "r1 = 0\n call f\n exit\nf:\n r0 = 0\n exit\n", true, {{memory(8)}}},
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
     false,
     {{memory(8)}}},
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
     false,
     {{memory(8)}}},
    {"a pointer in memory is gone behind a call",
     R"(
      *(u64 *)(r10 - 8) = r1
      r1 = r10
      r1 += -8
      call f
      r1 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r1 + 8)
      exit
    f:
      r0 = 0
      exit
    )",
     false,
     {{memory(8)}}},
    {"a pointer beside the memory is kept",
     R"(
      *(u64 *)(r10 - 8) = r1
      *(u64 *)(r10 - 16) = 1
      r1 = r10
      r1 += -16
      call f
      r1 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r1 + 8)
      exit
    f:
      r0 = 0
      exit
    )",
     true,
     {{memory(8)}}},
    {"a map's value as memory",
     "r1 = map[one][0]+0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     true,
     {{memory(64)}}},
    {"a map's value that is too small",
     "r1 = map[one][0]+0\n call f\n exit\nf:\n r0 = 0\n exit\n",
     false,
     {{memory(65)}}},
    {"a function that returns a pointer",
     "r1 = 1\n call f\n exit\nf:\n r0 = r10\n exit\n",
     false,
     {{number}}},
    {"a verdict out of a function",
     "r1 = 1\n call f\n exit\nf:\n r0 = 1\n exit\n",
     false,
     {{number}},
     ProgramType::netfilter},
    {"a verdict beside a function",
     "r1 = 1\n call f\n r0 = 1\n exit\nf:\n r0 = 77\n exit\n",
     true,
     {{number}},
     ProgramType::netfilter},
    {"recursion", "r1 = 1\n call f\n exit\nf:\n call f\n exit\n", false, {{number}}},
    {"stacks that fit together",
     "*(u8 *)(r10 - 480) = 1\n r1 = 1\n call f\n exit\n"
     "f:\n *(u64 *)(r10 - 32) = 1\n r0 = 0\n exit\n",
     true,
     {{number}}},
    {"stacks that do not fit together",
     "*(u8 *)(r10 - 480) = 1\n r1 = 1\n call f\n exit\n"
     "f:\n *(u64 *)(r10 - 40) = 1\n r0 = 0\n exit\n",
     false,
     {{number}}},
    {"eight functions at once",
     "r1 = 1\n call b\n exit\nb:\n call c\n exit\nc:\n call d\n exit\nd:\n call e\n exit\n"
     "e:\n call f\n exit\nf:\n call g\n exit\ng:\n call h\n exit\nh:\n r0 = 0\n exit\n",
     true,
     {{number}, {number}, {number}, {number}, {number}, {number}, {number}}},
    {"nine functions at once",
     "r1 = 1\n call b\n exit\nb:\n call c\n exit\nc:\n call d\n exit\nd:\n call e\n exit\n"
     "e:\n call f\n exit\nf:\n call g\n exit\ng:\n call h\n exit\nh:\n call i\n exit\n"
     "i:\n r0 = 0\n exit\n",
     false,
     {{number}, {number}, {number}, {number}, {number}, {number}, {number}, {number}}},
    {"the packet behind a function that leaves it alone",
     WITH_PACKET "call f\n r0 = *(u32 *)(r6 + 0)\nout:\n exit\nf:\n r0 = 0\n exit\n",
     true,
     {{context}}},
    {"the packet behind a function that pulls it",
     WITH_PACKET "call f\n r0 = *(u32 *)(r6 + 0)\nout:\n exit\n"
                 "f:\n r2 = 0\n call skb_pull_data\n r0 = 0\n exit\n",
     false,
     {{context}}},
    {"the packet behind a function that has another one pull it",
     WITH_PACKET "call f\n r0 = *(u32 *)(r6 + 0)\nout:\n exit\n"
                 "f:\n call g\n r0 = 0\n exit\n"
                 "g:\n r2 = 0\n call skb_pull_data\n r0 = 0\n exit\n",
     false,
     {{context}, {context}}},
};
INSTANTIATE_TEST_SUITE_P(OnGlobalFunctions, Agreement, testing::ValuesIn(global_rows));

constexpr std::string_view loop_over_8_bytes =
    "r1 = 10\n r2 = function f\n r3 = r10\n r3 += -8\n r4 = 0\n call loop\n";

const std::string pointer_kept = "*(u64 *)(r10 - 8) = r1\n" + std::string(loop_over_8_bytes) +
                                 "r1 = *(u64 *)(r10 - 8)\n r0 = *(u32 *)(r1 + 8)\n exit\n"
                                 "f:\n r3 = *(u64 *)(r2 + 0)\n r0 = *(u32 *)(r3 + 8)\n"
                                 "r0 &= 1\n exit\n";
const std::string pointer_lost = "*(u64 *)(r10 - 8) = r1\n" + std::string(loop_over_8_bytes) +
                                 "r1 = *(u64 *)(r10 - 8)\n r0 = *(u32 *)(r1 + 8)\n exit\n"
                                 "f:\n *(u64 *)(r2 + 0) = 1\n r0 = 0\n exit\n";
const std::string growing = "*(u64 *)(r10 - 8) = 0\n" + std::string(loop_over_8_bytes) +
                            "r0 = 0\n exit\n"
                            "f:\n r3 = *(u64 *)(r2 + 0)\n r4 = map[one][0]+0\n r4 += r3\n"
                            "r0 = *(u8 *)(r4 + 0)\n r3 += 40\n *(u64 *)(r2 + 0) = r3\n"
                            "r0 = 0\n exit\n";
const std::string bounded = "*(u64 *)(r10 - 8) = 0\n" + std::string(loop_over_8_bytes) +
                            "r0 = 0\n exit\n"
                            "f:\n r3 = *(u64 *)(r2 + 0)\n r4 = map[one][0]+0\n r4 += r3\n"
                            "r0 = *(u8 *)(r4 + 0)\n r3 += 40\n r3 &= 63\n *(u64 *)(r2 + 0) = r3\n"
                            "r0 = 0\n exit\n";
const std::string any_answer = "*(u64 *)(r10 - 8) = 0\n" + std::string(loop_over_8_bytes) +
                               "r0 = 0\n exit\nf:\n r0 = r1\n exit\n";
const std::string map_memory =
    "r1 = 1\n r2 = function f\n r3 = map[one][0]+0\n r4 = 0\n call loop\n r0 = 1\n exit\n"
    "f:\n r0 = 0\n exit\n";
// Each entry of a map, to a callback.
#define WALK                                                                                  \
  "*(u64 *)(r10 - 8) = 0\n r1 = map[hash]\n r2 = function f\n r3 = r10\n r3 += -8\n r4 = 0\n" \
  "call for_each_map_elem\n r0 = 0\n exit\nf:\n"
const Row walk_rows[] = {
    {"a walk that reads", WALK "r0 = *(u32 *)(r2 + 0)\n r0 = *(u64 *)(r3 + 8)\n"
                               "r0 = *(u64 *)(r4 + 0)\n r0 = 0\n exit\n"},
    {"a walk that writes a value", WALK "*(u64 *)(r3 + 8) = 1\n r0 = 0\n exit\n"},
    {"a walk that writes a key", WALK "*(u32 *)(r2 + 0) = 1\n r0 = 0\n exit\n", false},
    {"a walk that reads beyond a key", WALK "r0 = *(u64 *)(r2 + 0)\n r0 = 0\n exit\n", false},
    {"a walk that deletes", WALK "call map_delete_elem\n r0 = 0\n exit\n"},
    {"a walk that returns any number", WALK "r0 = *(u64 *)(r3 + 0)\n exit\n", false},
};
INSTANTIATE_TEST_SUITE_P(OnWalks, Agreement, testing::ValuesIn(walk_rows));

const Row other_rows[] = {
    {"the caller's stack, read and written", R"(
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
      r0 += 60
      *(u64 *)(r1 + 0) = r0
      exit
    )"},
    {"the caller's stack, and one too many", R"(
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
     false},
    {"a pointer to a function's stack in its caller's",
     "*(u64 *)(r10 - 8) = 0\n r1 = r10\n r1 += -8\n call f\n exit\n"
     "f:\n *(u64 *)(r1 + 0) = r10\n r0 = 0\n exit\n",
     false},
    {"a loop that keeps a pointer", pointer_kept},
    {"a loop that loses a pointer", pointer_lost, false},
    {"a loop in which a number grows", growing, false},
    {"a loop in which a number is bounded", bounded},
    {"a callback that returns any number", any_answer, false},
    {"a map's value for a callback", map_memory, false},
    {"a global function as a callback", any_answer, false, {{number, number}}},
};
INSTANTIATE_TEST_SUITE_P(OnStacksAndLoops, Agreement, testing::ValuesIn(other_rows));

}  // namespace
}  // namespace weir::kernel::test
