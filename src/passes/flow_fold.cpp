// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_fold.h"

#include <bit>
#include <optional>
#include <unordered_map>

namespace weir::passes {

using flow::Block;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

constexpr std::uint64_t all_bits = ~std::uint64_t{0};

// The lowest 2^n - 1 that is no less than value: bits that a number up to `value` can have.
std::uint64_t mask_of(std::uint64_t value) {
  return value == 0 ? 0 : all_bits >> static_cast<unsigned>(std::countl_zero(value));
}

std::uint64_t bytes_mask(unsigned bytes) {
  return bytes >= 8 ? all_bits : (1ULL << 8 * bytes) - 1;
}

std::uint64_t swapped(std::uint64_t value, unsigned bytes) {
  std::uint64_t out = 0;
  for (unsigned i = 0; i < bytes; ++i) out = out << 8U | (value >> 8 * i & 0xff);
  return out;
}

std::optional<std::uint64_t> compute(Op op, std::uint64_t a, std::uint64_t b) {
  switch (op) {
    case Op::copy:
      return a;
    case Op::add:
      return a + b;
    case Op::sub:
      return a - b;
    case Op::mul:
      return a * b;
    case Op::div:
      return b == 0 ? 0 : a / b;
    case Op::and_:
      return a & b;
    case Op::or_:
      return a | b;
    case Op::xor_:
      return a ^ b;
    case Op::shl:
      return b < 64 ? std::optional(a << b) : std::nullopt;
    case Op::shr:
      return b < 64 ? std::optional(a >> b) : std::nullopt;
    case Op::swap16:
      return swapped(a, 2);
    case Op::swap32:
      return swapped(a, 4);
    case Op::swap64:
      return swapped(a, 8);
    case Op::constant:
    case Op::load:
    case Op::context:
    case Op::opaque_zero:
    case Op::clock:
    case Op::coarse_clock:
    case Op::random:
    case Op::word:
    case Op::exchange:
    case Op::fetch_add:
    case Op::word_at:
    case Op::exchange_at:
    case Op::fetch_add_at:
    case Op::put_at:
    case Op::insert:
    case Op::erase:
    case Op::sweep:
    case Op::lookup:
    case Op::map_value:
    case Op::count:
    case Op::record:
    case Op::answer:
    case Op::trace:
    case Op::set_mark:
    case Op::set_priority:
    case Op::set_pkttype:
    case Op::forward:
    case Op::duplicate:
    case Op::store:
    case Op::add_to_sum:
    case Op::add_to_pseudo_sum:
    case Op::add_to_tcp_sum:
    case Op::site:
    case Op::entered:
    case Op::recall:
    case Op::keep:
      return std::nullopt;
  }
  throw InvariantError("no such operation");
}

// Whether the operation with `imm` gives back a, whose set bits are all in `bits`.
bool changes_nothing(Op op, std::uint64_t imm, std::uint64_t bits) {
  switch (op) {
    case Op::add:
    case Op::sub:
    case Op::or_:
    case Op::xor_:
    case Op::shl:
    case Op::shr:
      return imm == 0;
    case Op::mul:
    case Op::div:
      return imm == 1;
    case Op::and_:
      return (bits & ~imm) == 0;
    case Op::constant:
    case Op::copy:
    case Op::swap16:
    case Op::swap32:
    case Op::swap64:
    case Op::load:
    case Op::context:
    case Op::opaque_zero:
    case Op::clock:
    case Op::coarse_clock:
    case Op::random:
    case Op::word:
    case Op::exchange:
    case Op::fetch_add:
    case Op::word_at:
    case Op::exchange_at:
    case Op::fetch_add_at:
    case Op::put_at:
    case Op::insert:
    case Op::erase:
    case Op::sweep:
    case Op::lookup:
    case Op::map_value:
    case Op::count:
    case Op::record:
    case Op::answer:
    case Op::trace:
    case Op::set_mark:
    case Op::set_priority:
    case Op::set_pkttype:
    case Op::forward:
    case Op::duplicate:
    case Op::store:
    case Op::add_to_sum:
    case Op::add_to_pseudo_sum:
    case Op::add_to_tcp_sum:
    case Op::site:
    case Op::entered:
    case Op::recall:
    case Op::keep:
      return false;
  }
  throw InvariantError("no such operation");
}

bool takes_two(Op op) {
  return flow::shape(op) == "dab";
}

class Folder {
 public:
  explicit Folder(Block& block) : block_(block) {}

  void run() {
    for (Instruction& i : block_.instructions) {
      replace_operands(i);
      if (!is_guard(i)) simplify(i);
      learn(i);
    }
    Terminator& end = block_.end;
    replace(end.a);
    replace(end.b);
    if (end.kind == Terminator::Kind::branch && end.b.valid()) make_immediate(end.b, end.imm);
  }

 private:
  // What is known about a register.
  struct Fact {
    std::optional<std::uint64_t> number;
    Reg copy_of;
    std::uint64_t bits = all_bits;  // no bit outside of these is set
  };

  // Whether the result is there to be compared with zero while the kernel's verifier learns
  // nothing about the operand.
  [[nodiscard]] bool is_guard(const Instruction& i) const {
    const Terminator& end = block_.end;
    return i.op == Op::xor_ && !i.b.valid() && end.kind == Terminator::Kind::branch &&
           end.a == i.dst && !number_of(i.a);
  }

