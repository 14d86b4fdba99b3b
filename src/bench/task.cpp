// SPDX-License-Identifier: BSD-2-Clause
#include "bench/task.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <span>
#include <utility>

#include "bench/clock.h"
#include "bench/engines.h"
#include "bench/list_reader.h"
#include "bench/list_texts.h"
#include "bench/traces.h"
#include "driver/reads.h"
#include "driver/runner.h"
#include "frontend/nft/nft.h"
#include "imr/probes.h"
#include "packet/directed.h"
#include "packet/headers.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t list_seed = 1;
constexpr std::uint64_t trace_seed = 1;
constexpr double longest_judging = 10e9;  // ns
constexpr std::size_t largest_packet = 300;

bool has_ipv6_version(const Bytes& packet) {
  return packet.front() >> 4U == 6;
}

Status check_reads(const driver::Reads& reads) {
  if (reads.connection) {
    return input_error("the rules read ct, and packets of a trace belong to no connection");
  }
  for (const imr::MetaKey key : {imr::MetaKey::iif, imr::MetaKey::oif}) {
    if (reads.meta.contains(key)) {
      return input_error(
          "the rules know devices by index, and packets come by another one here, "
          "expected iifname");
    }
  }
  return {};
}

// A list, where one chain decides everything.
Result<List> list_of(const imr::Ruleset& ruleset,
                     const std::vector<driver::Attachment>& attachments) {
  const std::vector<imr::ChainId>& roots = attachments.front().roots;
  const bool one = roots.size() == 1 &&
                   std::ranges::all_of(attachments, [&](const driver::Attachment& attachment) {
                     return attachment.roots == roots;
                   });
  if (!one) return input_error("more than one chain decides");
  return read_list(ruleset, roots.front());
}

// What all engines read alike: IPv4, not a fragment, the header behind it whole.
bool is_plain(const Bytes& packet) {
  constexpr std::size_t ip_header = 20;
  constexpr std::uint64_t fragment_bits = 0x3fff;  // offset, and more to follow
  if (has_ipv6_version(packet) || packet.size() < ip_header) return false;
  if ((load_big_endian(ByteView(packet).subspan(6, 2)) & fragment_bits) != 0) return false;
  const std::size_t header = std::size_t{packet.front() & 0xfU} * 4;
  return packet.size() >= header + (packet[9] == 6 ? 20U : 8U);
}

std::vector<Bytes> directed(const imr::Ruleset& ruleset, std::size_t count, bool plain,
                            std::span<const driver::Attachment> attachments) {
  const auto sees = [&](Nfproto nfproto) {
    return std::ranges::any_of(attachments, [&](const driver::Attachment& attachment) {
      return weir::sees(ruleset[ruleset[attachment.roots.front()].table].family, nfproto);
    });
  };
  const packet::DirectedOptions options{.count = std::min<std::size_t>(count, 4096),
                                        .ipv4 = sees(Nfproto::ipv4),
                                        .ipv6 = !plain && sees(Nfproto::ipv6),
                                        .max_size = largest_packet,
                                        .deliverable = true};
  std::mt19937_64 random(trace_seed);
  const std::vector<packet::Probe> probes = imr::probes_of(ruleset);
  std::vector<Bytes> out;
  while (out.size() < count) {
    for (const packet::Packet& packet : packet::directed_packets(probes, options, random)) {
      if (out.size() == count || (plain && !is_plain(packet.bytes))) continue;
      out.push_back(packet.bytes);
    }
  }
  return out;
}

// As the hook sees what comes out of the wire: without what fills a short frame up where the IP
// header has said how long the packet is (ip_rcv_core()). Now, as the kernel is going to see it.
packet::Packet seen_at(const Hook& hook, const Bytes& packet) {
  Bytes frame = frame_of(packet);
  if (hook.kind == Hook::Kind::netfilter) frame.resize(link_header_size + packet.size());
  packet::Packet out{.bytes = std::move(frame)};
  out.network_offset = link_header_size;
  out.ethertype = has_ipv6_version(packet) ? packet::ethertype_ipv6 : packet::ethertype_ipv4;
  out.time_ns =
      std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  out.in.name = hook.device.empty() ? Wire::default_device : hook.device;
  return out;
}

}  // namespace

Task task_of(const ListName& name, std::size_t packets, double skew) {
  Task task{.name = fmt::format("{}:{}", to_string(name.kind), name.rules), .rules = name.rules};
  List list{.rules = make_list(name.kind, name.rules, list_seed)};
  list.accept_rest =
      std::ranges::none_of(list.rules, [](const ListRule& rule) { return rule.accept; });
  const auto trace = make_trace(list.rules, packets, trace_seed, {.skew = skew});
  for (const FiveTuple& packet : trace) task.packets.push_back(to_packet(packet));
  task.accepted = accepted_by(list, trace);
  // In the words that serve at all hooks: IPv4 packets are what all see.
  task.script = {.text = nft_text(list, chain_place(Site::prerouting)), .file = task.name};
  task.list = std::move(list);
  return task;
}

Result<Task> task_of(const Script& script, const Hook& hook, std::size_t packets) {
  WEIR_TRY(ruleset, frontend::nft::read_script(script.text, script.file));
  WEIR_TRY(attachments, driver::plan(ruleset, hook, script.chains));
  if (attachments.empty()) {
    return input_error("no chain of " + script.file + " decides at " + to_string(hook));
  }
  WEIR_CHECK(check_reads(driver::scan_reads(ruleset, attachments)));
  WEIR_TRY(compilation, driver::compile(ruleset, attachments));
  WEIR_TRY(evaluator, driver::Runner::create(driver::EngineKind::evaluator, ruleset, compilation));
  Task task{
      .name = script.file, .rules = driver::count_rules(ruleset, attachments), .script = script};
  auto list = list_of(ruleset, attachments);
  if (list) {
    task.list = std::move(*list);
  } else {
    task.why_no_list = list.error().text();
  }
  const double begin = wall_time();
  for (Bytes& packet : directed(ruleset, packets, task.list.has_value(), attachments)) {
    if (wall_time() - begin > longest_judging) break;
    WEIR_TRY(outcome, evaluator.run(seen_at(hook, packet)));
    task.accepted.push_back(outcome.verdict == imr::Outcome::Verdict::accept);
    task.packets.push_back(std::move(packet));
  }
  return task;
}

}  // namespace weir::bench
