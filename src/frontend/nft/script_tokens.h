// SPDX-License-Identifier: BSD-2-Clause
//
// nft scripts cut into words, as far as finding rules needs it: comments, strings, continued lines
// and braces as nft's scanner knows them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  std::size_t offset = 0;  // in the script; of quoted words that of the quote
};

// One word after another: of a million rules, there are too many to keep.
class Tokenizer {
 public:
  explicit Tokenizer(std::string_view script) : script_(script) {}

  // No value behind the last one.
  std::optional<Token> next();

 private:
  [[nodiscard]] bool at(std::string_view text) const;
  void new_line();
  Token take(Token::Kind kind, std::size_t size);
  Token quoted_word();
  Token word();

  std::string_view script_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
};

// Whether nft's JSON syntax is meant, which has other words: an object with the member "nftables".
[[nodiscard]] bool is_json(std::string_view script);

[[nodiscard]] std::vector<Token> tokenize(std::string_view script);

}  // namespace weir::frontend::nft
