// SPDX-License-Identifier: BSD-2-Clause
#include "engine/table.h"

#include <cstring>
#include <functional>
#include <string_view>

namespace weir::engine {
namespace {

constexpr std::size_t first_buckets = 16;

constexpr std::size_t round_up_8(std::size_t size) {
  return (size + 7) / 8 * 8;
}

}  // namespace

Table::Table(std::size_t key_size, std::size_t value_size)
    : key_size_(key_size),
      value_size_(value_size),
      value_offset_(round_up_8(key_size)),
      entry_size_(value_offset_ + round_up_8(value_size)),
      buckets_(first_buckets, none) {}

std::uint8_t* Table::key_of(std::uint32_t entry) const {
  return slabs_[entry / slab_entries].get() + entry % slab_entries * entry_size_;
}

std::uint8_t* Table::value_of(std::uint32_t entry) const {
  return key_of(entry) + value_offset_;
}

std::size_t Table::bucket_of(const std::uint8_t* key) const {
  const std::string_view bytes(reinterpret_cast<const char*>(key), key_size_);
  return std::hash<std::string_view>{}(bytes) & (buckets_.size() - 1);
}

std::uint8_t* Table::find(const std::uint8_t* key) const {
  for (std::uint32_t at = buckets_[bucket_of(key)]; at != none; at = next_[at]) {
    if (std::memcmp(key_of(at), key, key_size_) == 0) return value_of(at);
  }
  return nullptr;
}

std::uint32_t Table::new_entry() {
  if (free_ != none) {
    const std::uint32_t entry = free_;
    free_ = next_[entry];
    return entry;
  }
  const auto entry = static_cast<std::uint32_t>(next_.size());
  if (entry % slab_entries == 0) {
    slabs_.push_back(std::make_unique<std::uint8_t[]>(slab_entries * entry_size_));
  }
  next_.push_back(none);
  held_.push_back(false);
  return entry;
}

void Table::grow() {
  std::vector<std::uint32_t> old(buckets_.size() * 2, none);
  old.swap(buckets_);
  for (std::uint32_t head : old) {
    while (head != none) {
      const std::uint32_t entry = head;
      head = next_[entry];
      std::uint32_t& bucket = buckets_[bucket_of(key_of(entry))];
      next_[entry] = bucket;
      bucket = entry;
    }
  }
}

std::uint8_t* Table::insert(const std::uint8_t* key) {
  if (size_ == buckets_.size()) grow();
  const std::uint32_t entry = new_entry();
  std::memcpy(key_of(entry), key, key_size_);
  std::memset(value_of(entry), 0, value_size_);
  std::uint32_t& bucket = buckets_[bucket_of(key)];
  next_[entry] = bucket;
  bucket = entry;
  held_[entry] = true;
  ++size_;
  return value_of(entry);
}

bool Table::erase(const std::uint8_t* key) {
  for (std::uint32_t* link = &buckets_[bucket_of(key)]; *link != none; link = &next_[*link]) {
    const std::uint32_t entry = *link;
    if (std::memcmp(key_of(entry), key, key_size_) != 0) continue;
    *link = next_[entry];
    next_[entry] = free_;
    free_ = entry;
    held_[entry] = false;
    --size_;
    return true;
  }
  return false;
}

}  // namespace weir::engine
