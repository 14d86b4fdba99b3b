// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/cgroup_case.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "differential/random.h"
#include "driver/reads.h"
#include "imr/constants.h"
#include "kernel/counters.h"
#include "kernel/programs.h"
#include "kernel/traffic.h"
#include "packet/headers.h"
#include "packet/parse.h"

namespace weir::test {
namespace {

using Verdict = imr::Outcome::Verdict;

constexpr std::size_t nonlinear_of_ten = 1;

std::string word(bool accepted) {
  return accepted ? "accept" : "drop";
}

bool is_v4(ByteView packet) {
  return !packet.empty() && packet[0] >> 4 == 4;
}

packet::Packet as_packet(ByteView bytes) {
  packet::Packet packet{.bytes = Bytes(bytes.begin(), bytes.end())};
  packet.ethertype = is_v4(bytes) ? packet::ethertype_ipv4 : packet::ethertype_ipv6;
  return packet;
}

// ip_rcv_core() and ip6_rcv_core() cut off what lies behind the length in the header; and
// ip_rcv_options() may write into options.
std::optional<packet::Packet> as_received(const Message& message) {
  const ByteView bytes = message.bytes;
  const bool v4 = is_v4(bytes);
  if (bytes.size() < (v4 ? 20U : 40U) || (v4 && (bytes[0] & 0x0f) != 5)) return std::nullopt;
  const std::size_t length =
      v4 ? load_big_endian(bytes.subspan(2, 2)) : 40 + load_big_endian(bytes.subspan(4, 2));
  packet::Packet packet = as_packet(bytes.first(std::min(length, bytes.size())));
  packet.in = {.index = SocketWorld::device_index, .name = "eth0"};
  return packet;
}

packet::Packet as_sent(const Bytes& bytes, std::uint32_t mark) {
  packet::Packet packet = as_packet(bytes);
  packet.out = {.index = SocketWorld::device_index, .name = "eth0"};
  packet.mark = mark;
  return packet;
}

}  // namespace

std::string describe(const Message& message) {
  constexpr std::size_t shown = 200;  // bytes
  const ByteView bytes = message.bytes;
  return packet::summary(as_packet(bytes)) + ", mark " + std::to_string(message.mark) +
         (message.by_udp ? ", by a UDP socket" : "") +
         (message.linear != 0 ? ", " + std::to_string(message.linear) + " bytes linear" : "") +
         "\n  " + to_hex(bytes.first(std::min(shown, bytes.size()))) +
         (bytes.size() > shown ? "..." : "");
}

CgroupCase::CgroupCase(Hook::Kind kind, driver::Options options)
    : hook_{.kind = kind, .nf_hook = {}, .device = {}},
      options_(std::move(options)),
      control_(SocketWorld::Sockets::elsewhere),
      nft_(SocketWorld::Sockets::elsewhere),
      weir_(SocketWorld::Sockets::in_cgroup) {}

Result<differential::RulesetAtHook> CgroupCase::read(frontend::nft::ScratchNamespace& scratch,
                                                     const std::string& script) const {
  const auto index_of = [](const std::string& device) -> std::optional<std::uint32_t> {
    if (device == "eth0") return SocketWorld::device_index;
    return std::nullopt;
  };
  WEIR_TRY(ruleset, scratch.read(script, "generated.nft", {.interface_index = index_of}));
  differential::RulesetAtHook subject{
      .ruleset = std::move(ruleset), .hook = hook_, .attachments = {}};
  WEIR_TRY(attachments,
           driver::plan(subject.ruleset, hook_, base_chains_in_order(subject.ruleset)));
  subject.attachments = std::move(attachments);
  return subject;
}

std::vector<Message> CgroupCase::messages(const differential::RulesetAtHook& subject,
                                          std::size_t count, std::mt19937_64& engine) const {
  differential::Random random(engine);
  const bool egress = hook_.kind == Hook::Kind::cgroup_egress;
  std::vector<Sent> traffic = directed_traffic(subject.ruleset, count, engine);
  std::ranges::move(nonlinear_traffic(subject.ruleset, count * nonlinear_of_ten / 10, engine),
                    std::back_inserter(traffic));
  std::vector<std::uint32_t> marks = {0};
  for (const imr::MetaConstant& constant : imr::constants(subject.ruleset).meta) {
    if (constant.key != imr::MetaKey::mark) continue;
    marks.push_back(static_cast<std::uint32_t>(load_native(constant.value)));
  }
  std::vector<Message> messages;
  for (Sent& sent : traffic) {
    if (is_fragment(sent.bytes)) continue;
    Message message{.bytes = std::move(sent.bytes), .linear = sent.linear};
    if (egress) {
      message.mark = marks[random.below(marks.size())];
      message.by_udp = SocketWorld::is_datagram(message.bytes) && !random.one_in(4);
      // The kernel chooses an identifier where there is none.
      if (is_v4(message.bytes) && message.bytes.size() >= 20 && message.bytes[5] == 0) {
        message.bytes[5] = 1;
      }
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

struct CgroupCase::Judged {
  driver::Runner evaluator;
  bool evaluator_saw_all = true;
  CgroupReport report;

  // Of a packet as the hook saw it; nothing where that is not known.
  std::optional<bool> ask(const std::optional<packet::Packet>& seen) {
    if (!seen) {
      evaluator_saw_all = false;
      return std::nullopt;
    }
    return expect(evaluator.run(*seen)).verdict == Verdict::accept;
  }
};

std::string CgroupCase::judge_arrival(const Message& message, Judged& judged) {
  if (!control_.deliver(message.bytes, message.linear)) {
    ++judged.report.not_delivered;
    return {};
  }
  const bool by_nft = nft_.deliver(message.bytes, message.linear);
  const bool by_weir = weir_.deliver(message.bytes, message.linear);
  const auto by_evaluator = judged.ask(as_received(message));
  ++judged.report.verdicts;
  judged.report.dropped += by_nft ? 0 : 1;
  const auto place = packet::find_transport(message.bytes, as_packet(message.bytes).ethertype);
  judged.report.by_ports += place && (place->protocol == 6 || place->protocol == 17) ? 1 : 0;
  if (by_nft == by_weir && by_evaluator.value_or(by_nft) == by_nft) return {};
  return "nft " + word(by_nft) + ", weir " + word(by_weir) + ", evaluator " +
         (by_evaluator ? word(*by_evaluator) : "not asked");
}

std::string CgroupCase::judge_departure(const Message& message, Judged& judged) {
  const auto send = [&](SocketWorld& world) {
    return world.send(message.bytes, message.mark, message.by_udp);
  };
  const SocketWorld::Departure plain = send(control_);
  if (!plain.packet) {
    ++judged.report.not_delivered;
    return {};
  }
  const SocketWorld::Departure by_nft = send(nft_);
  const SocketWorld::Departure by_weir = send(weir_);
  const bool accepted = *judged.ask(as_sent(*plain.packet, message.mark));
  ++judged.report.verdicts;
  judged.report.dropped += by_nft.packet ? 0 : 1;
  judged.report.by_ports += message.by_udp ? 1 : 0;
  if (by_nft.packet.has_value() != by_weir.packet.has_value() ||
      by_weir.packet.has_value() != accepted) {
    return "nft " + word(by_nft.packet.has_value()) + ", weir " + word(by_weir.packet.has_value()) +
           ", evaluator " + word(accepted);
  }
  for (const SocketWorld::Departure* departure : {&by_nft, &by_weir}) {
    if (departure->packet && departure->packet != plain.packet) {
      return "a packet left that differs from the one without rules: " +
             to_hex(*departure->packet) + " and not " + to_hex(*plain.packet);
    }
    if (departure->refused == departure->packet.has_value()) {
      return "a sender whose packet was " +
             std::string(departure->packet ? "let through was told" : "dropped was not told") +
             " that it may not send";
    }
  }
  return {};
}

std::string CgroupCase::judge(const Message& message, Judged& judged) {
  return hook_.kind == Hook::Kind::cgroup_ingress ? judge_arrival(message, judged)
                                                  : judge_departure(message, judged);
}

CgroupReport CgroupCase::run(const differential::RulesetAtHook& subject, const std::string& script,
                             std::span<const Message> messages) {
  const auto refuse = [](const Diagnostic& error, bool refused) {
    CgroupReport report;
    report.refused = refused;
    report.text = error.text() + "\n";
    return report;
  };
  if (const Status loaded = nft_.load_ruleset(script); !loaded) return refuse(loaded.error(), true);
  const auto programs = make_programs(subject.ruleset, subject.attachments, options_);
  // An input error: what cgroups do not know of packets, and chains do.
  if (!programs) {
    return refuse(programs.error(), programs.error().kind == ErrorKind::partial ||
                                        programs.error().kind == ErrorKind::input);
  }
  // A TUN device is no Ethernet device, for which the evaluator takes all.
  if (driver::scan_reads(subject.ruleset, subject.attachments)
          .meta.contains(imr::MetaKey::iiftype)) {
    return refuse(input_error("the type of the device is not judged here").error(), true);
  }
  std::vector<ByteView> packets;
  for (const Message& message : messages) packets.emplace_back(message.bytes);
  for (SocketWorld* world : {&control_, &nft_, &weir_}) world->prepare(packets);

  Judged judged{.evaluator = expect(driver::Runner::create(driver::EngineKind::evaluator,
                                                           subject.ruleset, programs->compilation)),
                .evaluator_saw_all = true,
                .report = {}};
  const isa::Direction direction =
      hook_.kind == Hook::Kind::cgroup_ingress ? isa::Direction::ingress : isa::Direction::egress;
  std::vector<kernel::Fd> links;
  for (const kernel::Fd& program : programs->loaded.programs) {
    links.push_back(expect(weir_.attach(program, direction)));
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string difference = judge(messages[i], judged);
    if (difference.empty()) continue;
    judged.report.text =
        "message " + std::to_string(i) + ": " + difference + "\n  " + describe(messages[i]) + "\n";
    return judged.report;
  }
  const auto listed = nft_.counters();
  if (!listed) return refuse(listed.error(), true);
  std::vector<driver::CounterTotal> by_evaluator;
  if (judged.evaluator_saw_all) by_evaluator = expect(judged.evaluator.counters());
  const CounterComparison found =
      compare_counters(subject.ruleset, *listed, programs->counters(subject.ruleset), by_evaluator);
  judged.report.counted = found.counted;
  judged.report.text = found.differences;
  return judged.report;
}

}  // namespace weir::test
