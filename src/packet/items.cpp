// SPDX-License-Identifier: BSD-2-Clause
#include "packet/items.h"

#include <algorithm>
#include <array>
#include <variant>

#include "packet/directed_shapes.h"

namespace weir::packet {
namespace {

constexpr std::size_t most_options = 40;  // bytes

// Of a list of options from `at` to `end`, where types 0 and 1 have no length.
std::optional<std::size_t> find_option(const Bytes& bytes, std::size_t at, std::size_t end,
                                       std::uint8_t type) {
  end = std::min(end, bytes.size());
  while (at < end) {
    if (bytes[at] == type) return at;
    const bool sized = bytes[at] > 1 && at + 1 < end;
    at += sized ? std::max<std::size_t>(bytes[at + 1], 1) : 1;
  }
  return std::nullopt;
}

std::optional<std::size_t> find_header(const Built& built, std::uint8_t type) {
  const Bytes& bytes = built.packet.bytes;
  std::size_t at = built.layout.network_offset + 6;
  if (at >= bytes.size()) return std::nullopt;
  std::uint8_t next = bytes[at];
  at = built.layout.network_end;
  for (const std::size_t end : built.layout.extension_ends) {
    if (next == type) return at;
    if (at >= bytes.size()) return std::nullopt;
    next = bytes[at];
    at = end;
  }
  if (next != type) return std::nullopt;
  return at;
}

std::optional<std::size_t> find_chunk(const Built& built, std::uint8_t type) {
  const Bytes& bytes = built.packet.bytes;
  for (std::size_t at = built.layout.transport_offset + 12; at + 4 <= bytes.size();) {
    if (bytes[at] == type) return at;
    const std::size_t size = bytes[at + 2] * 256U + bytes[at + 3];
    at += std::max<std::size_t>((size + 3) / 4 * 4, 4);
  }
  return std::nullopt;
}

// Values that rules are likely to compare with, or any.
std::uint8_t draw_byte(Random& random) {
  constexpr std::array<std::uint8_t, 8> likely = {0, 0, 1, 1, 2, 5, 64, 255};
  return random.one_in(4) ? static_cast<std::uint8_t>(random.below(256)) : random.pick(likely);
}

void append_option(Bytes& out, std::uint8_t type, std::size_t size, Random& random) {
  if (out.size() + size > most_options) return;
  out.push_back(type);
  if (size == 1) return;
  // Its length says less, or more than there is.
  std::size_t said = size;
  if (random.one_in(24)) said = random.below(4);
  if (random.one_in(24)) said = size + random.below(40);
  out.push_back(static_cast<std::uint8_t>(said));
  for (std::size_t i = 2; i < size; ++i) out.push_back(draw_byte(random));
}

// RFC 9293, 7323, 2018, 2385, 8684, 7413, 4727.
std::size_t tcp_option_size(std::uint8_t type, Random& random) {
  switch (type) {
    case 0:
    case 1:
      return 1;
    case 2:
      return 4;
    case 3:
      return 3;
    case 4:
      return 2;
    case 5:
      return 2 + 8 * (1 + random.below(3));
    case 8:
      return 10;
    case 19:
      return 18;
    default:
      return 2 + random.below(11);
  }
}

// A source route, recorded route or timestamp with a pointer that leaves no room, or some.
void append_pointed(Bytes& out, std::uint8_t type, bool full, Random& random) {
  const std::size_t first = type == 68 ? 4 : 3;
  const std::size_t size = first + 4 * (1 + random.below(3));
  if (out.size() + size > most_options) return;
  const std::size_t at = out.size();
  append_option(out, type, size, random);
  out[at + 1] = static_cast<std::uint8_t>(size);
  const std::size_t pointer =
      full ? size + 1 : first + 1 + (random.one_in(3) ? random.below(9) : 0);
  out[at + 2] = static_cast<std::uint8_t>(pointer);
  // Given addresses: what else there is, the stack counts when there is no room.
  if (type == 68) out[at + 3] = full ? 3 : static_cast<std::uint8_t>(random.below(256));
}

void append_ipv4_option(Bytes& out, std::uint8_t type, bool deliverable, Random& random) {
  constexpr std::uint8_t router_alert = 148;
  switch (type) {
    case 0:
    case 1:
      append_option(out, type, 1, random);
      return;
    case 7:
    case 68:
      return append_pointed(out, type, deliverable || random.one_in(3), random);
    case 131:
    case 137:
      return append_pointed(out, type, random.one_in(6), random);
    default:
      break;
  }
  const std::size_t size = type == router_alert ? 4 : 2 + random.below(7);
  if (out.size() + size > most_options) return;
  const std::size_t at = out.size();
  append_option(out, type, size, random);
  if (deliverable) out[at + 1] = static_cast<std::uint8_t>(size);
}

void append_chunk(Bytes& out, std::uint8_t type, Random& random) {
  const std::size_t size = random.one_in(3) ? 4 + random.below(24) : type == 0 ? 17 : 20;
  std::size_t said = size;
  if (random.one_in(16)) said = random.below(5);
  if (random.one_in(16)) said = size + random.below(200);
  for (const std::size_t byte : {std::size_t{type}, random.below(4), said >> 8, said & 0xff}) {
    out.push_back(static_cast<std::uint8_t>(byte));
  }
  for (std::size_t i = 4; i < size; ++i) out.push_back(draw_byte(random));
  out.resize((out.size() + 3) / 4 * 4);
}

}  // namespace

std::optional<std::size_t> find_item(const Built& built, const ItemName& name) {
  const Layout& layout = built.layout;
  const Bytes& bytes = built.packet.bytes;
  switch (name.kind) {
    case ItemKind::ipv6_header:
      return find_header(built, name.type);
    case ItemKind::tcp_option:
      return find_option(bytes, layout.transport_offset + 20, layout.transport_end, name.type);
    case ItemKind::ipv4_option:
      return find_option(bytes, layout.network_offset + 20, layout.network_end, name.type);
    case ItemKind::sctp_chunk:
      return find_chunk(built, name.type);
  }
  throw InvariantError("item kind out of range");
}

Bytes draw_tcp_options(std::optional<ItemName> wanted, Random& random) {
  constexpr std::array<std::uint8_t, 14> types = {0, 1, 1, 1, 2, 2, 3, 4, 5, 8, 19, 30, 34, 253};
  Bytes out;
  const auto append = [&](std::uint8_t type) {
    append_option(out, type, tcp_option_size(type, random), random);
  };
  const std::size_t count = random.below(6);
  const std::size_t place = random.below(count + 1);
  for (std::size_t i = 0; i <= count; ++i) {
    if (wanted && i == place) append(wanted->type);
    if (i < count) append(random.pick(types));
  }
  return out;
}

Bytes draw_ipv4_options(std::optional<ItemName> wanted, bool deliverable, Random& random) {
  // A router takes source routes only where it was told to.
  constexpr std::array<std::uint8_t, 8> taken = {1, 1, 1, 7, 7, 68, 148, 200};
  constexpr std::array<std::uint8_t, 10> any = {0, 1, 1, 7, 68, 131, 137, 148, 134, 130};
  Bytes out;
  const auto append = [&](std::uint8_t type) {
    append_ipv4_option(out, type, deliverable, random);
  };
  const std::size_t count = random.below(4);
  const std::size_t place = random.below(count + 1);
  std::array<bool, 256> seen = {};
  for (std::size_t i = 0; i <= count; ++i) {
    const bool routed = wanted && (wanted->type == 131 || wanted->type == 137);
    if (wanted && i == place && !(deliverable && routed)) {
      if (!deliverable || !seen[wanted->type]) append(wanted->type);
      seen[wanted->type] = true;
    }
    if (i == count) break;
    const std::uint8_t type = deliverable ? random.pick(taken) : random.pick(any);
    if (deliverable && type > 1 && seen[type]) continue;
    seen[type] = true;
    append(type);
  }
  return out;
}

Bytes draw_sctp_chunks(std::optional<ItemName> wanted, Random& random) {
  constexpr std::array<std::uint8_t, 10> types = {0, 0, 1, 2, 3, 4, 6, 7, 10, 14};
  Bytes out;
  const std::size_t count = random.below(5);
  const std::size_t place = random.below(count + 1);
  for (std::size_t i = 0; i <= count; ++i) {
    if (wanted && i == place) append_chunk(out, wanted->type, random);
    if (i < count) append_chunk(out, random.pick(types), random);
  }
  // Many that are as short as can be.
  if (random.one_in(12)) {
    for (std::size_t i = random.below(100); i > 0; --i) out.insert(out.begin(), {9, 0, 0, 4});
  }
  if (out.empty()) append_chunk(out, 1, random);
  return out;
}

}  // namespace weir::packet
