// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that answer what they drop: what comes back from nft's chain at a device comes back from
// weir's program there, byte for byte, and from the evaluator.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "differential/random.h"
#include "frontend/nft/nft.h"
#include "kernel/netdev_case.h"
#include "kernel/programs.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"
#include "packet/checksum.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::size_t frames_a_script = 400;

constexpr std::array rules = {
    "counter reject",
    "counter reject with icmpx type no-route",
    "counter reject with icmpx type admin-prohibited",
    "counter reject with tcp reset",
    "meta protocol ip counter reject with icmp type host-unreachable",
    "meta protocol ip6 counter reject with icmpv6 type policy-fail",
    "ip ttl set 9 counter\n ip6 hoplimit set 9 counter\n counter reject",
    "tcp dport 0-32767 counter reject with tcp reset\n udp dport 53 counter reject\n counter jump "
    "other",
};

std::string script_of(const std::string& rule) {
  return "table netdev t {\n chain other {\n  meta l4proto icmp counter reject\n }\n chain c {\n  "
         "type filter hook ingress device \"eth0\" priority 0; policy accept;\n  " +
         rule + "\n }\n}\n";
}

packet::TransportHeader transport_of(bool ipv4, differential::Random& random) {
  const auto port = [&] { return static_cast<std::uint16_t>(random.below(65536)); };
  constexpr std::array<std::uint8_t, 9> flags = {0x02, 0x10, 0x12, 0x18, 0x04, 0x11, 0x03, 0, 0x3f};
  constexpr std::array<std::uint8_t, 8> types = {0, 3, 4, 5, 8, 11, 12, 40};
  constexpr std::array<std::uint8_t, 6> types_of_ipv6 = {1, 2, 3, 128, 129, 137};
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      packet::Tcp tcp{.source_port = port(),
                      .destination_port = port(),
                      .sequence = static_cast<std::uint32_t>(random.below(0x100000000)),
                      .acknowledgement = static_cast<std::uint32_t>(random.below(0x100000000)),
                      .flags = random.pick(flags)};
      if (random.one_in(3)) tcp.options = Bytes{2, 4, 5, 0xb4, 1, 3, 3, 7};
      if (random.one_in(12)) tcp.checksum = port();
      return tcp;
    }
    case 4:
      return packet::Udp{.source_port = port(), .destination_port = port()};
    case 5:
      return packet::Udp{.source_port = port(), .destination_port = 53, .checksum = 0};
    case 6:
      return packet::Udp{.source_port = port(), .destination_port = 53, .checksum = port()};
    case 7:
      return packet::UdpLite{.source_port = port(), .checksum = port()};
    case 8:
      if (random.one_in(2)) return packet::Dccp{.checksum = port()};
      return packet::Sctp{};
    default:
      if (ipv4) return packet::Icmp{.type = random.pick(types), .id = port()};
      return packet::Icmpv6{.type = random.pick(types_of_ipv6), .id = port()};
  }
}

packet::NetworkHeader network_of(bool ipv4, bool fragment, differential::Random& random) {
  if (ipv4) {
    packet::Ipv4 header{.ttl = static_cast<std::uint8_t>(random.below(256))};
    header.source[3] = static_cast<std::uint8_t>(1 + random.below(4));
    if (random.one_in(4)) header.options = Bytes{1, 1, 1, 1};
    if (fragment) header.fragment_offset = random.one_in(2) ? 100 : 0;
    header.more_fragments = fragment;
    if (random.one_in(20)) header.checksum = 0x1234;
    return header;
  }
  packet::Ipv6 header{.hop_limit = static_cast<std::uint8_t>(random.below(256))};
  if (random.one_in(3)) header.extensions.push_back({});
  if (fragment) {
    header.extensions.push_back(
        {.kind = packet::IpProtocol::fragment,
         .fragment_offset = static_cast<std::uint16_t>(random.one_in(2) ? 100 : 0)});
  }
  return header;
}

// With the sum of the pseudo header in place of the checksum, as stacks leave it.
void leave_sum_open(Frame& frame, std::size_t transport, bool is_tcp) {
  constexpr std::size_t network = 14;
  Bytes& bytes = frame.packet.bytes;
  const bool ipv4 = bytes[network] >> 4 == 4;
  const std::size_t size = ipv4 ? 4 : 16;
  const ByteView addresses = ByteView(bytes).subspan(network + (ipv4 ? 12 : 8), 2 * size);
  Bytes pseudo(addresses.begin(), addresses.end());
  for (const std::uint64_t word : {std::uint64_t{bytes.size() - transport}, is_tcp ? 6UL : 17UL}) {
    const Bytes part = big_endian_bytes(word, 4);
    pseudo.insert(pseudo.end(), part.begin(), part.end());
  }
  frame.open = {.start = static_cast<std::uint16_t>(transport),
                .offset = static_cast<std::uint16_t>(is_tcp ? 16 : 6)};
  const auto sum = static_cast<std::uint16_t>(~packet::internet_checksum(pseudo));
  std::ranges::copy(big_endian_bytes(sum, 2),
                    bytes.begin() + static_cast<std::ptrdiff_t>(transport + frame.open->offset));
}

