// SPDX-License-Identifier: BSD-2-Clause
//
// Rulesets that a RuleReader changes, command by command: after each of them they are what nft
// makes of the script and all commands so far.
#include "frontend/nft/rule_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <utility>

#include "imr/print.h"
#include "imr/verify.h"
#include "imr/visit.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

// A ruleset without what may differ between rulesets that mean the same: rules and counters in the
// order of the chains, sets without names numbered in the order of their use, those that nobody
// uses left out, and so are places in files.
class Normal {
 public:
  explicit Normal(const imr::Ruleset& from) : from_(from) {
    out_.tables = from.tables;
    for (imr::Chain chain : from.chains) {
      chain.rules.clear();
      out_.add(std::move(chain));
    }
    for (std::size_t i = 0; i < from.sets.size(); ++i) {
      if (!from.sets[i].anonymous) sets_[imr::SetId(i)] = out_.add(from.sets[i]);
    }
    for (const imr::Chain& chain : from.chains) {
      for (const imr::RuleId id : chain.rules) rule(id);
    }
    out_.interfaces = from.interfaces;
    std::erase_if(out_.interfaces, [](const imr::Interface& i) { return i.name == "lo"; });
  }

  [[nodiscard]] std::string text() const { return imr::print(out_); }

 private:
  void rule(imr::RuleId id) {
    imr::Rule rule = from_[id];
    rule.origin.location = {};
    for (imr::Statement& statement : rule.statements.edit()) {
      imr::match_on(
          statement, [&](imr::Match& s) { s.lhs = expr(s.lhs); },
          [&](imr::MatchRange& s) { s.lhs = expr(s.lhs); },
          [&](imr::MatchSet& s) {
            s.key = expr(s.key);
            s.set = set(s.set);
          },
          [&](imr::VerdictMap& s) {
            s.key = expr(s.key);
            s.map = set(s.map);
          },
          [](imr::VerdictStatement&) {},
          [&](imr::Counter& s) {
            imr::CounterState state = from_.counters.at(s.counter.index());
            EXPECT_EQ(state.rule, id);
            state.rule = imr::RuleId(out_.rules.size());
            s.counter = out_.add(state);
          },
          [&](imr::Meter& s) { s.meter = out_.add(from_.meters.at(s.meter.index())); },
          [&](imr::Choice& s) {
            s.place = expr(s.place);
            for (imr::CounterId& counter : s.counters.edit()) {
              counter = out_.add(from_.counters.at(counter.index()));
            }
            for (imr::MeterId& meter : s.meters.edit()) {
              meter = out_.add(from_.meters.at(meter.index()));
            }
          },
          [&](imr::MetaWrite& s) { s.value = expr(s.value); },
          [&](imr::PayloadWrite& s) { s.value = expr(s.value); },
          [&](imr::OptionWrite& s) { s.value = expr(s.value); }, [](imr::OptionStrip&) {},
          [&](imr::Answer& s) {
            if (s.limit) s.limit = out_.add(from_.meters.at(s.limit->index()));
          },
          [&](imr::Forward& s) { s.device = expr(s.device); },
          [&](imr::Duplicate& s) { s.device = expr(s.device); }, [](imr::Log&) {},
          [&](imr::DynamicSet& s) {
            s.key = expr(s.key);
            if (s.data) s.data = expr(*s.data);
            s.set = set(s.set);
          },
          [](imr::Native&) {});
    }
    out_.add(std::move(rule));
  }

  imr::SetId set(imr::SetId id) {
    const auto known = sets_.find(id);
    if (known != sets_.end()) return known->second;
    imr::Set copy = from_[id];
    copy.name = "__" + std::to_string(sets_.size());
    return sets_[id] = out_.add(std::move(copy));
  }

  imr::ExprId expr(imr::ExprId id) {
    const auto known = exprs_.find(id);
    if (known != exprs_.end()) return known->second;
    imr::Expr copy = from_[id];
    imr::match_on(
        copy, [](imr::Immediate&) {}, [](imr::Payload&) {}, [](imr::HeaderField&) {},
        [](imr::Extension&) {}, [](imr::Meta&) {}, [](imr::Ct&) {},
        [&](imr::MaskXor& e) { e.source = expr(e.source); },
        [&](imr::Shift& e) { e.source = expr(e.source); },
        [&](imr::ByteSwap& e) { e.source = expr(e.source); },
        [&](imr::Concat& e) {
          for (imr::ExprId& part : e.parts) part = expr(part);
        },
        [&](imr::MapLookup& e) {
          e.key = expr(e.key);
          e.map = set(e.map);
        },
        [](imr::Random&) {}, [&](imr::Hash& e) { e.source = expr(e.source); },
        [&](imr::Nexthop& e) { e.source = expr(e.source); },
        [&](imr::Numgen& e) { e.meter = out_.add(from_.meters.at(e.meter.index())); });
    return exprs_[id] = out_.add(std::move(copy));
  }

