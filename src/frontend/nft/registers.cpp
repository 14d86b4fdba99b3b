// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/registers.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>

namespace weir::frontend::nft {
namespace {

// nft_parse_register() in net/netfilter/nf_tables_api.c, counted from the first data register.
std::optional<std::size_t> first_byte(std::uint32_t reg) {
  if (reg >= NFT_REG_1 && reg <= NFT_REG_4) return (reg - NFT_REG_1) * NFT_REG_SIZE;
  if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15) return (reg - NFT_REG32_00) * NFT_REG32_SIZE;
  return std::nullopt;
}

}  // namespace

void Registers::store(std::uint32_t reg, const Value& value) {
  const std::optional<std::size_t> begin = first_byte(reg);
  if (!begin) return;
  const std::size_t end = *begin + std::max(value.zero_end, value.size);
  std::erase_if(entries_,
                [&](const Entry& entry) { return entry.begin >= *begin && entry.begin < end; });
  for (Entry& entry : entries_) {
    if (entry.begin > *begin) continue;
    // A value that reaches into the new one is cut off where the new one starts.
    entry.value.size = std::min(entry.value.size, *begin - entry.begin);
    entry.value.zero_end = std::min(entry.value.zero_end, *begin - entry.begin);
  }
  entries_.push_back({*begin, value});
}

std::optional<Value> Registers::load(std::uint32_t reg) const {
  const std::optional<std::size_t> begin = first_byte(reg);
  for (const Entry& entry : entries_) {
    if (begin && entry.begin == *begin) return entry.value;
  }
  return std::nullopt;
}

std::vector<Value> Registers::load_run(std::uint32_t reg, std::size_t size) const {
  const std::optional<std::size_t> begin = first_byte(reg);
  if (!begin) return {};
  std::vector<Value> run;
  for (std::size_t at = *begin; at < *begin + size;) {
    const auto found = std::ranges::find(entries_, at, &Entry::begin);
    if (found == entries_.end()) return {};
    const Value& value = found->value;
    const std::size_t end = whole_words(value.size);
    if (value.size == 0 || (at + value.size < *begin + size && value.zero_end < end)) return {};
    run.push_back(value);
    at += end;
  }
  return run;
}

void Registers::forget(const std::function<bool(const Value&)>& stale) {
  std::erase_if(entries_, [&](const Entry& entry) { return stale(entry.value); });
}

}  // namespace weir::frontend::nft
