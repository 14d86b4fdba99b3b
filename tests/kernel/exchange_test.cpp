// SPDX-License-Identifier: BSD-2-Clause
//
// Rulesets that are exchanged while packets go through them, at every kind of hook; and exchanges
// that are killed at each of their steps.
#include "service/exchange.h"

#include <algorithm>
#include <csignal>

#include "kernel/rule_sites.h"
#include "kernel/support/root_only.h"
#include "service/store.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

namespace fs = std::filesystem;

TEST_P(EverySite, PacketsSeeTheOldRulesOrTheNewOnes) {
  ASSERT_FALSE(is_second());
  std::uint64_t looks = 1;
  const std::uint64_t hooks =
      state().attachments.front().forwarded ? 4 : state().attachments.size();
  const std::uint64_t each = GetParam().at_xdp ? 1 : std::min<std::uint64_t>(hooks, 2);
  for (const bool to_second : {true, false, true}) {
    bool changed = false;
    unsigned steps = 0;
    expect(turn([&](std::string_view step) {
      SCOPED_TRACE(step);
      const bool now = is_second() == to_second;
      ++looks;
      EXPECT_TRUE(now || !changed) << "there is no way back";
      EXPECT_EQ(lists_second() == to_second, now);
      EXPECT_EQ(counted(), looks * each);
      changed = now;
      ++steps;
    }));
    EXPECT_TRUE(changed);
    EXPECT_GE(steps, 8U);
    expect_only_needed_pins();
  }
  EXPECT_EQ(counted(), looks * each) << "by every hook";
  expect(service::release("p", paths_));
  EXPECT_TRUE(arrives(1001));
  EXPECT_TRUE(arrives(1002));
}

TEST_P(EverySite, AChangeThatIsKilledIsWholeAndMended) {
  unsigned old = 0;
  unsigned fresh = 0;
  for (unsigned last = 1;; ++last) {
    SCOPED_TRACE("killed at step " + std::to_string(last));
    const bool before = is_second();
    const int status = in_child([&] {
      unsigned steps = 0;
      if (!turn([&](std::string_view) {
            if (++steps == last) ::raise(SIGKILL);
          })) {
        ::_exit(1);
      }
    });
    const bool now = is_second();
    EXPECT_EQ(lists_second(), now);
    const std::uint64_t count = counted();
    ++(now == before ? old : fresh);
    if (last % 3 == 0) {
      // Who lists policies, mends them.
      const auto held = expect(service::lock(paths_));
      service::tidy(paths_);
      EXPECT_TRUE(state().next.empty());
    }
    EXPECT_EQ(is_second(), now);
    expect(turn());
    EXPECT_NE(is_second(), now);
    EXPECT_GT(counted(), count);
    expect_only_needed_pins();
    if (!was_killed(status)) {
      ASSERT_EQ(status, 0);
      break;
    }
  }
  EXPECT_GE(old, 4U) << "times that it had not come to pass";
  EXPECT_GE(fresh, 4U) << "times that it had";
}

TEST_P(EverySite, AChangeThatIsKilledIsReleasedWhole) {
  for (const char* step : {"exchange: gated 0", "exchange: changed"}) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(was_killed(in_child([&] { [[maybe_unused]] auto done = turn(kill_at(step)); })));
    const service::PolicyState policy = state();
    expect(service::release("p", paths_));
    EXPECT_TRUE(arrives(1001));
    EXPECT_TRUE(arrives(1002));
    for (const service::AttachmentState& attachment : policy.attachments) {
      if (!attachment.filter) continue;
      EXPECT_FALSE(kernel::tc_filter_program(*attachment.filter)) << "it is still there";
    }
    EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
    EXPECT_FALSE(fs::exists(paths_.pins("p")));
    expect(install({.name = "p", .tc_mode = GetParam().tc_mode}));
  }
}

// Every datagram to one port is dropped by the rules before each change and by those after it, and
// no datagram to the other port: none may slip through between, and each is counted once.
TEST_P(EverySite, NothingSlipsThroughWhileRulesChange) {
  const std::string chain = std::string(GetParam().family) + " t user ";
  expect(change(Change::insert, chain + "udp dport 1500 drop"));
  std::uint64_t let_through = 0;
  std::uint64_t passed = 0;
  std::uint64_t lost = 0;
  const std::uint64_t counted_before = counted();
  Meanwhile sender([&] {
    if (arrives(1500)) ++let_through;
    ++(arrives(1003) ? passed : lost);
  });
  for (int i = 0; i < 4; ++i) {
    const service::PolicyState policy = state();
    const auto user = std::ranges::find(policy.chains, "user", &service::ChainState::name);
    expect(change(Change::replace,
                  chain + "handle " + std::to_string(user->rules.front().handle) +
                      (i % 2 == 0 ? " udp dport { 1498, 1500 } drop" : " udp dport 1500 drop")));
  }
  sender.stop();
  EXPECT_GT(passed, 0U);
  EXPECT_EQ(let_through, 0U);
  EXPECT_EQ(lost, 0U);
  const std::uint64_t each = (counted() - counted_before) / passed;
  EXPECT_EQ(counted() - counted_before, passed * each);
  EXPECT_GE(each, 1U);
}

INSTANTIATE_TEST_SUITE_P(Sites, EverySite, testing::ValuesIn(sites()),
                         [](const testing::TestParamInfo<Site>& one) { return one.param.name; });

}  // namespace
}  // namespace weir::test
