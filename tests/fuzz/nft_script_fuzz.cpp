// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes as what nft reads and prints: the scanners of scripts, listings and error messages take
// anything.
#include <string_view>

#include "frontend/nft/division.h"
#include "frontend/nft/listing.h"
#include "frontend/nft/named_interfaces.h"
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/source_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::frontend::nft;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)Division(text, scan_script(text).extents).part(0);
  (void)rule_texts(text);
  (void)named_devices(text, false);
  (void)named_devices(text, true);
  (void)interfaces_in_json(text);
  (void)parse_errors(text, "input");
  return 0;
}
