// SPDX-License-Identifier: BSD-2-Clause
//
// The memory that a running program may touch: the regions that are alive. The checker has proven
// most accesses; they are held to it once more here, and reads of untrusted memory are decided
// here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::engine {

[[nodiscard]] inline std::uint64_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}
// Registers hold addresses as numbers, so that there is no way around this conversion.
[[nodiscard]] inline std::uint8_t* pointer_to(std::uint64_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

class Memory {
  struct Region {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    bool writable = false;
  };

 public:
  // Forgets all regions but the first `count`.
  void keep(std::size_t count) { regions_.resize(count); }
  [[nodiscard]] std::size_t count() const { return regions_.size(); }
  void add(const void* begin, std::size_t size, bool writable) {
    if (contains(address_of(begin), size, writable)) return;
    regions_.push_back(Region{address_of(begin), size, writable});
  }
  // Whether [address, address + size) lies within one region (that may be written).
  [[nodiscard]] bool contains(std::uint64_t address, std::uint64_t size, bool writable) const {
    for (const Region& region : regions_) {
      if (address - region.begin <= region.size && region.size - (address - region.begin) >= size &&
          (region.writable || !writable)) {
        return true;
      }
    }
    return false;
  }

 private:
  std::vector<Region> regions_;
};

}  // namespace weir::engine
