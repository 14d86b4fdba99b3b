// SPDX-License-Identifier: BSD-2-Clause
//
// One part of a split function. Its first block leads on to its entries; each entry recalls the
// values that the part changes and the few that it reads most. Others are recalled in the blocks
// that read them. What the part has changed is kept where control leaves it.
#include <algorithm>
#include <map>
#include <set>

#include "backend/split_plan.h"

namespace weir::backend {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

// Unchanged values that a part recalls at its entries: those for which registers may be free.
constexpr std::size_t most_recalled_early = 4;

class PartMaker {
 public:
  PartMaker(const Function& function, const SplitPlan& plan, std::uint32_t part)
      : function_(function), plan_(plan), part_(part) {}

  Part run() {
    find_members();
    find_written();
    find_early();
    code_.registers = function_.registers;
    code_.name = function_.name;
    code_.blocks.resize(1);
    for (const BlockId id : members_) here_[id] = code_.new_block(function_[id].rule);
    for (const BlockId id : members_) copy(id);
    enter();
    number_registers();
    const auto& entries = plan_.entries[part_];
    return {.code = std::move(code_),
            .first_entry = plan_.entry[entries.front().index()],
            .entries = static_cast<std::uint32_t>(entries.size())};
  }

 private:
  void find_members();
  void find_written();
  void find_early();
  void copy(BlockId id);
  void enter();
  void number_registers();

  [[nodiscard]] BlockId choose(std::size_t from, std::size_t to, Reg number);
  [[nodiscard]] BlockId entry_block(BlockId id);
  BlockId reopen(BlockId at, Reg pointer, Reg into, Reg base);
  void recall(BlockId at, Reg into, Reg what);
  void keep_written(Block& block, const std::vector<BlockId>& targets);
  [[nodiscard]] BlockId lead_to(BlockId target);
  void leave(Block& block, const Terminator& end);

  [[nodiscard]] bool crosses(Reg reg) const { return plan_.crossing[reg.index()] != no_place; }
  [[nodiscard]] const Pointer& pointer(Reg reg) const { return plan_.pointers[reg.index()]; }
  // Whether it is at hand in the part from the entries on.
  [[nodiscard]] bool at_hand(Reg reg) const {
    return written_.contains(reg) || early_.contains(reg);
  }

