// SPDX-License-Identifier: BSD-2-Clause
//
// What is measured: the same linear rules as nf_tables and as a weir program, each in a namespace
// of its own, at the prerouting hook, where every packet ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hook.h"
#include "bench/live_frames.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"
#include "packet/address.h"

namespace weir::bench {

// How the rules "ip saddr A tcp dport P drop" meet the one packet that is sent.
enum class Shape : std::uint8_t {
  first_fails,   // other source addresses: each rule ends at its first comparison
  last_fails,    // its source address, other ports: each rule ends at its last comparison
  last_matches,  // as first_fails, but the last rule matches
};
[[nodiscard]] std::string_view to_string(Shape shape);

// From its IPv4 header on: TCP from 10.0.0.1 to port 80 of 10.0.0.2, or of another host. With the
// largest TTL: a forwarded live frame comes back with the TTL that it left with, some 130 times.
[[nodiscard]] Bytes test_packet(const packet::Ipv4Address& destination = {10, 0, 0, 2});

// A table "bench" with one base chain, all of whose rules have the verdict: "ip", "hook forward",
// "counter drop", "drop".
[[nodiscard]] std::string script(std::string_view family, std::string_view hook, Shape shape,
                                 std::uint32_t rules, std::string_view verdict,
                                 std::string_view policy);

// A script compiled for a hook, one that its chain names or another, and loaded.
struct Compiled {
  kernel::LoadedObject loaded;  // of one program
  isa::MapIndex counters;       // as in driver::Compilation
  std::int32_t priority = 0;
  std::uint32_t instructions = 0;
};
[[nodiscard]] Compiled compile(const std::string& text, const Hook& hook);
// What returns a verdict at once.
[[nodiscard]] kernel::Fd returning_program(isa::ProgramType type, isa::Direction direction,
                                           std::int32_t verdict);
// Gives up unless the counter of index `which` has counted all packets, and all others none.
void check_counts(const std::string& what, const std::vector<std::uint64_t>& counted,
                  std::size_t which, std::uint64_t packets);

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
