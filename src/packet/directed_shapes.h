// SPDX-License-Identifier: BSD-2-Clause
//
// The shapes that directed packets have before probes are written into them. Inside of
// directed.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

#include "packet/builder.h"
#include "packet/directed.h"

namespace weir::packet {

// Choices out of the caller's generator. The standard distributions differ between libraries, and a
// printed seed must mean the same packets everywhere.
class Random {
 public:
  explicit Random(std::mt19937_64& engine) : engine_(engine) {}

  std::size_t below(std::size_t bound) { return engine_() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename Container>
  const auto& pick(const Container& candidates) {
    return candidates[below(candidates.size())];
  }
  Bytes bytes(std::size_t size) {
    Bytes result(size);
    for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>(engine_());
    return result;
  }

 private:
  std::mt19937_64& engine_;
};

// What the shape must be, where it is not left to chance.
struct Wanted {
  std::optional<std::uint16_t> ethertype = {};
  std::optional<std::uint8_t> ip_protocol = {};
  std::optional<ItemName> item = {};
};

[[nodiscard]] Recipe choose_shape(const DirectedOptions& options, const Wanted& wanted,
                                  Random& random);

}  // namespace weir::packet