  void replace_operands(Instruction& i) {
    replace(i.a);
    replace(i.b);
    for (Reg& r : i.args) replace(r);
    if (!takes_two(i.op) || !i.b.valid()) return;
    const bool commutes = i.op == Op::add || i.op == Op::mul || i.op == Op::and_ ||
                          i.op == Op::or_ || i.op == Op::xor_;
    if (commutes && number_of(i.a) && !number_of(i.b)) std::swap(i.a, i.b);
    const bool shifts = i.op == Op::shl || i.op == Op::shr;
    if (!shifts || number_of(i.b).value_or(0) < 64) make_immediate(i.b, i.imm);
  }

  void simplify(Instruction& i) {
    if (!i.a.valid() || (takes_two(i.op) && i.b.valid())) return;
    const auto a = number_of(i.a);
    if (const auto result = a ? compute(i.op, *a, i.imm) : std::nullopt) {
      i = {.op = Op::constant, .dst = i.dst, .imm = *result};
    } else if (i.op == Op::and_ && (bits_of(i.a) & i.imm) == 0) {
      i = {.op = Op::constant, .dst = i.dst, .imm = 0};
    } else if (changes_nothing(i.op, i.imm, bits_of(i.a))) {
      i = {.op = Op::copy, .dst = i.dst, .a = i.a};
    }
  }

  void learn(const Instruction& i) {
    if (!i.dst.valid()) return;
    Fact fact{.number = std::nullopt, .copy_of = {}, .bits = result_bits(i)};
    if (i.op == Op::constant) fact.number = i.imm;
    if (i.op == Op::copy && i.a != i.dst) fact.copy_of = i.a;
    forget(i.dst);
    facts_[i.dst] = fact;
    if (fact.copy_of.valid()) copies_[fact.copy_of].push_back(i.dst);
  }

  void forget(Reg r) {
    facts_.erase(r);
    const auto copies = copies_.find(r);
    if (copies == copies_.end()) return;
    for (const Reg copy : copies->second) {
      const auto fact = facts_.find(copy);
      if (fact != facts_.end() && fact->second.copy_of == r) fact->second.copy_of = {};
    }
    copies_.erase(copies);
  }

  [[nodiscard]] std::uint64_t result_bits(const Instruction& i) const {
    switch (i.op) {
      case Op::constant:
        return i.imm;
      case Op::copy:
        return bits_of(i.a);
      case Op::and_:
        return bits_of(i.a) & (i.b.valid() ? bits_of(i.b) : i.imm);
      case Op::or_:
      case Op::xor_:
        return bits_of(i.a) | (i.b.valid() ? bits_of(i.b) : i.imm);
      case Op::shl:
        return i.b.valid() ? all_bits : bits_of(i.a) << i.imm;
      case Op::shr:
        return i.b.valid() ? mask_of(bits_of(i.a)) : bits_of(i.a) >> i.imm;
      case Op::swap16:
        return bytes_mask(2);
      case Op::swap32:
      case Op::random:
        return bytes_mask(4);
      case Op::load:
        return bytes_mask(i.size);
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
      case Op::swap64:
      case Op::context:
      case Op::opaque_zero:
      case Op::clock:
      case Op::coarse_clock:
      case Op::word:
      case Op::exchange:
      case Op::fetch_add:
      case Op::word_at:
      case Op::exchange_at:
      case Op::fetch_add_at:
      case Op::put_at:
      case Op::insert:
      case Op::erase:
      case Op::sweep:
      case Op::lookup:
      case Op::map_value:
      case Op::count:
      case Op::record:
      case Op::answer:
      case Op::trace:
      case Op::set_mark:
      case Op::set_priority:
      case Op::set_pkttype:
      case Op::forward:
      case Op::duplicate:
      case Op::store:
      case Op::add_to_sum:
      case Op::add_to_pseudo_sum:
      case Op::add_to_tcp_sum:
      case Op::site:
      case Op::entered:
      case Op::recall:
      case Op::keep:
        return all_bits;
    }
    throw InvariantError("no such operation");
  }

  [[nodiscard]] std::optional<std::uint64_t> number_of(Reg r) const {
    const auto fact = facts_.find(r);
    return fact == facts_.end() ? std::nullopt : fact->second.number;
  }
  [[nodiscard]] std::uint64_t bits_of(Reg r) const {
    const auto fact = facts_.find(r);
    return fact == facts_.end() ? all_bits : fact->second.bits;
  }

  void replace(Reg& r) const {
    const auto fact = facts_.find(r);
    if (fact != facts_.end() && fact->second.copy_of.valid()) r = fact->second.copy_of;
  }
  void make_immediate(Reg& b, std::uint64_t& imm) const {
    const auto number = number_of(b);
    if (!number) return;
    imm = *number;
    b = {};
  }

  Block& block_;
  std::unordered_map<Reg, Fact> facts_;
  std::unordered_map<Reg, std::vector<Reg>> copies_;  // of each register, some of them outdated
};

}  // namespace

void flow_fold(flow::Function& function) {
  for (Block& block : function.blocks) Folder(block).run();
}

}  // namespace weir::passes
