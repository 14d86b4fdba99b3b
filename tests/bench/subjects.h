// SPDX-License-Identifier: BSD-2-Clause
//
// What is measured: the same linear rules as nf_tables and as a weir program, each in a namespace
// of its own, at the prerouting hook, where every packet ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "bench/live_frames.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"

namespace weir::bench {

// How the rules "ip saddr A tcp dport P drop" meet the one packet that is sent.
enum class Shape : std::uint8_t {
  first_fails,   // other source addresses: each rule ends at its first comparison
  last_fails,    // its source address, other ports: each rule ends at its last comparison
  last_matches,  // as first_fails, but the last rule matches
};
[[nodiscard]] std::string_view to_string(Shape shape);

// From its IPv4 header on: TCP from 10.0.0.1 to port 80.
[[nodiscard]] Bytes test_packet();

// One engine at the prerouting hook of a namespace; all packets are dropped there.
struct Subject {
  test::Netns netns;
  kernel::Fd program;  // invalid when nf_tables holds the hook
  kernel::Fd link;
  std::uint32_t instructions = 0;  // of the program, 8-byte slots
};
[[nodiscard]] Subject nft_subject(Shape shape, std::uint32_t rules);
[[nodiscard]] Subject weir_subject(Shape shape, std::uint32_t rules);
// What both have to pay without a rule: a base chain that is empty, and a program that returns.
[[nodiscard]] Subject empty_chain();
[[nodiscard]] Subject empty_program();

// Gives up unless in nf_tables the packet meets the rules as `shape` says, and the weir program
// decides as they do.
void check_shape(const LiveFrames& frames, Shape shape, std::uint32_t rules);

}  // namespace weir::bench
