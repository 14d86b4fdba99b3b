// SPDX-License-Identifier: BSD-2-Clause
#include "backend/builder.h"

#include <utility>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

void Builder::append(Instruction instruction) {
  invariant(current_.valid(), "builder: no current block");
  function_[current_].instructions.push_back(std::move(instruction));
}

Reg Builder::constant(std::uint64_t value) {
  const Reg dst = function_.new_register();
  assign_constant(dst, value);
  return dst;
}

void Builder::assign_constant(Reg dst, std::uint64_t value) {
  append({.op = Op::constant, .dst = dst, .imm = value});
}

Reg Builder::unary(Op op, Reg a) {
  const Reg dst = function_.new_register();
  append({.op = op, .dst = dst, .a = a});
  return dst;
}

Reg Builder::binary(Op op, Reg a, Reg b) {
  const Reg dst = function_.new_register();
  append({.op = op, .dst = dst, .a = a, .b = b});
  return dst;
}

Reg Builder::binary(Op op, Reg a, std::uint64_t imm) {
  const Reg dst = function_.new_register();
  assign(dst, op, a, imm);
  return dst;
}

void Builder::assign(Reg dst, Op op, Reg a, std::uint64_t imm) {
  append({.op = op, .dst = dst, .a = a, .imm = imm});
}

void Builder::assign_opaque(Reg dst, Reg zero, std::uint64_t imm) {
  append({.op = Op::swap64, .dst = dst, .a = zero});
  if (imm != 0) assign(dst, Op::add, dst, imm);
}

void Builder::assign_absent(Reg dst, Reg zero, std::uint8_t size) {
  switch (size) {
    case 1:
      return assign(dst, Op::and_, zero, 0xff);
    case 2:
      return append({.op = Op::swap16, .dst = dst, .a = zero});
    case 4:
      return append({.op = Op::swap32, .dst = dst, .a = zero});
    default:
      return assign_opaque(dst, zero);
  }
}

void Builder::accumulate(Reg dst, Op op, Reg b) {
  append({.op = op, .dst = dst, .a = dst, .b = b});
}

void Builder::assign_copy(Reg dst, Reg a) {
  append({.op = Op::copy, .dst = dst, .a = a});
}

Reg Builder::load(Reg base, std::uint64_t offset, std::uint8_t size) {
  const Reg dst = function_.new_register();
  assign_load(dst, base, offset, size);
  return dst;
}

void Builder::assign_load(Reg dst, Reg base, std::uint64_t offset, std::uint8_t size) {
  append({.op = Op::load, .dst = dst, .a = base, .imm = offset, .size = size});
}

Reg Builder::context(flow::ContextKey key) {
  const Reg dst = function_.new_register();
  append({.op = Op::context, .dst = dst, .imm = static_cast<std::uint64_t>(key)});
  return dst;
}

Reg Builder::map_value(isa::MapIndex map, std::uint64_t offset) {
  const Reg dst = function_.new_register();
  append({.op = Op::map_value, .dst = dst, .imm = offset, .map = map});
  return dst;
}

Reg Builder::lookup(isa::MapIndex map, std::uint8_t key_size, std::vector<Reg> chunks) {
  const Reg dst = function_.new_register();
  append(
      {.op = Op::lookup, .dst = dst, .key_size = key_size, .map = map, .args = std::move(chunks)});
  return dst;
}

void Builder::jump(BlockId target) {
  function_[current_].end = {.kind = Terminator::Kind::jump, .yes = target};
  current_ = {};
}

void Builder::branch(Condition condition, Reg a, std::uint64_t imm, BlockId yes, BlockId no) {
  function_[current_].end = {.kind = Terminator::Kind::branch,
                             .condition = condition,
                             .a = a,
                             .imm = imm,
                             .yes = yes,
                             .no = no};
  current_ = {};
}

void Builder::branch(Condition condition, Reg a, Reg b, BlockId yes, BlockId no) {
  const BlockId from = current_;
  branch(condition, a, 0, yes, no);
  function_[from].end.b = b;
}

void Builder::dispatch(Reg a, std::vector<flow::Site> sites) {
  function_[current_].end = {.kind = Terminator::Kind::dispatch, .a = a, .sites = std::move(sites)};
}

void Builder::ret(bool accept) {
  ret(accept ? flow::Verdict::accept : flow::Verdict::drop);
}

void Builder::ret(flow::Verdict verdict) {
  function_[current_].end = {.kind = Terminator::Kind::ret,
                             .imm = static_cast<std::uint64_t>(verdict)};
  current_ = {};
}

void Builder::leave_if(Condition condition, Reg a, std::uint64_t imm, BlockId elsewhere) {
  const BlockId on = block();
  branch(condition, a, imm, elsewhere, on);
  at(on);
}

Reg Builder::window(Reg base, std::uint64_t offset, std::uint64_t width, BlockId absent) {
  const Reg dst = function_.new_register();
  const BlockId on = block();
  function_[current_].end = {.kind = Terminator::Kind::window,
                             .dst = dst,
                             .a = base,
                             .imm = offset,
                             .imm2 = width,
                             .yes = on,
                             .no = absent};
  at(on);
  return dst;
}

}  // namespace weir::backend
