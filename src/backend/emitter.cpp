// SPDX-License-Identifier: BSD-2-Clause
#include "backend/emitter.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::Condition;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;
using isa::Opcode;

namespace {

// In struct __sk_buff (linux/bpf.h), a fixed interface.
constexpr std::int16_t mark_offset = 8;
constexpr std::int16_t priority_offset = 32;
constexpr std::int16_t context_slot = -8;
constexpr std::uint8_t state_register = 9;  // of parts
constexpr std::uint32_t unbound = 0xffffffff;
constexpr std::size_t most_counts_in_place = 64;
constexpr std::uint64_t max32 = 0xffffffff;
// Entries that fit a trace; its layout is told at driver::trace_capacity.
constexpr std::int32_t trace_capacity = 4096;

bool fits_signed32(std::uint64_t value) {
  const auto number = static_cast<std::int64_t>(value);
  return number >= std::numeric_limits<std::int32_t>::min() &&
         number <= std::numeric_limits<std::int32_t>::max();
}

Opcode alu(Op op) {
  switch (op) {
    case Op::add:
      return Opcode::add64_imm;
    case Op::sub:
      return Opcode::sub64_imm;
    case Op::mul:
      return Opcode::mul64_imm;
    case Op::div:
      return Opcode::div64_imm;
    case Op::and_:
      return Opcode::and64_imm;
    case Op::or_:
      return Opcode::or64_imm;
    case Op::xor_:
      return Opcode::xor64_imm;
    case Op::shl:
      return Opcode::lsh64_imm;
    case Op::shr:
      return Opcode::rsh64_imm;
    default:
      throw InvariantError("emission: not an arithmetic operation");
  }
}

bool commutes(Op op) {
  return op != Op::sub && op != Op::div && op != Op::shl && op != Op::shr;
}

Opcode comparison(Condition condition) {
  switch (condition) {
    case Condition::eq:
      return Opcode::jeq64_imm;
    case Condition::ne:
      return Opcode::jne64_imm;
    case Condition::lt:
      return Opcode::jlt64_imm;
    case Condition::le:
      return Opcode::jle64_imm;
    case Condition::gt:
      return Opcode::jgt64_imm;
    case Condition::ge:
      return Opcode::jge64_imm;
    case Condition::set:
      return Opcode::jset64_imm;
  }
  throw InvariantError("condition out of range");
}

// `set` has no opposite instruction.
std::optional<Condition> opposite(Condition condition) {
  switch (condition) {
    case Condition::eq:
      return Condition::ne;
    case Condition::ne:
      return Condition::eq;
    case Condition::lt:
      return Condition::ge;
    case Condition::le:
      return Condition::gt;
    case Condition::gt:
      return Condition::le;
    case Condition::ge:
      return Condition::lt;
    case Condition::set:
      return std::nullopt;
  }
  throw InvariantError("condition out of range");
}

Opcode load_of(std::uint8_t size) {
  switch (size) {
    case 1:
      return Opcode::ldx8;
    case 2:
      return Opcode::ldx16;
    case 4:
      return Opcode::ldx32;
    case 8:
      return Opcode::ldx64;
    default:
      throw InvariantError("emission: load of an odd size");
  }
}

Opcode store_of(std::uint8_t size) {
  switch (size) {
    case 1:
      return Opcode::stx8;
    case 2:
      return Opcode::stx16;
    case 4:
      return Opcode::stx32;
    case 8:
      return Opcode::stx64;
    default:
      throw InvariantError("emission: store of an odd size");
  }
}

}  // namespace

Emitter::Emitter(const flow::Function& function, const Profile& profile, const Role& role)
    : function_(function),
      profile_(profile),
      role_(role),
      label_at_(function.blocks.size(), unbound) {}

std::optional<Piece> Emitter::run() {
  if (!frame()) return std::nullopt;
  width_ = find_widths(function_, allocation_.order);
  op(Opcode::stx64, frame_pointer, r1, context_slot);
  if (role_.part) start_part();
  for (std::size_t i = 0; i < allocation_.order.size(); ++i) block(i);
  rule_ = -1;
  for (std::size_t i = 0; i < deferred_.size(); ++i) {
    const std::function<void(Emitter&)> code = deferred_[i];
    code(*this);
  }
  return finish();
}

