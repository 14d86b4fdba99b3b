// SPDX-License-Identifier: BSD-2-Clause
//
// Sets of installed policies, changed while they are in force.
#include "service/element.h"

#include <array>

#include "frontend/nft/nft.h"
#include "kernel/service_world.h"

namespace weir::test {
namespace {

constexpr const char* set_rules = R"(
table inet t {
  set ports {
    type inet_service
    flags interval
    elements = { 1001, 1100-1200 }
  }
  set many {
    type inet_service
    elements = { 2000 }
  }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport @ports counter drop
    udp dport @many drop
  }
}
)";

class Elements : public Service {
 protected:
  Elements() {
    compiled_ = compile(
        set_rules, {.untrusted_memory = kernel::has_untrusted_memory(), .updatable_sets = true});
    service::Request wanted = request();
    wanted.source = set_rules;
    expect(service::apply(wanted, paths_));
  }
  Status change(service::ElementChange::Kind kind, const std::string& set,
                const std::string& elements) {
    return service::change_elements(
        "p", {.kind = kind, .family = Family::inet, .table = "t", .set = set, .elements = elements},
        paths_);
  }
  static constexpr auto add = service::ElementChange::Kind::add;
  static constexpr auto remove = service::ElementChange::Kind::remove;
};

TEST_F(Elements, ComeAndGoUnderTheSameProgram) {
  const auto before = expect(service::load_policy("p", paths_));
  EXPECT_FALSE(arrives(1001));
  EXPECT_FALSE(arrives(1150));
  EXPECT_TRUE(arrives(1300));
  EXPECT_TRUE(arrives(2001));
  for (int round = 0; round < 2; ++round) {
    expect(change(add, "ports", "{ 1300, 1400-1410 }"));
    EXPECT_FALSE(arrives(1300));
    EXPECT_FALSE(arrives(1405));
    EXPECT_FALSE(arrives(1001)) << "what was there stays";
    expect(change(add, "many", "{ 2001, 2002 }"));
    EXPECT_FALSE(arrives(2001));
    EXPECT_FALSE(arrives(2000));
    expect(change(remove, "ports", "{ 1300, 1100-1200 }"));
    EXPECT_TRUE(arrives(1300));
    EXPECT_TRUE(arrives(1150));
    EXPECT_FALSE(arrives(1405));
    expect(change(remove, "many", "{ 2000, 2001 }"));
    EXPECT_TRUE(arrives(2000));
    EXPECT_TRUE(arrives(2001));
    EXPECT_FALSE(arrives(2002));
    expect(change(add, "many", "{ 2000 }"));
    expect(change(add, "ports", "{ 1100-1200 }"));
    EXPECT_FALSE(arrives(2000));
    EXPECT_FALSE(arrives(1150));
    expect(change(remove, "ports", "{ 1400-1410 }"));
    expect(change(remove, "many", "{ 2002 }"));
  }
  const auto after = expect(service::load_policy("p", paths_));
  EXPECT_EQ(after.attachments, before.attachments);
  // What the policy is listed as means the sets as they are.
  const auto ruleset = expect(frontend::nft::read_script(
      after.source, "listed",
      {.interface_index = {}, .commands = service::element_commands(after)}));
  EXPECT_EQ(ruleset.sets.at(0).elements.size(), 2U);
}

TEST_F(Elements, AreRefusedAndThenNothingHasChanged) {
  const auto before = expect(service::load_policy("p", paths_));
  const std::vector<std::array<std::string, 3>> cases = {
      {"nosuch", "{ 1 }", "there are: inet t many, inet t ports"},
      {"ports", "{ 70000 }", "out of range"},
      {"ports", "{ 1150 }", "overlaps"},
      {"ports", "{ 1 }; flush ruleset", "is no list of elements"},
      {"ports", "1300", "is no list of elements"}};
  for (const auto& [set, elements, words] : cases) {
    const auto changed = change(add, set, elements);
    ASSERT_FALSE(changed) << elements;
    EXPECT_NE(changed.error().text().find(words), std::string::npos) << changed.error().text();
  }
  EXPECT_EQ(expect(service::load_policy("p", paths_)), before);
  EXPECT_FALSE(arrives(1001));
  EXPECT_TRUE(arrives(1300));
}

}  // namespace
}  // namespace weir::test
