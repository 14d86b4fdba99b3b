// SPDX-License-Identifier: BSD-2-Clause
//
// A process that changes rules one after another, most of them in place: at every kind of hook,
// while packets go through them, beside other processes, and killed at each step.
#include "service/rule_session.h"

#include <algorithm>
#include <csignal>
#include <map>

#include "kernel/rule_sites.h"
#include "kernel/support/root_only.h"
#include "service/element.h"
#include "service/store.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using service::RuleChange;
using service::RuleSession;

// So many, for either protocol, that they are searched in tables. None is about a port that a test
// sends to.
std::string fillers() {
  std::string out;
  for (int i = 0; i < 240; ++i) {
    const std::string source = i % 2 == 0 ? "ip saddr 10." + std::to_string(i) + ".0.0/16"
                                          : "ip6 saddr 2001:db8:" + std::to_string(i) + "::/48";
    out += " " + source + " udp dport " + std::to_string(20000 + i) + " counter drop\n";
  }
  return out;
}

// ---- At every kind of hook ---------------------------------------------------------------------

class SessionAtEverySite : public EverySite {
 protected:
  SessionAtEverySite()
      : EverySite(InTables{fillers()}), session_(expect(RuleSession::open("p", paths_))) {}

  // Replaces the first rule, in place.
  void turn_in_place(const service::StepHook& at_step = {}) {
    const RuleSession::Done done = expect(session_.change(turned(), at_step));
    EXPECT_TRUE(done.in_place);
    EXPECT_EQ(done.handle, user_rules().front().handle);
    expect(session_.tidy_up(at_step));
  }
  [[nodiscard]] std::vector<std::uint32_t> ids() const {
    std::vector<std::uint32_t> out;
    const service::PolicyState policy = state();
    for (const service::AttachmentState& each : policy.attachments) out.push_back(each.program_id);
    for (const service::MapState& each : policy.maps) out.push_back(each.id);
    return out;
  }

  RuleSession session_;
};

TEST_P(SessionAtEverySite, PacketsSeeTheOldRulesOrTheNewOnes) {
  ASSERT_FALSE(is_second());
  const std::vector<std::uint32_t> before = ids();
  const std::uint64_t each = counted();
  ASSERT_GE(each, 1U);
  std::uint64_t looks = 1;
  for (const bool to_second : {true, false, true}) {
    bool changed = false;
    unsigned steps = 0;
    turn_in_place([&](std::string_view step) {
      SCOPED_TRACE(step);
      const bool now = is_second() == to_second;
      ++looks;
      EXPECT_TRUE(now || !changed) << "there is no way back";
      EXPECT_EQ(lists_second() == to_second, now);
      EXPECT_EQ(counted(), looks * each);
      changed = now;
      ++steps;
    });
    EXPECT_TRUE(changed);
    EXPECT_GE(steps, 5U);
  }
  EXPECT_EQ(ids(), before) << "programs and maps stay";
  expect_only_needed_pins();
  const service::PolicyState policy = in_force();
  const service::RuleState rule = user_rules().front();
  const service::RuleState beside = user_rules().at(1);
  EXPECT_EQ(rule.programs, beside.programs);
  EXPECT_FALSE(rule.programs.empty());
  EXPECT_FALSE(rule.maps.empty());
  expect(service::release("p", paths_));
  EXPECT_TRUE(arrives(1001));
  EXPECT_TRUE(arrives(1002));
  EXPECT_FALSE(std::filesystem::exists(paths_.journal("p")));
}

// Steps are the same everywhere.
class KilledSession : public SessionAtEverySite {};

