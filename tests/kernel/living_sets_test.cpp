// SPDX-License-Identifier: BSD-2-Clause
//
// Sets of an installed policy that packets change: what lives in them is listed, outlives changes
// of the rules, and comes and goes as weir element asks.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "frontend/nft/nft.h"
#include "kernel/rules_world.h"
#include "kernel/support/root_only.h"
#include "service/element.h"
#include "service/listing.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr const char* set_rules = R"(
table inet t {
  set seen { type inet_service; flags dynamic; timeout 1h; size 100; }
  set rates { type inet_service; flags dynamic; }
  set hits { type inet_service . ipv4_addr; flags dynamic,timeout
    counter
  }
  set blocked { type inet_service; timeout 1d; elements = { 1900 timeout 5h } }
  map marks { type inet_service : mark; flags dynamic; }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 1500 add @seen { udp dport }
    udp dport 1600 update @rates { udp dport limit rate over 1/day burst 2 packets } drop
    udp dport 1700 update @hits { udp dport . ip saddr }
    udp dport @blocked drop
    udp dport 1800 add @marks { udp dport : 0x2a }
  }
}
)";

class LivingSets : public Rules {
 protected:
  LivingSets() { apply_policy(set_rules); }
  [[nodiscard]] std::string listed_text() const {
    return expect(service::list_text(state(), paths_));
  }
  [[nodiscard]] bool lists(const std::string& text) const {
    return listed_text().find(text) != std::string::npos;
  }
  Status elements(service::ElementChange::Kind kind, const std::string& set,
                  const std::string& elements) {
    return service::change_elements(
        "p", {.kind = kind, .family = Family::inet, .table = "t", .set = set, .elements = elements},
        paths_);
  }
  static constexpr auto put = service::ElementChange::Kind::add;
  static constexpr auto take = service::ElementChange::Kind::remove;
};

TEST_F(LivingSets, AreListedWithWhatLivesInThem) {
  EXPECT_TRUE(
      lists("\tset seen {\n\t\ttype inet_service\n\t\tsize 100\n\t\tflags dynamic,timeout\n"
            "\t\ttimeout 1h\n\t}\n"))
      << listed_text();
  arrives(1500);
  arrives(1600);
  arrives(1700);
  arrives(1700);
  arrives(1800);
  EXPECT_TRUE(lists("elements = { 1500 expires 59m59s")) << listed_text();
  EXPECT_TRUE(lists("elements = { 1600 limit rate over 1/day burst 2 packets }")) << listed_text();
  EXPECT_TRUE(lists("elements = { 1700 . 127.0.0.1 counter packets 2 bytes ")) << listed_text();
  EXPECT_TRUE(lists("elements = { 1900 timeout 5h expires 4h59m59s")) << listed_text();
  EXPECT_TRUE(lists("elements = { 1800 : 0x0000002a }")) << listed_text();
}

TEST_F(LivingSets, AreInTheListAsJson) {
  arrives(1500);
  arrives(1700);
  arrives(1700);
  arrives(1800);
  const auto list = nlohmann::json::parse(expect(service::list_json(state(), paths_)));
  const auto only_element = [&](const std::string& set) -> nlohmann::json {
    for (const auto& one : list["sets"]) {
      if (one["name"] != set) continue;
      EXPECT_EQ(one["family"], "inet");
      EXPECT_EQ(one["table"], "t");
      EXPECT_EQ(one["elements"].size(), 1U) << one;
      return one["elements"].at(0);
    }
    ADD_FAILURE() << "no set " << set << " in " << list["sets"];
    return {};
  };
  const auto seen = only_element("seen");
  EXPECT_EQ(seen["key"], "1500");
  EXPECT_GT(seen["expires_ms"].get<std::uint64_t>(), 3'590'000U);
  EXPECT_TRUE(seen["packets"].is_null());
  const auto counted = only_element("hits");
  EXPECT_EQ(counted["key"], "1700 . 127.0.0.1");
  EXPECT_EQ(counted["packets"], 2);
  EXPECT_TRUE(counted["expires_ms"].is_null());
  EXPECT_EQ(only_element("marks")["data"], "0x0000002a");
}

