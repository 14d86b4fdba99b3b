// SPDX-License-Identifier: BSD-2-Clause
//
// Byte strings of at most 255 bytes, in 16 bytes where they have no more than 15: what rules
// compare packets with is that short, and there are millions of them.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "base/bytes.h"

namespace weir {

class ShortBytes {
 public:
  using value_type = std::uint8_t;
  using iterator = std::uint8_t*;
  using const_iterator = const std::uint8_t*;

  ShortBytes() = default;
  // Implicit, both ways: it is a byte string like any other.
  ShortBytes(ByteView bytes) { assign(bytes); }
  ShortBytes(const Bytes& bytes) : ShortBytes(ByteView(bytes)) {}
  ShortBytes(std::initializer_list<std::uint8_t> bytes)
      : ShortBytes(ByteView(bytes.begin(), bytes.size())) {}
  operator Bytes() const { return Bytes(begin(), end()); }

  ShortBytes(const ShortBytes& other) { assign({other.data(), other.size()}); }
  ShortBytes(ShortBytes&& other) noexcept
      : store_(other.store_), size_(std::exchange(other.size_, std::uint8_t{0})) {}
  ShortBytes& operator=(const ShortBytes& other) {
    if (this != &other) {
      release();
      assign({other.data(), other.size()});
    }
    return *this;
  }
  ShortBytes& operator=(ShortBytes&& other) noexcept {
    if (this != &other) {
      release();
      store_ = other.store_;
      size_ = std::exchange(other.size_, std::uint8_t{0});
    }
    return *this;
  }
  ~ShortBytes() { release(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const std::uint8_t* data() const { return is_here() ? store_.data() : there(); }
  [[nodiscard]] std::uint8_t* data() { return is_here() ? store_.data() : there(); }
  [[nodiscard]] const_iterator begin() const { return data(); }
  [[nodiscard]] const_iterator end() const { return data() + size_; }
  [[nodiscard]] iterator begin() { return data(); }
  [[nodiscard]] iterator end() { return data() + size_; }
  [[nodiscard]] std::uint8_t operator[](std::size_t index) const { return data()[index]; }
  [[nodiscard]] std::uint8_t& operator[](std::size_t index) { return data()[index]; }
  [[nodiscard]] std::uint8_t back() const { return data()[size_ - 1]; }
  [[nodiscard]] std::uint8_t& back() { return data()[size_ - 1]; }

  friend bool operator==(const ShortBytes& a, const ShortBytes& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  // As memcmp(3), a prefix before what is longer.
  friend std::strong_ordering operator<=>(const ShortBytes& a, const ShortBytes& b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr std::size_t most_here = 15;
  [[nodiscard]] bool is_here() const { return size_ <= most_here; }
  [[nodiscard]] std::uint8_t* there() const {
    std::uint8_t* bytes = nullptr;
    std::memcpy(&bytes, store_.data(), sizeof bytes);  // NOLINT(bugprone-multi-level*)
    return bytes;
  }
  // Where nothing has to be released.
  void assign(ByteView bytes) {
    invariant(bytes.size() <= 0xff, "a value of more than 255 bytes");
    size_ = 0;
    if (bytes.size() > most_here) {
      auto* place = new std::uint8_t[bytes.size()];
      std::memcpy(store_.data(), &place, sizeof place);  // NOLINT(bugprone-multi-level*)
    }
    size_ = static_cast<std::uint8_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), data());
  }
  void release() noexcept {
    if (!is_here()) delete[] there();
    size_ = 0;
  }

  alignas(8) std::array<std::uint8_t, most_here> store_ = {};
  std::uint8_t size_ = 0;
};

static_assert(sizeof(ShortBytes) == 16);

}  // namespace weir
