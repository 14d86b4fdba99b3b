// SPDX-License-Identifier: BSD-2-Clause
//
// The bytes of a set in its maps: rows of tables and entries of keyed maps.
// Written when the maps are made, and again when an updatable set changes.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/set_contents.h"
#include "backend/set_maps.h"
#include "base/bytes.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

// A table before it has a place.
struct Rows {
  std::uint32_t count = 0;  // a power of two
  std::uint32_t size = 0;   // of each, a power of two
  Bytes bytes;
};

// All that a set has in its maps.
struct SetBytes {
  Rows sorted;
  std::vector<Rows> fields;
  Rows tuples;
  Rows data;
  std::vector<isa::MapEntry> entries;
};

// The key size and numbering of `place` are taken, and `number` stands in keys.
// Tables have at least as many rows as there is room for. An input error where
// the set cannot be divided.
[[nodiscard]] Result<SetBytes> encode(const imr::Set& set, const Answers& answers,
                                      const SetPlace& place, std::uint32_t number,
                                      const SetRoom& room);

// Bytes of an entry's value.
[[nodiscard]] std::uint32_t entry_value_size(const imr::Set& set, SetForm form);
// Of the keys of a set that shares no map: without a number.
[[nodiscard]] std::uint16_t plain_key_size(const imr::Set& set, SetForm form);

}  // namespace weir::backend