TEST_P(KilledSession, IsWholeAndMended) {
  unsigned old = 0;
  unsigned fresh = 0;
  for (unsigned last = 1;; ++last) {
    SCOPED_TRACE("killed at step " + std::to_string(last));
    const bool before = is_second();
    // A process of its own, which knows what this one knows.
    const int status = in_child([&] {
      unsigned steps = 0;
      const auto count = [&](std::string_view) {
        if (++steps == last) ::raise(SIGKILL);
      };
      const auto done = session_.change(turned(), count);
      if (!done || !session_.tidy_up(count)) ::_exit(1);
      ::_exit(done->in_place ? 0 : 2);
    });
    const bool now = is_second();
    EXPECT_EQ(lists_second(), now);
    const std::uint64_t count = counted();
    ++(now == before ? old : fresh);
    if (last % 3 == 0) {
      // Another process changes the rules behind it, as a whole.
      expect(turn());
    } else if (last % 3 == 1) {
      session_ = expect(RuleSession::open("p", paths_));
      expect(session_.change(turned()));
    } else {
      expect(session_.change(turned()));
    }
    EXPECT_NE(is_second(), now);
    EXPECT_EQ(lists_second(), !now);
    EXPECT_GT(counted(), count);
    expect_only_needed_pins();
    // The first change behind another process's is a swap at the most; then it goes on in place.
    expect(session_.change(turned()));
    turn_in_place();
    EXPECT_NE(is_second(), now);
    if (!was_killed(status)) {
      ASSERT_EQ(status, 0);
      break;
    }
  }
  EXPECT_GE(old, 2U) << "times that it had not come to pass";
  EXPECT_GE(fresh, 2U) << "times that it had";
}

// As of exchanges: none may slip through between, and each is counted once.
TEST_P(SessionAtEverySite, NothingSlipsThroughWhileRulesChange) {
  const std::string chain = std::string(GetParam().family) + " t user ";
  RuleSession::Done rule = expect(
      session_.change({.kind = Change::insert, .words = chain + "udp dport 1500 counter drop"}));
  std::uint64_t let_through = 0;
  std::uint64_t passed = 0;
  std::uint64_t lost = 0;
  const std::uint64_t counted_before = counted();
  Meanwhile sender([&] {
    if (arrives(1500)) ++let_through;
    ++(arrives(1003) ? passed : lost);
  });
  for (int i = 0; i < 40 && !HasNonfatalFailure(); ++i) {
    rule = expect(session_.change(
        {.kind = Change::replace,
         .words = chain + "handle " + std::to_string(rule.handle.value()) +
                  (i % 2 == 0 ? " udp dport 1500 drop" : " udp dport 1500 counter drop")}));
    EXPECT_TRUE(rule.in_place);
  }
  sender.stop();
  EXPECT_GT(passed, 0U);
  EXPECT_EQ(let_through, 0U);
  EXPECT_EQ(lost, 0U);
  const std::uint64_t each = (counted() - counted_before) / passed;
  EXPECT_EQ(counted() - counted_before, passed * each);
  EXPECT_GE(each, 1U);
}

INSTANTIATE_TEST_SUITE_P(Sites, SessionAtEverySite, testing::ValuesIn(sites()),
                         [](const testing::TestParamInfo<Site>& one) { return one.param.name; });

INSTANTIATE_TEST_SUITE_P(Netfilter, KilledSession, testing::Values(sites().front()));
INSTANTIATE_TEST_SUITE_P(Xdp, KilledSession, testing::Values(sites().at(3)));

// ---- What a session does ----------------------------------------------------------------------

class Session : public Rules {
 protected:
  Session() {
    classifier_ = classify::Kind::tuples;
    apply_policy("table inet t {\n set blocked { type inet_service; elements = { 2000 } }\n" +
                 std::string(" chain in {\n type filter hook input priority 0\n") +
                 " udp dport 1001 counter drop\n udp dport 1000-3000 counter\n" + fillers() +
                 " }\n chain user {\n udp dport 1700 counter\n }\n}\n");
  }
  RuleSession open() { return expect(RuleSession::open("p", paths_)); }
  static RuleSession::Done in_place(RuleSession& session, Change kind, const std::string& words) {
    const RuleSession::Done done =
        expect(session.change({.kind = kind, .words = "inet t " + words}));
    EXPECT_TRUE(done.in_place) << words;
    return done;
  }
  static RuleSession::Done swapped(RuleSession& session, Change kind, const std::string& words) {
    const RuleSession::Done done =
        expect(session.change({.kind = kind, .words = "inet t " + words}));
    EXPECT_FALSE(done.in_place) << words;
    return done;
  }
  static std::string handle(const RuleSession::Done& done) {
    return "handle " + std::to_string(done.handle.value());
  }
  [[nodiscard]] std::vector<std::uint64_t> first_packets(std::size_t count) const {
    std::vector<std::uint64_t> out = packets("in");
    out.resize(count);
    return out;
  }
};

