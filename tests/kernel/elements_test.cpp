// SPDX-License-Identifier: BSD-2-Clause
//
// Sets of installed policies, changed while they are in force.
#include "service/element.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "frontend/nft/nft.h"
#include "kernel/service_world.h"
#include "kernel/support/root_only.h"
#include "service/store.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

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
      {.interface_index = {}, .commands = service::change_commands(after)}));
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

// ---- Every kind of set, at every step ----------------------------------------------------------

struct Datagram {
  std::uint16_t port;
  const char* from = "127.0.0.1";
};

struct Kind {
  const char* name;
  const char* set;       // its declaration
  const char* rules;     // that drop what is in it
  const char* elements;  // from the beginning
  const char* added;     // by one command
  std::vector<Datagram> old;
  std::vector<Datagram> fresh;
  std::vector<Datagram> others;  // that arrive before and after
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<Kind> kinds() {
  const auto from = [](const char* address) { return Datagram{2000, address}; };
  return {
      {"hash",
       "set s { type inet_service",
       "udp dport @s drop",
       "2000, 2001",
       "2002, 2003",
       {{2000}, {2001}},
       {{2002}, {2003}},
       {{2004}}},
      {"intervals",
       "set s { type inet_service; flags interval",
       "udp dport @s drop",
       "2000-2010, 2100",
       "2200-2210, 2300",
       {{2000}, {2010}, {2100}},
       {{2205}, {2300}},
       {{2011}, {2211}}},
      {"trie",
       "set s { type ipv6_addr; flags interval",
       "ip6 saddr @s drop",
       "fd00:1::/64, fd00:2::5-fd00:2::9",
       "fd00:3::/64, fd00:4::3-fd00:4::7",
       {from("fd00:1::1"), from("fd00:2::6")},
       {from("fd00:3::1"), from("fd00:4::7")},
       {from("::1"), from("fd00:4::8")}},
      {"pairs",
       "set s { type ipv4_addr . inet_service",
       "ip saddr . udp dport @s drop",
       "127.0.0.2 . 2000",
       "127.0.0.3 . 2000, 127.0.0.2 . 2001",
       {from("127.0.0.2")},
       {from("127.0.0.3"), {2001, "127.0.0.2"}},
       {{2001, "127.0.0.3"}}},
      {"tuples of intervals",
       "set s { type ipv4_addr . inet_service; flags interval",
       "ip saddr . udp dport @s drop",
       "127.0.1.0/24 . 2000-2010",
       "127.0.2.0-127.0.2.9 . 2000-2005, 127.0.1.0/24 . 2100-2110",
       {from("127.0.1.7"), {2010, "127.0.1.8"}},
       {from("127.0.2.9"), {2105, "127.0.1.7"}},
       {{2006, "127.0.2.1"}, from("127.0.2.10")}},
      {"verdicts",
       "map s { type inet_service : verdict",
       "udp dport vmap @s",
       "2000 : drop, 2001 : accept",
       "2002 : drop, 2003 : drop",
       {{2000}},
       {{2002}, {2003}},
       {{2001}, {2004}}},
      {"verdicts of intervals",
       "map s { type inet_service : verdict; flags interval",
       "udp dport vmap @s",
       "2000-2010 : drop, 2020 : accept",
       "2100-2110 : drop, 2200 : drop",
       {{2000}, {2010}},
       {{2110}, {2200}},
       {{2020}, {2111}}},
      {"verdicts of a trie",
       "map s { type ipv6_addr : verdict; flags interval",
       "ip6 saddr vmap @s",
       "fd00:1::/64 : drop, fd00:2::6 : accept",
       "fd00:3::/64 : drop, fd00:4::/126 : drop",
       {from("fd00:1::1")},
       {from("fd00:3::1"), from("fd00:4::3")},
       {from("fd00:2::6"), from("fd00:4::7")}},
      {"verdicts of tuples",
       "map s { type ipv4_addr . inet_service : verdict; flags interval",
       "ip saddr . udp dport vmap @s",
       "127.0.1.0/24 . 2000-2010 : drop",
       "127.0.2.0/24 . 2000 : drop, 127.0.3.0/24 . 2000-2001 : drop",
       {from("127.0.1.7")},
       {from("127.0.2.1"), {2001, "127.0.3.1"}},
       {{2001, "127.0.2.1"}}},
      {"data",
       "map s { type inet_service : mark",
       "meta mark set udp dport map @s\nmeta mark 7 drop",
       "2000 : 7, 2001 : 8",
       "2002 : 7, 2003 : 7",
       {{2000}},
       {{2002}, {2003}},
       {{2001}, {2004}}},
      {"data of intervals",
       "map s { type inet_service : mark; flags interval",
       "meta mark set udp dport map @s\nmeta mark 7 drop",
       "2000-2010 : 7, 2020 : 8",
       "2100-2110 : 7, 2200 : 7",
       {{2000}, {2010}},
       {{2105}, {2200}},
       {{2020}, {2201}}},
  };
}

class EveryKind : public Service, public testing::WithParamInterface<Kind> {
 protected:
  EveryKind() {
    for (const char* address :
         {"fd00:1::1", "fd00:2::6", "fd00:3::1", "fd00:4::3", "fd00:4::7", "fd00:4::8"}) {
      expect(run_command({"ip", "addr", "add", address, "dev", "lo"}));
    }
    const Kind& kind = GetParam();
    text_ = "table netdev t {\n" + std::string(kind.set) + "; elements = { " + kind.elements +
            " }; }\nchain c {\ntype filter hook ingress device \"lo\" priority 0;\n" + kind.rules +
            "\n}\n}\n";
    compiled_ = compile(text_.c_str(), {.updatable_sets = true});
    service::Request wanted = request();
    wanted.source = text_;
    expect(service::apply(wanted, paths_));
  }

