// SPDX-License-Identifier: BSD-2-Clause
//
// What the lines look like is told by their tabs (chain_print_declaration and rule_print in nft):
//   table inet t { # handle 1
//   TAB chain c { # handle 2
//   TAB TAB type filter hook input priority filter; policy accept;
//   TAB TAB tcp dport { 22,
//   TAB TAB TAB    80 } accept # handle 3
#include "frontend/nft/listing.h"

#include <charconv>
#include <optional>

namespace weir::frontend::nft {
namespace {

constexpr std::string_view handle_mark = " # handle ";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Cuts "# handle N" off the end of a line; no value when there is none.
std::optional<std::uint64_t> take_handle(std::string& line) {
  const std::size_t mark = line.rfind(handle_mark);
  if (mark == std::string::npos) return std::nullopt;
  const char* first = line.data() + mark + handle_mark.size();
  const char* last = line.data() + line.size();
  std::uint64_t handle = 0;
  const auto [end, error] = std::from_chars(first, last, handle);
  if (error != std::errc() || end != last) return std::nullopt;
  line.resize(mark);
  return handle;
}

std::string_view next_word(std::string_view& text) {
  const std::size_t end = text.find(' ');
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return word;
}

// The lines of a chain that are not rules: "type filter hook ...;" and its comment.
bool is_declaration(std::string_view line) {
  return (line.starts_with("type ") && line.ends_with(';')) || line.starts_with("comment \"");
}

class Parser {
 public:
  void line(std::string_view text) {
    if (text.empty()) return;
    if (!text.starts_with('\t')) {
      table_line(text);
    } else if (!text.starts_with("\t\t")) {
      in_chain_ = text.starts_with("\tchain ");
      pending_.clear();
    } else if (in_chain_) {
      chain_line(trim(text));
    }
  }

  std::map<RuleKey, std::string> take() { return std::move(texts_); }

 private:
  void table_line(std::string_view text) {
    in_chain_ = false;
    if (next_word(text) != "table") return;
    const Result<Family> family = parse_family(next_word(text));
    if (family) family_ = *family;
    table_ = next_word(text);
  }

  void chain_line(std::string_view text) {
    if (pending_.empty() && is_declaration(text)) return;
    if (!pending_.empty()) pending_ += ' ';
    pending_ += text;
    const std::optional<std::uint64_t> handle = take_handle(pending_);
    if (!handle) return;
    texts_[{family_, table_, *handle}] = std::move(pending_);
    pending_.clear();
  }

  std::map<RuleKey, std::string> texts_;
  Family family_ = Family::ip;
  std::string table_;
  bool in_chain_ = false;
  std::string pending_;  // a rule whose last line has not come yet
};

}  // namespace

std::map<RuleKey, std::string> rule_texts(std::string_view listing) {
  Parser parser;
  while (!listing.empty()) {
    const std::size_t end = listing.find('\n');
    parser.line(listing.substr(0, end));
    listing.remove_prefix(end == std::string_view::npos ? listing.size() : end + 1);
  }
  return parser.take();
}

}  // namespace weir::frontend::nft