TEST_F(LivingSets, OutliveChangesOfRules) {
  arrives(1500);
  EXPECT_TRUE(arrives(1600));
  EXPECT_TRUE(arrives(1600));
  EXPECT_FALSE(arrives(1600)) << "beyond the burst";
  const auto before = state();
  expect(change(Change::insert, "inet t in udp dport 1500 counter"));
  EXPECT_TRUE(lists("1500 expires")) << listed_text();
  EXPECT_FALSE(arrives(1600)) << "still beyond";
  const auto after = state();
  for (std::size_t i = 0; i < before.dynamic_sets.size(); ++i) {
    EXPECT_EQ(before.maps.at(before.dynamic_sets[i].map).id,
              after.maps.at(after.dynamic_sets.at(i).map).id)
        << "the same map";
  }
  expect_only_needed_pins();
}

// Elements are copied where they get other statements.
TEST_F(LivingSets, AreCopiedToOtherMapsWhereTheirStatementsChange) {
  arrives(1600);
  arrives(1600);
  EXPECT_FALSE(arrives(1600));
  const auto handle = state().chains.front().rules.at(1).handle;
  expect(change(Change::replace, "inet t in handle " + std::to_string(handle) +
                                     " udp dport 1600 update @rates { udp dport limit rate over "
                                     "1/day burst 3 packets } drop"));
  EXPECT_TRUE(lists("1600 limit rate over 1/day burst 3 packets")) << listed_text();
  EXPECT_TRUE(arrives(1600)) << "its limit begins anew";
  expect_only_needed_pins();
}

TEST_F(LivingSets, TakeElementsFromOutside) {
  EXPECT_FALSE(arrives(1900));
  EXPECT_TRUE(arrives(1901));
  expect(elements(put, "blocked", "{ 1901 timeout 1h, 1900 }"));
  EXPECT_FALSE(arrives(1901));
  EXPECT_TRUE(lists("1901 timeout 1h expires 59m59s")) << listed_text();
  EXPECT_TRUE(lists("1900 expires 23h59m59s")) << "it has the set's time now: " << listed_text();
  expect(elements(take, "blocked", "{ 1900 }"));
  EXPECT_TRUE(arrives(1900));
  const auto refused = elements(take, "blocked", "{ 1901, 1900 }");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("has no element 1900"), std::string::npos)
      << refused.error().text();
  EXPECT_FALSE(arrives(1901)) << "nothing of it was done";
  arrives(1500);
  expect(elements(take, "seen", "{ 1500 }"));
  EXPECT_FALSE(lists("1500 expires")) << "packets made it: " << listed_text();
}

TEST_F(LivingSets, HaveRoomForSoMany) {
  const auto ports = [](int from) {
    std::string out;
    for (int port = from; port < from + 60; ++port) {
      out += (out.empty() ? "{ " : ", ") + std::to_string(port);
    }
    return out + " }";
  };
  expect(elements(put, "seen", ports(1)));
  const auto refused = elements(put, "seen", ports(101));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("room for 100 elements"), std::string::npos)
      << refused.error().text();
}

// ---- Intervals ---------------------------------------------------------------------------------

constexpr const char* interval_rules = R"(
table inet t {
  set hits { type inet_service; flags interval; counter; elements = { 1500-1599, 1600 } }
  set blocked { type inet_service; flags interval,timeout; elements = { 1900-1949 timeout 5h } }
  set both {
    type ipv4_addr . inet_service
    flags interval,timeout
    counter
    elements = { 127.0.0.0/8 . 1700-1799 timeout 2h }
  }
  set short { type mark; flags interval,timeout; elements = { 0 timeout 1s } }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport @hits counter
    udp dport @blocked drop
    udp dport 1800 mark @short drop
    ip saddr . udp dport @both drop
  }
}
)";

class LivingIntervals : public LivingSets {
 protected:
  LivingIntervals() {
    expect(service::release("p", paths_));
    apply_policy(interval_rules);
  }
};

