// SPDX-License-Identifier: BSD-2-Clause
//
// Each flow pass, and any sequence of them, leaves the meaning of random functions alone. WEIR_SEED
// in the environment repeats or varies a run, WEIR_FUNCTIONS makes it longer.
#include <gtest/gtest.h>

#include <cstdlib>

#include "passes/flow_common_loads.h"
#include "passes/flow_dead_code.h"
#include "passes/flow_fold.h"
#include "passes/flow_merge_windows.h"
#include "passes/flow_preset.h"
#include "passes/flow_show_values.h"
#include "passes/flow_thread_branches.h"
#include "passes/flow_thread_values.h"
#include "unit/passes/flow_generator.h"
#include "unit/passes/flow_machine.h"

namespace weir::test {
namespace {

constexpr int worlds = 25;

using Pass = void (*)(flow::Function&);

struct Named {
  const char* name;
  Pass pass;
};

constexpr auto all_passes = std::to_array<Named>({
    {"flow_common_loads", passes::flow_common_loads},
    {"flow_dead_code", passes::flow_dead_code},
    {"flow_fold", passes::flow_fold},
    {"flow_merge_windows", passes::flow_merge_windows},
    {"flow_preset", passes::flow_preset},
    {"flow_show_values", passes::flow_show_values},
    {"flow_thread_branches", passes::flow_thread_branches},
    {"flow_thread_values", passes::flow_thread_values},
});

int wish(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

std::uint64_t seed() {
  return static_cast<std::uint64_t>(wish("WEIR_SEED", 1));
}
int functions() {
  return wish("WEIR_FUNCTIONS", 150);
}

// The first difference between two functions over random worlds; empty when there is none.
std::string difference(const flow::Function& before, const flow::Function& after, Random& random) {
  for (int i = 0; i < worlds; ++i) {
    const World world = random_world(random);
    const Outcome expected = run(before, world);
    const Outcome found = run(after, world);
    if (found == expected) continue;
    return "expected " + to_string(expected) + "\nfound    " + to_string(found) + "\npacket " +
           to_hex(world.packet) + "\n---- before\n" + flow::print(before) + "---- after\n" +
           flow::print(after);
  }
  return "";
}

class FlowPass : public testing::TestWithParam<Named> {};

TEST_P(FlowPass, KeepsTheMeaning) {
  Random random(seed());
  int changed = 0;
  for (int i = 0; i < functions(); ++i) {
    const flow::Function before = random_function(random);
    flow::verify(before);
    flow::Function after = before;
    GetParam().pass(after);
    ASSERT_NO_THROW(flow::verify(after)) << flow::print(before) << "----\n" << flow::print(after);
    if (flow::print(after) != flow::print(before)) ++changed;
    ASSERT_EQ(difference(before, after, random), "") << "seed " << seed() << " function " << i;
  }
  EXPECT_GT(changed, functions() / 10) << "the generator gives the pass nothing to do";
}

INSTANTIATE_TEST_SUITE_P(Random, FlowPass, testing::ValuesIn(all_passes),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(FlowPasses, KeepTheMeaningInAnyOrder) {
  Random random(seed() + 1);
  for (int i = 0; i < functions(); ++i) {
    const flow::Function before = random_function(random);
    flow::Function after = before;
    std::string order;
    for (int step = 0; step < 8; ++step) {
      const Named& one = all_passes.at(random() % all_passes.size());
      order += std::string(" ") + one.name;
      one.pass(after);
      ASSERT_NO_THROW(flow::verify(after)) << order << "\n"
                                           << flow::print(before) << "----\n"
                                           << flow::print(after);
    }
    ASSERT_EQ(difference(before, after, random), "")
        << "seed " << seed() << " function " << i << ":" << order;
  }
}

TEST(FlowPasses, TextFormsGoThereAndBack) {
  Random random(seed() + 2);
  for (int i = 0; i < functions(); ++i) {
    const std::string text = flow::print(random_function(random));
    const Result<flow::Function> parsed = flow::parse(text, "random");
    ASSERT_TRUE(parsed.has_value()) << parsed.error().text() << "\n" << text;
    ASSERT_EQ(flow::print(*parsed), text);
  }
}

// A pass that is wrong, for the judge to notice.
int noticed(Pass wrong) {
  Random random(seed() + 3);
  int count = 0;
  for (int i = 0; i < functions(); ++i) {
    const flow::Function before = random_function(random);
    flow::Function after = before;
    wrong(after);
    if (!difference(before, after, random).empty()) ++count;
  }
  return count;
}

TEST(FlowPasses, WrongOnesAreNoticed) {
  EXPECT_GT(noticed([](flow::Function& function) {
              for (flow::Block& block : function.blocks) {
                if (block.end.kind == flow::Terminator::Kind::window) ++block.end.imm2;
              }
            }),
            0)
      << "windows one byte too wide";
  EXPECT_GT(noticed([](flow::Function& function) {
              for (flow::Block& block : function.blocks) {
                std::erase_if(block.instructions,
                              [](const auto& i) { return i.op == flow::Op::trace; });
              }
            }),
            0)
      << "traces lost";
  EXPECT_GT(noticed([](flow::Function& function) {
              for (flow::Block& block : function.blocks) {
                if (block.end.condition == flow::Condition::le) {
                  block.end.condition = flow::Condition::lt;
                }
              }
            }),
            0)
      << "le taken for lt";
}

}  // namespace
}  // namespace weir::test