TEST_F(Session, ChangesRulesInPlaceWithNftsOwnHandles) {
  RuleSession session = open();
  const std::vector<std::string> before = listed();
  const auto one = in_place(session, Change::insert, "in udp dport 1500 counter drop");
  EXPECT_EQ(listed().front(),
            "in " + handle(one) + ": udp dport 1500 counter packets 0 bytes 0 drop");
  EXPECT_FALSE(arrives(1500));
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(first_packets(3), (std::vector<std::uint64_t>{1, 0, 1}));
  const auto two = in_place(session, Change::add, "in " + handle(one) + " udp dport 1600 drop");
  EXPECT_EQ(listed().at(1), "in " + handle(two) + ": udp dport 1600 drop");
  EXPECT_FALSE(arrives(1600));
  // The rule behind decides first by another verdict.
  const auto three =
      in_place(session, Change::insert, "in " + handle(two) + " udp dport 1600 accept");
  EXPECT_TRUE(arrives(1600));
  EXPECT_FALSE(arrives(1500));
  const auto four =
      in_place(session, Change::replace, "in " + handle(three) + " udp dport 1601 counter drop");
  EXPECT_FALSE(arrives(1600));
  EXPECT_FALSE(arrives(1601));
  in_place(session, Change::remove, "in " + handle(two));
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(first_packets(4), (std::vector<std::uint64_t>{2, 1, 0, 2}));
  in_place(session, Change::remove, "in " + handle(one));
  in_place(session, Change::remove, "in " + handle(four));
  EXPECT_TRUE(arrives(1500));
  EXPECT_TRUE(arrives(1601));
  EXPECT_FALSE(arrives(1001));
  EXPECT_EQ(listed(), before);
  EXPECT_EQ(first_packets(2), (std::vector<std::uint64_t>{1, 4}));
  // The whole of the commands is still a ruleset of nft, of the same rules.
  const auto again = expect(frontend::nft::read_script(service::source_text(state()), "listed"));
  ASSERT_EQ(again.rules.size(), compiled_.ruleset.rules.size());
  expect(service::release("p", paths_));
  EXPECT_TRUE(arrives(1001));
}

// The counters of what came are those that nobody had, or that count from the beginning.
TEST_F(Session, CountsFromTheBeginning) {
  RuleSession session = open();
  const std::uint32_t room = state().counter_room;
  for (std::uint32_t i = 0; i < 8; ++i) {
    const auto rule =
        in_place(session, Change::insert, "in udp dport 1500 counter packets 7 bytes 8");
    EXPECT_EQ(packets("in").front(), 7U);
    EXPECT_TRUE(arrives(1500));
    EXPECT_EQ(packets("in").front(), 8U);
    in_place(session, Change::remove, "in " + handle(rule));
  }
  EXPECT_EQ(state().counter_room, room);
  EXPECT_EQ(first_packets(2), (std::vector<std::uint64_t>{0, 8}));
}

TEST_F(Session, SwapsWhatCannotBeDoneInPlaceAndGoesOn) {
  RuleSession session = open();
  in_place(session, Change::insert, "in udp dport 1500 counter drop");
  const std::uint32_t generation = state().generation;
  swapped(session, Change::insert, "in udp dport 1700 jump user");
  EXPECT_EQ(state().generation, generation + 1);
  EXPECT_FALSE(std::filesystem::exists(paths_.journal("p")));
  EXPECT_TRUE(arrives(1700));
  EXPECT_EQ(packets("user"), std::vector<std::uint64_t>{1});
  EXPECT_FALSE(arrives(1500));
  swapped(session, Change::insert, "in udp dport 1501 ct state new,established drop");
  EXPECT_EQ(tables(), "table inet weir_conntrack_p\n");
  EXPECT_FALSE(arrives(1501));
  // Rules of the chain itself alone, all of them in tables: in place again.
  for (const char* words : {"ct state", "jump user"}) {
    expect(
        session.change({.kind = Change::remove, .words = "inet t in handle " + handle_of(words)}));
  }
  in_place(session, Change::insert, "in udp dport 1502 drop");
  EXPECT_FALSE(arrives(1502));
  expect_only_needed_pins();
}

