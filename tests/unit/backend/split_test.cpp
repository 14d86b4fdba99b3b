// SPDX-License-Identifier: BSD-2-Clause
//
// Splitting: parts do together what the whole function does, whatever their size; what crosses from
// one to another is kept, and nothing else.
#include "backend/split.h"

#include <gtest/gtest.h>

#include "backend/allocate.h"
#include "unit/passes/flow_generator.h"
#include "unit/passes/flow_machine.h"

namespace weir::test {
namespace {

using backend::SplitFunction;

flow::Function parsed(const std::string& text) {
  const auto function = flow::parse(text, "split");
  if (!function) throw InvariantError(function.error().text());
  flow::verify(*function);
  return *function;
}

// Runs the parts, each of which has to be a function in good order.
class Parts {
 public:
  Parts(const flow::Function& function, std::uint32_t part_size)
      : split_(backend::split(function, {.part_size = part_size})) {
    for (const backend::Part& part : split_.parts) {
      parts_.push_back({.code = part.code, .first_entry = part.first_entry});
      parts_.back().code.maps = function.maps;
      parts_.back().code.rule_names = function.rule_names;
      flow::verify(parts_.back().code);
    }
  }
  [[nodiscard]] Outcome run(const World& world) const {
    return test::run(parts_, split_.state_size, world);
  }
  [[nodiscard]] const SplitFunction& split() const { return split_; }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const backend::Part& part : split_.parts) {
      out += "entries " + std::to_string(part.first_entry) + " + " + std::to_string(part.entries) +
             "\n" + flow::print(part.code);
    }
    return out;
  }

 private:
  SplitFunction split_;
  std::vector<MachinePart> parts_;
};

// Facts are no wider than what they are taken for.
World possible_world(Random& random) {
  World world = random_world(random);
  for (std::size_t key = 0; key < world.context.size(); ++key) {
    const unsigned width = flow::width_of(static_cast<flow::ContextKey>(key));
    if (width < 64) world.context.at(key) &= (std::uint64_t{1} << width) - 1;
  }
  return world;
}

TEST(Split, PartsDoWhatTheFunctionDoes) {
  constexpr int functions = 400;
  constexpr int worlds = 12;
  std::size_t parts_seen = 0;
  for (int seed = 0; seed < functions; ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const flow::Function function = random_function(random);
    for (const std::uint32_t size : {1U, 12U, 60U}) {
      const Parts parts(function, size);
      parts_seen += parts.split().parts.size();
      for (int i = 0; i < worlds; ++i) {
        const World world = possible_world(random);
        const Outcome expected = run(function, world);
        const Outcome got = parts.run(world);
        ASSERT_TRUE(got == expected)
            << "seed " << seed << ", parts of " << size << ": parts gave " << to_string(got)
            << ", expected " << to_string(expected) << "\n"
            << flow::print(function) << parts.text();
      }
    }
  }
  EXPECT_GT(parts_seen, std::size_t{functions} * 6) << "functions were hardly split";
}

// A chain with two rules that jump to it; each goes on behind its own jump.
constexpr const char* shared_chain = R"(function "shared"
map 0 "counters" percpu_array key 4 value 16 entries 4
b0:
  v0 = context length
  v1 = context mark
  v3 = const 0
  branch v1 eq 1 ? b1 : b2
b1:
  v3 = site 7
  jump b5
b2:
  count map0[0], v0
  branch v1 eq 2 ? b3 : b4
b3:
  v3 = site 9
  jump b5
b4:
  count map0[1], v0
  ret accept
b5:
  count map0[2], v0
  branch v1 eq 3 ? b7 : b6
b6:
  dispatch v3: 7 b2, 9 b4
b7:
  ret drop
)";

TEST(Split, ADispatchGoesOnWhereItsSiteIs) {
  const flow::Function function = parsed(shared_chain);
  ASSERT_TRUE(backend::needs_splitting(function));
  for (const std::uint32_t size : {1U, 5U, 100U}) {
    const Parts parts(function, size);
    EXPECT_TRUE(parts.split().returns);
    for (std::uint64_t mark = 0; mark < 4; ++mark) {
      World world;
      world.context.fill(mark);
      EXPECT_EQ(to_string(parts.run(world)), to_string(run(function, world)))
          << "mark " << mark << ", parts of " << size << "\n"
          << parts.text();
    }
  }
}

