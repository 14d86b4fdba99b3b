// SPDX-License-Identifier: BSD-2-Clause
//
// The lower half of the Emitter: single instructions, labels, and their final places.
#include <limits>
#include <utility>

#include "backend/emitter.h"
#include "backend/registers.h"

namespace weir::backend {

using isa::Opcode;

namespace {

constexpr std::uint32_t unbound = 0xffffffff;
constexpr std::int16_t context_slot = -8;

}  // namespace

void Emitter::op(Opcode opcode, std::uint8_t dst, std::uint8_t src, std::int16_t off,
                 std::int32_t imm) {
  isa::Insn insn = isa::make(opcode, dst, src, off, imm);
  items_.push_back({.insn = insn, .target = {}, .relocation = {}, .rule = rule_});
}

void Emitter::load_field(Opcode load, std::uint8_t dst, std::uint8_t src,
                         const std::string& structure, const std::string& member) {
  op(load, dst, src);
  items_.back().relocation = isa::FieldOffset{structure, member};
}

void Emitter::add_field_offset(std::uint8_t dst, const std::string& structure,
                               const std::string& member) {
  op(Opcode::add64_imm, dst);
  items_.back().relocation = isa::FieldOffset{structure, member};
}

void Emitter::constant(std::uint8_t dst, std::uint64_t value) {
  const auto number = static_cast<std::int64_t>(value);
  if (number >= std::numeric_limits<std::int32_t>::min() &&
      number <= std::numeric_limits<std::int32_t>::max()) {
    op(Opcode::mov64_imm, dst, 0, 0, static_cast<std::int32_t>(value));
  } else if (value <= 0xffffffff) {
    op(Opcode::mov32_imm, dst, 0, 0, static_cast<std::int32_t>(value));
  } else {
    wide(Opcode::ld_imm64, dst, value, std::nullopt);
  }
}

void Emitter::wide(Opcode opcode, std::uint8_t dst, std::uint64_t value,
                   std::optional<decltype(isa::Relocation::what)> relocation) {
  const auto pair = isa::make_wide(opcode, dst, value);
  items_.push_back(
      {.insn = pair[0], .target = {}, .relocation = std::move(relocation), .rule = rule_});
  items_.push_back({.insn = pair[1], .target = {}, .relocation = {}, .rule = rule_});
}

void Emitter::map_pointer(std::uint8_t dst, isa::MapIndex map) {
  wide(Opcode::ld_map_fd, dst, 0, isa::MapReference{map});
}

void Emitter::map_value(std::uint8_t dst, isa::MapIndex map, std::uint32_t offset) {
  wide(Opcode::ld_map_value, dst, 0, isa::MapValueReference{map, offset});
}

void Emitter::call_kfunc(const std::string& name) {
  op(Opcode::call_kfunc);
  items_.back().relocation = isa::KfuncReference{name};
}

void Emitter::call_helper(std::int32_t helper) {
  op(Opcode::call_helper, 0, 0, 0, helper);
}

void Emitter::call_function(const std::string& name) {
  op(Opcode::call_local);
  items_.back().callee = name;
}

void Emitter::load_function(std::uint8_t dst, const std::string& name) {
  wide(Opcode::ld_function, dst, 0, std::nullopt);
  items_[items_.size() - 2].callee = name;
}

void Emitter::load_context_pointer(std::uint8_t dst) {
  op(Opcode::ldx64, dst, frame_pointer, context_slot);
}

Label Emitter::label() {
  label_at_.push_back(unbound);
  return Label(label_at_.size() - 1);
}

void Emitter::bind(Label label) {
  invariant(label_at_.at(label.index()) == unbound, "emission: a label in two places");
  label_at_[label.index()] = static_cast<std::uint32_t>(items_.size());
}

void Emitter::jump(Label target) {
  op(Opcode::ja);
  items_.back().target = target;
}

void Emitter::jump_imm(Opcode condition, std::uint8_t dst, std::int32_t imm, Label target) {
  op(condition, dst, 0, 0, imm);
  items_.back().target = target;
}

void Emitter::jump_reg(Opcode condition, std::uint8_t dst, std::uint8_t src, Label target) {
  op(condition, dst, src);
  items_.back().target = target;
}

void Emitter::defer(std::function<void(Emitter&)> code) {
  deferred_.push_back(std::move(code));
}

// A far jump is `gotol`; a far conditional jump goes over a `goto +1` to one.
std::size_t Emitter::slots(const Item& item) const {
  if (!item.far) return 1;
  return isa::opcode(item.insn) == Opcode::ja ? 1 : 3;
}

// Jumps reach 32,767 slots. Those that go farther take the long form, which moves others.
void Emitter::relax() {
  // The kernel expands reads of the context and lookups in place, and jumps over them with it: to
  // twice as much, and where nothing is left to functions that are called, to more.
  const std::int64_t expansion = profile_.local_calls ? 2 : 8;
  const std::int64_t reach = std::numeric_limits<std::int16_t>::max() / expansion;
  for (bool changed = true; changed;) {
    changed = false;
    address_.assign(items_.size() + 1, 0);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      address_[i + 1] = static_cast<std::uint32_t>(address_[i] + slots(items_[i]));
    }
    for (std::size_t i = 0; i < items_.size(); ++i) {
      Item& item = items_[i];
      if (!item.target.valid() || item.far) continue;
      const std::uint32_t target = label_at_.at(item.target.index());
      invariant(target != unbound, "emission: a jump to nowhere");
      const std::int64_t distance = std::int64_t{address_[target]} - address_[i + 1];
      if (distance > reach || distance < -reach) {
        item.far = true;
        changed = true;
      }
    }
  }
}

Piece Emitter::link() {
  Piece piece;
  piece.counters = counters_;
  piece.ring = ring_;
  piece.scratch = scratch_map_;
  piece.sweeps = sweeps_;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    Item& item = items_[i];
    const auto at = static_cast<std::uint32_t>(piece.insns.size());
    if (piece.origins.empty() || piece.origins.back().rule != item.rule) {
      piece.origins.push_back({at, item.rule});
    }
    if (item.relocation) piece.relocations.push_back({at, *item.relocation});
    if (!item.callee.empty()) piece.calls.push_back({at, item.callee});
    if (!item.target.valid()) {
      piece.insns.push_back(item.insn);
      continue;
    }
    const std::int32_t distance =
        static_cast<std::int32_t>(address_[label_at_[item.target.index()]]) -
        static_cast<std::int32_t>(address_[i + 1]);
    if (!item.far) {
      item.insn.off = static_cast<std::int16_t>(distance);
      piece.insns.push_back(item.insn);
    } else if (isa::opcode(item.insn) == Opcode::ja) {
      piece.insns.push_back(isa::make(Opcode::gotol, 0, 0, 0, distance));
    } else {
      item.insn.off = 1;
      piece.insns.push_back(item.insn);
      piece.insns.push_back(isa::make(Opcode::ja, 0, 0, 1));
      piece.insns.push_back(isa::make(Opcode::gotol, 0, 0, 0, distance));
    }
  }
  return piece;
}

}  // namespace weir::backend
