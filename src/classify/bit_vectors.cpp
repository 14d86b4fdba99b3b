// SPDX-License-Identifier: BSD-2-Clause
#include "classify/bit_vectors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace weir::classify {
namespace {

constexpr std::size_t most_bytes = std::size_t{16} << 20U;
// Of more, the words alone take longer than other structures.
constexpr std::size_t most_rules = 4096;

class Vectors final : public Structure {
 public:
  explicit Vectors(BitVectors vectors) : v_(std::move(vectors)) {}

  std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                          std::uint32_t from) const override {
    std::vector<const std::uint64_t*> vectors;
    for (std::size_t i = 0; i < v_.fields.size(); ++i) {
      const auto& starts = v_.fields[i].starts;
      const auto at = std::ranges::upper_bound(starts, key[i]) - starts.begin() - 1;
      vectors.push_back(&v_.fields[i].vectors[static_cast<std::size_t>(at) * v_.words]);
    }
    for (std::size_t word = from / 64; word < v_.words; ++word) {
      std::uint64_t bits = ~std::uint64_t{0};
      if (word == from / 64) bits <<= from % 64;
      for (const std::uint64_t* vector : vectors) bits &= vector[word];
      if (bits == 0) continue;
      return static_cast<std::uint32_t>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
    }
    return std::nullopt;
  }
  std::size_t bytes() const override { return v_.bytes(); }
  double cost() const override { return v_.cost(); }

 private:
  BitVectors v_;
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

std::size_t BitVectors::bytes() const {
  std::size_t sum = 0;
  for (const Field& field : fields) {
    sum += (field.starts.size() + field.vectors.size()) * sizeof(std::uint64_t);
  }
  return sum;
}

// A step of a search in each field's classes, and the words of half the rules.
double BitVectors::cost() const {
  constexpr double step = 4;
  constexpr double word = 1.2;
  double sum = 20;
  for (const Field& field : fields) {
    sum += step * std::log2(static_cast<double>(field.starts.size()) + 1);
  }
  return sum + word * static_cast<double>(words * fields.size()) / 2;
}

std::optional<BitVectors> make_bit_vectors(const RuleList& rules) {
  if (rules.size() > most_rules) return std::nullopt;
  BitVectors out{.fields = {}, .words = rules.size() / 64 + 1};
  std::size_t bytes = 0;
  for (std::size_t number = 0; number < rules.fields(); ++number) {
    BitVectors::Field field{.starts = starts_of(rules, number), .vectors = {}};
    bytes += field.starts.size() * out.words * sizeof(std::uint64_t);
    if (bytes > most_bytes) return std::nullopt;
    field.vectors.resize(field.starts.size() * out.words);
    for (std::size_t rule = 0; rule < rules.size(); ++rule) {
      const Range& range = rules[rule][number];
      const auto first = std::ranges::lower_bound(field.starts, range.first);
      const auto end = std::ranges::upper_bound(field.starts, range.last);
      for (auto at = first; at != end; ++at) {
        const auto index = static_cast<std::size_t>(at - field.starts.begin());
        field.vectors[index * out.words + rule / 64] |= std::uint64_t{1} << rule % 64;
      }
    }
    out.fields.push_back(std::move(field));
  }
  return out;
}

std::unique_ptr<Structure> build_bit_vectors(const RuleList& rules) {
  auto vectors = make_bit_vectors(rules);
  return vectors ? std::make_unique<Vectors>(std::move(*vectors)) : nullptr;
}

}  // namespace weir::classify
