// SPDX-License-Identifier: BSD-2-Clause
//
// What programs leave in the ring buffer `log` for each packet that a log statement sees: a header
// and the packet's first bytes. All native-endian.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "backend/builder.h"
#include "backend/profile.h"
#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::backend {

struct PacketRecord {
  std::uint64_t time = 0;    // bpf_ktime_get_ns()
  std::uint32_t rule = 0;    // RuleId as written
  std::uint32_t number = 0;  // of the rule's log statements, from 0
  std::uint32_t length = 0;  // of the packet, from where the program has it on
  std::uint32_t captured = 0;
  std::uint32_t iif = 0;  // 0: none is known
  std::uint32_t oif = 0;
  std::uint32_t mark = 0;
  std::uint32_t network_offset = 0;  // in the packet; 0: there is no link-layer header
};
inline constexpr const char* record_ring_name = "log";
inline constexpr const char* lost_records_name = "lost";
constexpr std::size_t record_header = 40;  // bytes
static_assert(sizeof(PacketRecord) == record_header);

struct DecodedRecord {
  PacketRecord header;
  ByteView bytes;  // of the packet
};
// Nothing where it is none that programs leave.
[[nodiscard]] std::optional<DecodedRecord> decode_record(ByteView record);

// The ring buffer, and behind it an array of one number of 8 bytes: when the ring is full, what
// comes is lost until somebody reads, and counted there.
[[nodiscard]] std::array<isa::MapSpec, 2> record_maps();

// Which log statement a record is of.
struct RecordOf {
  imr::RuleId rule;          // as written
  flow::Reg rule_number;     // valid: its number is in this register
  std::uint32_t number = 0;  // of the rule's log statements, from 0
};
// Records the packet.
void record(Builder& out, isa::MapIndex ring, const Profile& profile, const imr::Log& log,
            const RecordOf& of);

}  // namespace weir::backend
