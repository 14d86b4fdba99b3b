// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that write to packets: what comes out of nft's chain at a device comes out of weir's
// program there, byte for byte, and of the evaluator. The frames hold what rules write to: a kernel
// that is to mend a checksum for bytes beyond the packet stops (skb_checksum() in
// net/core/skbuff.c).
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "differential/random.h"
#include "frontend/nft/nft.h"
#include "kernel/netdev_case.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::size_t frames_a_script = 120;

// Behind each write a rule that reads what was written.
constexpr std::array header_rules = {
    "ip ttl set 64\n ip ttl 64 counter",
    "ip ttl set 3 ip ttl 3 counter",
    "ip dscp set cs1\n ip dscp cs1 counter",
    "ip ecn set ce counter",
    "ip id set 0xffff\n ip id 0xffff counter",
    "ip checksum set 5 counter",
    "ip6 hoplimit set 9\n ip6 hoplimit 9 counter",
    "ip6 dscp set cs2\n ip6 dscp cs2 counter",
    "ip6 flowlabel set 5\n ip6 flowlabel 5 counter",
    "ether saddr set 01:02:03:04:05:06\n ether saddr 01:02:03:04:05:06 counter",
    "ether daddr set ether saddr counter",
    "@ll,0,8 set 5 counter",
    "@nh,72,8 set 6 meta l4proto udp counter\n @nh,72,8 6 counter",
    "ip ttl 64 ip ttl set 63 counter\n ip ttl 63 ip ttl set 62 counter\n ip ttl 62 counter",
};
constexpr std::array transport_rules = {
    "ip saddr set 10.0.0.77\n ip saddr 10.0.0.77 counter",
    "ip daddr set ip saddr counter",
    "ip daddr set ip saddr map { 10.0.0.1 : 192.0.2.9, 10.0.0.3 : 255.255.255.255 } counter",
    "ip protocol set 6 counter\n meta l4proto udp counter\n ip protocol 6 counter",
    "ip length set 28 counter",
    "ip6 saddr set fe80::1\n ip6 saddr fe80::1 counter",
    "ip6 daddr set ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff counter",
    "tcp dport set 8080\n tcp dport 8080 counter",
    "tcp sport set 65535 tcp dport set 0 counter",
    "tcp flags set syn | ack counter",
    "tcp sequence set 4294967295 counter",
    "udp sport set 53\n udp sport 53 counter",
    "udp dport set udp sport counter",
    "udp checksum set 0 counter",
    "udplite sport set 4 counter",
    "icmp type set echo-reply\n icmp type echo-reply counter",
    "icmp sequence set 7 counter",
    "icmpv6 code set 3 counter",
    "@th,16,16 set 5\n @th,16,16 5 counter",
    "ip saddr set 10.0.0.9 udp dport set 99 ip ttl set 1 counter",
    "tcp dport set 22 counter jump other",
};

constexpr std::array option_rules = {
    "tcp option maxseg size set 1360 counter\n tcp option maxseg size 1360 counter",
    "tcp option maxseg size set 1 counter",
    "tcp option maxseg size set 65535 counter",
    "tcp option maxseg size set tcp option maxseg size map { 1460 : 1000, 1461 : 9000 } counter",
    "tcp option timestamp tsval set 5\n tcp option timestamp tsval 5 counter",
    "tcp option timestamp tsecr set tcp option timestamp tsval counter",
    "tcp option timestamp tsval set 4294967295 tcp option timestamp tsecr set 0 counter",
    "tcp option sack left set tcp option sack right counter",
    "tcp option @253,16,16 set 0xabcd counter",
    "tcp option @2,16,32 set 5 counter",
    "reset tcp option timestamp counter\n tcp option timestamp missing counter",
    "reset tcp option maxseg reset tcp option sack-perm reset tcp option window counter",
    "reset tcp option sack counter",
    "reset tcp option nop counter",
    "reset tcp option eol counter\n tcp option eol missing counter",
    "reset tcp option 253 counter drop",
    "tcp option maxseg exists tcp option maxseg size set 536 tcp dport set 22 counter jump other",
};

