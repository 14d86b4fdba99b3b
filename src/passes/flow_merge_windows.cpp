// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_merge_windows.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

// Bytes of a merged window. A hook that copies what it reads needs as many on the stack.
constexpr std::int64_t max_width = 64;
// Instructions behind the last load of a row that are copied rather than shared by its two ways.
// What both ways assign counts as alive from the one to the other, wherever they are laid.
constexpr std::ptrdiff_t most_copied = 8;
// Handles that are kept alive beyond the block behind their window. Where packets are copied, each
// costs a buffer as large as the widest window, so that eight would not fit the stack.
constexpr std::size_t max_kept_handles = 1;

bool is_window(const Terminator& end) {
  return end.kind == Terminator::Kind::window;
}

// How often each register is read as the base of a load.
std::vector<std::uint32_t> count_loads(const Function& function) {
  std::vector<std::uint32_t> out(function.registers);
  for (const Block& block : function.blocks) {
    for (const Instruction& i : block.instructions) {
      if (i.op == Op::load) ++out[i.a.index()];
    }
  }
  return out;
}

// A load's new base, and what is added to its offset.
struct Moved {
  Reg base;
  std::uint64_t distance = 0;
};

void move_load(Instruction& i, const std::map<Reg, Moved>& moved) {
  if (i.op != Op::load) return;
  const auto found = moved.find(i.a);
  if (found == moved.end()) return;
  i.a = found->second.base;
  i.imm += found->second.distance;
}

// ---- Windows inside of others
// ---------------------------------------------------------------------

class DominatedWindows {
 public:
  explicit DominatedWindows(Function& function)
      : function_(function),
        counts_(function),
        settled_(function),
        loads_(count_loads(function)),
        before_(predecessors(function)) {}

  void run() {
    const DominatorTree tree(function_);
    walk(
        tree, [&](BlockId id) { enter(id); },
        [&](BlockId) {
          known_.resize(scopes_.back());
          scopes_.pop_back();
        });
    for (Block& block : function_.blocks) {
      for (Instruction& i : block.instructions) move_load(i, moved_);
    }
  }

 private:
  void enter(BlockId id) {
    scopes_.push_back(known_.size());
    const auto& from = before_[id.index()];
    if (from.size() == 1) {
      const Terminator& end = function_[from[0]].end;
      if (is_window(end) && end.yes == id && counts_.assigned_once(end.dst) &&
          has_fixed_base(end, id)) {
        known_.push_back(end);
      }
    }
    Terminator& end = function_[id].end;
    if (!is_window(end) || !counts_.assigned_once(end.dst) ||
        counts_.reads[end.dst.index()] != loads_[end.dst.index()]) {
      return;
    }
    for (const Terminator& outer : known_) {
      const std::uint64_t distance = end.imm - outer.imm;
      if (outer.a != end.a || distance > outer.imm2 || end.imm2 > outer.imm2 - distance) continue;
      if (!keep(outer.dst)) continue;
      moved_[end.dst] = {outer.dst, distance};
      end = {.kind = Terminator::Kind::jump, .yes = end.yes};
      return;
    }
  }

  // Whether what the window counts from is the same wherever control goes from this block on.
  [[nodiscard]] bool has_fixed_base(const Terminator& end, BlockId id) {
    return !end.a.valid() || settled_.settled(end.a, id);
  }

  bool keep(Reg handle) {
    if (!kept_.contains(handle) && kept_.size() >= max_kept_handles) return false;
    kept_.insert(handle);
    return true;
  }

  Function& function_;
  RegisterCounts counts_;
  SettledRegisters settled_;
  std::vector<std::uint32_t> loads_;
  std::vector<std::vector<BlockId>> before_;
  std::vector<Terminator> known_;    // windows that are there, at the point reached
  std::vector<std::size_t> scopes_;  // size of known_ before each block on the way from the root
  std::map<Reg, Moved> moved_;
  std::set<Reg> kept_;
};

// ---- Rows of windows
// ------------------------------------------------------------------------------

// One window of a row, and what runs from the window before it (of the first: from itself) to the
// end of the block behind it when its bytes are there.
struct Link {
  Terminator window;
  std::int64_t offset = 0;  // from the first window of the row
  std::vector<BlockId> blocks;
};

class WindowRows {
 public:
  explicit WindowRows(Function& function)
      : function_(function), counts_(function), before_(function.blocks.size()) {
    for (const Block& block : function.blocks) count_edges(block.end);
  }

