// SPDX-License-Identifier: BSD-2-Clause
#include "classify/bit_vectors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace weir::classify {
namespace {

constexpr std::size_t most_bytes = std::size_t{16} << 20U;

struct FieldClasses {
  std::vector<std::uint64_t> starts;   // ascending, the first is 0
  std::vector<std::uint64_t> vectors;  // of each class the words of its bits
};

class BitVectors final : public Structure {
 public:
  BitVectors(std::vector<FieldClasses> fields, std::size_t words)
      : fields_(std::move(fields)), words_(words) {}

  std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                          std::uint32_t from) const override {
    std::vector<const std::uint64_t*> vectors;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto& starts = fields_[i].starts;
      const auto at = std::ranges::upper_bound(starts, key[i]) - starts.begin() - 1;
      vectors.push_back(&fields_[i].vectors[static_cast<std::size_t>(at) * words_]);
    }
    for (std::size_t word = from / 64; word < words_; ++word) {
      std::uint64_t bits = ~std::uint64_t{0};
      if (word == from / 64) bits <<= from % 64;
      for (const std::uint64_t* vector : vectors) bits &= vector[word];
      if (bits == 0) continue;
      return static_cast<std::uint32_t>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
    }
    return std::nullopt;
  }

  std::size_t bytes() const override {
    std::size_t sum = 0;
    for (const FieldClasses& field : fields_) {
      sum += (field.starts.size() + field.vectors.size()) * sizeof(std::uint64_t);
    }
    return sum;
  }

  // A step of a search in each field's classes, and the words of half the rules.
  double cost() const override {
    constexpr double step = 3;
    constexpr double word = 1.2;
    double sum = 0;
    for (const FieldClasses& field : fields_) {
      sum += step * std::log2(static_cast<double>(field.starts.size()) + 1);
    }
    return sum + word * static_cast<double>(words_ * fields_.size()) / 2;
  }

 private:
  std::vector<FieldClasses> fields_;
  std::size_t words_;  // of a vector
};

std::vector<std::uint64_t> starts_of(const RuleList& rules, std::size_t field) {
  std::vector<std::uint64_t> starts = {0};
  const std::uint64_t highest = prefix_mask(rules.bits(field), rules.bits(field));
  for (std::size_t rule = 0; rule < rules.size(); ++rule) {
    const Range& range = rules[rule][field];
    starts.push_back(range.first);
    if (range.last != highest) starts.push_back(range.last + 1);
  }
  std::ranges::sort(starts);
  const auto repeated = std::ranges::unique(starts);
  starts.erase(repeated.begin(), repeated.end());
  return starts;
}

}  // namespace

std::unique_ptr<Structure> build_bit_vectors(const RuleList& rules) {
  const std::size_t words = rules.size() / 64 + 1;
  std::vector<FieldClasses> fields;
  std::size_t bytes = 0;
  for (std::size_t field = 0; field < rules.fields(); ++field) {
    FieldClasses classes{.starts = starts_of(rules, field), .vectors = {}};
    bytes += classes.starts.size() * words * sizeof(std::uint64_t);
    if (bytes > most_bytes) return nullptr;
    classes.vectors.resize(classes.starts.size() * words);
    for (std::size_t rule = 0; rule < rules.size(); ++rule) {
      const Range& range = rules[rule][field];
      const auto first = std::ranges::lower_bound(classes.starts, range.first);
      const auto end = std::ranges::upper_bound(classes.starts, range.last);
      for (auto at = first; at != end; ++at) {
        const auto index = static_cast<std::size_t>(at - classes.starts.begin());
        classes.vectors[index * words + rule / 64] |= std::uint64_t{1} << rule % 64;
      }
    }
    fields.push_back(std::move(classes));
  }
  return std::make_unique<BitVectors>(std::move(fields), words);
}

}  // namespace weir::classify
