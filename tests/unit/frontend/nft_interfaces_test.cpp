// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>
#include <net/if.h>

#include "frontend/nft/named_interfaces.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

using Names = std::vector<std::string>;

Options indexes(std::vector<imr::Interface> known) {
  return {[known = std::move(known)](const std::string& name) -> std::optional<std::uint32_t> {
    for (const imr::Interface& interface : known) {
      if (interface.name == name) return interface.index;
    }
    return std::nullopt;
  }};
}

TEST(Interfaces, AreMadeWithTheIndexAskedFor) {
  const imr::Ruleset ruleset =
      read(in_chain("iif \"weirx7\" accept\n    oif weirx8 drop"), indexes({{"weirx7", 77}}));
  EXPECT_EQ(ruleset.interfaces, (std::vector<imr::Interface>{{"weirx7", 77}, {"weirx8", 1000000}}));
  EXPECT_EQ(statements(ruleset),
            "match meta iif == 0x4d000000\naccept\n\nmatch meta oif == 0x40420f00\ndrop\n");
  EXPECT_EQ(ruleset.rules[0].origin.text, "iif \"weirx7\" accept");
}

TEST(Interfaces, MayStandInSetsMapsAndDefinitions) {
  const imr::Ruleset ruleset =
      read("define d = weirx3\n" + in_chain("iif { weirx1, weirx2 } accept\n"
                                            "    oif vmap { $d : drop }"),
           indexes({{"weirx1", 11}, {"weirx2", 12}, {"weirx3", 13}}));
  EXPECT_EQ(sets(ruleset),
            "set inet t __set0 iface_index 4 anonymous { 0x0b000000, 0x0c000000 }\n"
            "map inet t __map0 iface_index 4 anonymous { 0x0d000000 : drop }\n");
}

TEST(Interfaces, MayStandInCommandsBehindTheScript) {
  const imr::Ruleset ruleset =
      read(in_chain("accept"),
           {.interface_index = [](const std::string&) { return std::optional<std::uint32_t>(7); },
            .commands = {"add rule inet t c iif \"eth7\" drop"}});
  EXPECT_EQ(ruleset.interfaces, (std::vector<imr::Interface>{{"eth7", 7}}));
  EXPECT_EQ(ruleset.rules.size(), 2U);
}

TEST(Interfaces, OfOneScriptAreGoneInTheNext) {
  EXPECT_EQ(read(in_chain("iif weirx7 accept"), indexes({{"weirx7", 77}})).interfaces.size(), 1U);
  const imr::Ruleset again = read(in_chain("iif weirx7 accept"), indexes({{"weirx7", 78}}));
  EXPECT_EQ(again.interfaces, (std::vector<imr::Interface>{{"weirx7", 78}}));
}

TEST(Interfaces, AreNotMadeInTheCallersNamespace) {
  read(in_chain("iif weirx7 accept"));
  EXPECT_EQ(if_nametoindex("weirx7"), 0U);
}

TEST(Interfaces, IncludeTheLoopback) {
  EXPECT_EQ(read(in_chain("iif lo accept")).interfaces, (std::vector<imr::Interface>{{"lo", 1}}));
  EXPECT_TRUE(read(in_chain("meta mark 1 accept")).interfaces.empty());
}

TEST(Interfaces, NamedByTextNeedNotExist) {
  EXPECT_TRUE(read(in_chain("iifname weirx7 accept")).interfaces.empty());
}

TEST(Interfaces, OfOneIndexAreRefused) {
  auto scratch = ScratchNamespace::create();
  ASSERT_TRUE(scratch.has_value()) << scratch.error().text();
  const auto ruleset = scratch->read(in_chain("iif weirx1 oif weirx2 accept"), "a.nft",
                                     indexes({{"weirx1", 9}, {"weirx2", 9}}));
  ASSERT_FALSE(ruleset.has_value());
  EXPECT_EQ(ruleset.error().message, "two interfaces with the index 9, one of them 'weirx2'");
}

TEST(Interfaces, AreFoundInJson) {
  const imr::Ruleset ruleset = read(
      R"({"nftables": [{"table": {"family": "ip", "name": "t"}},
        {"chain": {"family": "ip", "table": "t", "name": "c"}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"match":
          {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "weirx5"}}, {"drop": null}]}}]})",
      indexes({{"weirx5", 5}}));
  EXPECT_EQ(statements(ruleset), "match meta iif == 0x05000000\ndrop\n");
}

TEST(NamedInterfaces, OfJsonRulesAndSets) {
  EXPECT_EQ(interfaces_in_json(
                R"({"nftables": [
      {"set": {"type": "iface_index", "elem": ["a", "lo"]}},
      {"map": {"type": "iface_index", "map": "verdict", "elem": [["b", {"accept": null}]]}},
      {"map": {"type": "mark", "map": "iface_index", "elem": [[1, "f"]]}},
      {"rule": {"expr": [
        {"dup": {"addr": "g"}}, {"fwd": {"dev": {"map": {"key": {"meta": {"key": "mark"}},
          "data": {"set": [[1, "h"], [2, "lo"]]}}}}},
        {"match": {"left": {"meta": {"key": "oif"}}, "right": {"set": ["c", "d"]}}},
        {"match": {"left": {"meta": {"key": "iifname"}}, "right": "no"}},
        {"vmap": {"key": {"meta": {"key": "iif"}}, "data": {"set": [["e", {"drop": null}]]}}}]}}]})"),
            (Names{"a", "b", "f", "g", "h", "c", "d", "e"}));
  EXPECT_EQ(interfaces_in_json("{ not json"), Names{});
}

TEST(NamedInterfaces, OfDevices) {
  EXPECT_EQ(named_devices("type filter hook ingress device \"eth0\" priority 0;", false),
            Names{"eth0"});
  EXPECT_EQ(named_devices("devices = { eth0, eth1,eth2, $x, lo }; # device no", false),
            (Names{"eth0", "eth1", "eth2"}));
  EXPECT_EQ(named_devices(R"({"nftables": [{"chain": {"dev": ["a", "b"]}}]})", true),
            (Names{"a", "b"}));
}

}  // namespace
}  // namespace weir::frontend::nft::test
