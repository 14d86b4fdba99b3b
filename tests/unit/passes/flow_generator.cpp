// SPDX-License-Identifier: BSD-2-Clause
#include "unit/passes/flow_generator.h"

#include <algorithm>
#include <utility>

namespace weir::test {

using flow::BlockId;
using flow::Condition;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

constexpr isa::MapIndex counters(0);
constexpr isa::MapIndex set(1);
constexpr isa::MapIndex one_value(2);
constexpr isa::MapIndex traces(3);
constexpr isa::MapIndex zero(4);
constexpr std::int32_t rules = 4;
constexpr std::size_t max_blocks = 150;

std::uint64_t below(Random& random, std::uint64_t limit) {
  return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random);
}

class Generator {
 public:
  explicit Generator(Random& random) : random_(random) {}

  Function run() {
    function_.name = "random";
    function_.maps = maps();
    for (std::int32_t r = 0; r < rules; ++r) {
      function_.rule_names.push_back("rule " + std::to_string(r));
    }
    at_ = block();
    numbers_ = {function_.new_register(), function_.new_register()};
    put({.op = Op::context, .dst = numbers_[0]});
    put({.op = Op::constant, .dst = numbers_[1], .imm = pick(20)});
    statements(3, 12);
    ret();
    return std::move(function_);
  }

 private:
  struct Window {
    Reg handle;
    std::uint64_t width;
  };
  // What may be read at a point; what comes to be known in a branch is forgotten behind it.
  struct Scope {
    std::size_t numbers;
    std::size_t windows;
  };

  static std::vector<isa::MapSpec> maps() {
    isa::MapSpec hash{.name = "set", .type = isa::MapType::hash, .key_size = 8, .value_size = 4};
    hash.max_entries = 8;
    for (std::uint64_t key = 0; key < 8; ++key) {
      hash.entries.push_back({native_bytes(key, 8), native_bytes(key * 3, 4)});
    }
    isa::MapSpec one{.name = "one", .value_size = 64, .max_entries = 1};
    Bytes value(64);
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::uint8_t>(i * 7);
    one.entries.push_back({Bytes(4, 0), value});
    return {{.name = "counters",
             .type = isa::MapType::percpu_array,
             .value_size = 16,
             .max_entries = 8},
            hash,
            one,
            {.name = "trace", .value_size = 64, .max_entries = 1},
            {.name = "zero", .value_size = 8, .max_entries = 1}};
  }

  // ---- Small choices ----------------------------------------------------------------------------

  std::uint64_t pick(std::uint64_t limit) { return below(random_, limit); }
  bool chance(std::uint64_t percent) { return pick(100) < percent; }
  Reg number() { return numbers_[pick(numbers_.size())]; }
  std::uint64_t constant() {
    switch (pick(5)) {
      case 0:
        return 0;
      case 1:
        return (1ULL << 8 * (1 + pick(7))) - 1;
      case 2:
        return random_();
      default:
        return pick(12);
    }
  }
  Condition condition() { return static_cast<Condition>(pick(7)); }

  // A number to write to: a new one, or one that is known already.
  Reg destination() {
    if (chance(30)) return number();
    const Reg r = function_.new_register();
    fresh_ = r;
    return r;
  }

  // ---- Building ---------------------------------------------------------------------------------

  BlockId block() { return function_.new_block(rule_); }
  void put(Instruction i) {
    function_[at_].instructions.push_back(std::move(i));
    if (fresh_.valid()) numbers_.push_back(fresh_);
    fresh_ = {};
  }
  void end(const Terminator& terminator) { function_[at_].end = terminator; }
  void jump(BlockId to) { end({.kind = Terminator::Kind::jump, .yes = to}); }
  void ret() { end({.kind = Terminator::Kind::ret, .imm = pick(2)}); }
  void branch(BlockId yes, BlockId no) {
    if (chance(25)) {
      // Between small numbers, where one more or less makes a difference.
      const Reg small = function_.new_register();
      put({.op = Op::and_, .dst = small, .a = number(), .imm = 7});
      numbers_.push_back(small);
      end({.kind = Terminator::Kind::branch,
           .condition = condition(),
           .a = small,
           .imm = pick(8),
           .yes = yes,
           .no = no});
      return;
    }
    Terminator out{.kind = Terminator::Kind::branch,
                   .condition = condition(),
                   .a = number(),
                   .imm = constant(),
                   .yes = yes,
                   .no = no};
    if (chance(30)) out.b = number();
    end(out);
  }
  [[nodiscard]] Scope scope() const { return {numbers_.size(), windows_.size()}; }
  void restore(Scope scope) {
    numbers_.resize(scope.numbers);
    windows_.resize(scope.windows);
  }

  void statements(int depth, std::uint64_t count) {
    for (std::uint64_t i = 1 + pick(count); i > 0; --i) {
      if (function_.blocks.size() > max_blocks) return;
      statement(depth);
    }
  }