// Of all lengths up to what no answer quotes whole, with bytes behind the packet now and then, as
// Ethernet pads short ones; some that a device would have to finish, and some that no answer is to.
Frame random_frame(Hook::Kind hook, differential::Random& random) {
  const bool ipv4 = random.one_in(2);
  packet::Recipe recipe{.link = packet::Ethernet{}};
  const bool fragment = random.one_in(8);
  recipe.network = network_of(ipv4, fragment, random);
  recipe.transport = transport_of(ipv4, random);
  recipe.payload.resize(random.one_in(3) ? random.below(1300) : random.below(30));
  for (std::uint8_t& byte : recipe.payload) byte = static_cast<std::uint8_t>(random.below(256));
  const bool tagged = random.one_in(6);
  if (tagged) recipe.link->tags.push_back({});
  packet::Built built = packet::build_with_layout(recipe);
  Frame frame{.packet = std::move(built.packet)};
  Bytes& bytes = frame.packet.bytes;
  if (random.one_in(12)) bytes[0] |= 1;
  const bool is_tcp = std::holds_alternative<packet::Tcp>(recipe.transport);
  const bool has_sum = is_tcp || std::holds_alternative<packet::Udp>(recipe.transport);
  if (hook != Hook::Kind::xdp && has_sum && !tagged && !fragment && random.one_in(4)) {
    leave_sum_open(frame, built.layout.transport_offset, is_tcp);
  } else if (random.one_in(6)) {
    bytes.resize(bytes.size() + random.below(20));
  }
  return frame;
}

class Answers : public testing::TestWithParam<const char*> {
 protected:
  void judge(const std::string& rule) {
    const Hook hook = *parse_hook(GetParam());
    const std::string script = script_of(rule);
    SCOPED_TRACE(script);
    std::mt19937_64 bits(rule.size());
    differential::Random random(bits);
    std::vector<Frame> frames;
    while (frames.size() < frames_a_script) frames.push_back(random_frame(hook.kind, random));
    for (Frame& frame : frames) case_.give_facts(frame.packet);
    const auto subject = case_.read(scratch_, script);
    ASSERT_TRUE(subject) << subject.error().text();
    for (const bool generic : {false, true}) {
      if (generic && hook.kind != Hook::Kind::xdp) continue;
      const NetdevReport report = case_.run(*subject, script, frames, generic);
      ASSERT_TRUE(report.text.empty()) << report.text;
      EXPECT_GT(report.answered, frames.size() / 10) << "few frames were answered";
      EXPECT_LT(report.answered, frames.size()) << "each frame was answered";
    }
  }

  NetdevCase case_{parse_hook(GetParam())->kind};
  frontend::nft::ScratchNamespace scratch_{expect(frontend::nft::ScratchNamespace::create())};
};

TEST_P(Answers, AreThoseOfNft) {
  for (const char* const rule : rules) {
    judge(rule);
    if (HasFatalFailure()) return;
  }
}

// A checksum that is left to the device within a tunnel: were its place not taken off the packet,
// two bytes of the answer would be overwritten.
TEST(AnswersAtTc, HaveNoPlaceForAChecksumOfATunnel) {
  const std::string script = script_of("counter reject");
  NetdevWorld nft(isa::Direction::ingress, 1500);
  NetdevWorld weir(isa::Direction::ingress, 1500);
  expect(nft.load_ruleset(script));
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  const auto index = [&](const std::string&) { return std::optional(weir.ifindex()); };
  const auto ruleset = expect(scratch.read(script, "test.nft", {.interface_index = index}));
  const auto programs = expect(make_programs(ruleset, parse_hook("tc:ingress@eth0").value(), {}));
  const kernel::Fd link = expect(weir.attach_tcx(programs.loaded.programs.front()));

  packet::Recipe inner{.transport = packet::Tcp{}};
  const packet::Built carried = packet::build_with_layout(inner);
  packet::Recipe outer{.link = packet::Ethernet{}, .transport = packet::Gre{}};
  outer.payload = carried.packet.bytes;
  const Bytes plain = packet::build(outer).bytes;
  const auto transport =
      plain.size() - carried.packet.bytes.size() + carried.layout.transport_offset;
  const NetdevWorld::OpenChecksum open{.start = static_cast<std::uint16_t>(transport),
                                       .offset = 16};
  for (const bool is_open : {false, true}) {
    const auto place = is_open ? std::optional(open) : std::nullopt;
    EXPECT_FALSE(nft.send(plain, 0, 0, place));
    EXPECT_FALSE(weir.send(plain, 0, 0, place));
    const auto by_nft = nft.answer();
    const auto by_weir = weir.answer();
    ASSERT_TRUE(by_nft && by_weir) << "open: " << is_open;
    EXPECT_EQ(to_hex(*by_weir), to_hex(*by_nft)) << "open: " << is_open;
  }
}

std::string name_of(const testing::TestParamInfo<const char*>& info) {
  std::string out = info.param;
  std::ranges::replace(out, ':', '_');
  return out;
}
INSTANTIATE_TEST_SUITE_P(Hooks, Answers, testing::Values("tc:ingress", "xdp"), name_of);

}  // namespace
}  // namespace weir::test
