// SPDX-License-Identifier: BSD-2-Clause
//
// Sets with intervals whose elements expire or keep something, as two of the IMR's sets: a map from
// intervals to their ends, and a dynamic set with these ends for keys. Whether an element is there,
// and what it keeps, is looked up by its ends, which are looked up by the packet's key.
#pragma once

#include <string>

#include "imr/imr.h"

namespace weir::frontend::nft {

// Why programs have no such set, with intervals or without; empty where they do. Also of a set
// whose elements are not known yet.
[[nodiscard]] std::string why_not_dynamic(const imr::Set& set);

// Makes the dynamic set of one that has intervals and is dynamic; the map to its keys comes back. A
// set with elements that overlap, of which an expired one would leave its packets to another, gets
// a native_reason instead, and so does the map.
[[nodiscard]] imr::Set divide(imr::Set& set);

// The value of `map` that no element of the dynamic set has for a key: makes "not in" of what is in
// no interval.
void add_nowhere(imr::Set& map);

}  // namespace weir::frontend::nft
