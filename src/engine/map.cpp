// SPDX-License-Identifier: BSD-2-Clause
//
// The engine's maps: arrays are one block of memory, hash maps a Table, LPM tries a Table for each
// prefix length that occurs.
#include "engine/map.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "engine/ring_buffer.h"
#include "engine/table.h"

namespace weir::engine {
namespace {

class ArrayMap final : public Map {
 public:
  explicit ArrayMap(const isa::MapSpec& map_spec)
      : Map(map_spec),
        stride_((std::size_t{map_spec.value_size} + 7) / 8 * 8),
        // calloc() leaves the pages of a large array untouched until they are used.
        values_(static_cast<std::uint8_t*>(std::calloc(map_spec.max_entries, stride_))) {
    if (values_ == nullptr) throw std::bad_alloc();
  }

  std::uint8_t* lookup(const std::uint8_t* key) override {
    std::uint32_t index = 0;
    std::memcpy(&index, key, sizeof index);
    return index < spec().max_entries ? values_.get() + index * stride_ : nullptr;
  }

  std::span<std::uint8_t> block() override { return {values_.get(), spec().max_entries * stride_}; }

  // array_map_update_elem(): every element exists from the start.
  int store(const std::uint8_t* key, const std::uint8_t* value, UpdateMode mode) override {
    std::uint8_t* element = lookup(key);
    if (element == nullptr) return E2BIG;
    if (mode == UpdateMode::new_only) return EEXIST;
    std::memcpy(element, value, spec().value_size);
    return 0;
  }

  int erase(const std::uint8_t*) override { return EINVAL; }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const { std::free(memory); }
  };
  std::size_t stride_;
  std::unique_ptr<std::uint8_t[], Free> values_;
};

class HashMap final : public Map {
 public:
  explicit HashMap(const isa::MapSpec& map_spec)
      : Map(map_spec), table_(map_spec.key_size, map_spec.value_size) {}

  std::uint8_t* lookup(const std::uint8_t* key) override { return table_.find(key); }

  int store(const std::uint8_t* key, const std::uint8_t* value, UpdateMode mode) override {
    std::uint8_t* element = table_.find(key);
    if (element != nullptr && mode == UpdateMode::new_only) return EEXIST;
    if (element == nullptr && mode == UpdateMode::existing_only) return ENOENT;
    if (element == nullptr && table_.size() == spec().max_entries) return E2BIG;
    if (element == nullptr) element = table_.insert(key);
    std::memcpy(element, value, spec().value_size);
    return 0;
  }

  int erase(const std::uint8_t* key) override { return table_.erase(key) ? 0 : ENOENT; }

  [[nodiscard]] std::uint32_t places() const override { return table_.places(); }
  [[nodiscard]] Entry at(std::uint32_t place) const override {
    if (!table_.holds(place)) return {};
    return {table_.key_of(place), table_.value_of(place)};
  }

 private:
  Table table_;
};

constexpr std::size_t prefix_length_size = sizeof(std::uint32_t);

class LpmTrie final : public Map {
 public:
  explicit LpmTrie(const isa::MapSpec& map_spec)
      : Map(map_spec), data_size_(map_spec.key_size - prefix_length_size) {}

  // The longest stored prefix that is not longer than the key's own (trie_lookup_elem()).
  std::uint8_t* lookup(const std::uint8_t* key) override {
    const std::uint32_t limit = prefix_length(key);
    if (limit > data_size_ * 8) return nullptr;
    for (auto at = tables_.lower_bound(limit); at != tables_.end(); ++at) {
      if (std::uint8_t* found = at->second.find(masked(key, at->first).data())) return found;
    }
    return nullptr;
  }

