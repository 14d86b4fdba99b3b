// SPDX-License-Identifier: BSD-2-Clause
#include "backend/allocate.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "flow/equality_test.h"

namespace weir::backend {

using flow::BlockId;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

bool clobbers(const Instruction& instruction) {
  switch (instruction.op) {
    case Op::context:
    case Op::lookup:
    case Op::count:
    case Op::clock:
    case Op::coarse_clock:
    case Op::random:
    case Op::exchange:
    case Op::fetch_add:
    case Op::exchange_at:
    case Op::fetch_add_at:
    case Op::insert:
    case Op::erase:
    case Op::sweep:
    case Op::set_mark:
    case Op::set_priority:
    case Op::set_pkttype:
    case Op::forward:
    case Op::duplicate:
    case Op::store:
    case Op::add_to_sum:
    case Op::add_to_pseudo_sum:
    case Op::add_to_tcp_sum:
    case Op::record:
    case Op::answer:
    case Op::trace:
      return true;
    default:
      return false;
  }
}

bool clobbers(const Terminator& end) {
  return end.kind == Terminator::Kind::window;
}

namespace {

// Whether the block ends with a rule's test of a value for one number, and the value has so many
// that packets seldom have this one: not a protocol, but an address or a port. Jumps that are
// taken cost packets more than those that are not.
bool seldom_matches(const flow::Block& block) {
  const auto test = flow::equality_test(block);
  return block.rule >= 0 && test && test->number > 0xff && test->different == block.end.yes;
}

}  // namespace

std::vector<BlockId> layout(const flow::Function& function) {
  return layout(function, [&](BlockId block) {
    const Terminator& end = function[block].end;
    std::vector<BlockId> ways = flow::successors(end);
    // A branch leaves to its `yes` side on a mismatch (leave_if), a window to its `no` side.
    if (end.kind == Terminator::Kind::branch && !seldom_matches(function[block])) {
      std::ranges::reverse(ways);
    }
    return ways;
  });
}

std::vector<BlockId> layout(const flow::Function& function,
                            const std::function<std::vector<BlockId>(BlockId)>& ways) {
  enum class Mark : std::uint8_t { fresh, open, done };
  std::vector<Mark> marks(function.blocks.size(), Mark::fresh);
  std::vector<BlockId> order;
  std::vector<BlockId> stack = {BlockId(0)};
  while (!stack.empty()) {
    const BlockId block = stack.back();
    Mark& mark = marks[block.index()];
    if (mark != Mark::fresh) {
      if (mark == Mark::open) order.push_back(block);
      mark = Mark::done;
      stack.pop_back();
      continue;
    }
    mark = Mark::open;
    // The list is reversed below: what is finished last comes right behind this block. So of the
    // two ways the one to fall through to is walked last, that is, pushed first.
    for (const BlockId way : ways(block)) {
      if (marks[way.index()] == Mark::fresh) stack.push_back(way);
    }
  }
  std::ranges::reverse(order);
  return order;
}

namespace {

constexpr std::uint32_t nowhere = 0xffffffff;

// The positions over which a value must be kept. Instruction i reads at 2i and writes at 2i + 1.
struct Interval {
  std::uint32_t from = nowhere;
  std::uint32_t to = 0;
  void cover(std::uint32_t position) {
    from = std::min(from, position);
    to = std::max(to, position);
  }
  [[nodiscard]] bool empty() const { return from == nowhere; }
  [[nodiscard]] std::uint32_t length() const { return to - from; }
};

// Intervals that one register or slot holds, none of which overlap.
class Track {
 public:
  [[nodiscard]] bool fits(const Interval& interval) const {
    auto next = taken_.lower_bound(interval.from);
    if (next != taken_.end() && next->first < interval.to) return false;
    if (next == taken_.begin()) return true;
    return std::prev(next)->second <= interval.from;
  }
  void take(const Interval& interval) { taken_.emplace(interval.from, interval.to); }

 private:
  std::map<std::uint32_t, std::uint32_t> taken_;  // from, to
};

class Allocator {
 public:
  Allocator(const flow::Function& function, std::int16_t first_slot, bool reserve_r9)
      : function_(function),
        first_slot_(first_slot),
        reserve_r9_(reserve_r9),
        intervals_(function.registers),
        uses_(function.registers, 0),
        crossing_(function.registers, false) {}

  Allocation run() {
    result_.order = layout(function_);
    result_.locations.resize(function_.registers);
    result_.buffers.resize(function_.registers, 0);
    find_global_registers();
    find_live_blocks();
    find_intervals();
    assign();
    assign_buffers();
    return std::move(result_);
  }

 private:
  using Bits = std::vector<std::uint64_t>;

