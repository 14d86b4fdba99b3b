// SPDX-License-Identifier: BSD-2-Clause
//
// What weir rule does to an installed policy, and what it refuses.
#include "service/rule.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "kernel/rules_world.h"
#include "kernel/support/root_only.h"
#include "service/element.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr const char* some_rules = R"(
table inet t {
  set blocked { type inet_service; elements = { 2000 } }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 1001 counter drop
    udp dport @blocked counter drop
    udp dport 1000-3000 counter
  }
}
)";

// Handles: 1 the chain, or 2 behind the set.
TEST_F(Rules, ComeAndGoWithNftsOwnHandles) {
  apply_policy(some_rules);
  EXPECT_TRUE(arrives(1500));
  EXPECT_FALSE(arrives(1001));
  const std::vector<std::string> before = listed();
  expect(change(Change::insert, "inet t in udp dport 1500 counter drop"));
  EXPECT_FALSE(arrives(1500));
  expect(change(Change::add, "inet t in handle 3 udp dport { 1600, 1700 } drop"));
  EXPECT_FALSE(arrives(1700));
  const std::vector<std::string> now = listed();
  ASSERT_EQ(now.size(), 5U);
  EXPECT_EQ(now[0], "in handle 6: udp dport 1500 counter packets 0 bytes 0 drop");
  EXPECT_EQ(now[1], before[0]);
  EXPECT_EQ(now[2], "in handle 8: udp dport { 1600, 1700 } drop") << "a set of its own has 7";
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{1, 1, 0, 1}));
  expect(change(Change::replace, "inet t in handle 6 udp dport 1501 drop"));
  EXPECT_TRUE(arrives(1500));
  EXPECT_FALSE(arrives(1501));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{1, 0, 2}));
  expect(change(Change::remove, "inet t in handle 8"));
  EXPECT_TRUE(arrives(1700));
  expect(change(Change::remove, "inet t in handle " + handle_of("1501")));
  EXPECT_TRUE(arrives(1501));
  EXPECT_EQ(listed(), before);
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{1, 0, 4}));
  EXPECT_FALSE(arrives(1001));
  expect_only_needed_pins();
  const service::PolicyState policy = state();
  EXPECT_EQ(policy.generation, 5U);
  EXPECT_EQ(policy.chains.front().rules.front().line, 6U) << "what stayed is where it was written";
  expect_releasable();
}

TEST_F(Rules, AndElementsChangeOneAnothersPolicy) {
  apply_policy(some_rules);
  const auto element = [&](service::ElementChange::Kind kind, const std::string& text) {
    expect(service::change_elements(
        "p",
        {.kind = kind, .family = Family::inet, .table = "t", .set = "blocked", .elements = text},
        paths_));
  };
  element(service::ElementChange::Kind::add, "{ 2001 }");
  expect(change(Change::add, "inet t in udp dport 3001 drop"));
  EXPECT_FALSE(arrives(2000));
  EXPECT_FALSE(arrives(2001)) << "what the set was given stays in it";
  element(service::ElementChange::Kind::remove, "{ 2000 }");
  EXPECT_TRUE(arrives(2000));
  expect(change(Change::insert, "inet t in udp dport @blocked counter drop"));
  EXPECT_TRUE(arrives(2000));
  EXPECT_FALSE(arrives(2001));
  EXPECT_FALSE(arrives(3001));
  EXPECT_EQ(packets("in").front(), 1U);
  element(service::ElementChange::Kind::add, "{ 2000 }");
  EXPECT_FALSE(arrives(2000));
  // What is listed as the source is the policy.
  const service::PolicyState policy = state();
  const auto again = expect(frontend::nft::read_script(service::source_text(policy), "listed"));
  ASSERT_EQ(again.rules.size(), 5U);
  EXPECT_EQ(again.sets.front().elements.size(), 2U);
}