std::string script_of(const std::string& hook, const std::string& rules) {
  return "table netdev t {\n chain other {\n  tcp dport 22 counter tcp sport set 23\n }\n chain c "
         "{\n  "
         "type filter hook " +
         hook + " device \"eth0\" priority 0; policy accept;\n  " + rules + "\n }\n}\n";
}

packet::TransportHeader transport_of(std::size_t which, bool ipv4, differential::Random& random) {
  const auto port = [&] { return static_cast<std::uint16_t>(random.below(65536)); };
  switch (which) {
    case 0:
      return packet::Tcp{.source_port = port(), .destination_port = port()};
    case 1:
      return packet::Udp{.source_port = port(), .destination_port = port()};
    case 2:
      return packet::Udp{.source_port = port(), .destination_port = 53, .checksum = 0};
    case 3:
      return packet::Udp{.source_port = port(), .destination_port = 53, .checksum = 0xffff};
    case 4:
      return packet::UdpLite{.source_port = port()};
    default:
      if (ipv4) return packet::Icmp{.type = 8, .id = port()};
      return packet::Icmpv6{.type = 128, .id = port()};
  }
}

// Of any types and lengths at odd and even places, some of which say that they reach beyond the
// header, and some headers that say that they reach beyond the packet or are less than one.
packet::Tcp with_options(packet::Tcp header, differential::Random& random) {
  constexpr std::array<std::uint8_t, 12> types = {0, 1, 1, 2, 2, 3, 4, 5, 8, 8, 30, 253};
  constexpr std::size_t room = 40;
  const std::size_t count = random.below(6);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t type = random.pick(types);
    Bytes option = {type};
    if (type > 1) {
      constexpr std::array<std::size_t, 9> sizes = {0, 0, 4, 3, 2, 10, 0, 0, 10};
      std::size_t size = type < sizes.size() && !random.one_in(12) ? sizes[type] : 0;
      if (size == 0) size = 2 + random.below(12);
      option.resize(size);
      for (std::uint8_t& byte : option) byte = static_cast<std::uint8_t>(random.below(256));
      option[0] = type;
      option[1] = static_cast<std::uint8_t>(random.one_in(20) ? random.below(42) : size);
      if (type == 2 && size == 4 && random.one_in(2)) {
        option[2] = 1460 >> 8;
        option[3] = static_cast<std::uint8_t>((1460 & 0xff) + random.below(2));
      }
    }
    if (header.options.size() + option.size() > room) break;
    header.options.insert(header.options.end(), option.begin(), option.end());
  }
  if (random.one_in(20)) header.header_words = static_cast<std::uint8_t>(random.below(16));
  constexpr std::array<std::uint16_t, 3> sums = {0, 0xffff, 0xfffe};
  if (random.one_in(8)) header.checksum = random.pick(sums);
  return header;
}

// Whole ones, so that every rule finds what it writes to.
Frame random_frame(differential::Random& random, bool with_tcp_options) {
  const bool ipv4 = random.one_in(2);
  const bool later_fragment = random.one_in(8);
  packet::Recipe recipe{.link = packet::Ethernet{}};
  if (ipv4) {
    packet::Ipv4 header{.ttl = static_cast<std::uint8_t>(random.below(256))};
    header.source[3] = static_cast<std::uint8_t>(1 + random.below(4));
    header.tos = static_cast<std::uint8_t>(random.below(256));
    if (random.one_in(4)) header.options = Bytes{1, 1, 1, 1};
    if (later_fragment) header.fragment_offset = 100;
    recipe.network = header;
  } else {
    packet::Ipv6 header{.hop_limit = static_cast<std::uint8_t>(random.below(256))};
    if (random.one_in(3)) header.extensions.push_back({});
    if (later_fragment) {
      header.extensions.push_back({.kind = packet::IpProtocol::fragment, .fragment_offset = 100});
    }
    recipe.network = header;
  }
  const std::size_t which = with_tcp_options && !random.one_in(8) ? 0 : random.below(6);
  recipe.transport = transport_of(which, ipv4, random);
  auto* tcp = std::get_if<packet::Tcp>(&recipe.transport);
  if (tcp != nullptr && with_tcp_options) *tcp = with_options(*tcp, random);
  recipe.payload.resize(24 + random.below(30));
  for (std::uint8_t& byte : recipe.payload) byte = static_cast<std::uint8_t>(random.below(256));
  const bool tagged = random.one_in(5);
  if (tagged) recipe.link->tags.push_back({});
  const bool is_long = !tagged && random.one_in(10);
  if (is_long) recipe.payload.resize(5000);
  packet::Built built = packet::build_with_layout(recipe);
  Frame frame{.packet = std::move(built.packet)};
  if (is_long) frame.linear = static_cast<std::uint16_t>(60 + random.below(40));
  const bool has_sum = which == 0 || which == 1;
  if (has_sum && !tagged && !later_fragment && !is_long && random.one_in(4)) {
    frame.open = {.start = static_cast<std::uint16_t>(built.layout.transport_offset),
                  .offset = static_cast<std::uint16_t>(which == 0 ? 16 : 6)};
  }
  return frame;
}

