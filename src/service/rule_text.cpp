// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule_text.h"

#include <algorithm>
#include <array>

namespace weir::service {
namespace {

// Where the word that starts at `at` ends.
std::size_t word_end(std::string_view text, std::size_t at) {
  if (text[at] == '"') {
    const auto quote = text.find('"', at + 1);
    if (quote == std::string_view::npos) return text.size();
    at = quote;
  }
  const auto space = text.find(' ', at);
  return space == std::string_view::npos ? text.size() : space;
}

}  // namespace

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const std::size_t end = word_end(text, at);
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::size_t behind_element(const std::vector<std::string_view>& words, std::size_t at) {
  static constexpr std::array<std::string_view, 3> changes = {"add", "update", "delete"};
  const bool changes_set = std::ranges::find(changes, words[at]) != changes.end() &&
                           at + 1 < words.size() && words[at + 1].starts_with('@');
  if (!changes_set) return at;
  while (at < words.size() && words[at] != "}") ++at;
  return std::min(at + 1, words.size());
}

bool names_one(const std::vector<std::string_view>& words, std::size_t at) {
  return at + 1 < words.size() && words[at + 1].starts_with('"');
}

std::string amount_words(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 3> units = {"bytes", "kbytes", "mbytes"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + " " + std::string(units[unit]);
}

}  // namespace weir::service
