// SPDX-License-Identifier: BSD-2-Clause
//
// Text as a ruleset: what parses prints as something that parses to the same text.
#include "imr/parse.h"
#include "imr/print.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  const auto first =
      imr::parse_ruleset(std::string_view(reinterpret_cast<const char*>(data), size), "input");
  if (!first) return 0;
  const std::string text = imr::print(*first);
  const auto again = imr::parse_ruleset(text, "printed");
  invariant(again && imr::print(*again) == text, "a printed ruleset that does not read back");
  return 0;
}
