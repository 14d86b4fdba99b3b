// SPDX-License-Identifier: BSD-2-Clause
//
// Writes to packets, of the reference evaluator: written for itself, as imr/packet_view.h is.
#pragma once

#include <cstdint>

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

// Puts the first bytes of the value into a TCP option. false: the rule ends.
[[nodiscard]] bool write_option(PacketView& view, Bytes& bytes, const OptionWrite& write,
                                ByteView value);

enum class Stripped : std::uint8_t { goes_on, ends_rule, ends_packet };
[[nodiscard]] Stripped strip_option(PacketView& view, Bytes& bytes, const OptionStrip& strip);

}  // namespace weir::imr