Piece Emitter::finish() {
  relax();
  return link();
}

// r1 is the context, r2 the state, r3 the number of the entry. To the verifier the state may be a
// null pointer.
void Emitter::start_part() {
  const Label there = label();
  jump_imm(Opcode::jne64_imm, r2, 0, there);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
  bind(there);
  op(Opcode::mov64_reg, state_register, r2);
}

// The stack from the top: context pointer, key of a lookup, what windows need, slots.
bool Emitter::frame() {
  std::size_t key = 0;
  std::size_t counts = 0;
  std::uint64_t window = 0;
  bool scratch = false;
  for (const flow::Block& block : function_.blocks) {
    for (const Instruction& instruction : block.instructions) {
      if (instruction.op == Op::store || instruction.op == Op::sweep ||
          instruction.op == Op::answer) {
        key = std::max<std::size_t>(key, 8);
      }
      if (instruction.map.valid() || instruction.op == Op::record)
        key = std::max(key, 8 * instruction.args.size());
      if (instruction.op == Op::count) {
        ++counts;
        key = std::max<std::size_t>(key, 16);
      }
      if (instruction.op == Op::context && profile_.needs_scratch != nullptr) {
        scratch = scratch || profile_.needs_scratch(static_cast<flow::ContextKey>(instruction.imm));
      }
    }
    if (block.end.kind == Terminator::Kind::window) window = std::max(window, block.end.imm2);
  }
  count_by_call_ = role_.part || (profile_.local_calls && counts > most_counts_in_place);
  key_ = static_cast<std::int16_t>(context_slot - static_cast<int>(key));
  std::int16_t lowest = key_;
  allocation_ = allocate(function_, 0, role_.part);
  if (profile_.window_dynptr && window != 0) {
    dynptr_ = static_cast<std::int16_t>(lowest - 16);
    saved_ = static_cast<std::int16_t>(dynptr_ - 8);
    lowest = saved_;
  }
  if (profile_.window_buffer && window != 0) {
    buffer_size_ = static_cast<std::int16_t>((window + 7) / 8 * 8);
    buffers_ = static_cast<std::int16_t>(lowest - allocation_.buffer_count * buffer_size_);
    lowest = buffers_;
  }
  if (scratch) lowest = scratch_ = static_cast<std::int16_t>(lowest - 8);
  for (Location& location : allocation_.locations) {
    if (!location.in_register) location.slot = static_cast<std::int16_t>(location.slot + lowest);
  }
  return lowest + allocation_.lowest >= -role_.stack;
}

// ---- Operands -----------------------------------------------------------------------------------

const Location& Emitter::where(Reg reg) const {
  return allocation_.locations.at(reg.index());
}

std::uint8_t Emitter::in_register(Reg reg, std::uint8_t scratch) {
  const Location& location = where(reg);
  if (location.in_register) return location.reg;
  op(Opcode::ldx64, scratch, frame_pointer, location.slot);
  return scratch;
}

std::uint8_t Emitter::target_of(Reg dst) const {
  const Location& location = where(dst);
  return location.in_register ? location.reg : r0;
}

void Emitter::store(Reg dst, std::uint8_t from) {
  const Location& location = where(dst);
  if (!location.in_register) {
    op(Opcode::stx64, frame_pointer, from, location.slot);
  } else if (location.reg != from) {
    op(Opcode::mov64_reg, location.reg, from);
  }
}

// ---- Instructions -------------------------------------------------------------------------------

void Emitter::block(std::size_t position) {
  const flow::BlockId id = allocation_.order[position];
  const flow::Block& block = function_[id];
  std::optional<flow::BlockId> next;
  if (position + 1 < allocation_.order.size()) next = allocation_.order[position + 1];
  rule_ = block.rule;
  bind(label(id));
  for (const Instruction& one : block.instructions) instruction(one);
  switch (block.end.kind) {
    case Terminator::Kind::none:
      throw InvariantError("emission: a block without an end");
    case Terminator::Kind::jump:
      if (block.end.yes != next) jump(label(block.end.yes));
      return;
    case Terminator::Kind::branch:
      branch(block.end, next);
      return;
    case Terminator::Kind::window:
      window(block.end);
      if (block.end.yes != next) jump(label(block.end.yes));
      return;
    case Terminator::Kind::ret:
    case Terminator::Kind::leave:
      end_function(block.end);
      return;
    case Terminator::Kind::dispatch:
      throw InvariantError("emission: a dispatch in a function that is not split");
  }
}

