// SPDX-License-Identifier: BSD-2-Clause
//
// Text to tokens. Numbers are kept as text, as those of map entries are longer than any integer.
#include "flow/lexer.h"

#include "base/bytes.h"

namespace weir::flow {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Result<std::vector<Token>> run() {
    while (position_ < text_.size()) {
      WEIR_CHECK(next());
    }
    add(Token::Kind::text_end, 0);
    return std::move(tokens_);
  }

 private:
  Status next() {
    const char c = text_[position_];
    if (c == '\n') {
      add(Token::Kind::line_end, 1);
      ++line_;
      line_start_ = position_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == ';') {
      while (position_ < text_.size() && text_[position_] != '\n') ++position_;
    } else if (is_word(c)) {
      std::size_t length = 1;
      while (position_ + length < text_.size() && is_word(text_[position_ + length])) ++length;
      add(is_digit(c) ? Token::Kind::number : Token::Kind::word, length);
    } else if (c == '"') {
      return string();
    } else if (std::string_view("=:?,[]+-").contains(c)) {
      add(Token::Kind::sign, 1);
    } else {
      return input_error(
          "unexpected character " + to_hex(ByteView(reinterpret_cast<const std::uint8_t*>(&c), 1)),
          here());
    }
    return {};
  }

  Status string() {
    Token token{.kind = Token::Kind::string, .text = {}, .line = line_, .column = column()};
    ++position_;
    while (position_ < text_.size() && text_[position_] != '\n') {
      const char c = text_[position_++];
      if (c == '"') {
        tokens_.push_back(std::move(token));
        return {};
      }
      if (c != '\\') {
        token.text += c;
        continue;
      }
      WEIR_TRY(escaped, escape());
      token.text += escaped;
    }
    return input_error("a string without its closing quote", {file_, token.line, token.column});
  }

  // What follows a backslash: a quote, a backslash, or "xNN".
  Result<char> escape() {
    const std::string_view rest = text_.substr(position_);
    if (rest.starts_with('"') || rest.starts_with('\\')) {
      ++position_;
      return rest[0];
    }
    if (rest.size() >= 3 && rest[0] == 'x') {
      if (const Result<Bytes> byte = from_hex("0x" + std::string(rest.substr(1, 2)))) {
        position_ += 3;
        return static_cast<char>(byte->at(0));
      }
    }
    return input_error("unknown escape, expected \\\", \\\\ or \\xNN", here());
  }

  [[nodiscard]] std::uint32_t column() const {
    return static_cast<std::uint32_t>(position_ - line_start_ + 1);
  }
  [[nodiscard]] SourceLocation here() const { return {file_, line_, column()}; }

  void add(Token::Kind kind, std::size_t length) {
    tokens_.push_back({kind, std::string(text_.substr(position_, length)), line_, column()});
    position_ += length;
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view text, const std::string& file) {
  return Lexer(text, file).run();
}

}  // namespace weir::flow
