// SPDX-License-Identifier: BSD-2-Clause
//
// Chains as lists of five fields: what is one, and what is not.
#include "bench/list_reader.h"

#include <gtest/gtest.h>

#include "bench/list_texts.h"
#include "frontend/nft/nft.h"

namespace weir::bench {
namespace {

Result<List> list_of(const std::string& rules, const std::string& family = "ip") {
  const auto ruleset = frontend::nft::read_script(
      "table " + family +
          " t {\nchain c {\ntype filter hook prerouting priority 0; policy drop;\n" + rules +
          "\n}\n}\n",
      "test.nft");
  if (!ruleset) return std::unexpected(ruleset.error());
  return read_list(*ruleset, imr::ChainId(std::size_t{0}));
}

TEST(ListReader, ReadsWhatAListIsWrittenAs) {
  for (const ListKind kind : {ListKind::acl, ListKind::fw, ListKind::ipc, ListKind::linear}) {
    const List list{.rules = make_list(kind, 150, 3), .accept_rest = true};
    const auto ruleset = frontend::nft::read_script(
        nft_text(list, {.family = "ip", .hook = "hook prerouting priority -300"}), "test.nft");
    ASSERT_TRUE(ruleset) << ruleset.error().text();
    const auto read = read_list(*ruleset, imr::ChainId(std::size_t{0}));
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_TRUE(read->accept_rest);
    ASSERT_EQ(read->rules.size(), list.rules.size());
    for (std::size_t i = 0; i < list.rules.size(); ++i) {
      EXPECT_EQ(to_nft(read->rules[i]), to_nft(list.rules[i]));
    }
  }
}

TEST(ListReader, ReadsOtherWordsForTheSame) {
  const auto list = list_of(
      "ip saddr 10.0.0.0-10.0.0.255 meta l4proto tcp th dport 80 accept\n"
      "meta protocol ip udp sport >= 1024 drop\n"
      "drop",
      "inet");
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->rules.size(), 3U);
  EXPECT_EQ(to_nft(list->rules[0]), "ip saddr 10.0.0.0/24 tcp dport 80 accept");
  EXPECT_EQ(to_nft(list->rules[1]), "udp sport 1024-65535 drop");
  EXPECT_EQ(to_nft(list->rules[2]), "drop");
}

TEST(ListReader, NamesWhatItCannotRead) {
  const auto known = list_of("drop");
  ASSERT_TRUE(known) << known.error().text();
  for (const char* rule : {"ip saddr != 10.0.0.1 drop", "ip saddr 10.0.0.0-10.0.0.2 drop",
                           "ip ttl 5 drop", "tcp dport { 22, 23 } accept", "th dport 80 drop",
                           "counter drop", "ip saddr 10.0.0.1 counter", "meta mark 3 drop",
                           "tcp dport 80 return", "ip saddr & 255.0.255.0 == 10.0.1.0 drop",
                           "tcp flags syn drop", "ip saddr 10.0.0.1 ip saddr 10.0.0.2 drop"}) {
    const auto list = list_of(std::string("accept\n") + rule);
    ASSERT_FALSE(list) << rule;
    EXPECT_EQ(list.error().location.line, 5U) << rule << ": " << list.error().text();
  }
}

}  // namespace
}  // namespace weir::bench
