// SPDX-License-Identifier: BSD-2-Clause
//
// The connection that a packet is to belong to, put into the kernel's own table.
#pragma once

#include "base/error.h"
#include "kernel/conntrack.h"
#include "packet/packet.h"

namespace weir::driver {

// Forgets all connections, and makes the one that gives the packet its ct_info: of which it is a
// packet, there or back, about which it is an ICMP error, or which was expected. Where there is
// none to make (for a new packet, or one that belongs to none), that is left to the packet.
[[nodiscard]] Status put_connection(kernel::Conntrack& conntrack, const packet::Packet& packet);

}  // namespace weir::driver
