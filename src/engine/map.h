// SPDX-License-Identifier: BSD-2-Clause
//
// Maps of the engine, with the semantics of the kernel's
// (kernel/bpf/{arraymap,hashtab,lpm_trie}.c).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

namespace weir::engine {

// The flag argument of an update: BPF_ANY, BPF_NOEXIST, BPF_EXIST in linux/bpf.h.
enum class UpdateMode : std::uint8_t { any = 0, new_only = 1, existing_only = 2 };

class Map {
 public:
  // A map of the type, sizes and entries of `spec`; one that the kernel would refuse is an input
  // error. Per-CPU maps have a single CPU here.
  [[nodiscard]] static Result<std::unique_ptr<Map>> create(const isa::MapSpec& spec);
  virtual ~Map() = default;

  [[nodiscard]] const isa::MapSpec& spec() const { return spec_; }
  // Address of the value for spec().key_size bytes at `key`, stable until the entry is deleted; or
  // nullptr. The memory stays allocated as long as the map, even behind a deleted entry.
  [[nodiscard]] virtual std::uint8_t* lookup(const std::uint8_t* key) = 0;
  // Of hash maps, places where entries may stand, and the one at such a place; keys and values are
  // nullptr where there is none.
  struct Entry {
    std::uint8_t* key = nullptr;
    std::uint8_t* value = nullptr;
  };
  [[nodiscard]] virtual std::uint32_t places() const { return 0; }
  [[nodiscard]] virtual Entry at(std::uint32_t) const { return {}; }
  // Where all values stand, when that is one block (arrays).
  [[nodiscard]] virtual std::span<std::uint8_t> block() { return {}; }
  [[nodiscard]] Status update(ByteView key, ByteView value);
  [[nodiscard]] Status remove(ByteView key);

  // What programs call: as above, with 0 or a positive errno value as the answer. `key` and `value`
  // hold spec().key_size and spec().value_size bytes.
  [[nodiscard]] virtual int store(const std::uint8_t* key, const std::uint8_t* value,
                                  UpdateMode mode) = 0;
  [[nodiscard]] virtual int erase(const std::uint8_t* key) = 0;

 protected:
  explicit Map(isa::MapSpec spec) : spec_(std::move(spec)) {}

 private:
  isa::MapSpec spec_;
};

// The kernel's rules for the sizes and flags of a new map.
[[nodiscard]] Status check_spec(const isa::MapSpec& spec);

}  // namespace weir::engine
