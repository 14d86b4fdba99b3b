// SPDX-License-Identifier: BSD-2-Clause
//
// A packet's facts as the engine takes them: what the kernel knows beside its bytes.
#pragma once

#include "engine/engine.h"
#include "packet/packet.h"

namespace weir::driver {

// Everything but the bytes, where they begin, and the device that the packet is at.
void give_facts(const packet::Packet& packet, engine::Input& input);

}  // namespace weir::driver