TEST_F(Rules, AreRefusedAndThenNothingHasChanged) {
  apply_policy(some_rules);
  const service::PolicyState before = state();
  struct Case {
    Change kind;
    const char* words;
    ErrorKind error;
    const char* says;
  };
  const std::vector<Case> cases = {
      {Change::remove, "inet t in handle 99", ErrorKind::input, "No such file or directory"},
      {Change::replace, "inet t in handle 99 accept", ErrorKind::input, "No such file"},
      {Change::add, "inet t in handle 99 accept", ErrorKind::input, "No such file or directory"},
      {Change::insert, "inet t in position 99 accept", ErrorKind::input,
       "No such file or directory"},
      {Change::insert, "inet t in index 9 accept", ErrorKind::input, "No such file or directory"},
      {Change::add, "inet t nosuch accept", ErrorKind::input, "No such file or directory"},
      {Change::add, "t in accept", ErrorKind::input, "No such file or directory"},
      {Change::add, "inet t in udp dport 70000 drop", ErrorKind::input, "out of range"},
      {Change::add, "inet t in udp dport @nosuch drop", ErrorKind::input, "nosuch"},
      {Change::add, "inet t in nonsense", ErrorKind::input, "syntax error"},
      {Change::add, "", ErrorKind::input, "syntax error"},
      {Change::add, "inet t in accept; flush ruleset", ErrorKind::input, "found a ';'"},
      {Change::add, "inet t in fib saddr type local drop", ErrorKind::partial, "fib"},
      {Change::add, "inet t in iif \"nosuch\" drop", ErrorKind::input, "nosuch"}};
  for (const Case& one : cases) {
    SCOPED_TRACE(one.words);
    const auto changed = change(one.kind, one.words);
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().kind, one.error) << changed.error().text();
    EXPECT_NE(changed.error().text().find(one.says), std::string::npos) << changed.error().text();
    EXPECT_EQ(state(), before);
  }
  EXPECT_FALSE(arrives(1001));
  EXPECT_TRUE(arrives(1500));
  expect_only_needed_pins();
}

TEST_F(Rules, OfPoliciesThatDoNotChangeAreLeftAlone) {
  compile_policy(some_rules);
  expect(install({.name = "p", .lock = true}));
  auto refused = change(Change::add, "inet t in drop");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is locked"), std::string::npos);
  expect(service::release("p", paths_, true));
  expect(install({.name = "p", .confirm = 60}));
  refused = change(Change::add, "inet t in drop");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("waits for confirmation"), std::string::npos);
  ASSERT_EQ(confirm(), 0);
  expect(change(Change::insert, "inet t in udp dport 1500 drop"));
  EXPECT_FALSE(arrives(1500)) << "what is confirmed changes as any other";
  expect_releasable();
  refused = change(Change::add, "inet t in drop");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no policy 'p'"), std::string::npos);
}

// nft itself, with the same commands, in the same namespace.
TEST_F(Rules, AreListedAsNftListsThem) {
  const std::string base = R"(table inet t {
    chain in {
      type filter hook input priority 0;
      tcp dport 1 accept
      counter
    }
    chain user {
      tcp dport { 2, 3 } drop
    }
  }
  table ip b {
    chain in {
      type filter hook input priority 1;
      counter drop
    }
  })";
  expect(nft_.run(base));
  const auto by_nft = [&] {
    std::vector<std::string> out;
    std::string chain;
    std::istringstream listing(expect(run_command({"nft", "-a", "list", "ruleset"})));
    static const std::regex head("\\s*chain (\\w+) .*");
    static const std::regex rule("\\s*(.*) # handle (\\d+)");
    std::smatch found;
    for (std::string line; std::getline(listing, line);) {
      if (std::regex_match(line, found, head)) {
        chain = found[1];
      } else if (line.starts_with("\t\t") && std::regex_match(line, found, rule)) {
        out.push_back(chain + " handle " + found[2].str() + ": " + found[1].str());
      }
    }
    return out;
  };
  const std::vector<std::pair<Change, std::string>> commands = {
      {Change::add, "inet t in tcp dport { 7, 8 } accept"},
      {Change::insert, "inet t in jump user"},
      {Change::add, "b in tcp dport 5 drop"},
      {Change::add, "inet t user index 0 meta l4proto tcp counter"},
      {Change::insert, "inet t in index 1 tcp dport vmap { 1 : accept, 2 : drop }"},
      {Change::remove, "ip b in handle 2"},
      {Change::replace, "inet t in handle 4 tcp dport 9 accept comment \"# not; a { comment\""},
      {Change::add, "inet t in position 3 counter packets 7 bytes 8 accept"},
  };
  const std::map<Change, std::string> verbs = {{Change::add, "add"},
                                               {Change::insert, "insert"},
                                               {Change::remove, "delete"},
                                               {Change::replace, "replace"}};
  std::vector<std::vector<std::string>> wanted;
  for (const auto& [kind, words] : commands) {
    expect(nft_.run(verbs.at(kind) + " rule " + words));
    wanted.push_back(by_nft());
  }
  expect(nft_.run("flush ruleset"));
  apply_policy(base);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    SCOPED_TRACE(commands[i].second);
    expect(change(commands[i].first, commands[i].second));
    std::vector<std::string> now = listed();
    std::ranges::sort(now);
    std::ranges::sort(wanted[i]);
    if (i == 0) continue;  // no rule reaches `user` yet
    EXPECT_EQ(now, wanted[i]);
  }
}

