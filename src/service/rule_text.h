// SPDX-License-Identifier: BSD-2-Clause
//
// The text of a rule as nft lists it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::service {

// Its words; what stands in quotes is one, with the comma behind it.
[[nodiscard]] std::vector<std::string_view> words(std::string_view text);

// Behind what a rule that changes a set says of its elements ("add @s { ip saddr counter }"), where
// that begins at `at`; else `at`.
[[nodiscard]] std::size_t behind_element(const std::vector<std::string_view>& words,
                                         std::size_t at);

// Whether one object stands behind the word "name" at `at`, and not a map to some.
[[nodiscard]] bool names_one(const std::vector<std::string_view>& words, std::size_t at);

// "3 kbytes": in the largest unit that leaves no rest, as nft's quota_unit_parse() takes it back.
[[nodiscard]] std::string amount_words(std::uint64_t bytes);

}  // namespace weir::service
