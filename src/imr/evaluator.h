// SPDX-License-Identifier: BSD-2-Clause
//
// The reference evaluator: what a Unit means, straight and slow, statement by statement. It is a
// judge of the compiler and shares no code with lowering. Sources: nft_do_chain() in
// net/netfilter/nf_tables_core.c and the expressions beside it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "imr/dynamic_sets.h"
#include "imr/imr.h"
#include "imr/meters.h"
#include "packet/packet.h"

namespace weir::imr {

// What a log statement leaves of a packet.
struct LogRecord {
  RuleId rule;               // as written
  std::uint8_t number = 0;   // of the rule's log statements, from 0
  std::uint32_t length = 0;  // of the packet, from the hook's own first header on
  Bytes bytes = {};          // the first ones of these (imr/log.h)
  friend bool operator==(const LogRecord&, const LogRecord&) = default;
};

// A frame as it goes out by a device.
struct SentFrame {
  std::optional<std::uint32_t> device;  // its index; none where an engine cannot tell
  Bytes bytes = {};
  friend bool operator==(const SentFrame&, const SentFrame&) = default;
};

struct Outcome {
  enum class Verdict : std::uint8_t { accept, drop, native };
  Verdict verdict = Verdict::accept;
  // The rule whose verdict ended the walk; none when a policy did. With several roots, of the last
  // one that was walked. Of a native outcome: the rule that must stay with the kernel.
  std::optional<RuleId> decided_by;
  // Every rule that no statement broke off, in order, repeats included: all its statements ran, or
  // all up to its verdict. Copies count as the rules they are copies of, here and in decided_by.
  std::vector<RuleId> matched;
  // Counters that this packet passed, in order, repeats included. Each adds one packet and
  // counted_bytes bytes.
  std::vector<CounterId> counted;
  std::uint64_t counted_bytes = 0;
  // The mark that the rules gave the packet; none where they left it alone.
  std::optional<std::uint32_t> mark = std::nullopt;
  // The same of the priority, of the packet's type, and of packet::Packet::bytes.
  std::optional<std::uint32_t> priority = std::nullopt;
  std::optional<packet::PacketType> type = std::nullopt;
  std::optional<Bytes> bytes = std::nullopt;
  // What went out in the place of a packet that was dropped, which is not looked at then: an
  // answer, by the device that the packet came by, or the packet itself.
  std::optional<SentFrame> sent = std::nullopt;
  bool sent_known = true;  // false where an engine cannot tell which frame
  // Copies of the packet that went out, in order; not where an engine cannot tell.
  std::vector<SentFrame> duplicates = {};
  bool duplicates_known = true;
  // What log statements recorded, in order; not where an engine cannot tell.
  std::vector<LogRecord> logged = {};
  bool logged_known = true;
  bool bytes_known = true;  // false where an engine cannot tell whether the rules changed any

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// How the unit reads packets: imr/reading.h. What cannot be parsed in an IP chain at XDP or TC gets
// the policy of each root, or `drop_unparsable` under a drop policy.
struct EvaluatorOptions {
  bool drop_unparsable = true;
  // What meters hold, which the packet changes; without it, all are as they begin.
  MeterMemory* meters = nullptr;
  // The same of the elements of dynamic sets.
  ElementMemory* elements = nullptr;
  std::uint64_t now = 0;     // nanoseconds, no less than with the packet before
  std::uint64_t chance = 0;  // what random numbers are drawn from (base/chance.h)
  // What answers have of these: net.ipv4.ip_default_ttl and net.ipv6.conf.all.hop_limit.
  std::uint8_t ttl = 64;
  std::uint8_t hop_limit = 64;
};

[[nodiscard]] Outcome evaluate(const Unit& unit, const packet::Packet& packet,
                               const EvaluatorOptions& options = {});

}  // namespace weir::imr
