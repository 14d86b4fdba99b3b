// SPDX-License-Identifier: BSD-2-Clause
//
// The table of protocol fields (fields.def): one row a field. Names, places, guards, documentation
// and packet building all come from the row.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace weir::packet {

// From where a header is counted. Headers of `extension` have no fixed place: they are found by
// walking the IPv6 chain.
enum class Layer : std::uint8_t { link, network, transport, extension };

// A protocol whose header holds fields, and what must hold for a packet to carry it where the
// fields are looked for.
struct Protocol {
  std::string_view name;  // "tcp"
  Layer layer = Layer::network;
  std::uint16_t layer_offset = 0;  // of the header from its layer's start: 14 for vlan, else 0
  std::uint16_t header_size = 0;   // bytes, without options
  std::optional<std::uint16_t> ethertype;   // of network protocols and vlan: 0x0800
  std::optional<std::uint8_t> ip_protocol;  // of transport protocols and extensions: 6
};

struct Field {
  std::string_view name;  // "tcp dport"
  const Protocol* protocol = nullptr;
  std::uint16_t bit_offset = 0;  // from the start of the header, most significant bit first
  std::uint16_t bit_length = 0;  // 1 to 128

  // The whole bytes that hold the field.
  [[nodiscard]] std::uint16_t byte_offset() const { return bit_offset / 8; }
  [[nodiscard]] std::uint16_t byte_length() const {
    return static_cast<std::uint16_t>((bit_offset % 8 + bit_length + 7) / 8);
  }
};

[[nodiscard]] std::span<const Protocol> protocols();
[[nodiscard]] std::span<const Field> fields();
// nullptr when there is no such row.
[[nodiscard]] const Protocol* find_protocol(std::string_view name);
[[nodiscard]] const Field* find_field(std::string_view name);

}  // namespace weir::packet