  int store(const std::uint8_t* key, const std::uint8_t* value, UpdateMode mode) override {
    const std::uint32_t length = prefix_length(key);
    if (length > data_size_ * 8) return EINVAL;
    Table& table = tables_.try_emplace(length, data_size_, spec().value_size).first->second;
    const Bytes data = masked(key, length);
    std::uint8_t* element = table.find(data.data());
    if (element != nullptr && mode == UpdateMode::new_only) return EEXIST;
    if (element == nullptr && mode == UpdateMode::existing_only) return ENOENT;
    if (element == nullptr && size_ == spec().max_entries) return ENOSPC;
    if (element == nullptr) {
      element = table.insert(data.data());
      ++size_;
    }
    std::memcpy(element, value, spec().value_size);
    return 0;
  }

  int erase(const std::uint8_t* key) override {
    const std::uint32_t length = prefix_length(key);
    if (length > data_size_ * 8) return EINVAL;
    const auto at = tables_.find(length);
    if (at == tables_.end() || !at->second.erase(masked(key, length).data())) return ENOENT;
    --size_;
    return 0;
  }

 private:
  static std::uint32_t prefix_length(const std::uint8_t* key) {
    std::uint32_t length = 0;
    std::memcpy(&length, key, sizeof length);
    return length;
  }

  // The data of the key with all bits behind the first `length` cleared.
  [[nodiscard]] Bytes masked(const std::uint8_t* key, std::uint32_t length) const {
    Bytes data(key + prefix_length_size, key + prefix_length_size + data_size_);
    const std::size_t whole = length / 8;
    if (whole < data.size()) {
      data[whole] &= static_cast<std::uint8_t>(0xff00 >> (length % 8));
      std::fill(data.begin() + static_cast<std::ptrdiff_t>(whole) + 1, data.end(), std::uint8_t{0});
    }
    return data;
  }

  std::size_t data_size_;
  std::size_t size_ = 0;
  std::map<std::uint32_t, Table, std::greater<>> tables_;  // by prefix length, the longest first
};

std::string describe(const isa::MapSpec& spec) {
  return "map " + spec.name + ": ";
}

std::unexpected<Diagnostic> refuse(const isa::MapSpec& spec, const std::string& what) {
  return input_error(describe(spec) + what);
}

bool valid_name(const std::string& name) {
  return name.size() <= 15 && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.';
         });
}

// Flags of linux/bpf.h.
constexpr std::uint32_t no_prealloc = 1U << 0;
constexpr std::uint32_t access_flags = 1U << 3 | 1U << 4 | 1U << 7 | 1U << 8;  // RDONLY, WRONLY
constexpr std::uint32_t zero_seed = 1U << 6;
constexpr std::uint32_t mmapable = 1U << 10;

std::uint32_t allowed_flags(isa::MapType type) {
  switch (type) {
    case isa::MapType::hash:
    case isa::MapType::percpu_hash:
      return access_flags | no_prealloc | zero_seed;
    case isa::MapType::array:
      return access_flags | mmapable;
    case isa::MapType::percpu_array:
      return access_flags;
    case isa::MapType::lpm_trie:
      return access_flags | no_prealloc;
    case isa::MapType::ringbuf:
      return 0;
  }
  throw InvariantError("a map type without flags");
}

Status expect_number(const isa::MapSpec& spec, const char* what, std::uint32_t found,
                     std::uint32_t least, std::uint32_t most) {
  if (found >= least && found <= most) return {};
  return refuse(spec, std::string(what) + " is " + std::to_string(found) + ", expected " +
                          std::to_string(least) + " to " + std::to_string(most));
}

Status check_key_size(const isa::MapSpec& spec) {
  switch (spec.type) {
    case isa::MapType::array:
    case isa::MapType::percpu_array:
      return expect_number(spec, "key size", spec.key_size, 4, 4);
    case isa::MapType::hash:
    case isa::MapType::percpu_hash:
      return expect_number(spec, "key size", spec.key_size, 1, 512);
    case isa::MapType::lpm_trie:
      return expect_number(spec, "key size", spec.key_size, 5, 4 + 256);
    case isa::MapType::ringbuf:
      return expect_number(spec, "key size", spec.key_size, 0, 0);
  }
  throw InvariantError("a map type without a key");
}

