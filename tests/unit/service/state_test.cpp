// SPDX-License-Identifier: BSD-2-Clause
//
// The state file there and back, and what it says of a ruleset.
#include "service/state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weir::service {
namespace {

PolicyState example() {
  PolicyState policy;
  policy.name = "office";
  policy.since = "2026-11-21T12:40:00Z";
  policy.namespace_id = 4026531840;
  policy.source = "table inet filter {\n\t# \"quoted\" \\ and ümlaut\n}\n";
  policy.has_counters = true;
  policy.keeps_connections = true;
  policy.locked = true;
  policy.settled = false;
  policy.confirm_by = 123456789;
  policy.chains = {
      {.family = Family::inet,
       .table = "filter",
       .name = "input",
       .base = imr::BaseChain{.hook = NfHook::input, .priority = -5, .drop_by_policy = true},
       .rules = {{.handle = 4,
                  .line = 9,
                  .text = "counter accept",
                  .counters = {{.index = 3, .packets = 7, .bytes = 1ULL << 40},
                               {.index = 4, .carried = 0}},
                  .programs = {17},
                  .maps = {9, 10}}}},
      {.family = Family::ip6, .table = "t", .name = "user", .base = {}, .rules = {}}};
  policy.unreached = {
      {.family = Family::ip,
       .table = "t",
       .name = "alone",
       .base = {},
       .rules = {{.handle = 5, .line = 0, .text = "", .counters = {{.index = 8}}}}}};
  policy.attachments = {
      {.hook = {.kind = Hook::Kind::netfilter, .nf_hook = NfHook::input, .device = {}},
       .nfproto = Nfproto::ipv6,
       .priority = -5,
       .chains = {"inet filter input"},
       .program_name = "input6",
       .program_id = 17,
       .link_id = 18,
       .place = 2,
       .forwarded = true},
      {.hook = {.kind = Hook::Kind::xdp, .device = "eth0"}, .mode = "generic"},
      {.hook = {.kind = Hook::Kind::tc_egress, .device = "eth0"},
       .nfproto = Nfproto::other,
       .mode = "filter",
       .filter = kernel::TcFilter{.ifindex = 3,
                                  .direction = isa::Direction::egress,
                                  .priority = 49152,
                                  .handle = 0x80000001},
       .defragments = true}};
  policy.maps = {{.name = "counters", .id = 9, .value_size = 16, .pin = "map_counters+1"}};
  policy.commands = {"delete rule inet filter input handle 5", "add rule t user \"x\""};
  policy.counter_room = 70;
  policy.old_counters = "map_counters";
  policy.from_object = true;
  policy.classifier = classify::Kind::bit_vectors;
  policy.generation = 3;
  policy.fingerprint = 0xfedcba9876543210;
  policy.edition = 1795310465193451818;
  policy.elements = {{.family = Family::ip6,
                      .table = "t",
                      .set = "s",
                      .deleted = {"1"},
                      .added = {"2-3", "4 : drop"}}};
  policy.sets = {
      {.family = Family::ip6,
       .table = "t",
       .set = {
           .table = {},
           .name = "s",
           .place =
               {.form = backend::SetForm::classes,
                .map = isa::MapIndex(2),
                .numbered = true,
                .number = 6,
                .key_size = 12,
                .sorted = {},
                .fields = {{.map = isa::MapIndex(1), .offset = 64, .rows = 8, .row_size = 16}},
                .tuples = {.map = isa::MapIndex(1), .offset = 1ULL << 33, .rows = 4, .row_size = 8},
                .data = {},
                .version = {.map = isa::MapIndex(3), .bit = 5}},
           .room = {.elements = 10, .field_rows = 11, .tuples = 12, .entries = 13},
           .verdicts = {{.kind = imr::Verdict::Kind::jump, .chain = imr::ChainId(3)}}}}};
  policy.pending = PendingState{
      .set = policy.sets.front(),
      .version = 1,
      .elements = {
          {.family = Family::ip, .table = "t", .set = "s", .deleted = {}, .added = {"5"}}}};
  return policy;
}

TEST(State, ComesBackFromItsJson) {
  const PolicyState policy = example();
  const auto back = policy_from_json(to_json(policy), "office.json");
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, policy);
}

TEST(State, ComesBackWithWhatIsToCome) {
  PolicyState policy = example();
  PolicyState next = example();
  next.generation = 4;
  next.chains.clear();
  policy.next.push_back(next);
  const std::string json = to_json(policy);
  EXPECT_EQ(json.find("quoted"), json.rfind("quoted")) << "one text, once";
  auto back = policy_from_json(json, "office.json");
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, policy);
  policy.next.front().source = "table ip other {}";
  back = policy_from_json(to_json(policy), "office.json");
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, policy);
}

TEST(State, NamesPinsByWhatHasBeenExchanged) {
  PolicyState policy;
  EXPECT_EQ(program_pin(policy, 1), "program_1");
  policy.generation = 12;
  EXPECT_EQ(program_pin(policy, 1), "program_1+12");
  EXPECT_EQ(pin_name(policy, "map_counters"), "map_counters+12");
  EXPECT_EQ(link_pin({.place = 3}), "link_3") << "which stays";
  EXPECT_EQ(place_pin({.place = 3}), "place_3");
}