// No jump takes site 5 any longer, so nothing that its block reads leaves the part.
TEST(Split, ADispatchMayNameASiteThatIsGone) {
  const flow::Function function = parsed(R"(function "gone"
map 0 "counters" percpu_array key 4 value 16 entries 4
b0:
  v0 = context length
  v1 = context mark
  branch v1 eq 1 ? b1 : b2
b1:
  v3 = site 7
  jump b3
b2:
  ret accept
b3:
  v2 = const 60
  count map0[0], v0
  branch v1 eq 3 ? b2 : b4
b4:
  dispatch v3: 5 b5, 7 b2
b5:
  count map0[1], v2
  ret drop
)");
  for (const std::uint32_t size : {1U, 100U}) {
    const Parts parts(function, size);
    World world;
    world.context.fill(1);
    EXPECT_EQ(to_string(parts.run(world)), to_string(run(function, world))) << parts.text();
  }
}

TEST(Split, ASmallFunctionNeedsNone) {
  EXPECT_FALSE(backend::needs_splitting(parsed("function \"f\"\nb0:\n  ret accept\n")));
  flow::Function function = parsed("function \"f\"\nb0:\n  v0 = const 1\n  ret accept\n");
  while (function.blocks[0].instructions.size() < 100'000) {
    function.blocks[0].instructions.push_back(function.blocks[0].instructions[0]);
  }
  EXPECT_TRUE(backend::needs_splitting(function));
}

// v2 is a byte, v1 four; a part reads v1 from the state, which the first one has kept there.
TEST(Split, KeepsWhatIsReadLaterAndAsWideAsItIs) {
  const flow::Function function = parsed(R"(function "kept"
map 0 "counters" percpu_array key 4 value 16 entries 4
b0:
  v0 = context protocol
  v1 = context mark
  v2 = context pkttype
  branch v0 eq 1 ? b1 : b2
b1:
  count map0[0], v2
  jump b2
b2:
  count map0[1], v1
  ret accept
)");
  const Parts parts(function, 8);
  EXPECT_EQ(parts.split().state_size, 8U);
  EXPECT_EQ(parts.text(), R"(entries 4 + 1
function "kept"
b0:
  jump b4
b1:
  v0 = context protocol
  v1 = context mark
  v2 = context pkttype
  branch v0 eq 1 ? b2 : b3
b2:
  keep32 0, v1
  keep8 4, v2
  leave 5
b3:
  keep32 0, v1
  leave 6
b4:
  jump b1
entries 5 + 1
function "kept"
b0:
  jump b3
b1:
  v0 = recall8 4
  count map0[0], v0
  jump b2
b2:
  leave 6
b3:
  jump b1
entries 6 + 1
function "kept"
b0:
  jump b2
b1:
  v0 = recall32 0
  count map0[1], v0
  ret accept
b2:
  jump b1
)");
}

// The window of the first part is opened again where the second one loads from it.
TEST(Split, OpensWindowsAgain) {
  const flow::Function function = parsed(R"(function "window"
map 0 "counters" percpu_array key 4 value 16 entries 4
b0:
  v0 = context length
  v5 = and v0, 7
  window v1 = 8 at v5 + 4 ? b1 : b4
b1:
  v2 = load8 v1
  branch v2 eq 1 ? b2 : b3
b2:
  count map0[0], v2
  jump b3
b3:
  v3 = load32 v1 + 4
  count map0[1], v3
  ret accept
b4:
  ret drop
)");
  const Parts parts(function, 3);
  EXPECT_GT(parts.split().parts.size(), 2U);
  for (const std::size_t length : {std::size_t{0}, std::size_t{15}, std::size_t{30}}) {
    World world;
    world.packet = Bytes(length, 1);
    world.context.fill(length);
    EXPECT_EQ(to_string(parts.run(world)), to_string(run(function, world))) << parts.text();
  }
}

}  // namespace
}  // namespace weir::test