  const imr::Ruleset& from_;
  imr::Ruleset out_;
  std::map<imr::SetId, imr::SetId> sets_;
  std::map<imr::ExprId, imr::ExprId> exprs_;
};

std::string normal(const imr::Ruleset& ruleset) {
  return Normal(ruleset).text();
}

std::optional<std::uint32_t> index_of(const std::string& name) {
  if (name == "outside") return 77;
  return std::nullopt;
}

// Reads what must be one ruleset both ways.
class Subject {
 public:
  explicit Subject(std::string script) : script_(std::move(script)) { begin(); }

  // By the reader where it can, otherwise by reading the whole.
  enum class Outcome : std::uint8_t { changed, read_anew, refused };
  Outcome run(const std::string& command) {
    if (!reader_) {
      ADD_FAILURE() << "no reader for " << command;
      return Outcome::refused;
    }
    const std::string before = imr::print(ruleset_);
    const auto edit = reader_->change(ruleset_, command);
    commands_.push_back(command);
    const Result<imr::Ruleset> whole = read_whole();
    if (!edit) {
      EXPECT_EQ(imr::print(ruleset_), before) << command;
      if (!whole) {
        commands_.pop_back();
        return Outcome::refused;
      }
      begin();
      return Outcome::read_anew;
    }
    if (!whole) {
      ADD_FAILURE() << whole.error().text() << "\nof " << command;
      return Outcome::changed;
    }
    EXPECT_EQ(normal(ruleset_), normal(*whole)) << command;
    EXPECT_EQ(imr::find_violation(ruleset_), imr::find_violation(*whole)) << command;
    expect_edit(*edit, command);
    return Outcome::changed;
  }

  [[nodiscard]] const imr::Ruleset& ruleset() const { return ruleset_; }
  // Forgets all but script and commands.
  void begin() {
    auto whole = read_whole();
    ASSERT_TRUE(whole) << whole.error().text();
    ruleset_ = std::move(*whole);
    reader_ = RuleReader::create(script_, options(), ruleset_);
  }

 private:
  [[nodiscard]] Options options() const {
    return {.interface_index = index_of, .commands = commands_, .divide = false};
  }

  Result<imr::Ruleset> read_whole() {
    if (!scratch_) return std::unexpected(scratch_.error());
    return scratch_->read(script_, "test.nft", options());
  }

  void expect_edit(const imr::RuleEdit& edit, const std::string& command) const {
    const std::vector<imr::RuleId>& rules = ruleset_[edit.chain].rules;
    EXPECT_EQ(edit.added.has_value(), !command.starts_with("delete")) << command;
    EXPECT_EQ(edit.removed.has_value(),
              command.starts_with("delete") || command.starts_with("replace"))
        << command;
    if (edit.added) {
      EXPECT_EQ(edit.added->index() + 1, ruleset_.rules.size());
      EXPECT_EQ(std::ranges::count(rules, *edit.added), 1);
    }
    if (edit.removed) {
      EXPECT_EQ(std::ranges::count(rules, *edit.removed), 0);
      EXPECT_EQ(ruleset_[*edit.removed].chain, edit.chain);
    }
  }

  std::string script_;
  std::vector<std::string> commands_;
  Result<ScratchNamespace> scratch_ = ScratchNamespace::create();
  imr::Ruleset ruleset_;
  std::optional<RuleReader> reader_;
};

constexpr const char* script =
    "define web = { 80, 443 }\n"
    "table ip t {\n"
    "  set s { type ipv4_addr; elements = { 10.1.1.1, 10.1.1.2 } }\n"
    "  set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }\n"
    "  map m { type inet_service : verdict; elements = { 1 : accept, 2 : jump d } }\n"
    "  map marks { type ipv4_addr : mark; elements = { 10.1.1.1 : 7 } }\n"
    "  counter named { }\n"
    "  chain c {\n    type filter hook input priority 0; policy drop;\n"
    "    tcp dport $web accept\n    jump d\n    iif outside drop\n  }\n"
    "  chain d {\n    ip saddr @s counter packets 5 bytes 500 accept comment \"first\"\n"
    "    udp dport { 53, 67-68 } accept\n  }\n"
    "  chain e {\n  }\n"
    "}\n"
    "table inet f {\n  chain c {\n    type filter hook forward priority 0\n  }\n"
    "  chain d {\n    meta l4proto vmap { tcp : accept, udp : drop }\n  }\n}\n"
    "table ip6 without {\n  set s { type ipv6_addr; }\n"
    "  chain c {\n    type filter hook input priority 0\n  }\n}\n";

