// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel says of a network device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"

namespace weir::kernel {

struct DeviceInfo {
  std::string name;
  std::uint16_t type = 0;  // ARPHRD_ETHER, ...
  std::string kind;        // "veth", "ifb", ...; empty of hardware
};

// Nothing where the namespace of the calling thread has no such device.
[[nodiscard]] Result<std::optional<DeviceInfo>> device_info(std::uint32_t ifindex);

}  // namespace weir::kernel
