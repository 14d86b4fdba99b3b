// SPDX-License-Identifier: BSD-2-Clause
//
// How a function is going to be split, between the two files that do it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "backend/split.h"
#include "flow/flow.h"

namespace weir::backend {

constexpr std::uint32_t no_place = 0xffffffff;

// What a register points to, and whether the pointer can be made again.
struct Pointer {
  enum class Kind : std::uint8_t {
    none,       // a number
    window,     // assigned once, by the window that ends `block`
    map_value,  // assigned once, an address in the value of `map`
    other,
  };
  Kind kind = Kind::none;
  flow::BlockId block;
  isa::MapIndex map;
  std::uint64_t offset = 0;  // there
};

// Where in the state a register is kept.
struct Slot {
  std::uint32_t offset = 0;
  std::uint8_t size = 8;
};

struct SplitPlan {
  std::vector<flow::BlockId> order;  // of the blocks, as parts take them; without endings
  std::vector<std::uint32_t> place;  // by block, in `order`
  std::vector<std::uint32_t> part;   // by block
  std::uint32_t parts = 0;
  std::vector<std::vector<flow::BlockId>> entries;  // by part, in the order of their numbers
  std::vector<std::uint32_t> entry;                 // by block: its number, or 0
  std::map<std::uint64_t, flow::BlockId> sites;     // by the number that Op::site gives them
  bool returns = false;

  std::vector<Pointer> pointers;                   // by register
  std::vector<std::vector<flow::Reg>> live;        // by block: numbers needed from there on
  std::vector<std::vector<flow::Reg>> made_again;  // by block: pointers needed from there on
  std::vector<std::uint32_t> crossing;             // by register: into `slots`
  std::vector<Slot> slots;
  std::uint32_t state_size = 0;
};

[[nodiscard]] Part make_part(const flow::Function& function, const SplitPlan& plan,
                             std::uint32_t part);

}  // namespace weir::backend
