// SPDX-License-Identifier: BSD-2-Clause
//
// The world of `weir test`: what a packet at a hook has around it and a capture does not hold, that
// is devices and connections. Marks start at zero, and time is the capture's. Packets are of no
// socket and have no route; priority, CPU, and groups of devices are 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hook.h"
#include "driver/tracker.h"
#include "imr/imr.h"
#include "packet/packet.h"

namespace weir::driver {

// NAME[=INDEX] as the command line takes it. The interface need not exist.
struct DeviceOption {
  std::string name;
  std::optional<std::uint32_t> index;
};
[[nodiscard]] Result<DeviceOption> parse_device(std::string_view text);

class World {
 public:
  // Refuses a device that packets at `hook` do not have. Without an index, a device gets the one by
  // which the ruleset knows it, else that of the machine, else one that nothing else has.
  [[nodiscard]] static Result<World> create(const Hook& hook, const std::optional<DeviceOption>& in,
                                            const std::optional<DeviceOption>& out,
                                            const std::vector<imr::Interface>& known);

  // Puts the packet, the next one of the capture, into this world.
  void place(packet::Packet& packet);

 private:
  packet::Device in_;
  packet::Device out_;
  Tracker tracker_;
};

}  // namespace weir::driver
