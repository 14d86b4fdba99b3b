// SPDX-License-Identifier: BSD-2-Clause
//
// What the differential judges judge: a ruleset at a hook, and the packets that reach its edges.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "driver/reads.h"
#include "frontend/nft/scratch.h"
#include "imr/imr.h"
#include "packet/packet.h"

namespace weir::differential {

struct RulesetAtHook {
  imr::Ruleset ruleset;
  Hook hook;
  std::vector<driver::Attachment> attachments;
};

// Elsewhere than at netfilter hooks all base chains decide, one after another.
[[nodiscard]] Result<std::vector<driver::Attachment>> plan_at_hook(const imr::Ruleset& ruleset,
                                                                   const Hook& hook);
// An input error when nft refuses the script.
[[nodiscard]] Result<RulesetAtHook> read_at_hook(frontend::nft::ScratchNamespace& scratch,
                                                 const std::string& script, const Hook& hook);

// Whether a kernel test run gives packets all that is read of them.
[[nodiscard]] bool test_run_suffices(const driver::Reads& reads, const Hook& hook);
// Whether it takes the packet.
[[nodiscard]] bool test_run_takes(const packet::Packet& packet, const Hook& hook);

// `count` directed packets. With `facts`, marks, devices, packet types and connections are drawn as
// well, from the constants of the rules; without, they are those of a kernel test run (which
// carries marks at TC, cgroups and sockets), and only packets that it takes are there. All are such
// as a router forwards where `deliverable`.
[[nodiscard]] std::vector<packet::Packet> packets_for(const RulesetAtHook& subject,
                                                      std::size_t count, bool facts,
                                                      std::mt19937_64& random,
                                                      bool deliverable = false);

}  // namespace weir::differential
