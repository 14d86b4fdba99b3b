// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/netdev_case.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "differential/judge.h"
#include "differential/random.h"
#include "imr/constants.h"
#include "kernel/counters.h"
#include "kernel/programs.h"
#include "kernel/traffic.h"
#include "packet/headers.h"
#include "packet/parse.h"
#include "packet/vlan.h"

namespace weir::test {
namespace {

using Verdict = imr::Outcome::Verdict;

constexpr std::uint32_t long_mtu = 9000;
constexpr std::uint32_t short_mtu = 1500;  // of native XDP without fragments of pages
constexpr std::size_t too_long_for_a_page = 4300;

isa::Direction direction_of(Hook::Kind kind) {
  return kind == Hook::Kind::tc_egress ? isa::Direction::egress : isa::Direction::ingress;
}

std::uint32_t mtu_of(Hook::Kind kind) {
  return kind == Hook::Kind::xdp ? short_mtu : long_mtu;
}

// What came of a frame: how it came out, if it did, what came back, and what was sent away.
struct Arrival {
  using Received = NetdevWorld::Received;
  std::optional<Received> out;
  std::optional<Bytes> answer;
  std::vector<Received> away;
  friend bool operator==(const Arrival&, const Arrival&) = default;
};

// A device has received no frame with a mark, which XDP would lose.
Arrival send(NetdevWorld& world, const Frame& frame, bool may_be_answered, bool at_xdp) {
  Arrival arrival;
  if (world.send(frame.packet.bytes, frame.linear, frame.packet.mark, frame.open)) {
    arrival.out = world.arrived();
  } else if (may_be_answered) {
    arrival.answer = world.answer();
  }
  arrival.away = world.sent_away();
  if (at_xdp) {
    for (NetdevWorld::Received& one : arrival.away) one.mark = 0;
  }
  return arrival;
}

// What the evaluator says: no bytes of what comes out where rules write none, and no marks of what
// is sent away. XDP sees a tag that has gone to metadata where frames come out.
Arrival arrival_of(const imr::Outcome& outcome, const packet::Packet& packet, std::uint32_t away,
                   bool at_xdp) {
  const auto received = [&](const Bytes& bytes) {
    packet::Packet left{.bytes = bytes, .network_offset = packet.network_offset};
    return at_xdp ? packet::as_received(std::move(left)).bytes : bytes;
  };
  Arrival arrival;
  for (const imr::SentFrame& copy : outcome.duplicates) {
    if (copy.device == away) arrival.away.push_back({.bytes = received(copy.bytes)});
  }
  if (outcome.sent && outcome.sent->device == away) {
    arrival.away.push_back({.bytes = received(outcome.sent->bytes)});
  } else if (outcome.sent) {
    arrival.answer = outcome.sent->bytes;
  } else if (outcome.verdict == Verdict::accept) {
    arrival.out = {.mark = outcome.mark.value_or(packet.mark),
                   .bytes = received(outcome.bytes.value_or(Bytes()))};
  }
  return arrival;
}

bool agrees(const Arrival& said, const Arrival& arrival) {
  if (said.out.has_value() != arrival.out.has_value()) return false;
  if (said.out && (said.out->mark != arrival.out->mark ||
                   (!said.out->bytes.empty() && said.out->bytes != arrival.out->bytes))) {
    return false;
  }
  return said.answer == arrival.answer &&
         std::ranges::equal(said.away, arrival.away, {}, &NetdevWorld::Received::bytes,
                            &NetdevWorld::Received::bytes);
}

std::string words(const Arrival& arrival) {
  constexpr std::size_t shown = 100;  // bytes
  const auto bytes = [&](ByteView all) {
    return std::to_string(all.size()) + " bytes " + to_hex(all.first(std::min(shown, all.size())));
  };
  std::string out = "drop";
  if (arrival.answer) out = "answer of " + bytes(*arrival.answer);
  if (arrival.out) {
    out = "accept with mark " + std::to_string(arrival.out->mark) + " and " +
          bytes(arrival.out->bytes);
  }
  for (const NetdevWorld::Received& one : arrival.away) {
    out += ", sent away with mark " + std::to_string(one.mark) + " " + bytes(one.bytes);
  }
  return out;
}

// skb->pkt_type by the destination address (eth_skb_pkt_type() in linux/etherdevice.h).
packet::PacketType type_of(ByteView frame) {
  const ByteView destination = frame.first(6);
  if (std::ranges::all_of(destination, [](std::uint8_t byte) { return byte == 0xff; })) {
    return packet::PacketType::broadcast;
  }
  if ((destination[0] & 1) != 0) return packet::PacketType::multicast;
  return std::ranges::equal(destination, NetdevWorld::hardware_address())
             ? packet::PacketType::host
             : packet::PacketType::otherhost;
}

// Longer than a page, by IP payload where there is an IP packet, by what stands behind it now and
// then.
void make_nonlinear(Frame& frame, differential::Random& random) {
  Bytes& bytes = frame.packet.bytes;
  const std::size_t offset = std::min<std::size_t>(frame.packet.network_offset, bytes.size());
  const auto network = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  Bytes inner(network, bytes.end());
  if (random.one_in(4) || !lengthen(inner, too_long_for_a_page)) {
    inner.resize(too_long_for_a_page, 0x5a);
  }
  bytes.erase(network, bytes.end());
  bytes.insert(bytes.end(), inner.begin(), inner.end());
  // ipv6_find_hdr() reads the IPv6 header where the linear part would have it, whether it lies
  // there or not; and finds old bytes.
  const std::size_t least = frame.packet.ethertype == packet::ethertype_ipv6 ? offset + 40 : 14;
  frame.linear = static_cast<std::uint16_t>(least + random.below(60));
}

// A question that hosts answer, with values that the rules look for.
void make_question(packet::Packet& packet, const imr::Constants& constants,
                   differential::Random& random) {
  constexpr std::array<std::uint8_t, 8> kind = {0, 1, 8, 0, 6, 4, 0, 1};  // RFC 826
  constexpr std::size_t body = 14;
  Bytes& bytes = packet.bytes;
  bytes.assign({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06});
  if (random.one_in(2)) std::ranges::copy(NetdevWorld::hardware_address(), bytes.begin());
  bytes.insert(bytes.end(), kind.begin(), kind.end());
  for (const std::uint8_t host : {std::uint8_t{1}, std::uint8_t{2}}) {
    bytes.insert(bytes.end(), {2, 0, 0, 0, 0, host, 10, 0, 0, host});
  }
  for (int i = 0; i < 4 && !constants.packet.empty(); ++i) {
    const imr::PacketConstant& wanted = constants.packet[random.below(constants.packet.size())];
    const bool link = wanted.base == imr::HeaderBase::link;
    const std::size_t at = wanted.offset + (link ? 0 : body);
    const bool fits =
        link ? at >= 6 && at + wanted.length <= 12 : at + wanted.length <= bytes.size();
    if (!fits || wanted.base == imr::HeaderBase::transport) continue;
    std::ranges::copy(wanted.value, bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (!random.one_in(8)) std::ranges::copy(kind, bytes.begin() + body);
  if (random.one_in(4)) bytes.resize(60);  // as Ethernet pads it
  packet.network_offset = body;
  packet.ethertype = packet::ethertype_arp;
  packet.vlan.reset();
}

}  // namespace

std::string describe(const Frame& frame) {
  constexpr std::size_t shown = 200;  // bytes
  const Bytes& bytes = frame.packet.bytes;
  return packet::summary(frame.packet) + ", mark " + std::to_string(frame.packet.mark) + ", " +
         std::to_string(bytes.size()) + " bytes" +
         (frame.linear != 0 ? ", " + std::to_string(frame.linear) + " of them linear" : "") +
         "\n  " + to_hex(ByteView(bytes).first(std::min(shown, bytes.size()))) +
         (bytes.size() > shown ? "..." : "");
}

NetdevCase::NetdevCase(Hook::Kind kind, driver::Options options, NetdevWorld::Middle middle)
    : hook_{.kind = kind, .nf_hook = {}, .device = "eth0"},
      options_(std::move(options)),
      middle_(middle),
      nft_(direction_of(kind), mtu_of(kind), middle),
      weir_(direction_of(kind), mtu_of(kind), middle) {}

namespace {

// Whether a length stands behind a tag, where others have an ethertype. The stack then knows the
// frame as ETH_P_802_2 or ETH_P_802_3, and nf_tables shows that in place of the length
// (nft_payload_rebuild_vlan_hdr()); XDP has the frame as it came.
bool has_tagged_length(const Bytes& frame) {
  constexpr std::uint64_t lowest_ethertype = 0x600;  // ETH_P_802_3_MIN
  if (frame.size() < 18) return false;
  const ByteView bytes = frame;
  const std::uint64_t outer = load_big_endian(bytes.subspan(12, 2));
  return (outer == packet::ethertype_vlan || outer == packet::ethertype_qinq) &&
         load_big_endian(bytes.subspan(16, 2)) < lowest_ethertype;
}

}  // namespace

std::vector<Frame> NetdevCase::frames(const differential::RulesetAtHook& subject, std::size_t count,
                                      std::mt19937_64& engine) const {
  differential::Random random(engine);
  const imr::Constants constants = imr::constants(subject.ruleset);
  std::vector<Frame> frames;
  for (packet::Packet& packet : differential::packets_for(subject, count, true, engine)) {
    Frame frame{.packet = std::move(packet), .linear = 0};
    if (middle_ == NetdevWorld::Middle::host) {
      make_question(frame.packet, constants, random);
    } else if (hook_.kind != Hook::Kind::xdp && random.one_in(10)) {
      make_nonlinear(frame, random);
    }
    packet::Packet& seen = frame.packet;
    if (hook_.kind == Hook::Kind::xdp && has_tagged_length(seen.bytes)) continue;
    give_facts(seen);
    frames.push_back(std::move(frame));
  }
  return frames;
}

void NetdevCase::give_facts(packet::Packet& seen) const {
  const packet::Device device{.index = weir_.ifindex(), .name = "eth0"};
  seen.type = type_of(seen.bytes);
  if (middle_ == NetdevWorld::Middle::bridge && seen.type == packet::PacketType::host) {
    seen.type = packet::PacketType::otherhost;
  }
  seen.in = hook_.kind == Hook::Kind::tc_egress ? packet::Device{} : device;
  seen.out = hook_.kind == Hook::Kind::tc_egress ? device : packet::Device{};
  seen.has_connection = false;
  seen.ct_info = packet::CtInfo::established;
}

// At TC the chains as they are planned for the device; at XDP and in the place of a bridge's
// chains, where the user orders them, in the order of the kernel.
Result<differential::RulesetAtHook> NetdevCase::read(frontend::nft::ScratchNamespace& scratch,
                                                     const std::string& script) const {
  const auto index_of = [&](const std::string& device) -> std::optional<std::uint32_t> {
    if (device == hook_.device) return weir_.ifindex();
    if (device == "away0") return weir_.away_index();
    return std::nullopt;
  };
  WEIR_TRY(ruleset, scratch.read(script, "generated.nft", {.interface_index = index_of}));
  differential::RulesetAtHook subject{
      .ruleset = std::move(ruleset), .hook = hook_, .attachments = {}};
  if (hook_.kind != Hook::Kind::xdp && middle_ == NetdevWorld::Middle::rules) {
    WEIR_TRY(attachments, driver::plan(subject.ruleset, std::nullopt, {}));
    subject.attachments = std::move(attachments);
    return subject;
  }
  WEIR_TRY(attachments,
           driver::plan(subject.ruleset, hook_, base_chains_in_order(subject.ruleset)));
  subject.attachments = std::move(attachments);
  return subject;
}

std::vector<kernel::Fd> NetdevCase::attach(const std::vector<kernel::Fd>& programs, bool generic) {
  std::vector<kernel::Fd> links;
  for (const kernel::Fd& program : programs) {
    links.push_back(expect(hook_.kind != Hook::Kind::xdp
                               ? weir_.attach_tcx(program)
                               : weir_.attach_xdp(program, generic ? kernel::XdpMode::generic
                                                                   : kernel::XdpMode::native)));
  }
  return links;
}

namespace {

// Whether what a packet meets depends on those before it.
bool keeps_state(const imr::Ruleset& ruleset) {
  return !ruleset.meters.empty() || std::ranges::any_of(ruleset.sets, [](const imr::Set& set) {
    return set.dynamic.has_value();
  });
}

}  // namespace

NetdevReport NetdevCase::run(const differential::RulesetAtHook& subject, const std::string& script,
                             std::span<const Frame> frames, bool generic) {
  NetdevReport report;
  if (const Status loaded = nft_.load_ruleset(script); !loaded) {
    report.refused = true;
    report.text = loaded.error().text();
    return report;
  }
  const auto programs = make_programs(subject.ruleset, subject.attachments, options_);
  if (!programs) {
    report.refused = programs.error().kind == ErrorKind::partial;
    report.text = programs.error().text() + "\n";
    return report;
  }
  auto evaluator = expect(driver::Runner::create(driver::EngineKind::evaluator, subject.ruleset,
                                                 programs->compilation));
  bool evaluator_saw_all = true;
  bool evaluator_keeps_up = true;
  std::vector<bool> delivered;
  for (const Frame& frame : frames) {
    delivered.push_back(
        weir_.send(frame.packet.bytes, frame.linear, frame.packet.mark, frame.open));
  }
  const auto links = attach(programs->loaded.programs, generic);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const packet::Packet& packet = frames[i].packet;
    if (!delivered[i]) {
      ++report.not_delivered;
      continue;
    }
    const bool may_be_answered = middle_ == NetdevWorld::Middle::rules;
    const bool at_xdp = hook_.kind == Hook::Kind::xdp;
    const Arrival by_nft = send(nft_, frames[i], may_be_answered, at_xdp);
    const Arrival by_weir = send(weir_, frames[i], may_be_answered, at_xdp);
    ++report.verdicts;
    report.dropped += by_nft.out ? 0 : 1;
    report.answered += by_nft.answer ? 1 : 0;
    report.sent_away += by_nft.away.size();
    report.marked += by_nft.out && by_nft.out->mark != packet.mark ? 1 : 0;
    // nft_payload_fast_eval() reads later fragments, but only in the linear part, of which the
    // evaluator knows nothing.
    const std::size_t network = std::min<std::size_t>(packet.network_offset, packet.bytes.size());
    const bool sure = !frames[i].open && (frames[i].linear == 0 ||
                                          !is_fragment(ByteView(packet.bytes).subspan(network)));
    evaluator_saw_all = evaluator_saw_all && sure;
    // It sees such packets as well, for what they take of limits and leave in sets.
    const imr::Outcome outcome = expect(evaluator.run(packet));
    report.written += outcome.bytes ? 1 : 0;
    const Arrival told = arrival_of(outcome, packet, weir_.away_index(), at_xdp);
    evaluator_keeps_up = evaluator_keeps_up && (sure || agrees(told, by_nft));
    const bool third = sure && (evaluator_keeps_up || !keeps_state(subject.ruleset));
    const Arrival by_evaluator = third ? told : by_nft;
    if (by_nft == by_weir && agrees(by_evaluator, by_nft)) continue;
    report.text = "frame " + std::to_string(i) + ": nft " + words(by_nft) + ", weir " +
                  words(by_weir) + ", evaluator " + (third ? words(by_evaluator) : "not asked") +
                  "\n  " + describe(frames[i]) + "\n";
    return report;
  }
  const auto listed = nft_.counters();
  if (!listed) {
    report.refused = true;
    report.text = listed.error().text();
    return report;
  }
  std::vector<driver::CounterTotal> by_evaluator;
  if (evaluator_saw_all) by_evaluator = expect(evaluator.counters());
  const CounterComparison found =
      compare_counters(subject.ruleset, *listed, programs->counters(subject.ruleset), by_evaluator);
  report.counted = found.counted;
  report.text = found.differences;
  return report;
}

}  // namespace weir::test
