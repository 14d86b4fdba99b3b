// SPDX-License-Identifier: BSD-2-Clause
//
// Packets in words: any text is refused or gives a packet that can be told about.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "packet/description.h"
#include "packet/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto description =
      weir::packet::parse_description({reinterpret_cast<const char*>(data), size});
  if (description) static_cast<void>(weir::packet::summary(description->packet));
  return 0;
}
