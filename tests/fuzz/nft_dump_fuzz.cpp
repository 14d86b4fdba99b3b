// SPDX-License-Identifier: BSD-2-Clause
//
// The front end's readers of what others wrote: nft's messages, the lines of a script, and netlink
// messages of a ruleset. The first byte says which.
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/ruleset.h"
#include "frontend/nft/source_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0:
      (void)frontend::nft::to_diagnostic(frontend::nft::parse_errors(text, "input"), text, "input");
      break;
    case 1:
      (void)frontend::nft::scan_script(text);
      break;
    case 2:
      // Netlink messages are aligned, as a buffer of their own is.
      (void)frontend::nft::translate(Bytes(bytes.begin(), bytes.end()), "", {}, "", {});
      break;
  }
  return 0;
}
