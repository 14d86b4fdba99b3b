// SPDX-License-Identifier: BSD-2-Clause
//
// Rulesets of 0 to 5,000 rules, of several shapes: the checker of weir's engine and the kernel's
// verifier accept what becomes of them, with room to spare, and packets directed at their edges get
// the verdicts and counters that the evaluator says. Prints how much the verifier walked.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include "differential/judge.h"
#include "differential/subject.h"
#include "engine/engine.h"
#include "kernel/kernel.h"

namespace weir::differential {
namespace {

// The verifier's own limit is 1,000,000.
constexpr std::uint32_t most_verified = 400000;

std::string number(unsigned value) {
  return std::to_string(value);
}

std::string base_chain(const std::string& rules) {
  return "  chain base {\n    type filter hook forward priority 0; policy accept;\n" + rules +
         "  }\n";
}

std::string linear(const std::function<std::string(unsigned)>& rule, unsigned count = 1000) {
  std::string rules;
  for (unsigned i = 0; i < count; ++i) rules += "    " + rule(i) + "\n";
  return "table inet t {\n" + base_chain(rules) + "}\n";
}

std::string terminal() {
  return linear([](unsigned i) {
    return "ip saddr 10.0." + number(i / 250) + "." + number(i % 250) + " tcp dport " +
           number(1000 + i) + (i % 3 == 0 ? " accept" : " drop");
  });
}

std::string counters() {
  return linear([](unsigned i) {
    return (i % 2 == 0 ? "tcp dport " : "udp sport ") + number(1000 + i) + " counter";
  });
}

std::string ipv6() {
  return linear([](unsigned i) {
    return "ip6 saddr 2001:db8::" + number(i) + " tcp dport " + number(1000 + i) +
           " counter accept";
  });
}

std::string ranges() {
  return linear([](unsigned i) {
    return "tcp dport " + number(i * 8) + "-" + number(i * 8 + 5) + " ip length > " +
           number(40 + i) + " counter drop";
  });
}

// 40 chains of 24 rules, each jumped to once.
std::string chains() {
  std::string users;
  std::string jumps;
  for (unsigned chain = 0; chain < 40; ++chain) {
    users += "  chain c" + number(chain) + " {\n";
    for (unsigned i = 0; i < 24; ++i) {
      users += "    udp dport " + number(1000 + chain * 24 + i) + " counter accept\n";
    }
    users += "  }\n";
    jumps += "    ip daddr 10." + number(chain) + ".0.0/16 counter jump c" + number(chain) + "\n";
  }
  return "table inet t {\n" + users + base_chain(jumps) + "}\n";
}

// Every tenth rule looks into one of ten sets of 300 elements.
std::string sets() {
  std::string definitions;
  for (unsigned set = 0; set < 10; ++set) {
    const std::string type = set % 2 == 0 ? "ipv4_addr" : "ipv6_addr";
    definitions += "  set s" + number(set) + " { type " + type + "; flags interval; elements = { ";
    for (unsigned i = 0; i < 300; ++i) {
      definitions += (i == 0 ? "" : ", ");
      definitions += set % 2 == 0 ? "10." + number(set) + "." + number(i % 100) + "." +
                                        number(i / 100 * 64) + "/27"
                                  : "2001:db8:" + number(set) + ":" + number(1000 + i) + "::/64";
    }
    definitions += " }\n  }\n";
  }
  std::string rules;
  for (unsigned i = 0; i < 1000; ++i) {
    const std::string match = i % 10 != 0   ? "tcp sport " + number(i)
                              : i % 20 < 10 ? "ip saddr @s" + number(i / 20 % 5 * 2)
                                            : "ip6 saddr @s" + number(i / 20 % 5 * 2 + 1);
    rules += "    " + match + " counter drop\n";
  }
  return "table inet t {\n" + definitions + base_chain(rules) + "}\n";
}

// Addresses, ports and counters, and every fiftieth rule a set of its own.
std::string plain(unsigned count) {
  std::string definitions;
  std::string rules;
  for (unsigned i = 0; i < count; ++i) {
    std::string match =
        "ip saddr 10.0." + number(i / 250) + "." + number(i % 250) + " tcp dport " + number(1 + i);
    if (i % 50 == 7) {
      definitions += "  set s" + number(i) + " { type inet_service; elements = { " +
                     number(20000 + i) + ", " + number(30000 + i) + " }\n  }\n";
      match = "udp dport @s" + number(i);
    }
    rules += "    " + match + " counter" +
             (i % 3 == 0   ? " accept"
              : i % 3 == 1 ? " drop"
                           : "") +
             "\n";
  }
  return "table inet t {\n" + definitions + base_chain(rules) + "}\n";
}

std::string counted_ipv6() {
  return linear(
      [](unsigned i) {
        return "ip6 saddr 2001:db8::" + number(i) + " tcp dport " + number(1 + i) +
               " counter accept";
      },
      5000);
}

std::string many_ranges() {
  return linear(
      [](unsigned i) {
        return "tcp dport " + number(i * 8) + "-" + number(i * 8 + 5) + " ip length > " +
               number(40 + i % 1000) + " counter drop";
      },
      5000);
}

std::string user_chain(unsigned chain, const std::string& rules) {
  return "  chain c" + number(chain) + " {\n" + rules + "  }\n";
}

// Each chain is jumped to by `sites` rules.
std::string shared_chains(unsigned count, unsigned sites, unsigned rules_each) {
  std::string users;
  std::string jumps;
  for (unsigned chain = 0; chain < count; ++chain) {
    std::string rules;
    for (unsigned i = 0; i < rules_each; ++i) {
      rules += "    udp dport " + number(1 + chain * rules_each + i) + " counter" +
               (i % 2 == 0 ? " accept" : "") + "\n";
    }
    users += user_chain(chain, rules);
  }
  for (unsigned i = 0; i < count * sites; ++i) {
    jumps += "    ip " + std::string(i < count ? "saddr" : "daddr") + " 10." +
             number(i % count / 250) + "." + number(i % count % 250) + "." + number(i / count * 4) +
             "/30 counter jump c" + number(i % count) + "\n";
  }
  return "table inet t {\n" + users + base_chain(jumps) + "}\n";
}

// 15 chains below one another (as deep as nft goes), each entered ten times from the one above.
std::string deep() {
  std::string users;
  const auto jumps = [](unsigned from, unsigned to) {
    std::string rules;
    for (unsigned i = 0; i < 10; ++i) {
      rules += "    ip saddr & 0.0.0.15 == " + number((from + i) % 16) + " ip daddr 10.0." +
               number(i) + ".0/24 counter " + (i == 9 ? "goto" : "jump") + " c" + number(to) + "\n";
    }
    return rules;
  };
  for (unsigned chain = 15; chain > 0; --chain) {
    std::string rules = "    tcp dport " + number(chain) + " counter\n";
    if (chain < 15) rules += jumps(chain, chain + 1);
    rules += "    udp dport " + number(chain) + " counter drop\n";
    users += user_chain(chain, rules);
  }
  return "table inet t {\n" + users + base_chain(jumps(0, 1)) + "}\n";
}

// 500 sets, each looked into by two rules.
std::string many_sets() {
  std::string definitions;
  std::string rules;
  for (unsigned set = 0; set < 500; ++set) {
    const bool address = set % 2 == 0;
    definitions += "  set s" + number(set) + " { type " + (address ? "ipv4_addr" : "inet_service") +
                   "; elements = { ";
    for (unsigned i = 0; i < 5; ++i) {
      definitions += (i == 0 ? "" : ", ");
      definitions += address ? "10." + number(set / 250) + "." + number(set % 250) + "." + number(i)
                             : number(1 + set * 10 + i);
    }
    definitions += " }\n  }\n";
    const std::string name = " @s" + number(set) + " counter";
    rules += "    " + std::string(address ? "ip saddr" : "tcp dport") + name + "\n";
    rules += "    " + std::string(address ? "ip daddr" : "udp dport") + name +
             (set % 4 < 2 ? " drop" : "") + "\n";
  }
  return "table inet t {\n" + definitions + base_chain(rules) + "}\n";
}

std::string nothing() {
  return plain(0);
}
std::string one_rule() {
  return plain(1);
}
std::string ten_rules() {
  return plain(10);
}
std::string five_thousand_rules() {
  return plain(5000);
}
std::string thousand_chains() {
  return shared_chains(1000, 2, 3);
}
std::string often_entered_chains() {
  return shared_chains(20, 60, 20);
}

// Maps whose keys alone are asked for, of every form: code, hash, intervals short and long, tuples.
std::string maps_as_sets() {
  const auto map = [](const std::string& name, const std::string& type, const auto& element,
                      unsigned count) {
    std::string out = "  map " + name + " { " + type + "; elements = { ";
    for (unsigned i = 0; i < count; ++i) out += (i == 0 ? "" : ", ") + element(i);
    return out + " } }\n";
  };
  const auto verdict = [](unsigned i) { return std::string(i % 2 == 0 ? "drop" : "accept"); };
  std::string sets;
  for (const unsigned count : {5U, 300U}) {
    const std::string size = number(count);
    sets += map(
        "ports" + size, "typeof tcp dport : verdict",
        [&](unsigned i) { return number(3 * i + 1) + " : " + verdict(i); }, count);
    sets += map(
        "marks" + size, "typeof ip saddr : meta mark; flags interval",
        [](unsigned i) {
          return "10.0." + number(i / 250) + "." + number(i % 250) + " : " + number(i);
        },
        count);
    sets += map(
        "hosts" + size, "typeof ip6 saddr : verdict; flags interval",
        [&](unsigned i) { return "2001:db8:" + number(i) + "::/48 : " + verdict(i); }, count);
    sets += map(
        "tuples" + size, "typeof ip saddr . tcp dport : verdict; flags interval",
        [&](unsigned i) {
          return "10.1." + number(i / 250) + "." + number(i % 250) + " . 1-" + number(20 + i) +
                 " : " + verdict(i);
        },
        count);
  }
  std::string rules;
  for (const std::string size : {"5", "300"}) {
    rules += "    tcp dport @ports" + size + " counter\n    ip saddr @marks" + size +
             " counter\n    ip saddr != @marks" + size + " counter\n    ip6 saddr @hosts" + size +
             " counter\n    ip6 saddr != @hosts" + size +
             " counter\n    ip saddr . tcp dport @tuples" + size +
             " counter\n    tcp dport vmap @ports" + size + "\n";
  }
  return "table inet t {\n" + sets + base_chain(rules) + "}\n";
}

struct Shape {
  const char* name;
  std::string (*script)();
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.name;
}

class Acceptance : public testing::TestWithParam<std::tuple<Shape, const char*>> {};

TEST_P(Acceptance, TakesItAndMeansIt) {
  const auto& [shape, hook] = GetParam();
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const auto subject = read_at_hook(*scratch, shape.script(), *parse_hook(hook));
  ASSERT_TRUE(subject) << subject.error().text();
  const auto compiled = driver::compile(subject->ruleset, subject->attachments);
  ASSERT_TRUE(compiled) << compiled.error().text();
  for (std::size_t i = 0; i < compiled->object.programs.size(); ++i) {
    const Status checked = engine::check(compiled->object, i);
    EXPECT_TRUE(checked) << checked.error().text();
  }
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for the kernel's verifier";
  const auto loaded = kernel::load(compiled->object);
  ASSERT_TRUE(loaded) << loaded.error().text();
  for (std::size_t i = 0; i < loaded->programs.size(); ++i) {
    const auto verified = kernel::verified_instructions(loaded->programs[i]);
    ASSERT_TRUE(verified) << verified.error().text();
    std::cout << shape.name << " at " << hook << ": " << compiled->object.programs[i].name
              << " has " << compiled->object.programs[i].insns.size() << " instructions, "
              << *verified << " verified\n";
    EXPECT_LT(*verified, most_verified);
  }
  std::mt19937_64 random(1);
  const auto packets = packets_for(*subject, 60, false, random);
  Tally tally;
  const auto mismatch = judge(*subject, packets, {}, tally);
  EXPECT_FALSE(mismatch) << mismatch->what;
  std::cout << tally.matched << " of " << tally.pairs << " packets matched a rule, "
            << tally.dropped << " were dropped\n";
}

std::string office() {
  std::ifstream file(WEIR_SOURCE_DIR "/examples/office.nft");
  return {std::istreambuf_iterator<char>(file), {}};
}

// What it costs that elements may change: every named set in maps of its own form, in two versions.
class UpdatableAcceptance : public testing::TestWithParam<std::tuple<Shape, const char*>> {};

TEST_P(UpdatableAcceptance, TakesIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for the kernel's verifier";
  const auto& [shape, hook] = GetParam();
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const auto subject = read_at_hook(*scratch, shape.script(), *parse_hook(hook));
  ASSERT_TRUE(subject) << subject.error().text();
  for (const bool updatable : {false, true}) {
    const auto compiled =
        driver::compile(subject->ruleset, subject->attachments, {.updatable_sets = updatable});
    ASSERT_TRUE(compiled) << compiled.error().text();
    const auto loaded = kernel::load(compiled->object);
    ASSERT_TRUE(loaded) << loaded.error().text();
    std::uint64_t instructions = 0;
    std::uint64_t verified = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < loaded->programs.size(); ++i) {
      const auto walked = kernel::verified_instructions(loaded->programs[i]);
      ASSERT_TRUE(walked) << walked.error().text();
      EXPECT_LT(*walked, most_verified);
      instructions += compiled->object.programs[i].insns.size();
      verified += *walked;
    }
    for (const kernel::Fd& map : loaded->maps) {
      const auto size = kernel::memory_use(map);
      ASSERT_TRUE(size) << size.error().text();
      bytes += *size;
    }
    std::cout << shape.name << " at " << hook << (updatable ? ", updatable: " : ": ")
              << instructions << " instructions, " << verified << " verified, " << bytes / 1024
              << " KiB of maps\n";
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<Shape, const char*>>& info) {
  std::string hook = std::get<1>(info.param);
  std::ranges::replace(hook, ':', '_');
  return std::string(std::get<0>(info.param).name) + "_" + hook;
}

constexpr Shape five_thousand{"five_thousand_rules", five_thousand_rules};
constexpr Shape often_entered{"often_entered_chains", often_entered_chains};
constexpr Shape fifteen_deep{"deep", deep};
constexpr Shape five_hundred_sets{"many_sets", many_sets};

INSTANTIATE_TEST_SUITE_P(
    Shapes, Acceptance,
    testing::Combine(
        testing::Values(Shape{"terminal", terminal}, Shape{"counters", counters},
                        Shape{"ipv6", ipv6}, Shape{"ranges", ranges}, Shape{"chains", chains},
                        Shape{"sets", sets}, Shape{"nothing", nothing}, Shape{"one_rule", one_rule},
                        Shape{"ten_rules", ten_rules}, five_thousand,
                        Shape{"counted_ipv6", counted_ipv6}, Shape{"many_ranges", many_ranges},
                        Shape{"thousand_chains", thousand_chains}, often_entered, fifteen_deep,
                        five_hundred_sets, Shape{"maps_as_sets", maps_as_sets}),
        testing::Values("netfilter:forward", "xdp")),
    name_of);

INSTANTIATE_TEST_SUITE_P(OtherHooks, Acceptance,
                         testing::Combine(testing::Values(five_thousand, often_entered,
                                                          fifteen_deep, five_hundred_sets),
                                          testing::Values("tc:ingress", "cgroup:egress", "socket")),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Shapes, UpdatableAcceptance,
                         testing::Combine(testing::Values(Shape{"sets", sets}, five_hundred_sets),
                                          testing::Values("netfilter:forward", "xdp",
                                                          "cgroup:egress")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Office, UpdatableAcceptance,
                         testing::Combine(testing::Values(Shape{"office", office}),
                                          testing::Values("netfilter:input", "netfilter:forward")),
                         name_of);

}  // namespace
}  // namespace weir::differential
