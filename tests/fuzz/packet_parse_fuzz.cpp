// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes as a captured frame, whose first byte chooses the link type: parsing and summing up never
// fail, and the network header found lies within the frame.
#include <array>

#include "packet/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  if (size == 0) return 0;
  constexpr std::array link_types = {packet::LinkType::ethernet, packet::LinkType::raw_ip,
                                     packet::LinkType::linux_cooked,
                                     packet::LinkType::linux_cooked2, packet::LinkType::null};
  const auto type = link_types[data[0] % link_types.size()];
  const packet::Packet packet = packet::parse_frame(ByteView(data + 1, size - 1), type);
  invariant(packet.network_offset <= packet.bytes.size(), "a network header behind the frame");
  invariant(!packet::summary(packet).empty(), "a packet without a summary");
  return 0;
}