class Writes : public testing::TestWithParam<const char*> {
 protected:
  // Each rule by itself, then all of them behind one another.
  template <std::size_t n>
  void judge(const std::array<const char*, n>& rules, bool with_tcp_options = false) {
    std::string all;
    for (const char* const rule : rules) {
      judge_script(rule, with_tcp_options);
      if (HasFatalFailure()) return;
      all += std::string(rule) + "\n ";
    }
    judge_script(all, with_tcp_options);
    EXPECT_GT(written_, 10 * n) << "few frames were written to";
  }

 private:
  void judge_script(const std::string& rules, bool with_tcp_options) {
    const Hook hook = *parse_hook(GetParam());
    const std::string script =
        script_of(hook.kind == Hook::Kind::tc_egress ? "egress" : "ingress", rules);
    SCOPED_TRACE(script);
    std::mt19937_64 bits(rules.size());
    differential::Random random(bits);
    std::vector<Frame> frames;
    while (frames.size() < frames_a_script) {
      Frame frame = random_frame(random, with_tcp_options);
      // Native XDP takes no frame that is not linear, and knows of no open checksum.
      const bool odd = frame.linear != 0 || frame.open;
      if (hook.kind != Hook::Kind::xdp || !odd) frames.push_back(std::move(frame));
    }
    const auto subject = case_.read(scratch_, script);
    ASSERT_TRUE(subject) << subject.error().text();
    for (const bool generic : {false, true}) {
      if (generic && hook.kind != Hook::Kind::xdp) continue;
      const NetdevReport report = case_.run(*subject, script, frames, generic);
      ASSERT_TRUE(report.text.empty()) << report.text;
      EXPECT_LT(report.not_delivered, frames.size() / 2);
      EXPECT_GT(report.counted, 0U);
      written_ += report.written;
    }
  }

  NetdevCase case_{parse_hook(GetParam())->kind};
  frontend::nft::ScratchNamespace scratch_{expect(frontend::nft::ScratchNamespace::create())};
  std::size_t written_ = 0;
};

std::string name_of(const testing::TestParamInfo<const char*>& info) {
  std::string out = info.param;
  std::ranges::replace(out, ':', '_');
  return out;
}

TEST_P(Writes, OfHeadersAreThoseOfNft) {
  judge(header_rules);
}
INSTANTIATE_TEST_SUITE_P(Hooks, Writes, testing::Values("tc:ingress", "tc:egress", "xdp"), name_of);

class TransportWrites : public Writes {};
TEST_P(TransportWrites, AreThoseOfNft) {
  judge(transport_rules);
}
TEST_P(TransportWrites, OfTcpOptionsAreThoseOfNft) {
  judge(option_rules, true);
}
INSTANTIATE_TEST_SUITE_P(Hooks, TransportWrites, testing::Values("tc:ingress", "tc:egress"),
                         name_of);

}  // namespace
}  // namespace weir::test