TEST_F(LivingIntervals, AreListedWithWhatTheyKeep) {
  EXPECT_TRUE(arrives(1500));
  EXPECT_TRUE(arrives(1599));
  EXPECT_TRUE(arrives(1600));
  EXPECT_FALSE(arrives(1949));
  EXPECT_TRUE(arrives(1950));
  EXPECT_FALSE(arrives(1799));
  EXPECT_TRUE(
      lists("\tset hits {\n\t\ttype inet_service\n\t\tsize 1024\n\t\tflags interval\n"
            "\t\tcounter\n\t\telements = { 1500-1599 counter packets 2 bytes 64,\n\t\t\t     1600 "
            "counter packets 1 bytes 32 }\n"))
      << listed_text();
  EXPECT_TRUE(
      lists("flags interval,timeout\n\t\telements = { 1900-1949 timeout 5h expires 4h59m59s"))
      << listed_text();
  EXPECT_TRUE(
      lists("127.0.0.0/8 . 1700-1799 counter packets 1 bytes 32 timeout 2h expires 1h59m59s"))
      << listed_text();
}

TEST_F(LivingIntervals, AreListedAsNftReadsThem) {
  EXPECT_TRUE(arrives(1500));
  const auto read = expect(frontend::nft::read_script(listed_text(), "the list"));
  const auto hits = std::ranges::find(read.sets, "hits", &imr::Set::name);
  ASSERT_NE(hits, read.sets.end());
  ASSERT_TRUE(hits->dynamic);
  EXPECT_EQ(hits->dynamic->statements.size(), 1U);
}

TEST_F(LivingIntervals, Expire) {
  EXPECT_FALSE(arrives(1800));
  ::usleep(1'200'000);
  EXPECT_TRUE(arrives(1800));
  EXPECT_FALSE(lists("0x00000000 timeout")) << listed_text();
  EXPECT_FALSE(elements(take, "short", "{ 0 }")) << "it is gone";
  expect(elements(put, "short", "{ 0-5 timeout 1h }"));
  EXPECT_FALSE(arrives(1800)) << "what overlaps it is gone";
  expect(elements(put, "short", "{ 0x10-0x1f timeout 1s, 0x40-0x4f timeout 1s }"));
  ::usleep(1'200'000);
  expect(elements(put, "short", "{ 16-20 timeout 1h }"));
  EXPECT_TRUE(lists("0x00000010-0x00000014 timeout 1h expires 59m59s")) << listed_text();
}

TEST_F(LivingIntervals, ComeAndGo) {
  EXPECT_FALSE(arrives(1900));
  EXPECT_TRUE(arrives(1500));
  expect(elements(put, "blocked", "{ 1950-1959 timeout 1h, 1970, 1900-1949 }"));
  for (const std::uint16_t port : std::array<std::uint16_t, 4>{1949, 1950, 1959, 1970})
    EXPECT_FALSE(arrives(port)) << port;
  EXPECT_TRUE(arrives(1960));
  EXPECT_TRUE(lists("1500-1599 counter packets 1 bytes 32")) << "it counts on: " << listed_text();
  EXPECT_TRUE(lists("1950-1959 timeout 1h expires 59m59s")) << listed_text();
  EXPECT_FALSE(lists("1900-1949 timeout")) << "it stays now: " << listed_text();
  expect(elements(take, "blocked", "{ 1950-1959 }"));
  EXPECT_TRUE(arrives(1950));
  EXPECT_FALSE(lists("1950-1959")) << listed_text();
  expect(elements(put, "blocked", "{ 1955-1965 timeout 10m }"));
  EXPECT_FALSE(arrives(1960)) << "it overlaps what is gone";
  expect(elements(take, "blocked", "{ 1900-1949 }"));
  EXPECT_TRUE(arrives(1900)) << "it was in the text";
  expect(elements(put, "blocked", "{ 1900-1949 timeout 3h }"));
  expect(elements(take, "blocked", "{ 1900-1949 }"));
  EXPECT_TRUE(arrives(1900));
  expect(elements(put, "both", "{ 127.0.0.1 . 2000-2009 }"));
  EXPECT_FALSE(arrives(2005));
  EXPECT_FALSE(arrives(1700));
  EXPECT_TRUE(lists("127.0.0.1 . 2000-2009 counter packets 1 bytes 32")) << listed_text();
  expect_only_needed_pins();
}