// Of any family.
constexpr std::array everywhere = {
    "tcp dport 22 accept",
    "counter",
    "counter packets 9 bytes 1 drop",
    "tcp dport { 1, 2, 3 } accept",
    "tcp dport { 1-9, 20, 30-40 } counter accept comment \"{ ; # handle 7\"",
    "udp sport . udp dport { 1 . 2, 3 . 4 } counter drop",
    "meta l4proto . th dport { tcp . 22-25, udp . 53 } accept",
    "tcp dport vmap { 22 : accept, 80 : drop, 90-99 : return }",
    "meta mark set tcp dport map { 1 : 3, 2 : 4 } accept",
    "ct state established,related accept",
    "ct state vmap { established : accept, invalid : drop }",
    "iif lo accept",
    "iif \"outside\" tcp dport != { 5, 6 } drop",
    "iif { lo, outside } tcp dport 9 accept",
    "iifname \"eth*\" meta mark & 0xf0 == 0x10 counter accept",
    "tcp flags & (syn | ack) == syn counter return",
    "tcp dport 1000-2000 tcp sport 5 accept",
};
constexpr std::array of_ip = {
    "ip saddr @s counter packets 9 bytes 1 drop",
    "ip saddr @nets ip daddr { 10.0.0.0/8, 192.168.0.0/16, 1.1.1.1 } accept",
    "ip saddr . tcp dport { 10.0.0.0/8 . 80, 1.1.1.1 . 90-99 } accept",
    "tcp dport vmap @m",
    "meta mark set ip saddr map @marks",
    "jump e",
    "goto e comment \"away\"",
    "tcp dport vmap { 1 : jump e, 2 : goto e }",
    "ip ttl < 5 ip length > 100 ip saddr != 10.0.0.0/8 drop",
};
// What only reading the whole tells, or nft refuses.
constexpr std::array others = {
    "jump d",
    "jump c",
    "limit rate 5/second accept",
    "counter name named",
    "counter name tcp dport map { 80 : \"named\" }",
    "tcp dport $web accept",
    "iif \"unknown\" accept",
    "ip saddr @nosuch accept",
    "nonsense",
    "reject",
    "tcp dport 22 accept; tcp dport 23 accept",
};

TEST(RuleReaders, ComeToWhatNftMakesOfAllCommands) {
  std::size_t swaps = 0;  // commands that nft takes, and the reader alone cannot
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    std::mt19937 random(seed);
    const auto any = [&](std::size_t count) { return random() % count; };
    const auto one_of = [&](const auto& list) { return std::string(list.at(any(list.size()))); };
    Subject subject(script);
    for (int i = 0; i < 70; ++i) {
      const std::string chain =
          std::array{"ip t c", "ip t d", "ip t e", "inet f c", "inet f d", "ip6 without c"}.at(
              any(6));
      std::vector<std::string> there;
      for (std::size_t c = 0; c < subject.ruleset().chains.size(); ++c) {
        if (imr::qualified_name(subject.ruleset(), imr::ChainId(c)) != chain) continue;
        for (const imr::RuleId id : subject.ruleset().chains[c].rules) {
          there.push_back(std::to_string(std::as_const(subject.ruleset())[id].origin.handle));
        }
      }
      std::string text = one_of(everywhere);
      if (chain.starts_with("ip t") && any(2) == 0) text = one_of(of_ip);
      if (any(12) == 0) text = one_of(others);
      const std::string handle = there.empty() || any(30) == 0 ? "999" : there[any(there.size())];
      const std::string index = std::to_string(any(there.size() + 1));
      std::string command;
      switch (there.empty() ? any(2) : any(9)) {
        case 0:
          command = "add rule " + chain + " " + text;
          break;
        case 1:
          command = "insert rule " + chain + "  " + text;
          break;
        case 2:
          command = "add rule " + chain + " handle " + handle + " " + text;
          break;
        case 3:
          command = "insert rule " + chain + " position " + handle + " " + text;
          break;
        case 4:
          command = "add rule " + chain + " index " + index + " " + text;
          break;
        case 5:
          command = "insert rule " + chain + " index " + index + " " + text;
          break;
        case 6:
          command = "replace rule " + chain + " handle " + handle + " " + text;
          break;
        default:
          command = "delete rule " + chain + " handle " + handle;
          break;
      }
      if (command.find(" rule ip t ") != std::string::npos && any(2) == 0) {
        command.erase(command.find("ip "), 3);  // the family that nft takes where there is none
      }
      if (subject.run(command) == Subject::Outcome::read_anew) ++swaps;
      if (HasFailure()) return;
      // What create() knows of handles from the commands alone is what the reader knew.
      if (i % 10 == 9) subject.begin();
    }
  }
  EXPECT_LT(swaps, 30U);
}

