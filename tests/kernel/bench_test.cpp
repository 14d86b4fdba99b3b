// SPDX-License-Identifier: BSD-2-Clause
//
// What weir bench measures by: frames of a trace as they come out of a wire, and that engines which
// do not agree are not measured.
#include <gtest/gtest.h>

#include <algorithm>

#include "bench/contest.h"
#include "isa/isa.h"
#include "kernel/maps.h"
#include "kernel/support/netns.h"
#include "kernel/support/root_only.h"

namespace weir::bench {
namespace {

using test::expect;

WEIR_ROOT_ONLY();

constexpr std::size_t seen_size = 8 + 64;

// Notes the length of each frame, and its first 60 bytes.
kernel::LoadedObject noting_program() {
  isa::Object object;
  object.maps.push_back({.name = "seen",
                         .type = isa::MapType::array,
                         .key_size = 4,
                         .value_size = seen_size,
                         .max_entries = 1,
                         .flags = 0,
                         .entries = {}});
  std::string text = R"(
  r7 = *(u32 *)(r1 + 0)
  r8 = *(u32 *)(r1 + 4)
  r9 = map[seen][0]+0
  r2 = r8
  r2 -= r7
  *(u64 *)(r9 + 0) = r2
  r1 = r7
  r1 += 60
  if r1 > r8 goto out
)";
  for (int at = 0; at < 60; at += 4) {
    text += "  r2 = *(u32 *)(r7 + " + std::to_string(at) + ")\n";
    text += "  *(u32 *)(r9 + " + std::to_string(at + 8) + ") = r2\n";
  }
  text += "out:\n  r0 = 1\n  exit\n";
  const isa::Assembly program = expect(isa::assemble(text, object.maps));
  object.programs.push_back({.name = "note",
                             .type = isa::ProgramType::xdp,
                             .insns = program.insns,
                             .relocations = program.relocations});
  return expect(kernel::load(object));
}

Bytes packet_of(std::uint8_t mark, std::size_t size) {
  Bytes packet(size, mark);
  packet.front() = 0x45;
  return packet;
}

TEST(Wire, CarriesTheFramesOfATrace) {
  const std::vector<Bytes> packets = {packet_of(1, 40), packet_of(2, 300), packet_of(3, 101),
                                      packet_of(4, 1500)};
  const FrameTrace trace(packets);
  const Sender sender = expect(Sender::create(trace));
  const kernel::LoadedObject noting = noting_program();
  const Wire wire =
      expect(Wire::to_driver(noting.programs.front(), expect(kernel::create_map(counts_map()))));
  struct Case {
    std::uint32_t first;
    std::uint32_t count;
    std::size_t last;
  };
  // Behind the last frame comes the first, and a long frame behind a short one is whole again.
  for (const auto& [first, count, last] :
       {Case{0, 1, 0}, Case{1, 1, 1}, Case{2, 1, 2}, Case{0, 4, 3}, Case{3, 2, 0}, Case{2, 3, 0},
        Case{0, 200, 3}}) {
    EXPECT_GT(expect(sender.send(wire, first, count)).ns, 0);
    const Bytes seen =
        expect(kernel::read_element(noting.maps.front(), native_bytes(0, 4), seen_size, false));
    EXPECT_EQ(load_native(ByteView(seen).first(8)),
              std::max<std::size_t>(60, packets[last].size() + 14))
        << count << " frames from " << first;
    const ByteView slot = ByteView(trace.slots()).subspan(last * trace.slot_size(), 60);
    EXPECT_EQ(to_hex(ByteView(seen).subspan(8, 60)), to_hex(slot))
        << count << " frames from " << first;
  }
}

std::vector<Hook> all_hooks() {
  std::vector<Hook> out;
  for (const char* hook : {"xdp", "tc:ingress", "netfilter:prerouting"}) {
    out.push_back(expect(parse_hook(hook)));
  }
  return out;
}

constexpr std::size_t packets = 4096;

void expect_sound(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(row.checked, packets) << to_string(row.engine) << " at " << to_string(row.site);
    EXPECT_GT(row.accepted, 0U);
    EXPECT_LT(row.accepted, row.checked);
    EXPECT_EQ(row.accepted, rows.front().accepted);
    EXPECT_GT(row.floor.median, 0);
    EXPECT_GT(row.loading.seconds, 0);
  }
}

