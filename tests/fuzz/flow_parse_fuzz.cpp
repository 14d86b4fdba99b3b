// SPDX-License-Identifier: BSD-2-Clause
//
// Text as a flow function: what parses prints as something that parses to the same text, and the
// verifier has an opinion on it (its refusals are exceptions, which are no finding here).
#include "flow/flow.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  const auto first =
      flow::parse(std::string_view(reinterpret_cast<const char*>(data), size), "input");
  if (!first) return 0;
  const std::string text = flow::print(*first);
  const auto again = flow::parse(text, "printed");
  invariant(again && flow::print(*again) == text, "a printed function that does not read back");
  try {
    flow::verify(*first);
  } catch (const InvariantError&) {
    return 0;
  }
  return 0;
}
