// SPDX-License-Identifier: BSD-2-Clause
//
// Answers to packets, as imr/answer.h says what they are: a function of the program turns the
// packet into a frame that goes back where it came from. It is the same in every program of a hook,
// and looks at the packet anew: what rules wrote is what is answered.
#pragma once

#include <cstdint>

#include "backend/builder.h"
#include "backend/profile.h"
#include "imr/imr.h"

namespace weir::backend {

// What Op::answer is told: the code of ICMP in the lowest 8 bits, the time to live in the next 8,
// and these.
constexpr std::uint64_t answer_reset = 1U << 16;
constexpr std::uint64_t answer_routed = 1U << 17;  // of chains of ip, ip6 and inet
constexpr std::uint64_t answer_ipv6 = 1U << 18;

// Stack that the functions need, both together, each in whole steps of the kernel's.
constexpr std::int16_t answering_stack = 64 + 32;  // bytes
// Of the map's value, 8 bytes: whether the packet's checksum is whole and right, so that none is
// left to a device.
constexpr std::int16_t whole_slot = 1296;

// Where frames are made, and what sums need; of each processor its own.
[[nodiscard]] isa::MapSpec answering_map();

// What Op::answer is told of the statement alone.
[[nodiscard]] std::uint64_t told_of(const imr::Answer& answer, Nfproto nfproto);

// Ends a packet of the unit, of whose answer `what` tells: it is answered, or dropped where it gets
// no answer.
void answer(Builder& out, isa::MapIndex scratch, const imr::Unit& unit, flow::Reg what,
            flow::Reg network_header);

}  // namespace weir::backend
