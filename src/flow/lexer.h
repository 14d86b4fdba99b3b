// SPDX-License-Identifier: BSD-2-Clause
//
// Words of the flow level's text form, each with its place. Line ends count, comments do not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace weir::flow {

struct Token {
  enum class Kind : std::uint8_t { word, number, string, sign, line_end, text_end };
  Kind kind = Kind::text_end;
  std::string text;  // of strings: without quotes and escapes
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

// The tokens of `text`, a text_end last. `file` is for the locations of errors.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view text, const std::string& file);

}  // namespace weir::flow
