// SPDX-License-Identifier: BSD-2-Clause
//
// A list of rules made ready to be searched. What a packet does may be more than one rule's doing
// (those that only count go on), so that a structure answers with the next rule from any one on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "classify/rule_list.h"

namespace weir::classify {

enum class Kind : std::uint8_t {
  tree,         // hundreds of rules: comparisons that lead to few of them
  bit_vectors,  // few rules that overlap much: value classes of each field, a bit a rule in each
  tuples,       // all else: hash tables by prefix lengths, merged
};
inline constexpr std::array all_kinds = {Kind::tree, Kind::bit_vectors, Kind::tuples};
[[nodiscard]] std::string_view to_string(Kind kind);
[[nodiscard]] std::optional<Kind> parse_kind(std::string_view text);

// What a search takes on average, about; nothing of a structure that does not suit.
struct Estimate {
  Kind kind = Kind::tuples;
  std::optional<double> ns;
};

class Structure {
 public:
  virtual ~Structure() = default;

  // The first rule from `from` on that holds the key, which has a value for each field.
  [[nodiscard]] virtual std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                                                std::uint32_t from) const = 0;
  // Of the memory that a search reads.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  // What a search takes on average, about, in ns.
  [[nodiscard]] virtual double cost() const = 0;
};

// Nothing where the structure does not suit: it would be too large.
[[nodiscard]] std::unique_ptr<Structure> build(Kind kind, const RuleList& rules);

}  // namespace weir::classify