// A part gives the verdict as the flow level has it, or the number of the next entry.
void Emitter::end_function(const Terminator& end) {
  invariant(role_.part || end.kind == Terminator::Kind::ret, "emission: nowhere to leave to");
  if (end.a.valid()) {
    const std::uint8_t next = in_register(end.a, r0);
    if (next != r0) op(Opcode::mov64_reg, r0, next);
  } else if (role_.part) {
    op(Opcode::mov64_imm, r0, 0, 0, static_cast<std::int32_t>(end.imm));
  } else {
    op(Opcode::mov64_imm, r0, 0, 0, returned(profile_, end.imm));
  }
  op(Opcode::exit);
}

void Emitter::instruction(const Instruction& instruction) {
  switch (instruction.op) {
    case Op::constant: {
      const std::uint8_t dst = target_of(instruction.dst);
      constant(dst, instruction.imm);
      store(instruction.dst, dst);
      return;
    }
    case Op::copy:
      store(instruction.dst, in_register(instruction.a, r0));
      return;
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::and_:
    case Op::or_:
    case Op::xor_:
    case Op::shl:
    case Op::shr:
      binary(instruction);
      return;
    case Op::swap16:
    case Op::swap32:
    case Op::swap64:
      swap(instruction);
      return;
    case Op::load:
      load(instruction);
      return;
    case Op::context:
      profile_.emit_context(*this, static_cast<flow::ContextKey>(instruction.imm));
      store(instruction.dst, r0);
      return;
    case Op::opaque_zero: {
      map_value(r0, instruction.map);
      const std::uint8_t dst = target_of(instruction.dst);
      op(Opcode::ldx64, dst, r0, 0);
      store(instruction.dst, dst);
      return;
    }
    case Op::lookup:
      lookup(instruction);
      return;
    case Op::insert:
      insert(instruction);
      return;
    case Op::erase:
      erase(instruction);
      return;
    case Op::sweep:
      sweep(instruction);
      return;
    case Op::map_value: {
      const std::uint8_t dst = target_of(instruction.dst);
      map_value(dst, instruction.map, static_cast<std::uint32_t>(instruction.imm));
      store(instruction.dst, dst);
      return;
    }
    case Op::count:
      count(instruction);
      return;
    case Op::trace:
      trace(instruction);
      return;
    case Op::clock:
    case Op::coarse_clock:
      call_helper(static_cast<std::int32_t>(instruction.op == Op::clock || !profile_.coarse_clock
                                                ? isa::Helper::ktime_get_ns
                                                : isa::Helper::ktime_get_coarse_ns));
      store(instruction.dst, r0);
      return;
    case Op::record:
      return record(instruction);
    case Op::answer:
      return answer(instruction);
    case Op::random:
      call_helper(static_cast<std::int32_t>(isa::Helper::get_prandom_u32));
      store(instruction.dst, r0);
      return;
    case Op::word: {
      const std::uint8_t dst = target_of(instruction.dst);
      map_value(r0, instruction.map, static_cast<std::uint32_t>(instruction.imm));
      op(Opcode::ldx64, dst, r0, 0);
      store(instruction.dst, dst);
      return;
    }
    case Op::exchange:
    case Op::fetch_add:
      shared_word(instruction);
      return;
    case Op::word_at:
    case Op::exchange_at:
    case Op::fetch_add_at:
    case Op::put_at:
      word_at(instruction);
      return;
    case Op::set_mark:
      set_member(instruction, mark_offset);
      return;
    case Op::set_priority:
      set_member(instruction, priority_offset);
      return;
    case Op::set_pkttype:
      set_pkttype(instruction);
      return;
    case Op::forward:
    case Op::duplicate:
      send(instruction);
      return;
    case Op::store:
      store_packet(instruction);
      return;
    case Op::add_to_sum:
    case Op::add_to_pseudo_sum:
    case Op::add_to_tcp_sum:
      add_to_sum(instruction);
      return;
    case Op::entered:
      store(instruction.dst, 3);
      return;
    case Op::recall: {
      const std::uint8_t dst = target_of(instruction.dst);
      op(load_of(instruction.size), dst, state_register,
         static_cast<std::int16_t>(instruction.imm));
      store(instruction.dst, dst);
      return;
    }
    case Op::keep:
      op(store_of(instruction.size), state_register, in_register(instruction.a, r0),
         static_cast<std::int16_t>(instruction.imm));
      return;
    case Op::site:
      throw InvariantError("emission: a site in a function that is not split");
  }
  throw InvariantError("operation out of range");
}

