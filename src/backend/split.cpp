// SPDX-License-Identifier: BSD-2-Clause
//
// Where a function is cut, and what has to cross the cuts. What becomes of each part is made in
// split_part.cpp.
#include "backend/split.h"

#include <algorithm>
#include <array>
#include <map>

#include "backend/allocate.h"
#include "backend/split_plan.h"
#include "flow/liveness.h"

namespace weir::backend {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

// A function of more than this many instructions of eBPF, about, is split.
constexpr std::uint64_t most_in_one_piece = 40000;

// The kernel takes 256 functions a program (BPF_MAX_SUBPROGS); no part is smaller than half of what
// is asked for.
constexpr std::uint64_t most_parts = 240;

// What it takes to emit, about.
std::uint32_t weight(const Block& block) {
  std::uint32_t sum = 1;
  for (const Instruction& i : block.instructions) {
    switch (i.op) {
      case Op::lookup:
      case Op::record:
      case Op::answer:
      case Op::insert:
      case Op::erase:
      case Op::sweep:
      case Op::trace:
      case Op::store:
      case Op::add_to_sum:
      case Op::add_to_pseudo_sum:
      case Op::add_to_tcp_sum:
      case Op::forward:
      case Op::duplicate:
        sum += 8;
        break;
      case Op::context:
        sum += 6;
        break;
      case Op::count:
        sum += 4;
        break;
      default:
        sum += 1;
        break;
    }
  }
  return sum + (block.end.kind == Terminator::Kind::window ? 20 : 1);
}

// Ways out that each part has for itself.
bool is_ending(const Block& block) {
  return block.end.kind == Terminator::Kind::ret && block.instructions.size() <= 2 &&
         std::ranges::all_of(block.instructions,
                             [](const Instruction& i) { return flow::uses(i).empty(); });
}

class Planner {
 public:
  Planner(const Function& function, const SplitOptions& options)
      : function_(function),
        options_(options),
        is_site_(function.blocks.size(), false),
        before_(function.blocks.size()) {}

  SplitPlan run() {
    find_sites();
    find_order();
    find_predecessors();
    find_pointers();
    find_live();
    find_cuts();
    find_entries();
    find_slots();
    return std::move(plan_);
  }

 private:
  void find_sites();
  void find_order();
  void find_predecessors();
  void find_pointers();
  void find_live();
  void find_cuts();
  void find_entries();
  void find_slots();

  [[nodiscard]] std::vector<BlockId> ways(BlockId id) const;
  [[nodiscard]] bool settled(Reg base, BlockId at);
  [[nodiscard]] std::vector<std::vector<std::uint32_t>> residents() const;
  // Blocks that are given a place of their own: all that are reached but endings.
  [[nodiscard]] bool placed(BlockId id) const { return plan_.place[id.index()] != no_place; }

