// SPDX-License-Identifier: BSD-2-Clause
//
// What drivers say that they can do for XDP.
#pragma once

#include <cstdint>
#include <optional>

#include "base/error.h"

namespace weir::kernel {

// Whether the device takes frames that XDP programs of other devices send (ndo_xdp_xmit), right
// now: an end of a veth pair does while the other one has an XDP program or GRO. Nothing where the
// kernel does not tell (before 6.3), or has no such device.
[[nodiscard]] Result<std::optional<bool>> takes_xdp_frames(std::uint32_t ifindex);

}  // namespace weir::kernel
