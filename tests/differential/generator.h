// SPDX-License-Identifier: BSD-2-Clause
//
// Random nft scripts for the differential judges: everything that the front end translates, of all
// sizes, with constants from small pools so that packets match. The same state of `random` gives
// the same script.
#pragma once

#include <cstddef>
#include <optional>
#include <random>

#include "base/hook.h"
#include "differential/script.h"

namespace weir::differential {

// Which facts beside the packet's bytes the rules may ask for.
enum class Facts : std::uint8_t {
  all,       // devices, mark, packet type, connection
  test_run,  // what BPF_PROG_TEST_RUN carries: mark 0 and packet type host
  bytes,     // none: what XDP knows
};

struct GeneratorOptions {
  NfHook hook = NfHook::forward;  // of the base chains
  Facts facts = Facts::all;
  // Rules of a script; drawn, small ones much more often, when 0.
  std::size_t rules = 0;
  std::size_t max_rules = 1000;  // where the number is drawn
  bool user_chains = true;
  // One table with one base chain: what runs at a hook that is not shared.
  bool single_chain = false;
  std::optional<Family> family = {};  // of the tables; ip, ip6 and inet are drawn without one
  // Where facts are `all`: which of them packets have there.
  bool input_device = true;
  bool output_device = true;
  bool connections = true;
  bool marks = false;            // rules read and write the mark, whatever `facts` is
  bool writes = false;           // rules write to packets
  bool transport_writes = true;  // then also what checksums of transport headers are of
  bool length = true;            // rules may read the packet's length
  bool answers = false;          // rules answer what they drop
  bool forwards = false;         // they send it out by the device "away0" in place of a drop
  bool duplicates = false;       // they send copies out by it
  // Rules log, hash, count in shared counters, take from limits, quotas and sequences, and change
  // sets; with `chance` they draw numbers as well.
  bool state = false;
  bool chance = false;
  // Where facts are `all`: sockets, routes, groups of devices, and all of connections, too.
  bool seldom_facts = false;
};

[[nodiscard]] Script generate(const GeneratorOptions& options, std::mt19937_64& random);

}  // namespace weir::differential
