// SPDX-License-Identifier: BSD-2-Clause
//
// Which chains the kernel would run behind reassembly: their programs ask for the same, or they
// would see fragments where the chain saw packets.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::driver {

// Connection tracking has packets of a family reassembled (nf_ct_netns_get() in
// net/netfilter/nf_conntrack_proto.c registers nf_defrag at -400), and any rule that needs it, in
// any table that sees the family, switches it on. A program in the place of a chain behind that
// asks for it by its link (BPF_F_NETFILTER_IP_DEFRAG), which a link in front of it may not.
[[nodiscard]] bool runs_behind_reassembly(const imr::Ruleset& ruleset, Nfproto nfproto,
                                          std::int32_t priority);

// The same for all netfilter hooks, where something outside of the ruleset has it switched on.
void ask_for_reassembly(std::vector<Attachment>& attachments);

// For kernels whose links cannot ask for it (before 6.6): takes the wish off attachments where no
// rule can tell a fragment from the packet that it is a part of. Of the others it names the rules
// that would judge fragments one by one, in a system error.
[[nodiscard]] Status do_without_reassembly(const imr::Ruleset& ruleset,
                                           std::vector<Attachment>& attachments);

}  // namespace weir::driver