  const Function& function_;
  const SplitOptions& options_;
  SplitPlan plan_;
  std::vector<bool> is_site_;
  std::vector<std::vector<BlockId>> before_;  // predecessors, but for dispatches
  std::vector<bool> enterable_;
  std::vector<std::vector<BlockId>> writers_;
  std::map<Reg, std::vector<bool>> unsettled_;
};

void Planner::find_sites() {
  for (const BlockId id : layout(function_)) {
    for (const flow::Site& site : function_[id].end.sites) {
      plan_.sites[site.number] = site.block;
      is_site_[site.block.index()] = true;
      plan_.returns = true;
    }
  }
}

// Where control goes from here, the straight way first. A chain that several rules jump to comes
// back by its dispatch; here the way goes on behind the jump directly.
std::vector<BlockId> Planner::ways(BlockId id) const {
  const Block& block = function_[id];
  std::vector<BlockId> out;
  for (const Instruction& i : block.instructions) {
    if (i.op != Op::site) continue;
    const auto found = plan_.sites.find(i.imm);
    if (found != plan_.sites.end()) out.push_back(found->second);
  }
  if (block.end.kind == Terminator::Kind::dispatch) return out;
  std::vector<BlockId> next = flow::successors(block.end);
  if (block.end.kind == Terminator::Kind::branch) std::ranges::reverse(next);
  out.insert(out.end(), next.begin(), next.end());
  return out;
}

void Planner::find_order() {
  plan_.place.assign(function_.blocks.size(), no_place);
  for (const BlockId id : layout(function_, [this](BlockId block) { return ways(block); })) {
    if (id != BlockId(0) && !is_site_[id.index()] && is_ending(function_[id])) continue;
    plan_.place[id.index()] = static_cast<std::uint32_t>(plan_.order.size());
    plan_.order.push_back(id);
  }
}

void Planner::find_predecessors() {
  for (const BlockId id : plan_.order) {
    if (function_[id].end.kind == Terminator::Kind::dispatch) continue;
    for (const BlockId to : flow::successors(function_[id].end)) before_[to.index()].push_back(id);
  }
}

// ---- Values -------------------------------------------------------------------------------------

void Planner::find_pointers() {
  std::vector<Pointer>& pointers = plan_.pointers;
  pointers.assign(function_.registers, {});
  writers_.assign(function_.registers, {});
  const auto write = [&](Reg reg, BlockId at) {
    if (reg.valid()) writers_[reg.index()].push_back(at);
  };
  for (const BlockId id : plan_.order) {
    for (const Instruction& i : function_[id].instructions) write(i.dst, id);
    write(function_[id].end.dst, id);
  }
  const auto once = [&](Reg reg) { return writers_[reg.index()].size() == 1; };
  for (const BlockId id : plan_.order) {
    const Block& block = function_[id];
    for (const Instruction& i : block.instructions) {
      if (i.op == Op::lookup) pointers[i.dst.index()].kind = Pointer::Kind::other;
      if (i.op != Op::map_value) continue;
      const auto kind = once(i.dst) ? Pointer::Kind::map_value : Pointer::Kind::other;
      pointers[i.dst.index()] = {.kind = kind, .block = id, .map = i.map, .offset = i.imm};
    }
    if (block.end.kind == Terminator::Kind::window) {
      const auto kind = once(block.end.dst) ? Pointer::Kind::window : Pointer::Kind::other;
      pointers[block.end.dst.index()] = {.kind = kind, .block = id, .map = {}, .offset = 0};
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const BlockId id : plan_.order) {
      for (const Instruction& i : function_[id].instructions) {
        if (i.op != Op::copy && i.op != Op::add) continue;
        Pointer& to = pointers[i.dst.index()];
        if (pointers[i.a.index()].kind == Pointer::Kind::none) continue;
        changed = changed || to.kind != Pointer::Kind::other;
        to.kind = Pointer::Kind::other;
      }
    }
  }
}

// Whether no write to `base` follows on any way.
bool Planner::settled(Reg base, BlockId at) {
  if (writers_[base.index()].size() <= 1) return true;
  const auto [entry, is_new] = unsettled_.try_emplace(base);
  std::vector<bool>& unsettled = entry->second;
  if (is_new) {
    unsettled.assign(function_.blocks.size(), false);
    std::vector<std::vector<BlockId>> dispatches(function_.blocks.size());
    for (const BlockId id : plan_.order) {
      for (const flow::Site& site : function_[id].end.sites) {
        dispatches[site.block.index()].push_back(id);
      }
    }
    std::vector<BlockId> work = writers_[base.index()];
    while (!work.empty()) {
      const BlockId id = work.back();
      work.pop_back();
      if (unsettled[id.index()]) continue;
      unsettled[id.index()] = true;
      for (const auto* from : {&before_[id.index()], &dispatches[id.index()]}) {
        work.insert(work.end(), from->begin(), from->end());
      }
    }
  }
  return !unsettled[at.index()];
}

// What crosses into each block as a number, what is made again there, and where neither will do.
void Planner::find_live() {
  plan_.live = flow::live_at_start(function_, flow::Reads::all);
  plan_.made_again.resize(function_.blocks.size());
  enterable_.assign(function_.blocks.size(), true);
  for (const BlockId id : plan_.order) {
    std::vector<Reg> numbers;
    for (const Reg reg : plan_.live[id.index()]) {
      const Pointer& pointer = plan_.pointers[reg.index()];
      if (pointer.kind == Pointer::Kind::none) {
        numbers.push_back(reg);
        continue;
      }
      plan_.made_again[id.index()].push_back(reg);
      if (pointer.kind == Pointer::Kind::map_value) continue;
      if (pointer.kind == Pointer::Kind::other) {
        enterable_[id.index()] = false;
        continue;
      }
      const Terminator& end = function_[pointer.block].end;
      if ((end.a.valid() && (plan_.pointers[end.a.index()].kind != Pointer::Kind::none ||
                             !settled(end.a, pointer.block)))) {
        enterable_[id.index()] = false;
      } else if (end.a.valid()) {
        numbers.push_back(end.a);
      }
    }
    std::ranges::sort(numbers);
    const auto repeated = std::ranges::unique(numbers);
    numbers.erase(repeated.begin(), repeated.end());
    plan_.live[id.index()] = std::move(numbers);
  }
}

// ---- Cuts ---------------------------------------------------------------------------------------

// A cut lies in front of a place in the order. It costs what has to be carried over it.
void Planner::find_cuts() {
  const std::size_t count = plan_.order.size();
  std::vector<std::int64_t> forbidden(count + 1, 0);
  std::vector<std::int64_t> cost(count + 1, 0);
  const auto over = [](std::vector<std::int64_t>& sums, std::size_t from, std::size_t to,
                       std::int64_t value) {
    sums[from + 1] += value;  // cuts in front of from + 1 to `to`
    sums[to + 1] -= value;
  };
  for (std::size_t at = 0; at < count; ++at) {
    const BlockId id = plan_.order[at];
    std::size_t first = at;
    for (const BlockId from : before_[id.index()]) {
      const std::size_t place = plan_.place[from.index()];
      first = std::min(first, place);
      if (place > at) over(forbidden, at, place, 1);  // a loop stays in one part
    }
    if (first == at) continue;
    over(cost, first, at, 1 + static_cast<std::int64_t>(plan_.live[id.index()].size()));
    if (!enterable_[id.index()]) over(forbidden, first, at, 1);
  }

  std::vector<std::uint64_t> sizes(count + 1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    sizes[i + 1] = sizes[i] + weight(function_[plan_.order[i]]);
    forbidden[i + 1] += forbidden[i];
    cost[i + 1] += cost[i];
  }
  const std::uint64_t part_size =
      std::max<std::uint64_t>(options_.part_size, 2 * (sizes[count] / most_parts + 1));
  plan_.part.assign(function_.blocks.size(), no_place);
  std::size_t start = 0;
  const auto end_part = [&](std::size_t end) {
    for (std::size_t i = start; i < end; ++i) plan_.part[plan_.order[i].index()] = plan_.parts;
    ++plan_.parts;
    start = end;
  };
  while (sizes[count] - sizes[start] > part_size) {
    std::size_t best = 0;
    for (std::size_t at = start + 1; at < count; ++at) {
      const std::uint64_t size = sizes[at] - sizes[start];
      if (best != 0 && size > part_size) break;
      if (forbidden[at] != 0 || size < part_size / 2) continue;
      if (best == 0 || cost[at] <= cost[best]) best = at;
    }
    if (best == 0) break;
    end_part(best);
  }
  end_part(count);
}

void Planner::find_entries() {
  plan_.entry.assign(function_.blocks.size(), 0);
  std::vector<bool> entered(function_.blocks.size(), false);
  entered[0] = true;
  for (const BlockId id : plan_.order) {
    for (const BlockId to : flow::successors(function_[id].end)) {
      if (!placed(to)) continue;
      const bool crosses = plan_.part[to.index()] != plan_.part[id.index()];
      if (crosses || function_[id].end.kind == Terminator::Kind::dispatch) {
        entered[to.index()] = true;
      }
    }
  }
  std::uint32_t number = first_entry;
  plan_.entries.resize(plan_.parts);
  for (const BlockId id : plan_.order) {
    if (!entered[id.index()]) continue;
    invariant(enterable_[id.index()], "splitting: an entry where a pointer is live");
    plan_.entry[id.index()] = number++;
    plan_.entries[plan_.part[id.index()]].push_back(id);
  }
}

// ---- The state ----------------------------------------------------------------------------------

// By block: which of the crossing registers hold something there at one time or another.
std::vector<std::vector<std::uint32_t>> Planner::residents() const {
  std::vector<std::vector<std::uint32_t>> out;
  for (const BlockId id : plan_.order) {
    std::vector<std::uint32_t> here;
    const auto add = [&](Reg reg) {
      if (reg.valid() && plan_.crossing[reg.index()] != no_place) {
        here.push_back(plan_.crossing[reg.index()]);
      }
    };
    const Block& block = function_[id];
    for (const Reg reg : plan_.live[id.index()]) add(reg);
    for (const Instruction& i : block.instructions) add(i.dst);
    add(block.end.dst);
    for (const BlockId to : flow::successors(block.end)) {
      if (!placed(to)) continue;
      for (const Reg reg : plan_.live[to.index()]) add(reg);
    }
    std::ranges::sort(here);
    const auto repeated = std::ranges::unique(here);
    here.erase(repeated.begin(), repeated.end());
    out.push_back(std::move(here));
  }
  return out;
}

void Planner::find_slots() {
  const std::vector<std::uint8_t> widths = find_widths(function_, plan_.order);
  plan_.crossing.assign(function_.registers, no_place);
  for (const auto& entries : plan_.entries) {
    for (const BlockId id : entries) {
      for (const Reg reg : plan_.live[id.index()]) {
        if (plan_.crossing[reg.index()] != no_place) continue;
        plan_.crossing[reg.index()] = static_cast<std::uint32_t>(plan_.slots.size());
        const std::uint8_t width = widths[reg.index()];
        const std::uint8_t size = width <= 8 ? 1 : width <= 16 ? 2 : width <= 32 ? 4 : 8;
        plan_.slots.push_back({.offset = 0, .size = size});
      }
    }
  }
  const std::size_t count = plan_.slots.size();
  std::vector<std::vector<bool>> apart(count, std::vector<bool>(count, false));
  for (const auto& here : residents()) {
    for (const std::uint32_t a : here) {
      for (const std::uint32_t b : here) apart[a][b] = true;
    }
  }
  std::uint32_t end = 0;
  for (const std::uint8_t size : std::array<std::uint8_t, 4>{8, 4, 2, 1}) {
    std::vector<std::vector<std::uint32_t>> tenants;  // by place of this size
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      if (plan_.slots[slot].size != size) continue;
      const auto place = std::ranges::find_if(tenants, [&](const auto& others) {
        return std::ranges::none_of(others,
                                    [&](std::uint32_t other) { return apart[slot][other]; });
      });
      const auto index = static_cast<std::size_t>(place - tenants.begin());
      if (place == tenants.end()) tenants.emplace_back();
      tenants[index].push_back(slot);
      plan_.slots[slot].offset = end + static_cast<std::uint32_t>(index) * size;
    }
    end += static_cast<std::uint32_t>(tenants.size()) * size;
  }
  plan_.state_size = (end + 7) / 8 * 8;
}

}  // namespace

bool needs_splitting(const Function& function) {
  const auto is_site = [](const flow::Instruction& instruction) {
    return instruction.op == flow::Op::site;
  };
  std::uint64_t sum = 0;
  for (const Block& block : function.blocks) {
    if (block.end.kind == Terminator::Kind::dispatch) return true;
    // Without its dispatch, which no path reaches, a way back that is noted for nobody.
    if (std::ranges::any_of(block.instructions, is_site)) return true;
    sum += weight(block);
  }
  return sum > most_in_one_piece;
}

SplitFunction split(const Function& function, const SplitOptions& options) {
  const SplitPlan plan = Planner(function, options).run();
  SplitFunction out{.parts = {}, .state_size = plan.state_size, .returns = plan.returns};
  for (std::uint32_t part = 0; part < plan.parts; ++part) {
    out.parts.push_back(make_part(function, plan, part));
  }
  return out;
}

}  // namespace weir::backend
