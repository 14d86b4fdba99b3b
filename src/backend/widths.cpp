// SPDX-License-Identifier: BSD-2-Clause
//
// How wide values are: shorter ones take shorter instructions, and less room in the state of a
// split function.
#include <algorithm>
#include <bit>

#include "backend/allocate.h"

namespace weir::backend {

using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

std::vector<std::uint8_t> find_widths(const flow::Function& function,
                                      const std::vector<flow::BlockId>& order) {
  const auto bits = [](std::uint64_t value) {
    return static_cast<std::uint8_t>(std::bit_width(value));
  };
  std::vector<std::uint8_t> width(function.registers, 0);
  // Values grow round by round only in loops, where they soon count as unknown.
  constexpr unsigned rounds = 4;
  bool changed = true;
  for (unsigned round = 0; changed; ++round) {
    changed = false;
    const auto put = [&](Reg reg, unsigned bits_set) {
      std::uint8_t& old = width[reg.index()];
      const auto now = static_cast<std::uint8_t>(std::min(bits_set, 64U));
      if (now <= old) return;
      old = round < rounds ? now : 64;
      changed = true;
    };
    for (const flow::BlockId id : order) {
      for (const Instruction& i : function[id].instructions) {
        const unsigned a = i.a.valid() ? width[i.a.index()] : 0;
        const unsigned b = i.b.valid() ? width[i.b.index()] : bits(i.imm);
        switch (i.op) {
          case Op::constant:
            put(i.dst, bits(i.imm));
            break;
          case Op::copy:
          case Op::div:
            put(i.dst, a);
            break;
          case Op::and_:
            put(i.dst, std::min(a, b));
            break;
          case Op::or_:
          case Op::xor_:
            put(i.dst, std::max(a, b));
            break;
          case Op::shl:
            put(i.dst, i.b.valid() ? 64 : a + static_cast<unsigned>(i.imm));
            break;
          case Op::shr:
            put(i.dst, i.b.valid() ? a : a - std::min<unsigned>(a, static_cast<unsigned>(i.imm)));
            break;
          case Op::swap16:
            put(i.dst, 16);
            break;
          case Op::swap32:
            put(i.dst, 32);
            break;
          case Op::load:
            put(i.dst, 8U * i.size);
            break;
          case Op::context:
            put(i.dst, flow::width_of(static_cast<flow::ContextKey>(i.imm)));
            break;
          case Op::add:
            put(i.dst, std::max(a, b) + 1);
            break;
          case Op::sub:
          case Op::mul:
          case Op::swap64:
          case Op::opaque_zero:
          case Op::clock:
          case Op::coarse_clock:
          case Op::word:
          case Op::exchange:
          case Op::fetch_add:
          case Op::word_at:
          case Op::exchange_at:
          case Op::fetch_add_at:
          case Op::insert:
          case Op::lookup:
          case Op::map_value:
          case Op::answer:
            put(i.dst, 64);
            break;
          case Op::random:
          case Op::site:
          case Op::entered:
            put(i.dst, 32);
            break;
          case Op::recall:
            put(i.dst, 8U * i.size);
            break;
          case Op::count:
          case Op::record:
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
          case Op::keep:
          case Op::put_at:
          case Op::erase:
          case Op::sweep:
            break;
        }
      }
      if (function[id].end.kind == Terminator::Kind::window) put(function[id].end.dst, 64);
    }
  }
  return width;
}

}  // namespace weir::backend
