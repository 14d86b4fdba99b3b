// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/forward_case.h"

#include <algorithm>
#include <utility>

#include "frontend/nft/nft.h"
#include "kernel/counters.h"
#include "kernel/programs.h"
#include "packet/headers.h"
#include "packet/parse.h"

namespace weir::test {
namespace {

using Way = ForwardingWorld::Way;
using Verdict = imr::Outcome::Verdict;

std::optional<std::uint32_t> index_of(const std::string& device) {
  if (device == "tun0") return ForwardingWorld::in_index;
  if (device == "tun1") return ForwardingWorld::out_index;
  if (device == "lo") return 1;
  return std::nullopt;
}

// The packet as the forward hook sees it, from what was sent and what arrived without rules.
// ip_forward() and ip6_forward() lower the TTL or hop limit before they call the hook, and ip_rcv()
// and ip6_rcv_core() cut what lies behind the length in the IP header. Nothing where the stack
// changed more than that (IPv4 options), since it may have done so behind the hook.
std::optional<packet::Packet> at_the_hook(const Sent& sent, const Bytes& arrived) {
  Bytes expected = sent.bytes;
  if (expected.size() < arrived.size() || arrived.size() < 20) return std::nullopt;
  expected.resize(arrived.size());
  const bool v6 = expected[0] >> 4 == 6;
  if (v6) {
    expected.at(7) -= 1;
  } else {
    expected[8] -= 1;
    std::copy_n(arrived.begin() + 10, 2, expected.begin() + 10);  // the checksum says so too
  }
  if (expected != arrived) return std::nullopt;
  packet::Packet packet{.bytes = arrived,
                        .network_offset = 0,
                        .ethertype = v6 ? packet::ethertype_ipv6 : packet::ethertype_ipv4};
  packet.in = {.index = ForwardingWorld::in_index, .name = "tun0"};
  packet.out = {.index = ForwardingWorld::out_index, .name = "tun1"};
  if (sent.back) std::swap(packet.in, packet.out);
  return packet;
}

}  // namespace

std::string describe(const Sent& sent) {
  packet::Packet packet{.bytes = sent.bytes};
  packet.ethertype = !sent.bytes.empty() && sent.bytes[0] >> 4 == 6 ? packet::ethertype_ipv6
                                                                    : packet::ethertype_ipv4;
  constexpr std::size_t shown = 200;  // bytes
  return packet::summary(packet) + (sent.back ? " (from tun1 to tun0)" : "") +
         (sent.linear != 0 ? " (" + std::to_string(sent.linear) + " bytes linear)" : "") + "\n  " +
         to_hex(ByteView(sent.bytes).first(std::min(shown, sent.bytes.size()))) +
         (sent.bytes.size() > shown ? "..." : "");
}

namespace {

std::string word(bool accepted) {
  return accepted ? "accept" : "drop";
}

}  // namespace

struct ForwardCase::Weir {
  const imr::Ruleset& ruleset;
  const Programs& programs;
  std::vector<kernel::Fd> links;
  driver::Runner evaluator;
  bool evaluator_saw_all = true;
};

Result<imr::Ruleset> ForwardCase::read(const std::string& script) {
  return frontend::nft::read_script(script, "ruleset.nft", {.interface_index = index_of});
}

Status ForwardCase::prepare(const std::string& script) {
  WEIR_CHECK(nft_.load_ruleset(script));
  if (!connections_) return {};
  for (ForwardingWorld* world : {&control_, &weir_}) {
    WEIR_CHECK(world->load_ruleset(""));
  }
  for (ForwardingWorld* world : {&control_, &nft_, &weir_}) {
    WEIR_CHECK(world->track_connections());
    WEIR_CHECK(world->forget_connections());
  }
  return {};
}

ForwardReport ForwardCase::run(const std::string& script, std::span<const Sent> traffic) {
  ForwardReport report;
  const auto refuse = [&](ForwardReport::Kind kind, const Diagnostic& error) {
    report.kind = kind;
    report.text = error.text();
    return report;
  };
  using Kind = ForwardReport::Kind;
  if (const Status loaded = prepare(script); !loaded) {
    return refuse(Kind::refused_by_nft, loaded.error());
  }
  const auto ruleset = read(script);
  if (!ruleset) return refuse(Kind::mismatch, ruleset.error());
  if (std::ranges::none_of(ruleset->chains,
                           [](const auto& chain) { return chain.base.has_value(); })) {
    report.kind = Kind::left_to_kernel;
    report.text = "no base chain";
    return report;
  }
  const auto programs = make_programs(*ruleset, std::nullopt, options_);
  if (!programs) {
    const bool native = programs.error().kind == ErrorKind::partial;
    return refuse(native ? Kind::left_to_kernel : Kind::mismatch, programs.error());
  }
  auto evaluator =
      driver::Runner::create(driver::EngineKind::evaluator, *ruleset, programs->compilation);
  if (!evaluator) return refuse(Kind::mismatch, evaluator.error());
  Weir weir{*ruleset, *programs, {}, std::move(*evaluator)};
  for (std::size_t i = 0; i < weir.programs.loaded.programs.size(); ++i) {
    const driver::Attachment& place = weir.programs.compilation.programs[i].attachment;
    weir.links.push_back(expect(weir_.attach(weir.programs.loaded.programs[i], place.nfproto,
                                             place.hook.nf_hook, place.priority)));
  }
  send_all(traffic, weir, report);
  if (report.kind != Kind::mismatch) compare_counters(weir, report);
  return report;
}

void ForwardCase::send_all(std::span<const Sent> traffic, Weir& weir, ForwardReport& report) {
  for (std::size_t i = 0; i < traffic.size(); ++i) {
    send_one(traffic[i], i, weir, report);
    if (report.kind == ForwardReport::Kind::mismatch) return;
  }
}

void ForwardCase::send_one(const Sent& sent, std::size_t index, Weir& weir, ForwardReport& report) {
  const Way way = sent.back ? Way::back : Way::forth;
  const std::vector<Bytes> plain = control_.exchange(sent.bytes, sent.linear, way);
  if (plain.empty() && !connections_) return;
  const bool by_nft = nft_.send(sent.bytes, sent.linear, way);
  const bool by_weir = weir_.send(sent.bytes, sent.linear, way);
  report.verdicts += plain.empty() ? 0 : 1;
  report.dropped += plain.empty() || by_nft ? 0 : 1;

  std::string evaluated = "not asked";
  bool agreed = by_nft == by_weir;
  // nft_payload_fast_eval() reads later fragments, as the evaluator does, but only in the linear
  // part, of which the evaluator knows nothing.
  const bool for_evaluator =
      !connections_ && plain.size() == 1 && !(sent.linear != 0 && is_fragment(sent.bytes));
  const auto seen = for_evaluator ? at_the_hook(sent, plain.front()) : std::nullopt;
  if (seen) {
    const imr::Outcome outcome = expect(weir.evaluator.run(*seen));
    evaluated = word(outcome.verdict == Verdict::accept);
    agreed = agreed && (outcome.verdict == Verdict::accept) == by_nft;
    ++report.evaluated;
  } else {
    weir.evaluator_saw_all = false;
  }
  if (agreed) return;
  report.kind = ForwardReport::Kind::mismatch;
  report.packet = index;
  report.text = "verdicts of packet " + std::to_string(index) + " differ: nft " + word(by_nft) +
                ", weir " + word(by_weir) + ", evaluator " + evaluated + "\n  " + describe(sent) +
                "\n";
}

void ForwardCase::compare_counters(Weir& weir, ForwardReport& report) {
  const auto listed = nft_.counters();
  if (!listed) {
    report.kind = ForwardReport::Kind::refused_by_nft;
    report.text += listed.error().text();
    return;
  }
  const auto by_weir = weir.programs.counters(weir.ruleset);
  std::vector<driver::CounterTotal> by_evaluator;
  if (weir.evaluator_saw_all) by_evaluator = expect(weir.evaluator.counters());
  const CounterComparison found =
      test::compare_counters(weir.ruleset, *listed, by_weir, by_evaluator);
  report.counted += found.counted;
  if (found.differences.empty()) return;
  report.kind = ForwardReport::Kind::mismatch;
  report.text += found.differences;
}

}  // namespace weir::test
