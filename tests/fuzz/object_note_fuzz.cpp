// SPDX-License-Identifier: BSD-2-Clause
//
// ELF files as weir apply takes them: any bytes are refused, or have a note that says what can be
// installed. The first byte says whether the others are a file or the text of its note.
#include <cstdlib>
#include <string_view>

#include "service/object_note.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto note = data[0] % 2 == 0 ? service::read_object_note({data + 1, size - 1})
                                     : service::parse_object_note(text);
  if (!note) return 0;
  // What was read is what a state file can hold.
  const auto back = service::policy_from_json(service::to_json(note->policy), "note");
  if (!back || *back != note->policy) std::abort();
  return 0;
}