  void run() {
    work_ = reverse_postorder(function_);
    for (std::size_t i = 0; i < work_.size(); ++i) {
      if (done_.contains(work_[i]) || !is_window(function_[work_[i]].end)) continue;
      const std::vector<Link> row = find_row(work_[i]);
      if (row.size() >= 2) merge(work_[i], row);
    }
  }

 private:
  [[nodiscard]] std::vector<Link> find_row(BlockId start) const {
    std::vector<Link> row;
    std::optional<Link> next = first_link(start);
    while (next) {
      row.push_back(*next);
      if (!is_sound(row)) {
        row.pop_back();
        break;
      }
      next = next_link(start, row);
    }
    while (row.size() >= 2 && !handles_stay_inside(row)) row.pop_back();
    return row;
  }

  [[nodiscard]] std::optional<Link> first_link(BlockId start) const {
    const Terminator& window = function_[start].end;
    if (before_[window.yes.index()] != 1) return std::nullopt;
    return Link{.window = window, .offset = 0, .blocks = {window.yes}};
  }

  // The next window that control comes to when all of the row so far was there, if nothing else but
  // jumps leads to it.
  [[nodiscard]] std::optional<Link> next_link(BlockId start, const std::vector<Link>& row) const {
    const Terminator& first = row.front().window;
    Link link;
    BlockId at = row.back().blocks.back();
    while (function_[at].end.kind == Terminator::Kind::jump) {
      at = function_[at].end.yes;
      if (at == start || contains(link, at) ||
          std::ranges::any_of(row, [&](const Link& earlier) { return contains(earlier, at); })) {
        return std::nullopt;
      }
      link.blocks.push_back(at);
    }
    const Terminator& window = function_[at].end;
    if (!is_window(window) || window.a != first.a || done_.contains(at)) return std::nullopt;
    if (before_[window.yes.index()] != 1) return std::nullopt;
    link.window = window;
    link.offset = static_cast<std::int64_t>(window.imm - first.imm);
    link.blocks.push_back(window.yes);
    return link;
  }

  // Whether the last link fits to the others: near enough, in the same rule, the base untouched.
  [[nodiscard]] bool is_sound(const std::vector<Link>& row) const {
    const Link& link = row.back();
    if (link.window.imm2 > static_cast<std::uint64_t>(max_width)) return false;
    if (link.offset > max_width || link.offset < -max_width) return false;
    if (width(row) > max_width || !counts_.assigned_once(link.window.dst)) return false;
    const std::int32_t rule = rule_of(row);
    for (const BlockId id : link.blocks) {
      const Block& block = function_[id];
      if (!block.instructions.empty() && block.rule != rule) return false;
      for (const Instruction& i : block.instructions) {
        if (i.dst.valid() && i.dst == link.window.a) return false;
        if (flow::changes_packet(i.op)) return false;
      }
    }
    return true;
  }

  // Whether nothing reads the handles but loads that get a new base. The way with all bytes there
  // sets none of the handles, so a load counts only in a block that cannot be entered without
  // passing the handle's window: behind a join it might be, once more around a loop.
  [[nodiscard]] bool handles_stay_inside(const std::vector<Link>& row) const {
    std::map<Reg, std::uint32_t> inside;  // loads, of each handle
    std::set<Reg> passed;                 // handles whose windows the current block is behind
    for (const Link& link : row) {
      inside[link.window.dst] = 0;
      for (const BlockId id : link.blocks) {
        if (before_[id.index()] != 1) passed.clear();
        if (id == link.blocks.back()) passed.insert(link.window.dst);
        for (const Instruction& i : function_[id].instructions) {
          if (i.op == Op::load && passed.contains(i.a)) ++inside[i.a];
        }
      }
    }
    return std::ranges::all_of(inside, [&](const auto& handle) {
      return counts_.reads[handle.first.index()] == handle.second;
    });
  }

  void merge(BlockId start, const std::vector<Link>& row) {
    const std::int64_t low = lowest(row);
    share_rest(row);

    const Reg wide = new_register();
    std::map<Reg, Moved> moved;
    for (const Link& link : row) {
      moved[link.window.dst] = {wide, static_cast<std::uint64_t>(link.offset - low)};
    }
    Block hot{.end = function_[row.back().blocks.back()].end, .rule = rule_of(row)};
    for_each_instruction(row, [&](Instruction i) {
      move_load(i, moved);
      hot.instructions.push_back(std::move(i));
    });
    const BlockId hot_id = new_block(std::move(hot));
    const BlockId cold_id = new_block({.end = function_[start].end, .rule = function_[start].rule});
    // The edges out of `start` are those of the cold block now, so they are counted once too often.
    uncount_edges(function_[start].end);
    Terminator& end = function_[start].end;
    end.dst = wide;
    end.imm += static_cast<std::uint64_t>(low);
    end.imm2 = static_cast<std::uint64_t>(width(row));
    end.yes = hot_id;
    end.no = cold_id;
    count_edges(end);
    counts_.writes[wide.index()] = 1;

    done_.insert(start);
    for (const Link& link : row) done_.insert(link.blocks.begin(), link.blocks.end());
  }

