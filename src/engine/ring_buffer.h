// SPDX-License-Identifier: BSD-2-Clause
//
// Ring buffers (kernel/bpf/ringbuf.c): records that programs leave for whoever reads them.
#pragma once

#include <memory>
#include <vector>

#include "engine/map.h"

namespace weir::engine {

class RingBuffer final : public Map {
 public:
  explicit RingBuffer(isa::MapSpec spec) : Map(std::move(spec)) {}

  // There are no keys.
  std::uint8_t* lookup(const std::uint8_t*) override { return nullptr; }
  int store(const std::uint8_t*, const std::uint8_t*, UpdateMode) override;
  int erase(const std::uint8_t*) override;

  // Room for a record of `size` bytes, which stays where it is; nullptr when so much is not left.
  [[nodiscard]] std::uint8_t* reserve(std::uint64_t size);
  // The record at this address is whole. False where none was reserved there.
  [[nodiscard]] bool submit(const std::uint8_t* record);
  // The records that were submitted since the last call, oldest first.
  [[nodiscard]] std::vector<Bytes> take();

 private:
  struct Record {
    Bytes bytes;
    bool submitted = false;
  };
  std::vector<std::unique_ptr<Record>> records_;
  std::uint64_t used_ = 0;  // bytes
};

}  // namespace weir::engine
