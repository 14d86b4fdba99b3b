// SPDX-License-Identifier: BSD-2-Clause
#include "unit/passes/flow_machine.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/chance.h"

namespace weir::test {

using flow::Condition;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

// An address is a region and an offset into it. The packet is region 1; 0 is nowhere.
constexpr unsigned region_shift = 40;
constexpr int max_blocks = 100'000;
// What a register holds that nobody may read.
constexpr std::uint64_t poison = 0xdeadbeefdeadbeef;

class Machine {
 public:
  Machine(const flow::Function& function, const World& world, Outcome& outcome,
          Bytes* state = nullptr, std::uint64_t entered = 0)
      : function_(function),
        world_(world),
        values_(function.registers, poison),
        outcome_(outcome),
        state_(state),
        entered_(entered) {
    regions_.push_back({});
    regions_.push_back(outcome.packet.empty() ? world.packet : outcome.packet);
  }

  // The entry to go on at, or nothing when there is a verdict.
  std::optional<std::uint64_t> run() {
    flow::BlockId at(0);
    for (int i = 0; i < max_blocks; ++i) {
      const flow::Block& block = function_[at];
      for (const Instruction& instruction : block.instructions) step(instruction);
      const Terminator& end = block.end;
      if (end.kind == Terminator::Kind::ret) {
        outcome_.accepted = end.imm == 1;
        return std::nullopt;
      }
      if (end.kind == Terminator::Kind::leave) return second(end.a, end.imm);
      if (end.kind == Terminator::Kind::dispatch) {
        at = site(end);
      } else {
        at = leads_to_yes(end) ? end.yes : end.no;
      }
    }
    throw InvariantError("the function does not end");
  }

 private:
  std::uint64_t& reg(Reg r) { return values_.at(r.index()); }
  std::uint64_t second(Reg b, std::uint64_t imm) { return b.valid() ? reg(b) : imm; }

  bool leads_to_yes(const Terminator& end) {
    if (end.kind == Terminator::Kind::jump) return true;
    if (end.kind == Terminator::Kind::branch) {
      return holds(end.condition, reg(end.a), second(end.b, end.imm));
    }
    invariant(end.kind == Terminator::Kind::window, "a block without an end");
    const std::uint64_t offset = (end.a.valid() ? reg(end.a) : 0) + end.imm;
    const std::uint64_t length = world_.packet.size();
    const bool there = offset <= length && end.imm2 <= length - offset;
    reg(end.dst) = there ? (1ULL << region_shift) + offset : poison;
    return there;
  }

  flow::BlockId site(const Terminator& end) {
    const auto found = std::ranges::find(end.sites, reg(end.a), &flow::Site::number);
    invariant(found != end.sites.end(), "a dispatch to none of its sites");
    return found->block;
  }

  static bool holds(Condition condition, std::uint64_t a, std::uint64_t b) {
    switch (condition) {
      case Condition::eq:
        return a == b;
      case Condition::ne:
        return a != b;
      case Condition::lt:
        return a < b;
      case Condition::le:
        return a <= b;
      case Condition::gt:
        return a > b;
      case Condition::ge:
        return a >= b;
      case Condition::set:
        return (a & b) != 0;
    }
    throw InvariantError("no such condition");
  }

  // Nothing where the packet ends before.
  void put(std::uint64_t at, const Bytes& value, std::size_t size) {
    Bytes& packet = regions_.at(1);
    if (at > packet.size() || size > packet.size() - at) return;
    std::copy_n(value.begin(), size, packet.begin() + static_cast<std::ptrdiff_t>(at));
    outcome_.packet = packet;
  }

