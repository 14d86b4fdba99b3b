// SPDX-License-Identifier: BSD-2-Clause
#include "imr/field_place.h"

namespace weir::imr {

std::optional<Payload> place_of(const packet::Field& field) {
  const auto at = static_cast<std::uint16_t>(field.protocol->layer_offset + field.byte_offset());
  Payload place{.base = HeaderBase::network,
                .offset = at,
                .length = field.byte_length(),
                .in_later_fragments = false};
  switch (field.protocol->layer) {
    case packet::Layer::link:
      place.base = HeaderBase::link;
      return place;
    case packet::Layer::network:
      return place;
    case packet::Layer::transport:
      place.base = HeaderBase::transport;
      return place;
    case packet::Layer::extension:
      return std::nullopt;
  }
  throw InvariantError("layer out of range");
}

}  // namespace weir::imr