TEST_F(Rules, CountOnWhereverTheyAre) {
  apply_policy(R"(
table inet t {
  chain user { udp dport 1500 counter packets 100 bytes 0; }
  chain in {
    type filter hook input priority 0;
    udp dport 1500 jump user
    udp dport 1500 counter
  }
})");
  EXPECT_TRUE(arrives(1500));
  expect(change(Change::remove, "inet t in handle 4"));
  EXPECT_TRUE(arrives(1500));
  EXPECT_EQ(packets("user"), std::vector<std::uint64_t>()) << "nobody goes there any more";
  expect(change(Change::insert, "inet t in udp dport 1500 jump user"));
  EXPECT_EQ(packets("user"), std::vector<std::uint64_t>{101}) << "and it has not forgotten";
  EXPECT_TRUE(arrives(1500));
  EXPECT_EQ(packets("user"), std::vector<std::uint64_t>{102});
  EXPECT_EQ(packets("in"), std::vector<std::uint64_t>{3});
  // An element that one rule had is another's, which begins anew.
  expect(change(Change::remove, "inet t in handle 5"));
  for (int i = 0; i < 3; ++i) {
    expect(change(Change::add, "inet t in udp dport 1500 counter"));
    EXPECT_EQ(packets("in").back(), 0U);
    EXPECT_TRUE(arrives(1500));
    EXPECT_EQ(packets("in").back(), 1U);
    const std::string handle = std::to_string(state().chains.back().rules.back().handle);
    expect(change(Change::remove, "inet t in handle " + handle));
  }
  EXPECT_EQ(packets("user"), std::vector<std::uint64_t>{105});
}

TEST_F(Rules, GoOnWithWhatTheyHaveUsedUp) {
  apply_policy(R"(
table inet t {
  chain in {
    type filter hook input priority 0;
    udp dport 1500 limit rate over 1/day burst 2 packets drop
    udp dport 1600 quota over 1 mbytes drop
    udp dport 1700 numgen inc mod 2 1 drop
  }
})");
  const auto quota = [&] { return expect(service::list_text(state(), paths_)); };
  EXPECT_NE(quota().find("quota over 1 mbytes drop"), std::string::npos) << quota();
  EXPECT_TRUE(arrives(1500));
  EXPECT_TRUE(arrives(1500));
  EXPECT_FALSE(arrives(1500)) << "beyond the burst";
  EXPECT_TRUE(arrives(1600));
  EXPECT_TRUE(arrives(1700)) << "number 0";
  EXPECT_NE(quota().find("quota over 1 mbytes used "), std::string::npos) << quota();
  const std::string before = quota();
  expect(change(Change::insert,
                "inet t in udp dport 1800 limit rate over 1/day burst 1 packets drop"));
  EXPECT_FALSE(arrives(1500)) << "still beyond";
  EXPECT_FALSE(arrives(1700)) << "number 1";
  EXPECT_TRUE(arrives(1800)) << "of a bucket of its own, which is full";
  EXPECT_FALSE(arrives(1800));
  const std::string rule = before.substr(before.find("udp dport 1600"));
  EXPECT_NE(quota().find(rule.substr(0, rule.find('#'))), std::string::npos) << quota();
}

TEST_F(Rules, ShareCountersThatHaveNames) {
  apply_policy(R"(
table inet t {
  counter every { packets 5 bytes 100 }
  counter other { }
  chain in {
    type filter hook input priority 0;
    udp dport 1500 counter name "every"
    udp dport 1500-1600 counter name "every" counter
  }
})");
  const auto list = [&] { return expect(service::list_text(state(), paths_)); };
  EXPECT_TRUE(arrives(1500));
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{8, 8, 2}));
  EXPECT_NE(list().find("counter every {\n\t\tpackets 8 bytes "), std::string::npos) << list();
  EXPECT_NE(list().find("1600 counter name \"every\" counter packets 2 bytes "), std::string::npos)
      << list();
  const auto json = nlohmann::json::parse(expect(service::list_json(state(), paths_)));
  ASSERT_EQ(json["counters"].size(), 1U);
  EXPECT_EQ(json["counters"][0]["name"], "every");
  EXPECT_EQ(json["counters"][0]["packets"], 8);
  expect(change(Change::insert, "inet t in udp dport 1700 counter name \"every\""));
  EXPECT_TRUE(arrives(1700));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{9, 9, 9, 2}));
  expect(change(Change::remove, "inet t in handle " + handle_of("1500-1600")));
  expect(change(Change::add, "inet t in udp dport 1800 counter name \"other\" counter"));
  EXPECT_TRUE(arrives(1800));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{9, 9, 1, 1}));
  expect_only_needed_pins();
}