  Status change(service::ElementChange::Kind kind, const service::StepHook& at_step = {}) {
    return service::change_elements("p",
                                    {.kind = kind,
                                     .family = Family::netdev,
                                     .table = "t",
                                     .set = "s",
                                     .elements = "{ " + std::string(GetParam().added) + " }"},
                                    paths_, at_step);
  }
  // How many of the datagrams of the change are dropped; those that it does not concern are looked
  // at as well.
  [[nodiscard]] std::size_t dropped() const {
    const Kind& kind = GetParam();
    for (const Datagram& one : kind.old) {
      EXPECT_FALSE(arrives(one.port, one.from)) << one.port << " from " << one.from;
    }
    for (const Datagram& one : kind.others) {
      EXPECT_TRUE(arrives(one.port, one.from)) << one.port << " from " << one.from;
    }
    return static_cast<std::size_t>(std::ranges::count_if(
        kind.fresh, [](const Datagram& one) { return !arrives(one.port, one.from); }));
  }
  // What the set holds now, by datagrams and by the policy's own words: the old elements, or all.
  [[nodiscard]] bool has_all() const {
    const std::size_t count = dropped();
    const std::size_t all = GetParam().fresh.size();
    EXPECT_TRUE(count == 0 || count == all) << count << " of " << all << " are dropped";
    auto policy = expect(service::load_policy("p", paths_));
    expect(service::settle_elements(policy, paths_));
    EXPECT_EQ(policy.elements.empty(), count == 0) << service::source_text(policy);
    return count != 0;
  }
  // Of all maps but those of one element.
  [[nodiscard]] std::size_t entries() const {
    std::size_t count = 0;
    for (const service::MapState& map : expect(service::load_policy("p", paths_)).maps) {
      const auto& specs = compiled_.compilation.object.maps;
      const auto spec = std::ranges::find(specs, map.name, &isa::MapSpec::name);
      if (spec->max_entries == 1) continue;
      const auto pinned = expect(kernel::open_pinned(paths_.pins("p") + "/map_" + map.name));
      count += expect(kernel::keys(pinned, spec->key_size)).size();
    }
    return count;
  }

  static constexpr auto add = service::ElementChange::Kind::add;
  static constexpr auto remove = service::ElementChange::Kind::remove;
  std::string text_;
};

TEST_P(EveryKind, PacketsSeeTheOldSetOrTheNewOne) {
  ASSERT_FALSE(has_all());
  for (const auto kind : {add, remove, add, remove}) {
    bool changed = false;
    unsigned steps = 0;
    expect(change(kind, [&](std::string_view step) {
      SCOPED_TRACE(step);
      const std::size_t count = dropped();
      const bool new_now = (count != 0) == (kind == add);
      EXPECT_TRUE(count == 0 || count == GetParam().fresh.size()) << count;
      EXPECT_TRUE(new_now || !changed) << "there is no way back";
      changed = new_now;
      ++steps;
    }));
    EXPECT_TRUE(changed);
    EXPECT_GE(steps, 4U);
    EXPECT_EQ(has_all(), kind == add);
  }
}

TEST_P(EveryKind, AChangeThatIsKilledIsMendedByTheNextOne) {
  const std::size_t entries_before = entries();
  unsigned old = 0;
  unsigned fresh = 0;
  for (unsigned last = 1;; ++last) {
    SCOPED_TRACE("killed at step " + std::to_string(last));
    const int status = in_child([&] {
      unsigned steps = 0;
      if (!change(add, [&](std::string_view) {
            if (++steps == last) ::raise(SIGKILL);
          })) {
        ::_exit(1);
      }
    });
    const bool now = has_all();
    ++(now ? fresh : old);
    if (!now) expect(change(add));
    ASSERT_TRUE(has_all());
    expect(change(remove));
    ASSERT_FALSE(has_all());
    EXPECT_EQ(entries(), entries_before) << "nothing is left of it";
    if (!was_killed(status)) {
      ASSERT_EQ(status, 0);
      break;
    }
  }
  EXPECT_GE(old, 2U) << "times that it had not come to pass";
  EXPECT_GE(fresh, 3U) << "times that it had";
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryKind, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<Kind>& one) {
                           std::string name = one.param.name;
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

}  // namespace
}  // namespace weir::test