// Each of them by itself, where nothing else is in the way.
TEST(RuleReaders, KnowWhatTheyCannotTell) {
  using Outcome = Subject::Outcome;
  Subject subject(script);
  const auto run = [&](const std::string& command) { return subject.run(command); };
  for (const char* rule : everywhere) {
    EXPECT_EQ(run("insert rule inet f c " + std::string(rule)), Outcome::changed) << rule;
  }
  for (const char* rule : of_ip) {
    EXPECT_EQ(run("add rule ip t c " + std::string(rule)), Outcome::changed) << rule;
  }
  EXPECT_EQ(run("add rule ip t d jump e"), Outcome::changed);
  EXPECT_EQ(run("add rule ip t d jump d"), Outcome::refused);
  EXPECT_EQ(run("add rule ip t e jump d"), Outcome::refused) << "a circle";
  EXPECT_EQ(run("add rule ip t e jump c"), Outcome::refused) << "to a base chain";
  EXPECT_EQ(run("add rule ip t e tcp dport vmap @m"), Outcome::refused) << "a circle by a map";
  // A circle that no packet comes to is none to nft.
  EXPECT_EQ(run("add rule inet f d jump d"), Outcome::read_anew);
  EXPECT_EQ(run("add rule ip t e iif \"unknown\" accept"), Outcome::read_anew);
  EXPECT_EQ(run("add rule ip t e iif \"unknown\" drop"), Outcome::changed);
  EXPECT_EQ(run("add rule ip t e tcp dport $web accept"), Outcome::refused);
  EXPECT_EQ(run("add rule ip t e limit rate 5/second accept"), Outcome::read_anew);
  EXPECT_EQ(run("add rule ip t c jump d"), Outcome::read_anew) << "with natives somewhere";
  EXPECT_EQ(run("add element ip t s { 1.1.1.1 }"), Outcome::read_anew);
  EXPECT_EQ(run("add rule ip t e ip saddr @nosuch accept"), Outcome::refused);
  EXPECT_EQ(run("add rule ip t e nonsense"), Outcome::refused);
  EXPECT_EQ(run("add rule ip t nosuch accept"), Outcome::refused);
  EXPECT_EQ(run("delete rule ip t e handle 999"), Outcome::refused);
  EXPECT_EQ(run("delete rule ip t e handle 999999999999"), Outcome::refused);
  EXPECT_EQ(run("insert rule ip t e index 999 accept"), Outcome::refused);
  EXPECT_EQ(run("add rule ip t e jump { accept; }"), Outcome::read_anew);
}

TEST(RuleReaders, AreNotForEveryScript) {
  const auto made = [](const std::string& text, const std::vector<std::string>& commands = {}) {
    imr::Ruleset ruleset = read(text, {.interface_index = {}, .commands = commands});
    return RuleReader::create(text, {.interface_index = {}, .commands = commands}, ruleset)
        .has_value();
  };
  const std::string chain = "table ip t { chain c { accept; }; set s { type ipv4_addr; }; }\n";
  EXPECT_TRUE(made(chain));
  EXPECT_TRUE(made(chain, {"add rule ip t c drop", "add element ip t s { 1.1.1.1 }"}));
  EXPECT_TRUE(made(chain + "table ip n { chain c { type nat hook output priority 0; }; }"));
  EXPECT_TRUE(made("table ip t { map objects { type ipv4_addr : counter; }; chain c { }; }"));
  EXPECT_FALSE(made(chain + "insert rule ip t c drop"));
  EXPECT_FALSE(made(chain, {"flush chain ip t c"}));
  EXPECT_FALSE(made(chain, {"add rule ip t c jump { accept; }"}));
  EXPECT_FALSE(made("table ip t { set __set1 { type ipv4_addr; }; chain c { accept; }; }"));
  EXPECT_FALSE(made(R"({"nftables": [{"add": {"table": {"family": "ip", "name": "t"}}}]})"));
}

// The handle that a rule gets counts all those before it, of rules that went as well.
TEST(RuleReaders, CountHandlesOfTheCommandsBefore) {
  Subject subject("table ip t {\n  chain c {\n  }\n}\n");
  using Outcome = Subject::Outcome;
  for (const char* command :
       {"add rule ip t c tcp dport { 1, 2 } accept", "add rule ip t c udp dport { 1, 2 } accept",
        "replace rule ip t c handle 3 tcp dport { 3, 4 } tcp sport { 5, 6 } drop",
        "delete rule ip t c handle 5", "delete rule ip t c handle 3", "add rule ip t c accept"}) {
    EXPECT_EQ(subject.run(command), Outcome::changed) << command;
    subject.begin();
  }
}

}  // namespace
}  // namespace weir::frontend::nft::test