  void statement(int depth) {
    const std::uint64_t choice = pick(depth > 0 ? 17 : 9);
    if (choice < 3) return arithmetic();
    if (choice == 3) return load();
    if (choice == 4) return context_or_constant();
    if (choice == 5) return effect();
    if (choice == 6) return lookup();
    if (choice == 7) return table();
    if (choice == 8) return detour();
    if (choice < 11) return diamond(depth - 1);
    if (choice == 11) return guard(depth - 1);
    if (choice == 12) return gathered_row();
    if (choice == 13) return direct_row(depth - 1);
    if (choice < 16) return list(depth - 1);
    loop(depth - 1);
  }

  // ---- Statements -------------------------------------------------------------------------------

  void arithmetic() {
    static constexpr auto ops =
        std::to_array<Op>({Op::add, Op::sub, Op::mul, Op::and_, Op::or_, Op::xor_, Op::shl, Op::shr,
                           Op::swap16, Op::swap32, Op::swap64, Op::copy, Op::copy});
    Instruction i{.op = ops.at(pick(ops.size())), .a = number()};
    if (flow::shape(i.op) == "dab") {
      const bool shift = i.op == Op::shl || i.op == Op::shr;
      i.imm = shift ? pick(64) : constant();
      if (chance(40)) i.b = shift ? shift_count() : number();
      if (i.b.valid()) i.imm = 0;
    }
    i.dst = destination();
    put(i);
  }

  Reg shift_count() {
    const Reg r = function_.new_register();
    put({.op = Op::and_, .dst = r, .a = number(), .imm = 63});
    return r;
  }

  void load() {
    if (windows_.empty()) return;
    const Window& window = windows_[pick(windows_.size())];
    load_from(window.handle, window.width);
  }

  void load_from(Reg base, std::uint64_t width) {
    std::uint64_t size = 1ULL << pick(4);
    while (size > width) size /= 2;
    const std::uint64_t offset = pick(width - size + 1);
    put({.op = Op::load,
         .dst = destination(),
         .a = base,
         .imm = offset,
         .size = static_cast<std::uint8_t>(size)});
  }

  void context_or_constant() {
    if (chance(60)) {
      put({.op = Op::context, .dst = destination(), .imm = pick(12)});
    } else if (chance(80)) {
      put({.op = Op::constant, .dst = destination(), .imm = constant()});
    } else {
      put({.op = Op::opaque_zero, .dst = destination(), .map = zero});
    }
  }

  void effect() {
    if (chance(20)) {
      put({.op = Op::set_mark, .a = number()});
    } else if (chance(50)) {
      put({.op = Op::count, .a = number(), .imm = pick(8), .map = counters});
    } else {
      put({.op = Op::trace, .imm = pick(100), .map = traces});
    }
  }

  void lookup() {
    const Reg found = function_.new_register();
    const Reg key = number();
    put({.op = Op::lookup, .dst = found, .key_size = 8, .map = set, .args = {key}});
    const BlockId there = block();
    const BlockId on = block();
    end({.kind = Terminator::Kind::branch,
         .condition = Condition::eq,
         .a = found,
         .imm = 0,
         .yes = on,
         .no = there});
    const Scope before = scope();
    at_ = there;
    load_from(found, 4);
    jump(on);
    restore(before);
    at_ = on;
  }

  // A load at a computed place of a map value.
  void table() {
    const Reg base = function_.new_register();
    const Reg distance = function_.new_register();
    const Reg place = function_.new_register();
    put({.op = Op::map_value, .dst = base, .map = one_value});
    put({.op = Op::and_, .dst = distance, .a = number(), .imm = 31});
    put({.op = Op::add, .dst = place, .a = base, .b = distance});
    load_from(place, 32);
  }

  // Jumps that need not be, through empty blocks and into another rule.
  void detour() {
    if (chance(50)) rule_ = static_cast<std::int32_t>(pick(rules + 1)) - 1;
    for (std::uint64_t i = 1 + pick(2); i > 0; --i) {
      const BlockId next = block();
      jump(next);
      at_ = next;
    }
  }

  void diamond(int depth) {
    const BlockId yes = block();
    const BlockId no = block();
    const BlockId join = block();
    branch(yes, chance(10) ? yes : no);
    const Scope before = scope();
    for (const BlockId side : {yes, no}) {
      at_ = side;
      if (chance(70)) statements(depth, 3);
      if (chance(15)) {
        ret();
      } else {
        jump(join);
      }
      restore(before);
    }
    at_ = join;
  }

  // The test of a rule: goes on in the next rule when it fails.
  void guard(int depth) {
    const Reg difference = function_.new_register();
    put({.op = Op::xor_, .dst = difference, .a = number(), .imm = pick(4)});
    const BlockId match = block();
    rule_ = static_cast<std::int32_t>(pick(rules));
    const BlockId next = block();
    end({.kind = Terminator::Kind::branch,
         .condition = Condition::ne,
         .a = difference,
         .imm = 0,
         .yes = next,
         .no = match});
    rest_of_rule(depth, match, next, 3);
  }

