// SPDX-License-Identifier: BSD-2-Clause
#include "imr/lexer.h"

#include <array>
#include <cctype>

#include "base/bytes.h"

namespace weir::imr {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}
bool begins_word(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool continues_word(char c) {
  return begins_word(c) || is_digit(c) || c == '.' || c == '-' || c == '/' || c == '~';
}

// Longer ones first.
constexpr std::array<std::string_view, 22> symbols = {"==", "!=", "<=", ">=", "<<", ">>", "<", ">",
                                                      "#",  "@",  "(",  ")",  "[",  "]",  "{", "}",
                                                      "&",  "^",  ",",  ":",  "-",  "="};
constexpr std::string_view star = "*";

}  // namespace

std::string Token::named() const {
  if (kind == Kind::end) return "the end of the text";
  return kind == Kind::string ? "the string \"" + text + "\"" : "'" + text + "'";
}

Lexer::Lexer(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
  ahead_ = read();
}

Token Lexer::next() {
  Token token = std::move(ahead_);
  ahead_ = token.kind == Token::Kind::end ? token : read();
  return token;
}

char Lexer::at(std::size_t distance) const {
  return position_ + distance < text_.size() ? text_[position_ + distance] : '\0';
}

void Lexer::advance() {
  if (at(0) == '\n') {
    ++line_;
    column_ = 0;
  }
  ++column_;
  ++position_;
}

void Lexer::skip_blanks() {
  while (position_ < text_.size()) {
    const char c = at(0);
    if (c == ';') {
      while (position_ < text_.size() && at(0) != '\n') advance();
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      advance();
    } else {
      return;
    }
  }
}

Token Lexer::read() {
  skip_blanks();
  Token token{.location = {.file = file_, .line = line_, .column = column_}};
  if (position_ == text_.size()) return token;
  const auto take_while = [&](auto&& belongs) {
    while (position_ < text_.size() && belongs(at(0))) {
      token.text += at(0);
      advance();
    }
  };
  if (at(0) == '"') return read_string(std::move(token));
  if (at(0) == '0' && at(1) == 'x') {
    token.kind = Token::Kind::hex;
    token.text = "0x";
    advance();
    advance();
    take_while(is_hex_digit);
    return token;
  }
  if (is_digit(at(0))) {
    token.kind = Token::Kind::number;
    take_while(is_digit);
    return token;
  }
  if (begins_word(at(0))) {
    token.kind = Token::Kind::word;
    take_while(continues_word);
    return token;
  }
  token.kind = Token::Kind::symbol;
  const std::string_view rest = text_.substr(position_);
  std::string_view found = rest.starts_with(star) ? star : "";
  for (const std::string_view symbol : symbols) {
    if (found.empty() && rest.starts_with(symbol)) found = symbol;
  }
  if (found.empty()) {
    throw TextError{input_error("found '" + std::string(1, at(0)) +
                                    "', expected a word, a number "
                                    "or a string",
                                token.location)
                        .error()};
  }
  token.text = found;
  for (std::size_t i = 0; i < found.size(); ++i) advance();
  return token;
}

Token Lexer::read_string(Token token) {
  const auto fail = [&](const std::string& what) {
    throw TextError{input_error(what, {.file = file_, .line = line_, .column = column_}).error()};
  };
  token.kind = Token::Kind::string;
  advance();
  while (at(0) != '"') {
    if (position_ >= text_.size() || at(0) == '\n') fail("string without an end, expected '\"'");
    if (at(0) != '\\') {
      token.text += at(0);
      advance();
      continue;
    }
    advance();
    const char escaped = at(0);
    if (escaped == 'x' && is_hex_digit(at(1)) && is_hex_digit(at(2))) {
      token.text += static_cast<char>(std::stoi(std::string{at(1), at(2)}, nullptr, 16));
      advance();
      advance();
    } else if (escaped == '"' || escaped == '\\') {
      token.text += escaped;
    } else {
      fail("unknown escape in a string, expected \\\", \\\\ or \\xHH");
    }
    advance();
  }
  advance();
  return token;
}

}  // namespace weir::imr
