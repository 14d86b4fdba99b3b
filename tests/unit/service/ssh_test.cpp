// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that would cut an SSH session, and rules that would not.
#include "service/ssh.h"

#include <gtest/gtest.h>
#include <time.h>

#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::service {
namespace {

constexpr const char* connection = "10.0.0.2 50514 10.0.0.1 22";
const packet::Device eth0 = {.index = 7, .name = "eth0"};

TEST(SshConnection, IsParsed) {
  const auto v4 = parse_ssh_connection(connection);
  ASSERT_TRUE(v4) << v4.error().text();
  EXPECT_EQ(v4->client, Address(packet::ipv4("10.0.0.2")));
  EXPECT_EQ(v4->client_port, 50514);
  EXPECT_EQ(v4->server, Address(packet::ipv4("10.0.0.1")));
  EXPECT_EQ(v4->server_port, 22);
  const auto v6 = parse_ssh_connection("fe80::2%eth0 1 fe80::1%eth0 22");
  ASSERT_TRUE(v6) << v6.error().text();
  EXPECT_EQ(v6->client, Address(packet::ipv6("fe80::2")));
}

TEST(SshConnection, OthersAreRefused) {
  for (const char* text :
       {"", "10.0.0.2", "10.0.0.2 1 10.0.0.1", "10.0.0.2 0 10.0.0.1 22", "10.0.0.2 x 10.0.0.1 22",
        "10.0.0.2 1 10.0.0.1 65536", "10.0.0 1 10.0.0.1 22", "10.0.0.2 1 2001:db8::1 22"}) {
    EXPECT_FALSE(parse_ssh_connection(text)) << text;
  }
}

// A base chain with a drop behind whatever `chain` and `hook` say.
struct Example {
  imr::BaseChain base;
  Hook hook;
  bool drops_all = false;  // by a rule; else by policy or not at all
  const char* expected;    // nothing: no cut
};

std::vector<std::string> cuts_of(const Example& example) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::inet, .name = "t"});
  const auto chain = ruleset.add(imr::Chain{.table = table, .name = "c", .base = example.base});
  if (example.drops_all) {
    ruleset.add(imr::Rule{.chain = chain,
                          .origin = {.handle = 4, .location = {"f.nft", 3, 1}, .text = "drop"},
                          .statements = {imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop}}},
                          .total_statements = 1});
  }
  const driver::Attachment attachment = {.hook = example.hook, .roots = {chain}};
  return cuts(ruleset, {attachment}, *parse_ssh_connection(connection), eth0);
}

TEST(SshSession, IsCutWhereItsPacketsPass) {
  const auto netfilter = [](NfHook hook) {
    return Hook{.kind = Hook::Kind::netfilter, .nf_hook = hook, .device = {}};
  };
  const auto device = [](Hook::Kind kind, const char* name) {
    return Hook{.kind = kind, .device = name};
  };
  const std::vector<Example> examples = {
      {{.hook = NfHook::input, .drop_by_policy = true},
       netfilter(NfHook::input),
       false,
       "netfilter:input, from the client: the policy of chain inet t c"},
      {{.hook = NfHook::input}, netfilter(NfHook::input), false, nullptr},
      {{.hook = NfHook::output},
       netfilter(NfHook::output),
       true,
       "netfilter:output, to the client: rule inet t c handle 4 'drop', f.nft:3"},
      {{.hook = NfHook::forward, .drop_by_policy = true},
       netfilter(NfHook::forward),
       false,
       nullptr},
      {{.hook = NfHook::input},
       device(Hook::Kind::xdp, "eth0"),
       true,
       "xdp@eth0, from the client: rule inet t c handle 4 'drop', f.nft:3"},
      {{.hook = NfHook::input}, device(Hook::Kind::xdp, "eth1"), true, nullptr},
      {{.hook = NfHook::input},
       device(Hook::Kind::tc_egress, "eth0"),
       true,
       "tc:egress@eth0, to the client: rule inet t c handle 4 'drop', f.nft:3"},
      {{.hook = NfHook::input}, device(Hook::Kind::cgroup_egress, "/nowhere"), true, nullptr}};
  for (const Example& example : examples) {
    const std::vector<std::string> found = cuts_of(example);
    const std::vector<std::string> expected = example.expected == nullptr
                                                  ? std::vector<std::string>{}
                                                  : std::vector<std::string>{example.expected};
    EXPECT_EQ(found, expected) << to_string(example.hook);
  }
}

