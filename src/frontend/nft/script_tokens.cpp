// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/script_tokens.h"

#include <algorithm>

namespace weir::frontend::nft {
namespace {

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view script) : script_(script) {}

  std::vector<Token> run() {
    while (position_ < script_.size()) step();
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool at(std::string_view text) const {
    return script_.substr(position_).starts_with(text);
  }

  void step() {
    const char c = script_[position_];
    if (at("\\\n")) {
      ++position_;
      new_line();
    } else if (c == '\n') {
      add(Token::Kind::end, 0);
      new_line();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == '#') {
      while (position_ < script_.size() && script_[position_] != '\n') ++position_;
    } else if (c == ';') {
      add(Token::Kind::end, 1);
    } else if (c == '{') {
      add(Token::Kind::open, 1);
    } else if (c == '}') {
      add(Token::Kind::close, 1);
    } else if (c == '"') {
      quoted_word();
    } else {
      word();
    }
  }

  void new_line() {
    ++position_;
    ++line_;
    line_start_ = position_;
  }

  void add(Token::Kind kind, std::size_t size, bool quoted = false) {
    tokens_.push_back({kind, script_.substr(position_, size), quoted, line_,
                       static_cast<std::uint32_t>(position_ - line_start_ + 1)});
    position_ += size;
  }

  void quoted_word() {
    std::size_t close = script_.find('"', position_ + 1);
    if (close == std::string_view::npos) close = script_.size();
    add(Token::Kind::word, close - position_, true);
    tokens_.back().text.remove_prefix(1);
    for (const char c : tokens_.back().text) line_ += c == '\n' ? 1 : 0;
    position_ = std::min(close + 1, script_.size());
  }

  void word() {
    const std::size_t end = script_.find_first_of(" \t\r\n;{}\"#\\", position_ + 1);
    add(Token::Kind::word, (end == std::string_view::npos ? script_.size() : end) - position_);
  }

  std::string_view script_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view script) {
  return Tokenizer(script).run();
}

}  // namespace weir::frontend::nft
