// SPDX-License-Identifier: BSD-2-Clause
//
// Maps of the engine, with the semantics of the kernel's (kernel/bpf/{arraymap,hashtab,lpm_trie}.c).
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

namespace weir::engine {

class Map {
 public:
  // A map of the type, sizes and entries of `spec`; one that the kernel would refuse is an input
  // error. Per-CPU maps have a single CPU here.
  [[nodiscard]] static Result<std::unique_ptr<Map>> create(const isa::MapSpec& spec);
  virtual ~Map() = default;

  [[nodiscard]] const isa::MapSpec& spec() const { return spec_; }
  // Address of the value for spec().key_size bytes at `key`, stable until the entry is deleted; or
  // nullptr.
  [[nodiscard]] virtual std::uint8_t* lookup(const std::uint8_t* key) = 0;
  [[nodiscard]] virtual Status update(ByteView key, ByteView value) = 0;
  [[nodiscard]] virtual Status remove(ByteView key) = 0;

 protected:
  explicit Map(isa::MapSpec spec) : spec_(std::move(spec)) {}

 private:
  isa::MapSpec spec_;
};

}  // namespace weir::engine
