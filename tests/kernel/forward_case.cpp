// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/forward_case.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "differential/judge.h"
#include "frontend/nft/nft.h"
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
  const auto by_evaluator = expect(weir.evaluator.counters());
  // The counters of one rule stand in its order on both sides.
  using Name = std::tuple<std::string, std::string, std::string, std::uint64_t>;
  std::map<Name, std::vector<std::size_t>> ids;
  for (std::size_t i = 0; i < weir.ruleset.counters.size(); ++i) {
    const imr::Rule& rule = weir.ruleset[weir.ruleset.counters[i].rule];
    const imr::Chain& chain = weir.ruleset[rule.chain];
    const imr::Table& table = weir.ruleset[chain.table];
    ids[{std::string(to_string(table.family)), table.name, chain.name, rule.origin.handle}]
        .push_back(i);
  }
  std::size_t found = 0;
  for (const RuleCounter& counter : *listed) {
    auto& queue = ids[{counter.family, counter.table, counter.chain, counter.handle}];
    const std::string where = counter.chain + " handle " + std::to_string(counter.handle);
    report.counted += counter.packets;
    ++found;
    if (queue.empty()) {
      report.kind = ForwardReport::Kind::mismatch;
      report.text += "weir does not know the counter of " + where + "\n";
      continue;
    }
    const std::size_t id = queue.front();
    queue.erase(queue.begin());
    const driver::CounterTotal by_nft{counter.packets, counter.bytes};
    const bool third = weir.evaluator_saw_all;
    if (by_nft == by_weir[id] && (!third || by_nft == by_evaluator[id])) continue;
    report.kind = ForwardReport::Kind::mismatch;
    report.text += "counters of " + where + " '" +
                   weir.ruleset[weir.ruleset.counters[id].rule].origin.text + "' differ: nft " +
                   differential::describe(by_nft) + ", weir " +
                   differential::describe(by_weir[id]) + ", evaluator " +
                   (third ? differential::describe(by_evaluator[id]) : "not asked") + "\n";
  }
  if (found != weir.ruleset.counters.size()) {
    report.kind = ForwardReport::Kind::mismatch;
    report.text += "weir has " + std::to_string(weir.ruleset.counters.size()) + " counters, nft " +
                   std::to_string(found) + "\n";
  }
}

}  // namespace weir::test
