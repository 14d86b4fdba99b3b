// SPDX-License-Identifier: BSD-2-Clause
#include "base/hook.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Hook, NamesThereAndBack) {
  for (const char* name :
       {"xdp", "xdp@eth0", "netfilter:prerouting", "netfilter:input", "netfilter:forward",
        "netfilter:output", "netfilter:postrouting", "tc:ingress", "tc:egress@veth1",
        "cgroup:ingress", "cgroup:egress@/sys/fs/cgroup/web", "socket"}) {
    const auto hook = parse_hook(name);
    ASSERT_TRUE(hook.has_value()) << name;
    EXPECT_EQ(to_string(*hook), name);
  }
}

TEST(Hook, WrongNamesSayWhatWasExpected) {
  for (const char* name : {"", "xdp@", "netfilter", "netfilter:ingress", "netfilter:forward@eth0",
                           "tc", "tc:both", "cgroup:", "socket@eth0"}) {
    EXPECT_FALSE(parse_hook(name).has_value()) << name;
  }
  EXPECT_EQ(parse_hook("ip:in").error().message,
            "unknown hook 'ip:in', expected xdp, tc:ingress|egress (each with or without @DEVICE), "
            "netfilter:prerouting|input|forward|output|postrouting, "
            "cgroup:ingress|egress (with or without @PATH) or socket");
}

TEST(Hook, InetSeesBothProtocols) {
  EXPECT_TRUE(sees(Family::inet, Nfproto::ipv6));
  EXPECT_TRUE(sees(Family::ip, Nfproto::ipv4));
  EXPECT_FALSE(sees(Family::ip, Nfproto::ipv6));
  EXPECT_FALSE(sees(Family::arp, Nfproto::ipv4));
}

}  // namespace
}  // namespace weir