// Those that have expired, which programs still know, with the others.
TEST_F(LivingIntervals, ComeBackAllAtOnce) {
  expect(elements(put, "blocked", "{ 1950-1959 timeout 1s }"));
  ::usleep(1'100'000);
  EXPECT_TRUE(arrives(1950));
  int steps = 0;
  const service::StepHook look = [&](std::string_view step) {
    ++steps;
    EXPECT_EQ(arrives(1950), arrives(1960)) << step;
  };
  expect(service::change_elements("p",
                                  {.kind = put,
                                   .family = Family::inet,
                                   .table = "t",
                                   .set = "blocked",
                                   .elements = "{ 1950-1959 timeout 1h, 1960-1969 }"},
                                  paths_, look));
  EXPECT_GT(steps, 0);
  EXPECT_FALSE(arrives(1950));
  EXPECT_FALSE(arrives(1960));
}

// Not those either that expire while a larger map is made.
TEST_F(LivingIntervals, DoNotComeBackByThemselves) {
  using std::chrono::milliseconds;
  std::map<int, milliseconds> times;
  std::string some;
  for (int i = 0; i < 20; ++i) {
    const int port = 3000 + 2 * i;
    times[port] = milliseconds(100 + 50 * i);
    some += (some.empty() ? "{ " : ", ") + std::to_string(port) + " timeout " +
            std::to_string(times[port].count()) + "ms";
  }
  std::string many;
  for (int port = 10'000; port < 12'400; port += 2) {
    many += (many.empty() ? "{ " : ", ") + std::to_string(port);
  }
  expect(service::release("p", paths_));
  apply_policy(
      "table inet t {\n  set blocked { type inet_service; flags interval,timeout; elements = " +
      some + " }; }\n  chain in { type filter hook input priority 0; udp dport @blocked " +
      "drop; }\n}\n");
  const auto start = std::chrono::steady_clock::now();
  expect(elements(put, "blocked", many + " }"));
  const auto passed = std::chrono::steady_clock::now() - start;
  const std::string listed = listed_text();
  for (const auto& [port, time] : times) {
    if (time > passed) continue;
    EXPECT_EQ(listed.find(std::to_string(port) + " timeout"), std::string::npos)
        << port << " with a timeout of " << time.count() << " ms";
  }
}

TEST_F(LivingIntervals, AreGoneAfterAChangeThatWasBrokenOff) {
  std::vector<std::string> steps;
  const service::ElementChange change = {
      .kind = take, .family = Family::inet, .table = "t", .set = "hits", .elements = "{ 1600 }"};
  const service::StepHook note = [&](std::string_view step) { steps.emplace_back(step); };
  expect(service::change_elements("p", change, paths_, note));
  expect(elements(put, "hits", "{ 1600 }"));
  for (const std::string& last : steps) {
    SCOPED_TRACE(last);
    const service::StepHook stop = [&](std::string_view step) {
      if (step == last) throw std::runtime_error("broken off");
    };
    EXPECT_ANY_THROW(expect(service::change_elements("p", change, paths_, stop)));
    [[maybe_unused]] const Status again = service::change_elements("p", change, paths_, {});
    EXPECT_FALSE(lists("1600 counter")) << listed_text();
    expect(elements(put, "hits", "{ 1600 }"));
  }
}

TEST_F(LivingIntervals, AreNotedWithWhatTheyBeginWith) {
  expect(elements(put, "hits", "{ 1700-1709 counter packets 9 bytes 90 }"));
  const std::string text = service::source_text(state());
  EXPECT_NE(text.find("1700-1709 counter packets 9 bytes 90"), std::string::npos) << text;
}

