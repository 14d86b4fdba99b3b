// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_common_loads.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;

namespace {

// Values that this pass may keep from one block to another, beside those that lowering keeps.
constexpr std::size_t max_kept_values = 8;

using Key = std::tuple<Op, Reg, Reg, std::uint64_t, std::uint8_t>;

class CommonLoads {
 public:
  explicit CommonLoads(Function& function)
      : function_(function),
        counts_(function),
        settled_(function),
        window_(function.registers, false) {
    for (std::size_t r = 0; r < function.registers; ++r) same_as_.emplace_back(r);
    for (const Block& block : function.blocks) {
      if (block.end.dst.valid()) window_[block.end.dst.index()] = true;
      for (const Instruction& i : block.instructions) {
        if (const auto fact = flow::changed_fact(i.op)) changed_.insert(*fact);
      }
    }
  }

  void run() {
    const DominatorTree tree(function_);
    walk(
        tree, [&](BlockId id) { enter(id); },
        [&](BlockId) {
          for (const Key& key : scopes_.back()) known_.erase(key);
          scopes_.pop_back();
        });
  }

 private:
  struct Known {
    Reg value;
    BlockId block;
  };

  void enter(BlockId id) {
    scopes_.emplace_back();
    Block& block = function_[id];
    std::vector<Instruction> kept;
    for (Instruction& i : block.instructions) {
      rename(i.a);
      rename(i.b);
      for (Reg& r : i.args) rename(r);
      if (!replace(i, id)) kept.push_back(std::move(i));
    }
    block.instructions = std::move(kept);
    rename(block.end.a);
    rename(block.end.b);
  }

  // Whether the instruction is not needed any more. May turn it into a copy.
  bool replace(Instruction& i, BlockId id) {
    if (!is_candidate(i, id)) return false;
    const Key key{i.op, i.a, i.b, i.imm, i.op == Op::load ? i.size : std::uint8_t{0}};
    const auto found = known_.find(key);
    if (found == known_.end()) {
      if (counts_.assigned_once(i.dst)) {
        known_.emplace(key, Known{i.dst, id});
        scopes_.back().push_back(key);
      }
      return false;
    }
    const Known& known = found->second;
    if (known.block != id && !keep(i, known.value)) return false;
    if (!counts_.assigned_once(i.dst)) {
      i = {.op = Op::copy, .dst = i.dst, .a = known.value};
      return false;
    }
    same_as_[i.dst.index()] = known.value;
    return true;
  }

  [[nodiscard]] bool is_candidate(const Instruction& i, BlockId id) {
    for (const Reg r : uses(i)) {
      if (!settled_.settled(r, id)) return false;
    }
    switch (i.op) {
      case Op::load:
        return window_[i.a.index()];
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
      case Op::and_:
      case Op::or_:
      case Op::xor_:
      case Op::shl:
      case Op::shr:
      case Op::swap16:
      case Op::swap32:
      case Op::swap64:
      // A packet has one time: to read the fine clock takes as long as ten comparisons.
      case Op::clock:
      case Op::coarse_clock:
        return true;
      case Op::context:
        return !changed_.contains(static_cast<flow::ContextKey>(i.imm));
      case Op::constant:     // cheaper to make than to keep
      case Op::copy:         // flow_fold's business
      case Op::opaque_zero:  // the kernel's verifier must not know that two are equal
      case Op::lookup:       // user space may write the map meanwhile
      case Op::map_value:    // cheaper to make than to keep
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

  // What rules make of a value to test it. The kernel's verifier learns from a test, and where one
  // register is tested by many rules, it walks what follows once for every combination of answers.
  // So every rule makes its own.
  static bool last_before_test(const Instruction& i) {
    switch (i.op) {
      case Op::swap16:
      case Op::swap32:
      case Op::swap64:
      case Op::or_:
        return true;
      case Op::add:
        return i.b.valid();
      case Op::xor_:
        return !i.b.valid();
      default:
        return false;
    }
  }

  // Whether the value may live on into another block to stand for `i` there.
  bool keep(const Instruction& i, Reg value) {
    if (last_before_test(i)) return false;
    if (kept_values_.contains(value)) return true;
    // Nothing else takes as long as the clock.
    if (kept_values_.size() >= max_kept_values && i.op != Op::clock) return false;
    kept_values_.insert(value);
    return true;
  }

  void rename(Reg& r) const {
    if (r.valid()) r = same_as_[r.index()];
  }

  Function& function_;
  RegisterCounts counts_;
  SettledRegisters settled_;
  std::set<flow::ContextKey> changed_;    // facts that some instruction gives another value
  std::vector<bool> window_;              // registers that are handles of windows
  std::vector<Reg> same_as_;              // by register: the one to read in its place
  std::map<Key, Known> known_;            // at the point reached
  std::vector<std::vector<Key>> scopes_;  // keys of known_, by block on the way from the root
  std::set<Reg> kept_values_;
};

}  // namespace

void flow_common_loads(Function& function) {
  // Registers assigned in blocks that nothing reaches would count as assigned twice.
  remove_unreachable(function);
  CommonLoads(function).run();
}

}  // namespace weir::passes
