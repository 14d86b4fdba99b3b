// SPDX-License-Identifier: BSD-2-Clause
//
// Rulesets of 1,000 rules, of several shapes: the checker of weir's engine and the kernel's
// verifier accept what becomes of them, with room to spare. Prints how much the verifier walked.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <string>

#include "differential/subject.h"
#include "engine/engine.h"
#include "kernel/kernel.h"

namespace weir::differential {
namespace {

// The verifier's own limit is 1,000,000.
constexpr std::uint32_t most_verified = 500000;

std::string number(unsigned value) {
  return std::to_string(value);
}

std::string base_chain(const std::string& rules) {
  return "  chain base {\n    type filter hook forward priority 0; policy accept;\n" + rules +
         "  }\n";
}

std::string linear(const std::function<std::string(unsigned)>& rule) {
  std::string rules;
  for (unsigned i = 0; i < 1000; ++i) rules += "    " + rule(i) + "\n";
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

struct Shape {
  const char* name;
  std::string (*script)();
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.name;
}

class Acceptance : public testing::TestWithParam<std::tuple<Shape, const char*>> {};

TEST_P(Acceptance, TakesAThousandRules) {
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
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Acceptance,
    testing::Combine(testing::Values(Shape{"terminal", terminal}, Shape{"counters", counters},
                                     Shape{"ipv6", ipv6}, Shape{"ranges", ranges},
                                     Shape{"chains", chains}, Shape{"sets", sets}),
                     testing::Values("netfilter:forward", "xdp")),
    [](const auto& shape) {
      return std::string(std::get<0>(shape.param).name) +
             (std::string_view(std::get<1>(shape.param)) == "xdp" ? "_xdp" : "_netfilter");
    });

}  // namespace
}  // namespace weir::differential
