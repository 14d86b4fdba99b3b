// SPDX-License-Identifier: BSD-2-Clause
//
// What rules ask of the network namespace that they are put in force in: that connections are
// counted, and that its users are those of the kernel.
#include <sched.h>

#include <fstream>

#include "kernel/netns.h"
#include "kernel/service_world.h"
#include "kernel/support/root_only.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr const char* counting_rules =
    "table inet t {\n  chain in {\n    type filter hook input priority 0; policy accept;\n"
    "    udp dport 1002 ct original bytes > 5 counter drop\n  }\n}\n";

std::string counted_connections() {
  std::string setting;
  std::ifstream("/proc/sys/net/netfilter/nf_conntrack_acct") >> setting;
  return setting;
}

TEST_F(Service, CountsConnectionsForRulesThatReadCounts) {
  ASSERT_TRUE(set_sysctl("netfilter/nf_conntrack_acct", "0"));
  ASSERT_EQ(apply(0), 0);
  EXPECT_EQ(counted_connections(), "0") << "these rules read no counts";
  expect(service::release("p", paths_));

  compiled_ = compile(counting_rules);
  expect(service::dry_run(request(), paths_));
  EXPECT_EQ(counted_connections(), "0") << "nothing is put in force";
  ASSERT_EQ(apply(0), 0);
  EXPECT_EQ(counted_connections(), "1");
  EXPECT_TRUE(arrives(plain_port));
  EXPECT_FALSE(arrives(in_port)) << "the first packet of a connection counts before the rules";
}

TEST(Owners, AreNotToldInNamespacesOfOtherUsers) {
  const auto refused = [] {
    driver::Reads reads;
    reads.meta.insert(imr::MetaKey::skuid);
    return !service::check_owners(reads).has_value();
  };
  const auto exits_with = [](int status, int code) {
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
  };
  EXPECT_FALSE(refused());
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(2);
    ::_exit(refused() && service::check_owners({}).has_value() ? 0 : 1);
  });
  EXPECT_TRUE(exits_with(status, 0)) << status;
}

}  // namespace
}  // namespace weir::test
