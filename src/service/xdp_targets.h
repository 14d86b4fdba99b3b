// SPDX-License-Identifier: BSD-2-Clause
//
// The devices that programs at XDP send packets to.
#pragma once

#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::service {

// An input error where one of them takes no frames from XDP programs: the kernel would drop them.
[[nodiscard]] Status check_xdp_targets(const imr::Ruleset& ruleset,
                                       const std::vector<driver::Attachment>& attachments);

}  // namespace weir::service
