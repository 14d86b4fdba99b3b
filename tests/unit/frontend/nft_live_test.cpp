// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's own ruleset, in a network namespace of the test's own: read as the script that it
// was loaded from, and not touched.
#include <gtest/gtest.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "frontend/nft/kernel_dump.h"
#include "frontend/nft/nft.h"
#include "imr/print.h"

namespace weir::frontend::nft {
namespace {

constexpr const char* script =
    "table inet t {\n"
    "  set ports { type inet_service; elements = { 22, 443 }; }\n"
    "  chain c {\n"
    "    type filter hook input priority 0; policy drop;\n"
    "    iif lo accept\n"
    "    tcp dport @ports counter packets 3 bytes 180 accept\n"
    "    ip saddr { 10.0.0.0/8, 192.0.2.1 } drop\n"
    "  }\n"
    "}\n";

// Threads have network namespaces of their own.
template <typename Body>
void in_namespace(const Body& body) {
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    body();
  }).join();
}

void load(const std::string& text) {
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  ASSERT_NE(context, nullptr);
  EXPECT_EQ(nft_run_cmd_from_buffer(context, text.c_str()), 0);
  nft_ctx_free(context);
}

TEST(NftLive, ReadsWhatTheKernelRuns) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  in_namespace([] {
    load(script);
    const auto live = read_live();
    ASSERT_TRUE(live) << live.error().text();
    EXPECT_NE(live->listing.find("tcp dport @ports counter packets 3 bytes 180 accept # handle"),
              std::string::npos)
        << live->listing;
    ASSERT_EQ(live->ruleset.interfaces.size(), 1U) << imr::print(live->ruleset);
    EXPECT_EQ(live->ruleset.interfaces[0].name, "lo");

    auto read = read_script(script, "");
    ASSERT_TRUE(read) << read.error().text();
    for (imr::Rule& rule : read->rules.edit()) rule.origin.location = {};
    EXPECT_EQ(imr::print(live->ruleset), imr::print(*read));
  });
}

TEST(NftLive, ChangesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  in_namespace([] {
    load(script);
    const auto before = ruleset_generation();
    ASSERT_TRUE(before) << before.error().text();
    const auto live = read_live();
    ASSERT_TRUE(live) << live.error().text();
    const auto after = ruleset_generation();
    ASSERT_TRUE(after) << after.error().text();
    EXPECT_EQ(*before, *after);
    load("add rule inet t c drop");
    const auto changed = ruleset_generation();
    ASSERT_TRUE(changed) << changed.error().text();
    EXPECT_NE(*after, *changed) << "a change that the generation does not show";
  });
}

TEST(NftLive, ReadsAnEmptyNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  in_namespace([] {
    const auto live = read_live();
    ASSERT_TRUE(live) << live.error().text();
    EXPECT_TRUE(live->ruleset.tables.empty());
    EXPECT_TRUE(live->ruleset.interfaces.empty());
  });
}

}  // namespace
}  // namespace weir::frontend::nft