  // What a rule does that matches, before it ends the packet or goes on in the next one.
  void rest_of_rule(int depth, BlockId rest, BlockId next, std::uint64_t count) {
    const Scope before = scope();
    at_ = rest;
    statements(depth, count);
    if (chance(30)) {
      ret();
    } else {
      jump(next);
    }
    restore(before);
    at_ = next;
  }

  // Rules that ask for one number of the same value each, and for something else.
  void list(int depth) {
    const Reg value = number();
    for (std::uint64_t i = 2 + pick(3); i > 0; --i) {
      rule_ = static_cast<std::int32_t>(pick(rules));
      const BlockId match = block();
      const BlockId rest = block();
      const BlockId next = block();
      Terminator test{.kind = Terminator::Kind::branch,
                      .condition = Condition::ne,
                      .a = value,
                      .imm = pick(4),
                      .yes = next,
                      .no = match};
      if (chance(50)) {
        const Reg difference = function_.new_register();
        put({.op = Op::xor_, .dst = difference, .a = value, .imm = std::exchange(test.imm, 0)});
        test.a = difference;
      }
      end(test);
      const Scope before = scope();
      at_ = match;
      branch(rest, next);
      restore(before);
      rest_of_rule(depth, rest, next, 2);
    }
  }

  // Where windows count from: nothing, a small number, or any number.
  Reg base() {
    if (chance(40)) return {};
    if (chance(10)) return number();
    const Reg r = function_.new_register();
    put({.op = Op::and_, .dst = r, .a = number(), .imm = 31});
    numbers_.push_back(r);
    return r;
  }

  Window window(Reg base, std::uint64_t from, BlockId absent) {
    const Window out{function_.new_register(), chance(70) ? 1ULL << pick(4) : 1 + pick(40)};
    const BlockId there = block();
    end({.kind = Terminator::Kind::window,
         .dst = out.handle,
         .a = base,
         .imm = from,
         .imm2 = out.width,
         .yes = there,
         .no = absent});
    at_ = there;
    return out;
  }

  // Windows each of which leads on whether it was there or not.
  void gathered_row() {
    const Reg from = base();
    const Scope before = scope();
    std::vector<Reg> loaded;
    for (std::uint64_t i = 1 + pick(4); i > 0; --i) {
      const BlockId absent = block();
      const BlockId join = block();
      const Window there = window(from, pick(30), absent);
      loaded.push_back(function_.new_register());
      put({.op = Op::load, .dst = loaded.back(), .a = there.handle, .imm = 0, .size = 1});
      if (chance(20)) arithmetic();
      if (chance(20)) effect();
      jump(join);
      restore(before);
      at_ = absent;
      put({.op = Op::constant, .dst = loaded.back(), .imm = constant()});
      jump(join);
      at_ = join;
    }
    numbers_.insert(numbers_.end(), loaded.begin(), loaded.end());
  }

  // Windows that follow one another directly; where one is not there, all lead to one place.
  void direct_row(int depth) {
    const Reg from = base();
    const Scope before = scope();
    const BlockId absent = block();
    const BlockId join = block();
    for (std::uint64_t i = 1 + pick(4); i > 0; --i) {
      const Window there = window(from, pick(30), absent);
      windows_.push_back(there);
      if (chance(80)) load_from(there.handle, there.width);
      if (chance(20)) arithmetic();
      if (chance(20)) detour();
    }
    if (chance(60)) statements(depth, 4);
    jump(join);
    restore(before);
    at_ = absent;
    if (chance(30)) effect();
    if (chance(30)) {
      ret();
    } else {
      jump(join);
    }
    at_ = join;
  }

  void loop(int depth) {
    const Reg counter = function_.new_register();
    put({.op = Op::constant, .dst = counter, .imm = 0});
    const BlockId head = block();
    const BlockId exit = block();
    jump(head);
    at_ = head;
    const Scope before = scope();
    statements(depth, 4);
    restore(before);
    put({.op = Op::add, .dst = counter, .a = counter, .imm = 1});
    end({.kind = Terminator::Kind::branch,
         .condition = Condition::lt,
         .a = counter,
         .imm = 1 + pick(3),
         .yes = head,
         .no = exit});
    at_ = exit;
  }

  Random& random_;
  Function function_;
  BlockId at_;
  std::int32_t rule_ = -1;
  std::vector<Reg> numbers_;
  std::vector<Window> windows_;
  Reg fresh_;  // the destination of the instruction being made, to be known behind it
};

}  // namespace

Function random_function(Random& random) {
  return Generator(random).run();
}

World random_world(Random& random) {
  World world;
  world.packet.resize(below(random, 101));
  for (std::uint8_t& byte : world.packet) {
    byte = static_cast<std::uint8_t>(below(random, 2) == 0 ? below(random, 8) : random());
  }
  for (std::uint64_t& value : world.context) {
    value = below(random, 3) == 0 ? random() : below(random, 12);
  }
  return world;
}

}  // namespace weir::test