void Emitter::binary(const Instruction& instruction) {
  Reg a = instruction.a;
  Reg b = instruction.b;
  std::uint8_t dst = target_of(instruction.dst);
  const auto lives_in_dst = [&](Reg reg) {
    return where(reg).in_register && where(reg).reg == dst;
  };
  if (b.valid() && lives_in_dst(b) && !lives_in_dst(a)) {
    if (commutes(instruction.op)) {
      std::swap(a, b);
    } else {
      dst = r0;
    }
  }
  const auto bits = [&](Reg reg) { return width_[reg.index()]; };
  const bool small_b = b.valid() ? bits(b) <= 32 : instruction.imm <= max32;
  const bool arithmetic = instruction.op == Op::add || instruction.op == Op::sub ||
                          instruction.op == Op::mul || instruction.op == Op::div ||
                          instruction.op == Op::shl ||
                          (instruction.op == Op::shr && (b.valid() || instruction.imm >= 32));
  // 32-bit forms clear the upper half, which is zero anyway, and take any 32-bit constant.
  const bool narrow = !arithmetic && small_b && (bits(a) <= 32 || instruction.op == Op::and_);
  const auto form = [&](Opcode imm_form) { return narrow ? isa::narrow(imm_form) : imm_form; };

  if (!lives_in_dst(a)) {
    const Location& from = where(a);
    if (from.in_register) {
      op(Opcode::mov64_reg, dst, from.reg);
    } else {
      op(Opcode::ldx64, dst, frame_pointer, from.slot);
    }
  }
  const Opcode code = alu(instruction.op);
  if (b.valid()) {
    const std::uint8_t right = in_register(b, r1);
    op(form(isa::reg_form(code)), dst, right);
  } else if (narrow || fits_signed32(instruction.imm)) {
    op(form(code), dst, 0, 0, static_cast<std::int32_t>(instruction.imm));
  } else {
    constant(r1, instruction.imm);
    op(isa::reg_form(code), dst, r1);
  }
  store(instruction.dst, dst);
}

void Emitter::swap(const Instruction& instruction) {
  const std::uint8_t dst = target_of(instruction.dst);
  const Location& from = where(instruction.a);
  if (!from.in_register) {
    op(Opcode::ldx64, dst, frame_pointer, from.slot);
  } else if (from.reg != dst) {
    op(Opcode::mov64_reg, dst, from.reg);
  }
  op(instruction.op == Op::swap16   ? Opcode::be16
     : instruction.op == Op::swap32 ? Opcode::be32
                                    : Opcode::be64,
     dst);
  store(instruction.dst, dst);
}

void Emitter::load(const Instruction& instruction) {
  const bool on_stack = profile_.window_buffer && !profile_.window_dynptr;
  if (on_stack && instruction.imm % instruction.size != 0) return load_in_pieces(instruction);
  const std::uint8_t base = in_register(instruction.a, r1);
  const std::uint8_t dst = target_of(instruction.dst);
  op(load_of(instruction.size), dst, base, static_cast<std::int16_t>(instruction.imm));
  store(instruction.dst, dst);
}