  void step(const Instruction& i) {
    switch (i.op) {
      case Op::constant:
        reg(i.dst) = i.imm;
        return;
      case Op::copy:
        reg(i.dst) = reg(i.a);
        return;
      case Op::add:
        reg(i.dst) = reg(i.a) + second(i.b, i.imm);
        return;
      case Op::sub:
        reg(i.dst) = reg(i.a) - second(i.b, i.imm);
        return;
      case Op::mul:
        reg(i.dst) = reg(i.a) * second(i.b, i.imm);
        return;
      case Op::div: {
        const std::uint64_t divisor = second(i.b, i.imm);
        reg(i.dst) = divisor == 0 ? 0 : reg(i.a) / divisor;
        return;
      }
      case Op::and_:
        reg(i.dst) = reg(i.a) & second(i.b, i.imm);
        return;
      case Op::or_:
        reg(i.dst) = reg(i.a) | second(i.b, i.imm);
        return;
      case Op::xor_:
        reg(i.dst) = reg(i.a) ^ second(i.b, i.imm);
        return;
      case Op::shl:
        reg(i.dst) = reg(i.a) << second(i.b, i.imm);
        return;
      case Op::shr:
        reg(i.dst) = reg(i.a) >> second(i.b, i.imm);
        return;
      case Op::swap16:
        reg(i.dst) = load_big_endian(native_bytes(reg(i.a), 2));
        return;
      case Op::swap32:
        reg(i.dst) = load_big_endian(native_bytes(reg(i.a), 4));
        return;
      case Op::swap64:
        reg(i.dst) = load_big_endian(native_bytes(reg(i.a), 8));
        return;
      case Op::load:
        reg(i.dst) = load(reg(i.a) + i.imm, i.size);
        return;
      case Op::context:
        reg(i.dst) = world_.context.at(i.imm);
        return;
      case Op::opaque_zero:
        reg(i.dst) = 0;
        return;
      case Op::lookup:
        reg(i.dst) = lookup(i);
        return;
      case Op::map_value:
        reg(i.dst) = new_region(value_at(function_.maps.at(i.map.index()), Bytes(4, 0)));
        return;
      case Op::count:
        outcome_.counts.emplace_back(second(i.b, i.imm), reg(i.a));
        return;
      case Op::trace:
        outcome_.trace.push_back(second(i.b, i.imm));
        return;
      case Op::record:
        outcome_.records.push_back(i.imm);
        for (const Reg r : i.args) outcome_.records.push_back(reg(r));
        return;
      case Op::forward:
      case Op::duplicate:
        outcome_.records.push_back(reg(i.a));
        return;
      case Op::answer:
        // What is sent is for who emits it; here it shows what was asked for.
        outcome_.records.push_back(reg(i.a));
        outcome_.records.push_back(reg(i.b));
        reg(i.dst) = reg(i.a) & 1;
        return;
      case Op::random:
        reg(i.dst) = Chance(++outcome_.draws).next();
        return;
      case Op::clock:
      case Op::coarse_clock:
        reg(i.dst) = 1'000'000;
        return;
      case Op::word:
        reg(i.dst) = outcome_.words[i.imm];
        return;
      case Op::exchange: {
        std::uint64_t& word = outcome_.words[i.imm];
        const std::uint64_t before = word;
        if (word == reg(i.a)) word = reg(i.b);
        reg(i.dst) = before;
        return;
      }
      case Op::fetch_add: {
        std::uint64_t& word = outcome_.words[i.imm];
        const std::uint64_t before = word;
        word += reg(i.a);
        reg(i.dst) = before;
        return;
      }
      case Op::word_at:
      case Op::exchange_at:
      case Op::fetch_add_at:
      case Op::put_at:
      case Op::insert:
      case Op::erase:
      case Op::sweep:
        throw InvariantError("maps that functions write are for whole programs in the engine");
      case Op::set_mark:
        world_.context.at(static_cast<std::size_t>(flow::ContextKey::mark)) = reg(i.a) & 0xffffffff;
        outcome_.marks.push_back(reg(i.a) & 0xffffffff);
        return;
      case Op::set_priority:
      case Op::set_pkttype: {
        const bool byte = i.op == Op::set_pkttype;
        const std::uint64_t value = reg(i.a) & (byte ? 0xff : 0xffffffff);
        world_.context.at(static_cast<std::size_t>(*flow::changed_fact(i.op))) = value;
        outcome_.marks.push_back(value);
        return;
      }
      case Op::store:
        put(reg(i.a) + i.imm, native_bytes(reg(i.b), 8), i.size);
        return;
      case Op::add_to_sum:
      case Op::add_to_pseudo_sum:
      case Op::add_to_tcp_sum:
        // What a sum becomes is for who emits it; here it shows that it was asked for.
        put(reg(i.a) + i.imm, native_bytes(reg(i.b) + static_cast<std::uint64_t>(i.op), 8), 2);
        return;
      case Op::site:
        reg(i.dst) = i.imm;
        return;
      case Op::entered:
        reg(i.dst) = entered_;
        return;
      case Op::recall:
        invariant(i.imm + i.size <= state_->size(), "recalled from behind the state");
        reg(i.dst) = load_native(ByteView(*state_).subspan(i.imm, i.size));
        return;
      case Op::keep:
        invariant(i.imm + i.size <= state_->size(), "kept behind the state");
        std::ranges::copy(native_bytes(reg(i.a), i.size),
                          state_->begin() + static_cast<std::ptrdiff_t>(i.imm));
        return;
    }
    throw InvariantError("no such operation");
  }

