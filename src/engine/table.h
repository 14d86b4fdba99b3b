// SPDX-License-Identifier: BSD-2-Clause
//
// A hash table from byte strings of one length to byte strings of one length, whose values never
// move and whose memory is never given back: what a program holds a pointer to stays readable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weir::engine {

class Table {
 public:
  Table(std::size_t key_size, std::size_t value_size);

  [[nodiscard]] std::size_t size() const { return size_; }
  // The value of a key, or nullptr.
  [[nodiscard]] std::uint8_t* find(const std::uint8_t* key) const;
  // The value, all zero, of a key that is not there yet.
  std::uint8_t* insert(const std::uint8_t* key);
  // Whether the key was there.
  bool erase(const std::uint8_t* key);

  // Entries by number, of which some may be free.
  [[nodiscard]] std::uint32_t places() const { return static_cast<std::uint32_t>(next_.size()); }
  [[nodiscard]] bool holds(std::uint32_t entry) const { return held_[entry]; }
  [[nodiscard]] std::uint8_t* key_of(std::uint32_t entry) const;
  [[nodiscard]] std::uint8_t* value_of(std::uint32_t entry) const;

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::size_t slab_entries = 64;

  [[nodiscard]] std::size_t bucket_of(const std::uint8_t* key) const;
  std::uint32_t new_entry();
  void grow();

  std::size_t key_size_;
  std::size_t value_size_;
  std::size_t value_offset_;  // of the value behind its key, 8-byte aligned
  std::size_t entry_size_;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<std::uint8_t[]>> slabs_;
  std::vector<std::uint32_t> next_;  // of each entry: the one behind it in its bucket or free list
  std::vector<bool> held_;           // of each entry: whether it is no free one
  std::vector<std::uint32_t> buckets_;
  std::uint32_t free_ = none;
};

}  // namespace weir::engine
