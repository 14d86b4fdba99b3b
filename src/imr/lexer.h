// SPDX-License-Identifier: BSD-2-Clause
//
// The words of the IMR's text form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weir::imr {

// Thrown inside src/imr only; parse_ruleset() and parse_unit() turn it into their Result.
struct TextError {
  Diagnostic diagnostic;
};

struct Token {
  enum class Kind : std::uint8_t { word, number, hex, string, symbol, end };
  Kind kind = Kind::end;
  std::string text;  // of a string: what it stands for
  SourceLocation location;

  // How an error names it: "'chain'", "end of the text".
  [[nodiscard]] std::string named() const;
};

// Hands out one token after another, one ahead. Spaces and line ends separate tokens; a comment
// runs from ';' to the end of its line.
class Lexer {
 public:
  Lexer(std::string_view text, std::string file);

  [[nodiscard]] const Token& peek() const { return ahead_; }
  Token next();

 private:
  Token read();
  Token read_string(Token token);
  void skip_blanks();
  void advance();
  [[nodiscard]] char at(std::size_t distance) const;

  std::string_view text_;
  std::string file_;
  std::size_t position_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t column_ = 1;
  Token ahead_;
};

}  // namespace weir::imr