std::unique_ptr<Map> make(const isa::MapSpec& spec) {
  switch (spec.type) {
    case isa::MapType::array:
    case isa::MapType::percpu_array:
      return std::make_unique<ArrayMap>(spec);
    case isa::MapType::hash:
    case isa::MapType::percpu_hash:
      return std::make_unique<HashMap>(spec);
    case isa::MapType::lpm_trie:
      return std::make_unique<LpmTrie>(spec);
    case isa::MapType::ringbuf:
      return std::make_unique<RingBuffer>(spec);
  }
  throw InvariantError("a map type that cannot be made");
}

Status check_length(const isa::MapSpec& spec, const char* what, std::size_t found,
                    std::size_t expected) {
  if (found == expected) return {};
  return refuse(spec, std::string(what) + " of " + std::to_string(found) + " bytes, expected " +
                          std::to_string(expected));
}

Status as_status(const isa::MapSpec& spec, const char* what, ByteView key, int error) {
  if (error == 0) return {};
  return refuse(spec,
                std::string(what) + " of key " + to_hex(key) + " failed: " + std::strerror(error));
}

// ringbuf_map_alloc() in kernel/bpf/ringbuf.c.
Status check_ring(const isa::MapSpec& spec) {
  constexpr std::uint32_t page = 4096;
  WEIR_CHECK(expect_number(spec, "value size", spec.value_size, 0, 0));
  WEIR_CHECK(expect_number(spec, "flags", spec.flags, 0, 0));
  if (std::has_single_bit(spec.max_entries) && spec.max_entries >= page) return {};
  return refuse(spec, "found " + std::to_string(spec.max_entries) +
                          " bytes, expected a power of two from a page on");
}

}  // namespace

Status check_spec(const isa::MapSpec& spec) {
  constexpr std::uint32_t largest_value = 1U << 30;
  constexpr std::uint32_t largest_percpu_value = 32 << 10;            // PCPU_MIN_UNIT_SIZE
  constexpr std::uint32_t largest_trie_value = (4U << 20) - 4 - 256;  // KMALLOC_MAX_SIZE
  if (!valid_name(spec.name)) {
    return refuse(spec, "bad name, expected at most 15 characters of [A-Za-z0-9_.]");
  }
  WEIR_CHECK(check_key_size(spec));
  if (spec.type == isa::MapType::ringbuf) return check_ring(spec);
  const bool percpu =
      spec.type == isa::MapType::percpu_array || spec.type == isa::MapType::percpu_hash;
  WEIR_CHECK(expect_number(spec, "value size", spec.value_size, 1,
                           percpu                                ? largest_percpu_value
                           : spec.type == isa::MapType::lpm_trie ? largest_trie_value
                                                                 : largest_value));
  WEIR_CHECK(expect_number(spec, "number of entries", spec.max_entries, 1, 0xfffffffe));
  if ((spec.flags & ~allowed_flags(spec.type)) != 0) {
    return refuse(spec, "found flags " + std::to_string(spec.flags) + ", expected only bits of " +
                            std::to_string(allowed_flags(spec.type)));
  }
  if (spec.type == isa::MapType::lpm_trie && (spec.flags & no_prealloc) == 0) {
    return refuse(spec, "an LPM trie needs the flag BPF_F_NO_PREALLOC (1)");
  }
  return {};
}

Result<std::unique_ptr<Map>> Map::create(const isa::MapSpec& spec) {
  WEIR_CHECK(check_spec(spec));
  std::unique_ptr<Map> map = make(spec);
  for (const isa::MapEntry& entry : spec.entries) WEIR_CHECK(map->update(entry.key, entry.value));
  return map;
}

Status Map::update(ByteView key, ByteView value) {
  WEIR_CHECK(check_length(spec_, "key", key.size(), spec_.key_size));
  WEIR_CHECK(check_length(spec_, "value", value.size(), spec_.value_size));
  return as_status(spec_, "update", key, store(key.data(), value.data(), UpdateMode::any));
}

Status Map::remove(ByteView key) {
  WEIR_CHECK(check_length(spec_, "key", key.size(), spec_.key_size));
  return as_status(spec_, "delete", key, erase(key.data()));
}

}  // namespace weir::engine
