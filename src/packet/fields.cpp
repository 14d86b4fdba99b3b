// SPDX-License-Identifier: BSD-2-Clause
//
// The two tables that fields.def spells out, and finding a row by its name.
#include "packet/fields.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace weir::packet {
namespace {

constexpr std::nullopt_t NONE = std::nullopt;

// One number a protocol: the place of its row in `protocol_rows`.
enum class Row : std::size_t {
#define PROTOCOL(identifier, ...) identifier,
#define FIELD(...)
#include "packet/fields.def"
#undef PROTOCOL
#undef FIELD
};

constexpr auto protocol_rows = std::to_array<Protocol>({
#define PROTOCOL(identifier, name, layer, layer_offset, size, ethertype, ip_protocol) \
  {name, Layer::layer, layer_offset, size, ethertype, ip_protocol},
#define FIELD(...)
#include "packet/fields.def"
#undef PROTOCOL
#undef FIELD
});

constexpr auto field_rows = std::to_array<Field>({
#define PROTOCOL(...)
#define FIELD(protocol, name, bit_offset, bit_length) \
  {name, &protocol_rows[static_cast<std::size_t>(Row::protocol)], bit_offset, bit_length},
#include "packet/fields.def"
#undef PROTOCOL
#undef FIELD
});

}  // namespace

std::span<const Protocol> protocols() {
  return protocol_rows;
}

std::span<const Field> fields() {
  return field_rows;
}

const Protocol* find_protocol(std::string_view name) {
  const auto row = std::ranges::find(protocol_rows, name, &Protocol::name);
  return row == protocol_rows.end() ? nullptr : &*row;
}

const Field* find_field(std::string_view name) {
  const auto row = std::ranges::find(field_rows, name, &Field::name);
  return row == field_rows.end() ? nullptr : &*row;
}

}  // namespace weir::packet
