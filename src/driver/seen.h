// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as a hook sees it: which of its bytes are there, and where its VLAN tag is.
#pragma once

#include "base/error.h"
#include "base/hook.h"
#include "packet/packet.h"

namespace weir::driver {

// XDP: the frame on the wire. TC and packet sockets: the frame, its outer tag in metadata.
// Netfilter and cgroup: the packet as it is, of which they see the network header and what follows.
// A hook that sees frames refuses a packet without Ethernet header (input error).
[[nodiscard]] Result<packet::Packet> seen_at(const Hook& hook, const packet::Packet& packet);

}  // namespace weir::driver
