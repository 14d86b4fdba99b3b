// SPDX-License-Identifier: BSD-2-Clause
//
// What the data registers hold while the expressions of a rule are walked: 64 bytes, addressed as
// four registers of 16 bytes or sixteen of 4. A store fills whole 4-byte words, so behind a value
// stand zero bytes to the end of its last word.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "imr/imr.h"

namespace weir::frontend::nft {

// A register's contents: the first `size` bytes of the value of `expr`, then zeros up to
// `zero_end`.
struct Value {
  imr::ExprId expr;
  std::size_t size = 0;
  std::size_t zero_end = 0;
  imr::ExprId root;  // the load that it was made of
};

[[nodiscard]] constexpr std::size_t whole_words(std::size_t size) {
  return (size + 3) / 4 * 4;
}

class Registers {
 public:
  // No effect when `reg` is no data register: the kernel takes no such rule.
  void store(std::uint32_t reg, const Value& value);
  // The value that begins exactly at `reg`.
  [[nodiscard]] std::optional<Value> load(std::uint32_t reg) const;
  // The values, one behind another, that fill `size` bytes from `reg` on; none where something
  // unknown stands between them.
  [[nodiscard]] std::vector<Value> load_run(std::uint32_t reg, std::size_t size) const;
  // Forgets the values for which `stale` holds.
  void forget(const std::function<bool(const Value&)>& stale);

 private:
  struct Entry {
    std::size_t begin;
    Value value;
  };
  std::vector<Entry> entries_;
};

}  // namespace weir::frontend::nft