// By aligned loads: the verifier takes no others from the stack, where windows have their buffer
// (check_ptr_alignment() in kernel/bpf/verifier.c).
void Emitter::load_in_pieces(const Instruction& instruction) {
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  for (std::uint32_t done = 0; done < instruction.size;) {
    const std::uint64_t at = instruction.imm + done;
    std::uint32_t piece = 1;
    while (piece * 2 <= instruction.size - done && at % (piece * 2) == 0) piece *= 2;
    const std::uint8_t base = in_register(instruction.a, r1);
    op(load_of(static_cast<std::uint8_t>(piece)), r1, base, static_cast<std::int16_t>(at));
    if (done != 0) op(Opcode::lsh64_imm, r1, 0, 0, static_cast<std::int32_t>(8 * done));
    op(Opcode::or64_reg, r0, r1);
    done += piece;
  }
  store(instruction.dst, r0);
}

void Emitter::trace(const Instruction& instruction) {
  const Label full = label();
  constexpr std::uint8_t entry = 3;
  if (instruction.b.valid()) {
    const std::uint8_t rule = in_register(instruction.b, entry);
    if (rule != entry) op(Opcode::mov64_reg, entry, rule);
  }
  map_value(r1, instruction.map);
  op(Opcode::ldx32, r0, r1, 0);
  jump_imm(Opcode::jge64_imm, r0, trace_capacity, full);
  op(Opcode::mov64_reg, r2, r0);
  op(Opcode::lsh64_imm, r2, 0, 0, 2);
  op(Opcode::add64_reg, r2, r1);
  if (instruction.b.valid()) {
    op(Opcode::stx32, r2, entry, 4);
  } else {
    op(Opcode::st32, r2, 0, 4, static_cast<std::int32_t>(instruction.imm));
  }
  op(Opcode::add64_imm, r0, 0, 0, 1);
  op(Opcode::stx32, r1, r0, 0);
  bind(full);
}

void Emitter::branch(const Terminator& end, std::optional<flow::BlockId> next) {
  Condition condition = end.condition;
  flow::BlockId yes = end.yes;
  flow::BlockId no = end.no;
  if (yes == next && opposite(condition)) {
    condition = *opposite(condition);
    std::swap(yes, no);
  }
  const Opcode code = comparison(condition);
  const std::uint8_t a = in_register(end.a, r0);
  if (end.b.valid()) {
    jump_reg(isa::reg_form(code), a, in_register(end.b, r1), label(yes));
  } else if (width_[end.a.index()] <= 32 && end.imm <= max32) {
    jump_imm(isa::narrow(code), a, static_cast<std::int32_t>(end.imm), label(yes));
  } else if (fits_signed32(end.imm)) {
    jump_imm(code, a, static_cast<std::int32_t>(end.imm), label(yes));
  } else {
    constant(r1, end.imm);
    jump_reg(isa::reg_form(code), a, r1, label(yes));
  }
  if (no != next) jump(label(no));
}

void Emitter::window(const Terminator& end) {
  invariant(end.imm <= 0x7fffffff && end.imm2 > 0 && end.imm2 <= 64, "emission: window too large");
  buffer_ =
      static_cast<std::int16_t>(buffers_ + allocation_.buffers[end.dst.index()] * buffer_size_);
  PacketWindow window{.width = static_cast<std::uint32_t>(end.imm2),
                      .absent = end.no,
                      .offset = {},
                      .wanted = target_of(end.dst),
                      .base = {},
                      .number = static_cast<std::uint32_t>(end.imm)};
  if (!end.a.valid()) window.offset = window.number;
  if (profile_.splits_offsets && end.a.valid() && width_[end.a.index()] < 14 && end.imm < 1 << 14) {
    window.base = in_register(end.a, r1);
    store(end.dst, profile_.emit_window(*this, window));
    return;
  }
  op(Opcode::mov64_imm, r1, 0, 0, static_cast<std::int32_t>(end.imm));
  // A number added to a constant, not the other way round: the verifier ties the sum of a register
  // and a constant to the register (BPF_ADD_CONST in kernel/bpf/verifier.c), and what the window
  // tells of the sum would split the paths behind it by the range of the base.
  if (end.a.valid()) op(Opcode::add64_reg, r1, in_register(end.a, r0));
  store(end.dst, profile_.emit_window(*this, window));
}

}  // namespace weir::backend
