// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/script_tokens.h"

#include <algorithm>

namespace weir::frontend::nft {

bool Tokenizer::at(std::string_view text) const {
  return script_.substr(position_, text.size()) == text;
}

std::optional<Token> Tokenizer::next() {
  while (position_ < script_.size()) {
    const char c = script_[position_];
    if (at("\\\n")) {
      ++position_;
      new_line();
    } else if (c == '\n') {
      const Token end = take(Token::Kind::end, 0);
      new_line();
      return end;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == '#') {
      while (position_ < script_.size() && script_[position_] != '\n') ++position_;
    } else if (c == ';') {
      return take(Token::Kind::end, 1);
    } else if (c == '{') {
      return take(Token::Kind::open, 1);
    } else if (c == '}') {
      return take(Token::Kind::close, 1);
    } else {
      return c == '"' ? quoted_word() : word();
    }
  }
  return std::nullopt;
}

void Tokenizer::new_line() {
  ++position_;
  ++line_;
  line_start_ = position_;
}

Token Tokenizer::take(Token::Kind kind, std::size_t size) {
  const Token token{.kind = kind,
                    .text = script_.substr(position_, size),
                    .line = line_,
                    .column = static_cast<std::uint32_t>(position_ - line_start_ + 1),
                    .offset = position_};
  position_ += size;
  return token;
}

Token Tokenizer::quoted_word() {
  std::size_t close = script_.find('"', position_ + 1);
  if (close == std::string_view::npos) close = script_.size();
  Token token = take(Token::Kind::word, close - position_);
  token.quoted = true;
  token.text.remove_prefix(1);
  for (const char c : token.text) line_ += c == '\n' ? 1 : 0;
  position_ = std::min(close + 1, script_.size());
  return token;
}

Token Tokenizer::word() {
  const std::size_t end = script_.find_first_of(" \t\r\n;{}\"#\\", position_ + 1);
  return take(Token::Kind::word,
              (end == std::string_view::npos ? script_.size() : end) - position_);
}

bool is_json(std::string_view script) {
  const auto skip_space = [&script] {
    constexpr std::string_view space = " \t\r\n";
    script.remove_prefix(std::min(script.find_first_not_of(space), script.size()));
  };
  skip_space();
  if (!script.starts_with('{')) return false;
  script.remove_prefix(1);
  skip_space();
  return script.starts_with("\"nftables\"");
}

std::vector<Token> tokenize(std::string_view script) {
  std::vector<Token> tokens;
  Tokenizer tokenizer(script);
  while (const std::optional<Token> token = tokenizer.next()) tokens.push_back(*token);
  return tokens;
}

}  // namespace weir::frontend::nft
