// SPDX-License-Identifier: BSD-2-Clause
//
// nft scripts cut into words, as far as finding rules needs it: comments, strings, continued lines
// and braces as nft's scanner knows them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::frontend::nft {

struct Token {
  enum class Kind : std::uint8_t { word, open, close, end };  // end: newline or ';'
  Kind kind = Kind::word;
  std::string_view text;  // of words; quotes taken off
  bool quoted = false;
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

[[nodiscard]] std::vector<Token> tokenize(std::string_view script);

}  // namespace weir::frontend::nft