TEST_F(Session, RefusesWhatNftRefusesAndGoesOn) {
  RuleSession session = open();
  in_place(session, Change::insert, "in udp dport 1500 drop");
  const service::PolicyState before = state();
  for (const auto& [kind, words, says] : std::vector<std::tuple<Change, const char*, const char*>>{
           {Change::remove, "inet t in handle 9999", "No such file"},
           {Change::add, "inet t nosuch accept", "No such file"},
           {Change::add, "inet t in nonsense", "syntax error"},
           {Change::add, "inet t in udp dport @nosuch drop", "nosuch"},
           {Change::add, "inet t in accept; flush ruleset", "found a ';'"},
           {Change::add, "inet t in fib saddr type local drop", "fib"}}) {
    SCOPED_TRACE(words);
    const auto refused = session.change({.kind = kind, .words = words});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text().find(says), std::string::npos) << refused.error().text();
    EXPECT_EQ(state(), before);
    EXPECT_FALSE(arrives(1500));
  }
  expect(session.change({.kind = Change::insert, .words = "inet t in udp dport 1501 drop"}));
  EXPECT_FALSE(arrives(1501));
  in_place(session, Change::insert, "in udp dport 1502 drop");
  EXPECT_FALSE(arrives(1502));
}

TEST_F(Session, NoticesWhatOthersChange) {
  RuleSession session = open();
  RuleSession other = open();
  const auto one = in_place(session, Change::insert, "in udp dport 1500 drop");
  // The other one has read the rules before that.
  const auto two = expect(other.change(
      {.kind = Change::add, .words = "inet t in " + handle(one) + " udp dport 1501 drop"}));
  EXPECT_FALSE(arrives(1500));
  EXPECT_FALSE(arrives(1501));
  expect(session.change({.kind = Change::remove, .words = "inet t in " + handle(two)}));
  EXPECT_FALSE(arrives(1500));
  EXPECT_TRUE(arrives(1501));
  // By weir rule.
  expect(change(Change::add, "inet t in " + handle(one) + " udp dport 1502 drop"));
  EXPECT_FALSE(arrives(1502));
  expect(session.change({.kind = Change::remove, .words = "inet t in " + handle(one)}));
  EXPECT_TRUE(arrives(1500));
  EXPECT_FALSE(arrives(1502));
  in_place(session, Change::insert, "in udp dport 1503 drop");
  // By weir element.
  expect(session.change({.kind = Change::insert, .words = "inet t in udp dport @blocked drop"}));
  expect(service::change_elements("p",
                                  {.kind = service::ElementChange::Kind::add,
                                   .family = Family::inet,
                                   .table = "t",
                                   .set = "blocked",
                                   .elements = "{ 2001 }"},
                                  paths_));
  EXPECT_FALSE(arrives(1503)) << "what was in the journal is still there";
  expect(session.change({.kind = Change::insert, .words = "inet t in udp dport 1504 drop"}));
  in_place(session, Change::add, "in udp dport 1506 drop");
  const std::vector<std::uint16_t> dropped = {1502, 1503, 1504, 1506, 2000, 2001};
  for (const std::uint16_t port : dropped) EXPECT_FALSE(arrives(port)) << port;
  // By weir apply --replace, and weir release.
  compile_policy("table inet t { chain in { type filter hook input priority 0; }; }");
  expect(install({.name = "p", .replace = true}));
  EXPECT_TRUE(arrives(1503));
  expect(session.change({.kind = Change::insert, .words = "inet t in udp dport 1505 drop"}));
  EXPECT_FALSE(arrives(1505));
  EXPECT_TRUE(arrives(1503));
  expect(service::release("p", paths_));
  const auto refused = session.change({.kind = Change::insert, .words = "inet t in accept"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no policy 'p'"), std::string::npos);
}

TEST_F(Session, IsToldOfTheRulesAlone) {
  RuleSession session = open();
  std::optional<imr::RuleEdit> seen;
  RuleChange change = {.kind = Change::insert, .words = "inet t in udp dport 1500 drop"};
  change.foresee = [&](const imr::Ruleset& rules, const std::vector<driver::Attachment>& places,
                       const imr::RuleEdit* edit) {
    ASSERT_NE(edit, nullptr);
    seen = *edit;
    EXPECT_EQ(rules[*edit->added].origin.text.str(), "udp dport 1500 drop");
    EXPECT_EQ(places.size(), 2U);
    EXPECT_TRUE(arrives(1500)) << "it is not in force yet";
  };
  expect(session.change(change));
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->removed);
}

TEST_F(Session, OpensWhatMayChangeOnly) {
  EXPECT_FALSE(RuleSession::open("nosuch", paths_));
  expect(service::release("p", paths_));
  expect(install({.name = "p", .lock = true}));
  const auto refused = RuleSession::open("p", paths_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is locked"), std::string::npos);
}

}  // namespace
}  // namespace weir::test