// What nft 1.0.6 lists of them on Linux 6.18, up to what has gone by: another timeout, or time
// left, is taken over, and the same timeout leaves an element what it has left.
TEST_F(LivingIntervals, TakeOtherTimesWhenAddedAgain) {
  struct Case {
    const char* timeout;  // of the set
    const char* element;
    const char* again;
    const char* listed;
  };
  constexpr std::array<Case, 11> cases = {{
      {"", "10", "10 timeout 1h", "10 timeout 1h expires 59m59s"},
      {"", "10 timeout 1h", "10", "10 }"},
      {"", "10 timeout 1h expires 30m", "10 timeout 1h", "10 timeout 1h expires 29m59s"},
      {"", "10 timeout 1h", "10 timeout 1m", "10 timeout 1m expires 59s"},
      {"", "10 timeout 1h", "10 timeout 1h expires 30m", "10 timeout 1h expires 29m59s"},
      {"", "10 timeout 1h", "10 timeout 2h expires 30m", "10 timeout 2h expires 29m59s"},
      {"timeout 1h;", "10 expires 30m", "10 timeout 1h", "10 expires 29m59s"},
      {"timeout 1h;", "10", "10 timeout 1m", "10 timeout 1m expires 59s"},
      {"timeout 1h;", "10 timeout 1m", "10", "10 expires 59m59s"},
      {"timeout 1h;", "10 expires 30m", "10", "10 expires 29m59s"},
      {"timeout 1h;", "10", "10 expires 5m", "10 expires 4m59s"},
  }};
  for (const Case& one : cases) {
    for (const char* flags : {"timeout", "interval,timeout"}) {
      SCOPED_TRACE(std::string(flags) + " " + one.timeout + " " + one.element + ", " + one.again);
      expect(service::release("p", paths_));
      apply_policy("table inet t {\n  set s { type inet_service; flags " + std::string(flags) +
                   "; " + one.timeout + " elements = { " + one.element +
                   " }; }\n  chain in { type filter hook input priority 0; udp dport @s drop; "
                   "}\n}\n");
      expect(elements(put, "s", "{ " + std::string(one.again) + " }"));
      EXPECT_TRUE(lists(std::string("elements = { ") + one.listed)) << listed_text();
    }
  }
}

// A set that does not say how many it may have has room for as many as come.
TEST_F(LivingIntervals, ComeInGreatNumbers) {
  std::string many;
  for (int port = 10'000; port < 12'400; port += 2) {
    many += (many.empty() ? "{ " : ", ") + std::to_string(port);
  }
  EXPECT_TRUE(arrives(1500));
  expect(elements(put, "hits", many + " }"));
  EXPECT_TRUE(arrives(1500));
  EXPECT_TRUE(arrives(12'398));
  EXPECT_TRUE(lists("1500-1599 counter packets 2 bytes 64")) << "it counts on";
  EXPECT_TRUE(lists("12398 counter packets 1 bytes 32"));
  expect(elements(take, "hits", many + " }"));
  EXPECT_FALSE(lists("12398 counter"));
  EXPECT_TRUE(lists("1500-1599 counter packets 2 bytes 64"));
  expect_only_needed_pins();
}

TEST_F(LivingIntervals, AreRefusedAsNftWould) {
  const auto refused = [&](service::ElementChange::Kind kind, const char* what) {
    const Status status = elements(kind, "blocked", what);
    return status ? std::string() : status.error().text();
  };
  EXPECT_NE(refused(put, "{ 1940-1960 }"), "") << "it overlaps";
  EXPECT_NE(refused(take, "{ 1900-1920 }"), "") << "a part of an element is none";
  EXPECT_NE(refused(take, "{ 1800 }"), "");
  EXPECT_FALSE(arrives(1940));
  EXPECT_TRUE(arrives(1960));
  EXPECT_FALSE(lists("1940-1960")) << listed_text();
}

TEST_F(LivingIntervals, OutliveChangesOfRules) {
  EXPECT_TRUE(arrives(1500));
  expect(elements(put, "hits", "{ 1610-1619 }"));
  EXPECT_TRUE(arrives(1615));
  expect(change(Change::insert, "inet t in udp dport @hits udp dport != @blocked counter"));
  EXPECT_TRUE(arrives(1615));
  EXPECT_TRUE(lists("1500-1599 counter packets 1 bytes 32")) << listed_text();
  EXPECT_TRUE(lists("1610-1619 counter packets 3 bytes 96")) << listed_text();
  expect_only_needed_pins();
}

}  // namespace
}  // namespace weir::test
