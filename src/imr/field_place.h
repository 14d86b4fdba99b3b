// SPDX-License-Identifier: BSD-2-Clause
//
// From a row of packet/fields.def to the load that reads it.
#pragma once

#include <optional>

#include "imr/imr.h"
#include "packet/fields.h"

namespace weir::imr {

// The whole bytes that hold the field, not read from later fragments. Nothing for the fields of
// IPv6 extension headers, which have no fixed place.
[[nodiscard]] std::optional<Payload> place_of(const packet::Field& field);

}  // namespace weir::imr