  std::uint64_t load(std::uint64_t address, std::size_t size) {
    const std::uint64_t offset = address & ((1ULL << region_shift) - 1);
    const Bytes& region = regions_.at(address >> region_shift);
    invariant(offset + size <= region.size(), "a load outside of its region");
    return load_native(ByteView(region).subspan(offset, size));
  }

  std::uint64_t lookup(const Instruction& i) {
    Bytes key;
    for (const Reg r : i.args) {
      const Bytes word = native_bytes(reg(r), 8);
      key.insert(key.end(), word.begin(), word.end());
    }
    key.resize(i.key_size);
    const isa::MapSpec& map = function_.maps.at(i.map.index());
    const bool there = std::ranges::any_of(
        map.entries, [&](const isa::MapEntry& entry) { return entry.key == key; });
    return there ? new_region(value_at(map, key)) : 0;
  }

  static Bytes value_at(const isa::MapSpec& map, const Bytes& key) {
    for (const isa::MapEntry& entry : map.entries) {
      if (entry.key == key) return entry.value;
    }
    return Bytes(map.value_size, 0);
  }

  std::uint64_t new_region(Bytes bytes) {
    regions_.push_back(std::move(bytes));
    return static_cast<std::uint64_t>(regions_.size() - 1) << region_shift;
  }

  const flow::Function& function_;
  World world_;
  std::vector<std::uint64_t> values_;
  std::vector<Bytes> regions_;
  Outcome& outcome_;
  Bytes* state_;  // of parts
  std::uint64_t entered_;
};

}  // namespace

Outcome run(const flow::Function& function, const World& world) {
  Outcome outcome;
  const auto next = Machine(function, world, outcome).run();
  invariant(!next, "a whole function that leaves for another part");
  return outcome;
}

Outcome run(const std::vector<MachinePart>& parts, std::size_t state_size, const World& world) {
  Outcome outcome;
  Bytes state(state_size, 0xa5);
  std::optional<std::uint64_t> entry = parts.front().first_entry;
  for (int i = 0; entry && i < max_blocks; ++i) {
    auto part = std::ranges::upper_bound(parts, *entry, {}, &MachinePart::first_entry);
    invariant(part != parts.begin(), "no such entry");
    entry = Machine(std::prev(part)->code, world, outcome, &state, *entry).run();
  }
  invariant(!entry, "the parts do not end");
  return outcome;
}

std::string to_string(const Outcome& outcome) {
  std::string out = outcome.accepted ? "accept" : "drop";
  for (const auto& [counter, bytes] : outcome.counts) {
    out += " count[" + std::to_string(counter) + "]+" + std::to_string(bytes);
  }
  for (const std::uint64_t rule : outcome.trace) out += " trace " + std::to_string(rule);
  for (const std::uint64_t mark : outcome.marks) out += " mark " + std::to_string(mark);
  return out;
}

}  // namespace weir::test