TEST_F(Rules, ChooseCountersByMaps) {
  apply_policy(R"(
table inet t {
  counter web { packets 5 bytes 100 }
  counter mail { }
  counter rest { }
  quota little { 50 bytes }
  map ports {
    type inet_service : counter
    elements = { 1500 : "web", 1501 : "mail" }
  }
  chain in {
    type filter hook input priority 0;
    counter
    counter name udp dport map @ports
    quota name udp dport map { 1600 : "little" } counter drop
  }
})");
  const auto listed_counter = [&](const std::string& name, int packets) {
    const std::string list = expect(service::list_text(state(), paths_));
    const std::string wanted =
        "counter " + name + " {\n\t\tpackets " + std::to_string(packets) + " bytes ";
    EXPECT_NE(list.find(wanted), std::string::npos) << list;
  };
  const auto change_element = [&](service::ElementChange::Kind kind, const std::string& elements) {
    return service::change_elements(
        "p",
        {.kind = kind, .family = Family::inet, .table = "t", .set = "ports", .elements = elements},
        paths_);
  };
  const auto all_arrive = [&](std::initializer_list<std::uint16_t> ports) {
    for (const std::uint16_t port : ports) EXPECT_TRUE(arrives(port)) << port;
  };
  constexpr auto add_element = service::ElementChange::Kind::add;
  all_arrive({1500, 1501, 1501, 1502});
  EXPECT_FALSE(arrives(1600));
  listed_counter("web", 6);
  listed_counter("mail", 2);
  listed_counter("rest", 0);
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{5, 6, 2, 0, 1}));
  const auto json = nlohmann::json::parse(expect(service::list_json(state(), paths_)));
  EXPECT_EQ(json["rules"][0]["packets"], 5);
  EXPECT_TRUE(json["rules"][1]["packets"].is_null()) << "it has none of its own";
  const auto before = state();
  expect(change_element(add_element, "{ 1502 : \"rest\", 1503 : \"web\" }"));
  expect(change_element(service::ElementChange::Kind::remove, "{ 1501 }"));
  EXPECT_FALSE(change_element(add_element, "{ 1504 : \"nosuch\" }"));
  EXPECT_EQ(state().attachments, before.attachments) << "under the same program";
  all_arrive({1501, 1502, 1503});
  listed_counter("web", 7);
  listed_counter("mail", 2);
  listed_counter("rest", 1);
  // With a rule more the counters have other numbers, and go on.
  expect(
      change(Change::insert, "inet t in counter name udp dport map { 1700 : \"mail\" } counter"));
  expect(change(Change::add, "inet t in udp dport 1701 counter name \"rest\" counter"));
  all_arrive({1503, 1700, 1701});
  listed_counter("web", 8);
  listed_counter("mail", 3);
  listed_counter("rest", 2);
  expect(change(Change::remove, "inet t in handle " + handle_of("map @ports")));
  EXPECT_TRUE(arrives(1503));
  EXPECT_TRUE(arrives(1700));
  listed_counter("web", 8);
  listed_counter("mail", 4);
  expect_only_needed_pins();
}

TEST_F(Rules, CarryCountersWithNamesToALargerMap) {
  apply_policy(R"(
table inet t {
  counter every { }
  chain in { type filter hook input priority 0; udp dport 1500 counter name "every"; }
})",
               false);
  EXPECT_TRUE(arrives(1500));
  expect(change(Change::add, "inet t in udp dport 1500 counter name \"every\" counter counter"));
  EXPECT_TRUE(arrives(1500));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{3, 3, 1, 1}));
}