// A rule that drops everything since an hour ago.
TEST(SshSession, IsCutByRulesOfThisTime) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::inet, .name = "t"});
  const auto chain = ruleset.add(
      imr::Chain{.table = table, .name = "c", .base = imr::BaseChain{.hook = NfHook::input}});
  constexpr std::uint64_t second = 1'000'000'000;
  const auto an_hour_ago = static_cast<std::uint64_t>(::time(nullptr) - 3600) * second;
  const auto swapped = ruleset.add(imr::ByteSwap{ruleset.add(imr::Meta{imr::MetaKey::time}), 8});
  Bytes since;
  for (int shift = 56; shift >= 0; shift -= 8) {
    since.push_back(static_cast<std::uint8_t>(an_hour_ago >> shift));
  }
  ruleset.add(imr::Rule{.chain = chain,
                        .statements = {imr::Match{swapped, imr::Relop::ge, since},
                                       imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop}}},
                        .total_statements = 2});
  const driver::Attachment attachment = {
      .hook = {.kind = Hook::Kind::netfilter, .nf_hook = NfHook::input, .device = {}},
      .roots = {chain}};
  EXPECT_EQ(cuts(ruleset, {attachment}, *parse_ssh_connection(connection), eth0).size(), 1U);
}

// The rules of a chain that is not walked as a whole.
TEST(SshSession, MeetsRulesThatItsPacketsMatch) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::inet, .name = "t"});
  const auto chain = ruleset.add(
      imr::Chain{.table = table, .name = "c", .base = imr::BaseChain{.hook = NfHook::input}});
  const auto user = ruleset.add(imr::Chain{.table = table, .name = "user"});
  const auto destination =
      ruleset.add(imr::Payload{.base = imr::HeaderBase::transport, .offset = 2, .length = 2});
  const auto about = [&](imr::ChainId where, std::uint16_t port) {
    return ruleset.add(
        imr::Rule{.chain = where,
                  .statements = {imr::Match{destination, imr::Relop::eq,
                                            Bytes{static_cast<std::uint8_t>(port >> 8),
                                                  static_cast<std::uint8_t>(port)}},
                                 imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop}}},
                  .total_statements = 2});
  };
  const auto before = ruleset.add(
      imr::Rule{.chain = chain,
                .statements = {imr::VerdictStatement{{.kind = imr::Verdict::Kind::accept}}},
                .total_statements = 1});
  const auto hit = about(chain, 22);
  const auto missed = about(chain, 80);
  const auto far = about(user, 22);
  const auto session = *parse_ssh_connection(connection);
  const auto at = [&](NfHook hook) {
    return std::vector<driver::Attachment>{
        {.hook = {.kind = Hook::Kind::netfilter, .nf_hook = hook, .device = {}}, .roots = {chain}}};
  };
  EXPECT_TRUE(meets(ruleset, before, at(NfHook::input), session, eth0));
  EXPECT_TRUE(meets(ruleset, hit, at(NfHook::input), session, eth0));
  EXPECT_TRUE(meets(ruleset, far, at(NfHook::input), session, eth0)) << "whatever leads there";
  EXPECT_FALSE(meets(ruleset, missed, at(NfHook::input), session, eth0));
  EXPECT_FALSE(meets(ruleset, hit, at(NfHook::output), session, eth0)) << "the other way";
  EXPECT_FALSE(meets(ruleset, hit, at(NfHook::forward), session, eth0)) << "not there";
}

}  // namespace
}  // namespace weir::service
