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

}  // namespace
}  // namespace weir::test
