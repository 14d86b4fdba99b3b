// SPDX-License-Identifier: BSD-2-Clause
//
// Statements that send packets, or copies of them, out by a device.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

std::string of_device(const std::string& rules) {
  return "table netdev t {\n chain c {\n  " + rules + "\n }\n}\n";
}

// "weirx7" has the index 7.
Options by_last_digit() {
  return {.interface_index = [](const std::string& name) {
    return std::optional(static_cast<std::uint32_t>(name.back() - '0'));
  }};
}

TEST(NftSends, GoToDevices) {
  const imr::Ruleset ruleset = read(of_device("dup to \"weirx7\"\n  udp dport 53 fwd to weirx7\n"
                                              "  fwd to meta mark map { 1 : weirx7 }"),
                                    by_last_digit());
  EXPECT_EQ(statements(ruleset),
            "duplicate 0x07000000\n\n"
            "match meta l4proto == 0x11\n"
            "match payload transport 2 2 later-fragments == 0x0035\n"
            "forward 0x07000000\ndrop\n\n"
            "forward lookup(meta mark, @__map0)\ndrop\n");
  EXPECT_EQ(ruleset.interfaces, (std::vector<imr::Interface>{{"weirx7", 7}}));
  EXPECT_EQ(imr::translation(ruleset.rules[1]), imr::Translation::full);
  EXPECT_EQ(ruleset.rules[1].total_statements, 3U);
}

TEST(NftSends, NameTheLoopback) {
  for (const char* const rule : {"dup to lo", "fwd to lo", "fwd to meta mark map { 1 : lo }",
                                 "dup to meta mark map { 1 : lo }"}) {
    EXPECT_EQ(read(of_device(rule)).interfaces, (std::vector<imr::Interface>{{"lo", 1}})) << rule;
  }
}

TEST(NftSends, AreFoundInJson) {
  const std::string script = R"({"nftables": [
    {"add": {"table": {"family": "netdev", "name": "t"}}},
    {"add": {"chain": {"family": "netdev", "table": "t", "name": "c"}}},
    {"add": {"rule": {"family": "netdev", "table": "t", "chain": "c",
      "expr": [{"dup": {"addr": "weirx3"}}, {"fwd": {"dev": "weirx4"}}]}}}]})";
  EXPECT_EQ(statements(read(script, by_last_digit())),
            "duplicate 0x03000000\nforward 0x04000000\ndrop\n");
}

TEST(NftSends, ToAddressesStayWithTheKernel) {
  EXPECT_EQ(
      statements(read("table ip t {\n chain c {\n  dup to 10.0.0.9 device lo\n }\n}\n")),
      "native \"[ immediate reg 1 0x0900000a ] [ immediate reg 2 0x00000001 ] [ dup sreg_addr 1 "
      "sreg_dev 2 ]\" because \"copies of packets that are sent to an address go by the kernel's "
      "routes\"\n");
  EXPECT_EQ(statements(read(of_device("fwd ip to 10.0.0.9 device lo"))),
            "native \"[ immediate reg 1 0x00000001 ] [ immediate reg 2 0x0900000a ] [ fwd sreg_dev "
            "1 sreg_addr 2 nfproto 2 ]\" because \"packets that are forwarded to an address go by "
            "the kernel's table of neighbours\"\n");
}

}  // namespace
}  // namespace weir::frontend::nft::test
