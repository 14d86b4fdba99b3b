// SPDX-License-Identifier: BSD-2-Clause
//
// Writes to packets, of the reference evaluator: written for itself, as imr/packet_view.h is.
#pragma once

#include "imr/imr.h"
#include "imr/packet_view.h"

namespace weir::imr {

// Has the view look at `bytes`, a copy of the bytes that it is of.
void move_to(PacketView& view, ByteView bytes);

// Puts the first bytes of the value where the write says, and mends the checksums. `bytes` are
// those that the view is of. Where they, or a checksum that has to be mended, are not all there,
// the rule ends (false); that of the IPv4 header may have been changed by then.
[[nodiscard]] bool write_packet(PacketView& view, Bytes& bytes, const PayloadWrite& write,
                                ByteView value);

}  // namespace weir::imr
