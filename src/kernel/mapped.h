// SPDX-License-Identifier: BSD-2-Clause
//
// The value of a map in the memory of this process: programs see a store to it at once, and as one
// step, without a system call.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "kernel/kernel.h"

namespace weir::kernel {

class MappedValue {
 public:
  // Of an array map of one element that was made with BPF_F_MMAPABLE (5.5) and has a value of
  // `size` bytes. The map stays as long as this does.
  [[nodiscard]] static Result<MappedValue> create(const Fd& map, std::size_t size);
  MappedValue(MappedValue&& other) noexcept;
  MappedValue& operator=(MappedValue&& other) noexcept;
  MappedValue(const MappedValue&) = delete;
  MappedValue& operator=(const MappedValue&) = delete;
  ~MappedValue();

  [[nodiscard]] ByteView bytes() const { return {bytes_, size_}; }
  // Of 4 or 8 bytes, at a multiple of that. A program on another processor that reads what is
  // stored here later than something else sees that one too, if it reads both in that order, as
  // loads of x86 do (Intel SDM vol. 3, 9.2.2; AMD APM vol. 2, 7.2).
  void store(std::uint64_t offset, std::uint64_t value, std::size_t width);
  [[nodiscard]] std::uint64_t load(std::uint64_t offset, std::size_t width) const;

 private:
  MappedValue(std::uint8_t* bytes, std::size_t size, std::size_t mapped)
      : bytes_(bytes), size_(size), mapped_(mapped) {}

  std::uint8_t* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;  // whole pages
};

}  // namespace weir::kernel
