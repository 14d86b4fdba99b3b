// SPDX-License-Identifier: BSD-2-Clause
//
// Which rules a hook refuses, beyond what the tables of hooks and coverage show.
#include "backend/servable.h"

#include <gtest/gtest.h>

#include "unit/backend/support.h"

namespace weir::test {
namespace {

// What the hook cannot do of the first rule, in a ruleset with a chain at the egress of eth1.
std::string refused(const std::string& hook, const std::string& rule) {
  const imr::Unit unit = parse_unit("unit " + hook + R"( ipv4 roots netdev t c
interface eth0 = 7
interface eth1 = 8
table netdev t
map netdev t __map0 mark 4 to iface_index 4 anonymous { 0x01000000 : 0x07000000 }
map netdev t __map1 mark 4 to iface_index 4 anonymous { 0x01000000 : 0x08000000 }
map netdev t named mark 4 to iface_index 4 { 0x01000000 : 0x07000000 }
chain netdev t c hook ingress priority 0 policy accept
rule )" + rule + R"(
chain netdev t out hook egress priority 0 policy accept devices eth1
)");
  std::string out;
  for (const backend::Need& need :
       backend::unserved(unit, unit.ruleset[imr::RuleId(0)], backend::profile_for(unit.hook))) {
    out += (out.empty() ? "" : ", ") + backend::to_string(need);
  }
  return out;
}

TEST(Servable, NothingIsSentPastAnEgressChain) {
  const std::string chain = "sending by a device that may have an egress chain";
  for (const char* const hook : {"xdp", "tc:egress"}) {
    EXPECT_EQ(refused(hook, "forward 0x07000000 drop"), "") << hook;
    EXPECT_EQ(refused(hook, "forward 0x08000000 drop"), chain) << hook;
    EXPECT_EQ(refused(hook, "forward 0x09000000 drop"), chain) << hook << ": whose index is that?";
    EXPECT_EQ(refused(hook, "forward meta iif drop"), chain) << hook;
  }
  EXPECT_EQ(refused("tc:egress", "duplicate lookup(meta mark, @__map0)"), "");
  EXPECT_EQ(refused("tc:egress", "duplicate lookup(meta mark, @__map1)"), chain);
  EXPECT_EQ(refused("tc:egress", "duplicate lookup(meta mark, @named)"), chain)
      << "elements may come";
  for (const char* const rule :
       {"forward 0x08000000 drop", "duplicate 0x08000000", "forward meta iif drop"}) {
    EXPECT_EQ(refused("tc:ingress", rule), "") << rule;
  }
}

// What tells where the transport header ends is found once, where the kernel finds it as late as
// the first rule that looks behind it.
TEST(Servable, NoTransportHeaderIsMadeLongerBelowARuleThatLooksBehindIt) {
  const auto refused_behind = [](const std::string& before) {
    return refused("tc:ingress", before + "\nrule match payload inner 0 1 == 0x01 drop");
  };
  const std::string moved = "writing where the transport header ends";
  EXPECT_EQ(refused_behind("write payload transport 12 2 0x6000"), moved);
  EXPECT_EQ(refused_behind("write payload transport 0 2 0x0007"), moved) << "flags of GRE";
  EXPECT_EQ(refused_behind("write payload network 32 1 0x60"), moved);
  EXPECT_EQ(refused_behind("write payload network 8 1 0x60"), "");
  EXPECT_EQ(refused_behind("write payload transport 2 4 0x00070007"), "");
  EXPECT_EQ(refused_behind("match meta l4proto == 0x11 write payload transport 0 2 0x0007"), "");
  EXPECT_EQ(refused_behind("match meta l4proto == 0x06 write payload transport 12 1 0x60"), moved);
  EXPECT_EQ(refused_behind("write payload transport 12 2 "
                           "(payload transport 12 2 & 0xff00 ^ 0x0012)"),
            "")
      << "the flags beside it";
  EXPECT_EQ(refused("tc:ingress", "write payload transport 12 2 0x6000"), "");
}

}  // namespace
}  // namespace weir::test
