// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/mapped.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace weir::kernel {

Result<MappedValue> MappedValue::create(const Fd& map, std::size_t size) {
  // array_map_mmap() takes whole pages from the first value on.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t mapped = (size + page - 1) / page * page;
  void* const at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
  if (at == MAP_FAILED) return system_error("mapping the value of a map into memory", errno);
  return MappedValue(static_cast<std::uint8_t*>(at), size, mapped);
}

MappedValue::MappedValue(MappedValue&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

MappedValue& MappedValue::operator=(MappedValue&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

MappedValue::~MappedValue() {
  if (bytes_ != nullptr) ::munmap(bytes_, mapped_);
}

void MappedValue::store(std::uint64_t offset, std::uint64_t value, std::size_t width) {
  invariant((width == 4 || width == 8) && offset % width == 0 && offset + width <= size_,
            "a store that is not within the value of its map, or not one step");
  if (width == 8) {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(bytes_ + offset))
        .store(value, std::memory_order_release);
  } else {
    std::atomic_ref(*reinterpret_cast<std::uint32_t*>(bytes_ + offset))
        .store(static_cast<std::uint32_t>(value), std::memory_order_release);
  }
}

std::uint64_t MappedValue::load(std::uint64_t offset, std::size_t width) const {
  invariant((width == 4 || width == 8) && offset % width == 0 && offset + width <= size_,
            "a load that is not within the value of its map, or not one step");
  if (width == 8) {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(bytes_ + offset))
        .load(std::memory_order_acquire);
  }
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(bytes_ + offset))
      .load(std::memory_order_acquire);
}

}  // namespace weir::kernel