// Every engine treats every packet as the rules ask for, or there are no rows.
TEST(Contest, HasARowForEachEngineAndHook) {
  Contest contest({.peers = {Engine::nft, Engine::nft_sets}, .rounds = 1});
  for (const ListName& name : {ListName{ListKind::acl, 250}, ListName{ListKind::fw, 60}}) {
    const std::vector<Row> rows = expect(contest.run(task_of(name, packets, 0), all_hooks())).rows;
    ASSERT_EQ(rows.size(), 9U);
    expect_sound(rows);
    EXPECT_TRUE(rows.front().memory.has_value());
    for (const Row& row : rows) {
      EXPECT_GT(row.update_ms.value_or(0), 0)
          << to_string(row.engine) << " at " << to_string(row.site);
    }
  }
}

TEST(Contest, MeasuresNothingOfWrongAnswers) {
  Contest contest({.peers = {}, .rounds = 1, .break_weir = true});
  const auto outcome = contest.run(task_of({ListKind::acl, 100}, packets, 0), all_hooks());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::partial);
  EXPECT_NE(outcome.error().message.find("weir at xdp is wrong"), std::string::npos)
      << outcome.error().text();
}

TEST(Contest, ComesToSomeHooksOnly) {
  Contest contest({.peers = {}, .rounds = 1});
  const auto outcome =
      contest.run(task_of({ListKind::acl, 10}, packets, 0), {expect(parse_hook("cgroup:ingress"))});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::input);
}

// Rules of a user, with packets directed at them.
TEST(Contest, TakesScripts) {
  const Script plain{.text =
                         "table inet t {\n chain c {\n"
                         "  type filter hook prerouting priority 0; policy accept;\n"
                         "  ip saddr 10.0.0.0/20 tcp dport 80 drop\n"
                         "  ip daddr 192.168.0.0/16 udp sport 1024-65535 drop\n"
                         "  ip protocol gre drop\n }\n}\n",
                     .file = "plain.nft"};
  // Neither a list of five fields nor of one family.
  const Script rich{.text =
                        "table inet t {\n"
                        " set s { type ipv6_addr; flags interval; elements = { fd00::/16 } }\n"
                        " chain c {\n"
                        "  type filter hook prerouting priority 0; policy accept;\n"
                        "  iifname != \"eth7\" drop\n  meta time < \"2020-01-01 00:00:00\" drop\n"
                        "  ip6 saddr @s drop\n  ip dscp 3 drop\n  tcp flags syn counter\n"
                        "  tcp dport vmap { 22 : drop, 23 : accept }\n }\n}\n",
                    .file = "rich.nft"};
  Contest contest({.peers = {Engine::nft, Engine::nft_sets}, .rounds = 1});
  for (const char* name : {"xdp@eth7", "tc:ingress@eth7", "netfilter:prerouting"}) {
    Hook hook = expect(parse_hook(name));
    const Outcome of_plain = expect(contest.run(expect(task_of(plain, hook, packets)), {hook}));
    EXPECT_EQ(of_plain.rows.size(), 3U);
    expect_sound(of_plain.rows);
    hook.device = "eth7";
    const Outcome of_rich = expect(contest.run(expect(task_of(rich, hook, packets)), {hook}));
    const bool same_hook = hook.kind == Hook::Kind::netfilter;
    EXPECT_EQ(of_rich.rows.size(), same_hook ? 2U : 1U) << name;
    EXPECT_EQ(of_rich.notes.size(), same_hook ? 1U : 2U) << name;
    expect_sound(of_rich.rows);
  }
  const Script tracked{.text =
                           "table inet t {\n chain c {\n"
                           "  type filter hook prerouting priority 0\n"
                           "  ct state established accept\n }\n}\n",
                       .file = "tracked.nft"};
  const auto refused = task_of(tracked, expect(parse_hook("netfilter:prerouting")), packets);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::input);
}

}  // namespace
}  // namespace weir::bench
