// SPDX-License-Identifier: BSD-2-Clause
//
// The devices that rules send packets and answers out by: whether what programs send there goes the
// way that nf_tables would send it.
#pragma once

#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "imr/imr.h"
#include "service/state.h"

namespace weir::service {

// An input error where it does not: devices that take something else than Ethernet frames, or send
// what comes from TC back to where it was received (ifb), and devices with a chain of nf_tables at
// their egress now, which what programs send passes by.
[[nodiscard]] Status check_send_targets(const imr::Ruleset& ruleset,
                                        const std::vector<driver::Attachment>& attachments);

// Of programs that are attached. An input error where one in native mode sends to a device that
// takes no frames from XDP programs: the kernel would drop them.
[[nodiscard]] Status check_xdp_targets(const imr::Ruleset& ruleset, const PolicyState& policy);

// Both, of a policy that is in force and gets other elements: they may be devices.
[[nodiscard]] Status check_targets(const imr::Ruleset& ruleset, const PolicyState& policy);

}  // namespace weir::service