TEST_F(Rules, MoveToALargerMapOfCountersWithAllThatTheyHaveCounted) {
  apply_policy(some_rules, false);
  ASSERT_EQ(state().counter_room, 3U);
  for (int i = 0; i < 5; ++i) arrives(1001);
  expect(change(Change::insert, "inet t in udp dport 1001 counter"));
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{0, 5, 0, 0}));
  const service::PolicyState policy = state();
  EXPECT_GT(policy.counter_room, 4U);
  EXPECT_EQ(policy.old_counters, "");
  arrives(1001);
  EXPECT_EQ(packets("in"), (std::vector<std::uint64_t>{1, 6, 0, 0}));
  expect_only_needed_pins();
}

TEST_F(Rules, ThatAskForConnectionsHaveThemTracked) {
  apply_policy(some_rules);
  EXPECT_EQ(tables(), "");
  const auto stopped = change(Change::add, "inet t in ct state new fib saddr type local drop");
  ASSERT_FALSE(stopped);
  EXPECT_EQ(tables(), "");
  expect(change(Change::insert, "inet t in udp dport 1500 ct state new,established drop"));
  EXPECT_EQ(tables(), "table inet weir_conntrack_p\n");
  EXPECT_FALSE(arrives(1500));
  EXPECT_TRUE(arrives(1501));
  expect_releasable();
}

// ---- A whole ruleset in the place of another ---------------------------------------------------

TEST_F(Rules, OfAnotherRulesetTakeTheirPlace) {
  const auto replace = [&] { return install({.name = "p", .replace = true}); };
  compile_policy(some_rules);
  expect(replace());
  EXPECT_FALSE(arrives(1001)) << "where there is none, it is as any other apply";
  expect(change(Change::add, "inet t in udp dport 1500 drop"));
  compile_policy(
      "table inet other { chain c { type filter hook input priority 0; udp dport 1700 counter drop;"
      " }; }");
  expect(replace());
  EXPECT_TRUE(arrives(1001));
  EXPECT_TRUE(arrives(1500));
  EXPECT_FALSE(arrives(1700));
  EXPECT_EQ(listed(),
            std::vector<std::string>{"c handle 2: udp dport 1700 counter packets 0 bytes 0 drop"});
  EXPECT_EQ(packets("c"), std::vector<std::uint64_t>{1});
  expect(change(Change::add, "inet other c udp dport 1800 drop"));
  EXPECT_FALSE(arrives(1800));
  expect_only_needed_pins();
  const service::PolicyState before = state();
  for (const char* text :
       {"table inet t { chain c { type filter hook forward priority 0; }; }",
        "table ip t { chain c { type filter hook input priority 0; }; }",
        "table inet t { chain c { type filter hook input priority 1; }; }",
        "table inet t { chain c { type filter hook input priority 0; }; chain d { type filter hook "
        "output priority 0; }; }"}) {
    SCOPED_TRACE(text);
    compile_policy(text);
    const auto refused = replace();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::input);
    EXPECT_NE(refused.error().message.find("at the same hooks only"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(state(), before);
  }
  EXPECT_FALSE(arrives(1800));
  expect_releasable();
}

// Counters that move to another map, while they count.
TEST_F(Rules, LoseNoCountBetweenTwoMaps) {
  apply_policy(
      "table inet t { chain in { type filter hook input priority 0; udp dport 1003 counter; }; }",
      false);
  std::uint64_t sent = 0;
  Meanwhile sender([&] {
    EXPECT_TRUE(arrives(1003));
    ++sent;
  });
  // The first map has room for one; the second one for 66.
  const std::string many = [] {
    std::string out;
    for (int i = 0; i < 65; ++i) out += " counter";
    return out;
  }();
  std::set<std::uint32_t> rooms;
  for (const std::string& counters : {std::string(" counter"), many}) {
    rooms.insert(state().counter_room);
    expect(change(Change::add, "inet t in udp dport 1004" + counters));
  }
  rooms.insert(state().counter_room);
  sender.stop();
  EXPECT_EQ(rooms.size(), 3U) << "maps that they have been in";
  EXPECT_EQ(packets("in").front(), sent);
}

TEST_F(Rules, OfObjectsAreReplacedAsAWhole) {
  compile_policy(some_rules);
  expect(install({.name = "p"}));
  service::PolicyState policy = state();
  policy.from_object = true;
  expect(service::save(policy, paths_));
  const auto refused = change(Change::add, "inet t in drop");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("apply it with --replace"), std::string::npos);
  expect(install({.name = "p", .replace = true}));
  expect(change(Change::insert, "inet t in udp dport 1500 drop"));
  EXPECT_FALSE(arrives(1500));
}

}  // namespace
}  // namespace weir::test