  const Function& function_;
  const SplitPlan& plan_;
  std::uint32_t part_;
  std::vector<BlockId> members_;
  std::set<Reg> written_;  // by its blocks
  std::set<Reg> early_;
  std::map<BlockId, BlockId> here_;   // blocks of the function as blocks of the part
  std::map<BlockId, BlockId> exits_;  // by the block in another part that they lead to
  Function code_;
};

void PartMaker::find_members() {
  for (const BlockId id : plan_.order) {
    if (plan_.part[id.index()] == part_) members_.push_back(id);
  }
}

void PartMaker::find_written() {
  for (const BlockId id : members_) {
    for (const Instruction& i : function_[id].instructions) {
      if (i.dst.valid()) written_.insert(i.dst);
    }
    if (function_[id].end.dst.valid()) written_.insert(function_[id].end.dst);
  }
}

void PartMaker::find_early() {
  std::map<Reg, std::uint32_t> reads;
  const auto see = [&](Reg reg) {
    if (crosses(reg) && !written_.contains(reg)) ++reads[reg];
  };
  for (const BlockId id : members_) {
    for (const Instruction& i : function_[id].instructions)
      std::ranges::for_each(flow::uses(i), see);
    std::ranges::for_each(flow::uses(function_[id].end), see);
  }
  std::vector<std::pair<std::uint32_t, Reg>> most;
  for (const auto& [reg, times] : reads) {
    if (times > 2) most.emplace_back(times, reg);
  }
  std::ranges::sort(most, std::ranges::greater{});
  for (std::size_t i = 0; i < std::min(most.size(), most_recalled_early); ++i) {
    early_.insert(most[i].second);
  }
}

void PartMaker::recall(BlockId at, Reg into, Reg what) {
  invariant(crosses(what), "splitting: a value that crosses into a part has no slot");
  const Slot& slot = plan_.slots[plan_.crossing[what.index()]];
  code_[at].instructions.push_back(
      {.op = Op::recall, .dst = into, .imm = slot.offset, .size = slot.size});
}

// ---- Blocks ------------------------------------------------------------------------------------

// Puts what makes `into` the same pointer again at the end of a block without an end; the block to
// go on in. `base` is what its window counts from.
BlockId PartMaker::reopen(BlockId at, Reg what, Reg into, Reg base) {
  const Pointer& made = pointer(what);
  if (made.kind == Pointer::Kind::map_value) {
    code_[at].instructions.push_back(
        {.op = Op::map_value, .dst = into, .imm = made.offset, .map = made.map});
    return at;
  }
  invariant(made.kind == Pointer::Kind::window, "splitting: a pointer that cannot be made again");
  Terminator window = function_[made.block].end;
  window.dst = into;
  window.a = base;
  window.yes = code_.new_block(code_[at].rule);
  window.no = code_.new_block();  // it was there before
  code_[window.no].end = {.kind = Terminator::Kind::ret, .imm = 0};
  code_[at].end = window;
  return window.yes;
}

void PartMaker::copy(BlockId id) {
  const Block& block = function_[id];
  std::map<Reg, Reg> renamed;
  // What the block reads of other parts' values, in the order of reading.
  std::set<Reg> foreign;
  std::set<Reg> own;  // written in this block so far
  const auto read = [&](Reg reg) {
    if (own.contains(reg) || at_hand(reg)) return;
    if (pointer(reg).kind == Pointer::Kind::none && !crosses(reg)) return;
    foreign.insert(reg);
  };
  for (const Instruction& i : block.instructions) {
    std::ranges::for_each(flow::uses(i), read);
    if (i.dst.valid()) own.insert(i.dst);
  }
  std::ranges::for_each(flow::uses(block.end), read);

  BlockId at = here_.at(id);
  for (const Reg reg : foreign) {
    if (pointer(reg).kind == Pointer::Kind::none) continue;
    Reg base =
        pointer(reg).kind == Pointer::Kind::window ? function_[pointer(reg).block].end.a : Reg{};
    if (base.valid() && !at_hand(base)) {
      const Reg recalled = code_.new_register();
      recall(at, recalled, base);
      base = recalled;
    }
    renamed[reg] = code_.new_register();
    at = reopen(at, reg, renamed[reg], base);
  }
  for (const Reg reg : foreign) {
    if (pointer(reg).kind != Pointer::Kind::none) continue;
    renamed[reg] = code_.new_register();
    recall(at, renamed[reg], reg);
  }

  const auto rename = [&](Reg& reg) {
    if (const auto found = renamed.find(reg); found != renamed.end()) reg = found->second;
  };
  for (Instruction i : block.instructions) {
    rename(i.a);
    rename(i.b);
    std::ranges::for_each(i.args, rename);
    if (i.op == Op::site) {
      const auto site = plan_.sites.find(i.imm);  // none: the chain never ends
      i.op = Op::constant;
      i.imm = site == plan_.sites.end() ? 0 : plan_.entry[site->second.index()];
    }
    code_[at].instructions.push_back(std::move(i));
  }
  Terminator end = block.end;
  rename(end.a);
  rename(end.b);
  if (end.kind == Terminator::Kind::dispatch) {
    std::vector<BlockId> targets = flow::successors(end);
    keep_written(code_[at], targets);
    code_[at].end = {.kind = Terminator::Kind::leave, .a = end.a};
    return;
  }
  if (end.yes.valid()) end.yes = lead_to(end.yes);
  if (end.no.valid()) end.no = lead_to(end.no);
  code_[at].end = end;
}

// Where a jump to the target leads in this part.
BlockId PartMaker::lead_to(BlockId target) {
  if (const auto found = here_.find(target); found != here_.end()) return found->second;
  if (plan_.place[target.index()] == no_place) {
    const BlockId ending = code_.new_block(function_[target].rule);
    code_[ending] = function_[target];
    here_[target] = ending;
    return ending;
  }
  const auto [found, is_new] = exits_.try_emplace(target);
  if (is_new) {
    found->second = code_.new_block();
    Block& exit = code_[found->second];
    keep_written(exit, {target});
    exit.end = {.kind = Terminator::Kind::leave, .imm = plan_.entry[target.index()]};
  }
  return found->second;
}

void PartMaker::keep_written(Block& block, const std::vector<BlockId>& targets) {
  std::set<Reg> kept;
  for (const BlockId target : targets) {
    // A dispatch may name a way back that no jump takes any longer.
    if (plan_.place[target.index()] == no_place) continue;
    for (const Reg reg : plan_.live[target.index()]) {
      if (written_.contains(reg)) kept.insert(reg);
    }
  }
  for (const Reg reg : kept) {
    invariant(crosses(reg), "splitting: a value that leaves a part has no slot");
    const Slot& slot = plan_.slots[plan_.crossing[reg.index()]];
    block.instructions.push_back({.op = Op::keep, .a = reg, .imm = slot.offset, .size = slot.size});
  }
}

// ---- Entries -----------------------------------------------------------------------------------

void PartMaker::enter() {
  const std::size_t count = plan_.entries[part_].size();
  const BlockId first(0);
  Reg number;
  if (count > 1) {
    number = code_.new_register();
    code_[first].instructions.push_back({.op = Op::entered, .dst = number});
  }
  const BlockId start = choose(0, count, number);
  code_[first].end = {.kind = Terminator::Kind::jump, .yes = start};
}

// A block that leads to one of the entries from `from` to before `to`.
BlockId PartMaker::choose(std::size_t from, std::size_t to, Reg number) {
  const auto& entries = plan_.entries[part_];
  if (to - from == 1) return entry_block(entries[from]);
  const std::size_t middle = from + (to - from) / 2;
  const BlockId lower = choose(from, middle, number);
  const BlockId upper = choose(middle, to, number);
  const BlockId here = code_.new_block();
  code_[here].end = {.kind = Terminator::Kind::branch,
                     .condition = flow::Condition::lt,
                     .a = number,
                     .imm = plan_.entry[entries[middle].index()],
                     .yes = lower,
                     .no = upper};
  return here;
}

BlockId PartMaker::entry_block(BlockId id) {
  const BlockId start = code_.new_block();
  for (const Reg reg : plan_.live[id.index()]) {
    if (at_hand(reg)) recall(start, reg, reg);
  }
  BlockId at = start;
  for (const Reg reg : plan_.made_again[id.index()]) {
    if (!written_.contains(reg)) continue;
    Reg base =
        pointer(reg).kind == Pointer::Kind::window ? function_[pointer(reg).block].end.a : Reg{};
    if (base.valid() && !at_hand(base)) {
      const Reg recalled = code_.new_register();
      recall(at, recalled, base);
      base = recalled;
    }
    at = reopen(at, reg, reg, base);
  }
  code_[at].end = {.kind = Terminator::Kind::jump, .yes = here_.at(id)};
  return start;
}

// Numbers the registers anew, as a part has few of those of the whole function.
void PartMaker::number_registers() {
  std::vector<Reg> renumbered(code_.registers);
  std::uint32_t count = 0;
  const auto number = [&](Reg& reg) {
    if (!reg.valid()) return;
    Reg& now = renumbered[reg.index()];
    if (!now.valid()) now = Reg(count++);
    reg = now;
  };
  for (Block& block : code_.blocks) {
    for (Instruction& i : block.instructions) {
      number(i.dst);
      number(i.a);
      number(i.b);
      std::ranges::for_each(i.args, number);
    }
    number(block.end.dst);
    number(block.end.a);
    number(block.end.b);
  }
  code_.registers = count;
}

}  // namespace

Part make_part(const Function& function, const SplitPlan& plan, std::uint32_t part) {
  return PartMaker(function, plan, part).run();
}

}  // namespace weir::backend
