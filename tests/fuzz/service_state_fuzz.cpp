// SPDX-License-Identifier: BSD-2-Clause
//
// What weir finds in its state directory: any bytes are refused, or are a policy, or a line of its
// journal, that is the same when it is written and read again. The first byte says which.
#include <cstdlib>
#include <string_view>

#include "service/journal.h"
#include "service/state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 2 == 0) {
    const auto policy = service::policy_from_json(text, "state");
    if (!policy) return 0;
    const auto back = service::policy_from_json(service::to_json(*policy), "state");
    if (!back || *back != *policy) std::abort();
    return 0;
  }
  const auto line = service::journal_line(text);
  if (!line) return 0;
  const auto back = service::journal_line(service::to_json(*line));
  if (!back || *back != *line) std::abort();
  return 0;
}