TEST(State, RefusesWhatIsNoStateFile) {
  for (const char* text : {"", "{", "[]", "{}", R"({"version":2})", R"({"version":1,"name":"x"})",
                           R"({"version":"1"})"}) {
    const auto policy = policy_from_json(text, "x.json");
    ASSERT_FALSE(policy) << text;
    EXPECT_TRUE(policy.error().message.starts_with("x.json: not a state file of weir"))
        << policy.error().message;
  }
}

TEST(State, RefusesAHookThatDoesNotExist) {
  std::string text = to_json(example());
  const std::string hook = "\"hook\": 1,";
  ASSERT_NE(text.find(hook), std::string::npos) << text;
  text.replace(text.find(hook), hook.size(), "\"hook\": 9,");
  EXPECT_FALSE(policy_from_json(text, "x.json"));
}

// In a state file, rules stand where the document that is made of it has their numbers.
TEST(State, RefusesANumberForARule) {
  std::string text = to_json(example());
  const std::string none = "\"rules\": []";
  ASSERT_NE(text.find(none), std::string::npos) << text;
  for (const char* number : {"0, 0, 99", "-1", "\"x\"", "{}", "{\"counters\": []}"}) {
    std::string changed = text;
    changed.replace(text.find(none), none.size(), "\"rules\": [" + std::string(number) + "]");
    EXPECT_FALSE(policy_from_json(changed, "x.json")) << number;
  }
}

TEST(State, NamesAreSafeInPaths) {
  for (const char* name : {"office", "a", "Edge_2-b"}) EXPECT_TRUE(check_policy_name(name)) << name;
  for (const char* name : {"", "a/b", "..", "a.b", "a b", "\n"}) {
    EXPECT_FALSE(check_policy_name(name)) << name;
  }
  EXPECT_FALSE(check_policy_name(std::string(41, 'a')));
}

class StateDirectory : public testing::Test {
 protected:
  StateDirectory() {
    std::filesystem::path base = std::filesystem::temp_directory_path();
    base /= "weir-state-test-" + std::to_string(::getpid());
    paths.state = (base / "run").string();
    paths.bpffs = (base / "bpf").string();
    root = base;
  }
  ~StateDirectory() override { std::filesystem::remove_all(root); }

  Paths paths;
  std::filesystem::path root;
};

TEST_F(StateDirectory, SavesAndLoads) {
  PolicyState policy = example();
  ASSERT_TRUE(save(policy, paths));
  policy.since = "later";
  ASSERT_TRUE(save(policy, paths)) << "over the old one";
  const auto back = load_policy("office", paths);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, policy);
}

TEST_F(StateDirectory, NamesWhatIsThereWhenAPolicyIsNot) {
  EXPECT_EQ(load_policy("x", paths).error().message, "no policy 'x' is applied, and no other");
  ASSERT_TRUE(save(example(), paths));
  std::filesystem::create_directories(paths.pins("pinned-only") + "/link_0");
  std::filesystem::create_directories(paths.pins("a-mount-point-alone"));
  EXPECT_EQ(policy_names(paths), (std::vector<std::string>{"office", "pinned-only"}));
  EXPECT_EQ(load_policy("x", paths).error().message,
            "no policy 'x' is applied, there are: office, pinned-only");
}

TEST(DescribeChains, HoldsRulesAndTheirCounters) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::ip, .name = "t"});
  const auto chain = ruleset.add(imr::Chain{.table = table, .name = "c", .base = imr::BaseChain{}});
  ruleset.add(imr::Chain{.table = table, .name = "not taken"});
  ruleset.add(imr::CounterState{});
  const auto counter = ruleset.add(imr::CounterState{.packets = 5, .bytes = 300});
  ruleset.add(imr::Rule{.chain = chain,
                        .origin = {.handle = 2, .text = "counter packets 5 bytes 300"},
                        .statements = {imr::Counter{counter}},
                        .total_statements = 1});
  const auto chains = describe_chains(ruleset, {driver::Attachment{.roots = {chain}}});
  ASSERT_EQ(chains.size(), 1U);
  EXPECT_EQ(chains[0].name, "c");
  ASSERT_EQ(chains[0].rules.size(), 1U);
  EXPECT_EQ(chains[0].rules[0].counters,
            (std::vector<CounterState>{{.index = 1, .packets = 5, .bytes = 300}}));
}

TEST(DescribeUnreached, HoldsCountersOfRulesThatNoAttachmentReaches) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::ip, .name = "t"});
  const auto chain = ruleset.add(imr::Chain{.table = table, .name = "c", .base = imr::BaseChain{}});
  const auto alone = ruleset.add(imr::Chain{.table = table, .name = "alone"});
  const auto counter = ruleset.add(imr::CounterState{});
  ruleset.add(imr::Rule{.chain = alone, .origin = {.handle = 3, .text = "accept"}});
  ruleset.add(imr::Rule{.chain = alone,
                        .origin = {.handle = 4, .text = "counter"},
                        .statements = {imr::Counter{counter}},
                        .total_statements = 1});
  const auto chains = describe_unreached(ruleset, {driver::Attachment{.roots = {chain}}});
  ASSERT_EQ(chains.size(), 1U);
  EXPECT_EQ(chains[0].name, "alone");
  ASSERT_EQ(chains[0].rules.size(), 1U);
  EXPECT_EQ(chains[0].rules[0].handle, 4U);
}

}  // namespace
}  // namespace weir::service