  // Moves into a block of their own, which the two ways are going to share, what stands behind the
  // last load where it is long, and the window that the row may end in. A row may start there.
  void share_rest(const std::vector<Link>& row) {
    const BlockId last = row.back().blocks.back();
    const auto reads_handle = [&](const Instruction& i) {
      return i.op == Op::load &&
             std::ranges::any_of(row, [&](const Link& link) { return link.window.dst == i.a; });
    };
    const auto& all = function_[last].instructions;
    const auto behind = std::find_if(all.rbegin(), all.rend(), reads_handle).base();
    const bool is_long = all.end() - behind > most_copied;
    if (!is_long && !is_window(function_[last].end)) return;
    const std::size_t from = static_cast<std::size_t>((is_long ? behind : all.end()) - all.begin());

    const BlockId out = new_block({.end = function_[last].end, .rule = function_[last].rule});
    auto& before = function_[last].instructions;
    const auto cut = before.begin() + static_cast<std::ptrdiff_t>(from);
    function_[out].instructions.assign(std::make_move_iterator(cut),
                                       std::make_move_iterator(before.end()));
    before.erase(cut, before.end());
    uncount_edges(function_[last].end);
    function_[last].end = {.kind = Terminator::Kind::jump, .yes = out};
    count_edges(function_[last].end);
    work_.push_back(out);
  }

  // The counts are kept up with what is added, as counting anew for each row would take time that
  // grows with the square of the function's size.
  Reg new_register() {
    counts_.writes.push_back(0);
    counts_.reads.push_back(0);
    return function_.new_register();
  }
  BlockId new_block(Block block) {
    for (const Instruction& i : block.instructions) {
      if (i.dst.valid()) ++counts_.writes[i.dst.index()];
      for (const Reg r : uses(i)) ++counts_.reads[r.index()];
    }
    const BlockId id = function_.new_block();
    before_.push_back(0);
    count_edges(block.end);
    function_[id] = std::move(block);
    return id;
  }
  void count_edges(const Terminator& end) {
    for (const BlockId to : successors(end)) ++before_[to.index()];
  }
  void uncount_edges(const Terminator& end) {
    for (const BlockId to : successors(end)) --before_[to.index()];
  }

  template <typename Visit>
  void for_each_instruction(const std::vector<Link>& row, Visit visit) const {
    for (const Link& link : row) {
      for (const BlockId id : link.blocks) {
        for (const Instruction& i : function_[id].instructions) visit(i);
      }
    }
  }

  static bool contains(const Link& link, BlockId id) {
    return std::ranges::find(link.blocks, id) != link.blocks.end();
  }

  // The rule of the first instructions in the row.
  [[nodiscard]] std::int32_t rule_of(const std::vector<Link>& row) const {
    for (const Link& link : row) {
      for (const BlockId id : link.blocks) {
        if (!function_[id].instructions.empty()) return function_[id].rule;
      }
    }
    return function_[row.front().blocks.front()].rule;
  }

  static std::int64_t lowest(const std::vector<Link>& row) {
    return std::ranges::min(row, {}, &Link::offset).offset;
  }
  static std::int64_t width(const std::vector<Link>& row) {
    std::int64_t end = 0;
    for (const Link& link : row) {
      end = std::max(end, link.offset + static_cast<std::int64_t>(link.window.imm2));
    }
    return end - lowest(row);
  }

  Function& function_;
  RegisterCounts counts_;
  std::vector<std::uint32_t> before_;  // edges that lead to each block
  std::vector<BlockId> work_;          // where rows may start
  std::set<BlockId> done_;             // blocks of rows that have been merged
};

}  // namespace

void flow_merge_windows(Function& function) {
  remove_unreachable(function);
  // Behind a change of the packet a handle cannot be read any more.
  const bool changes = std::ranges::any_of(function.blocks, [](const Block& block) {
    return std::ranges::any_of(block.instructions,
                               [](const Instruction& i) { return flow::changes_packet(i.op); });
  });
  if (!changes) DominatedWindows(function).run();
  remove_unreachable(function);
  WindowRows(function).run();
}

}  // namespace weir::passes