  // Only registers that occur in several blocks can live from one into another.
  void find_global_registers();
  void find_live_blocks();
  void find_intervals();
  void assign();
  void assign_buffers();

  [[nodiscard]] static bool test(const Bits& bits, std::size_t i) {
    return (bits[i / 64] >> (i % 64) & 1) != 0;
  }
  static void set(Bits& bits, std::size_t i) { bits[i / 64] |= std::uint64_t{1} << (i % 64); }
  static void clear(Bits& bits, std::size_t i) { bits[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }

  const flow::Function& function_;
  std::int16_t first_slot_;
  bool reserve_r9_;
  std::vector<Interval> intervals_;
  std::vector<std::uint32_t> uses_;
  std::vector<bool> crossing_;
  std::vector<std::uint32_t> global_index_;  // by register; nowhere: local to one block
  std::vector<Reg> globals_;
  std::vector<Bits> live_out_;  // by block, over globals_
  Allocation result_;
};

Reg destination(const Terminator& end) {
  return end.kind == Terminator::Kind::window ? end.dst : Reg{};
}

void Allocator::find_global_registers() {
  std::vector<std::uint32_t> home(function_.registers, nowhere);
  global_index_.assign(function_.registers, nowhere);
  for (const BlockId id : result_.order) {
    const auto see = [&](Reg reg) {
      if (!reg.valid()) return;
      ++uses_[reg.index()];
      std::uint32_t& block = home[reg.index()];
      if (block == nowhere) block = id.value;
      if (block != id.value && global_index_[reg.index()] == nowhere) {
        global_index_[reg.index()] = static_cast<std::uint32_t>(globals_.size());
        globals_.push_back(reg);
      }
    };
    for (const Instruction& instruction : function_[id].instructions) {
      for (const Reg reg : flow::uses(instruction)) see(reg);
      see(instruction.dst);
    }
    for (const Reg reg : flow::uses(function_[id].end)) see(reg);
    see(destination(function_[id].end));
  }
}

void Allocator::find_live_blocks() {
  const std::size_t words = (globals_.size() + 63) / 64;
  std::vector<Bits> needs(function_.blocks.size(), Bits(words, 0));
  std::vector<Bits> writes(function_.blocks.size(), Bits(words, 0));
  live_out_.assign(function_.blocks.size(), Bits(words, 0));
  for (const BlockId id : result_.order) {
    Bits& need = needs[id.index()];
    Bits& written = writes[id.index()];
    const auto read = [&](Reg reg) {
      const std::uint32_t global = global_index_[reg.index()];
      if (global != nowhere && !test(written, global)) set(need, global);
    };
    const auto write = [&](Reg reg) {
      if (reg.valid() && global_index_[reg.index()] != nowhere) {
        set(written, global_index_[reg.index()]);
      }
    };
    for (const Instruction& instruction : function_[id].instructions) {
      for (const Reg reg : flow::uses(instruction)) read(reg);
      write(instruction.dst);
    }
    for (const Reg reg : flow::uses(function_[id].end)) read(reg);
    write(destination(function_[id].end));
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = result_.order.rbegin(); it != result_.order.rend(); ++it) {
      Bits& out = live_out_[it->index()];
      for (const BlockId next : flow::successors(function_[*it].end)) {
        for (std::size_t w = 0; w < words; ++w) {
          const std::uint64_t in =
              needs[next.index()][w] | (live_out_[next.index()][w] & ~writes[next.index()][w]);
          changed = changed || (in & ~out[w]) != 0;
          out[w] |= in;
        }
      }
    }
  }
}

void Allocator::find_intervals() {
  std::uint32_t position = 0;
  for (const BlockId id : result_.order) {
    const flow::Block& block = function_[id];
    const std::uint32_t begin = position;
    const auto end = static_cast<std::uint32_t>(begin + 2 * (block.instructions.size() + 1));
    Bits live = live_out_[id.index()];
    const auto cross = [&](Reg except) {
      for (std::size_t w = 0; w < live.size(); ++w) {
        for (std::uint64_t bits = live[w]; bits != 0; bits &= bits - 1) {
          const Reg reg = globals_[w * 64 + static_cast<unsigned>(std::countr_zero(bits))];
          if (reg != except) crossing_[reg.index()] = true;
        }
      }
    };
    const auto read = [&](Reg reg, std::uint32_t at) {
      intervals_[reg.index()].cover(at);
      if (global_index_[reg.index()] != nowhere) set(live, global_index_[reg.index()]);
    };
    const auto write = [&](Reg reg, std::uint32_t at) {
      if (!reg.valid()) return;
      intervals_[reg.index()].cover(at);
      if (global_index_[reg.index()] != nowhere) clear(live, global_index_[reg.index()]);
    };
    for (std::size_t g = 0; g < globals_.size(); ++g) {
      if (test(live, g)) intervals_[globals_[g].index()].cover(end);
    }
    if (clobbers(block.end)) cross(destination(block.end));
    write(destination(block.end), end - 1);
    for (const Reg reg : flow::uses(block.end)) read(reg, end - 2);
    for (std::size_t i = block.instructions.size(); i-- > 0;) {
      const Instruction& instruction = block.instructions[i];
      const auto at = static_cast<std::uint32_t>(begin + 2 * i);
      if (clobbers(instruction)) cross(instruction.dst);
      write(instruction.dst, at + 1);
      for (const Reg reg : flow::uses(instruction)) {
        // A counter adds its bytes behind the call.
        const bool behind = instruction.op == Op::count;
        read(reg, behind ? at + 1 : at);
        if (behind) crossing_[reg.index()] = true;
      }
    }
    for (std::size_t g = 0; g < globals_.size(); ++g) {
      if (test(live, g)) intervals_[globals_[g].index()].cover(begin);
    }
    // Values of this block alone cross a call when they are written before and read behind it.
    std::map<std::uint32_t, std::uint32_t> written;  // register, instruction
    std::uint32_t last_call = nowhere;
    const auto check = [&](Reg reg) {
      const auto found = written.find(reg.value);
      if (found != written.end() && last_call != nowhere && found->second < last_call) {
        crossing_[reg.index()] = true;
      }
    };
    for (std::uint32_t i = 0; i < block.instructions.size(); ++i) {
      const Instruction& instruction = block.instructions[i];
      for (const Reg reg : flow::uses(instruction)) check(reg);
      if (clobbers(instruction)) last_call = i;
      if (instruction.dst.valid()) written[instruction.dst.value] = i;
    }
    for (const Reg reg : flow::uses(block.end)) check(reg);
    position = end;
  }
}

void Allocator::assign() {
  // Values that live long leave r2 and r3 to the short-lived ones of every rule.
  constexpr std::uint32_t long_lived = 64;
  constexpr std::array<std::uint8_t, 4> across = {6, 7, 8, 9};
  constexpr std::array<std::uint8_t, 6> longer = {6, 7, 8, 9, 4, 5};
  constexpr std::array<std::uint8_t, 8> any = {2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<std::uint32_t> regs;
  for (std::uint32_t reg = 0; reg < function_.registers; ++reg) {
    if (!intervals_[reg].empty()) regs.push_back(reg);
  }
  std::ranges::stable_sort(regs, std::ranges::greater{},
                           [&](std::uint32_t reg) { return uses_[reg]; });
  std::array<Track, 10> machine;
  std::vector<Track> slots;
  for (const std::uint32_t reg : regs) {
    Interval interval = intervals_[reg];
    ++interval.to;  // a value that is never read still takes its place
    std::span<const std::uint8_t> choice = any;
    if (crossing_[reg]) {
      choice = across;
    } else if (interval.length() > long_lived) {
      choice = longer;
    }
    Location& location = result_.locations[reg];
    for (const std::uint8_t candidate : choice) {
      if (candidate == 9 && reserve_r9_) continue;
      if (!machine[candidate].fits(interval)) continue;
      machine[candidate].take(interval);
      location = {.in_register = true, .reg = candidate};
      break;
    }
    if (location.in_register) continue;
    std::size_t slot = 0;
    while (slot < slots.size() && !slots[slot].fits(interval)) ++slot;
    if (slot == slots.size()) slots.emplace_back();
    slots[slot].take(interval);
    location.slot = static_cast<std::int16_t>(first_slot_ - 8 * static_cast<int>(slot + 1));
  }
  result_.lowest = static_cast<std::int16_t>(first_slot_ - 8 * static_cast<int>(slots.size()));
}

void Allocator::assign_buffers() {
  std::vector<Track> buffers;
  for (const BlockId id : result_.order) {
    const Terminator& end = function_[id].end;
    if (end.kind != Terminator::Kind::window) continue;
    Interval interval = intervals_[end.dst.index()];
    ++interval.to;
    std::size_t buffer = 0;
    while (buffer < buffers.size() && !buffers[buffer].fits(interval)) ++buffer;
    if (buffer == buffers.size()) buffers.emplace_back();
    buffers[buffer].take(interval);
    result_.buffers[end.dst.index()] = static_cast<std::uint8_t>(buffer);
  }
  result_.buffer_count = static_cast<std::uint8_t>(buffers.size());
}

}  // namespace

Allocation allocate(const flow::Function& function, std::int16_t first_slot, bool reserve_r9) {
  return Allocator(function, first_slot, reserve_r9).run();
}

}  // namespace weir::backend
