// SPDX-License-Identifier: BSD-2-Clause
//
// What every function of the flow level promises between passes. Two parts: the form of each
// instruction by itself, and, by a data-flow analysis over the blocks that are reached, what each
// register holds where it is read.
#include <algorithm>
#include <optional>

#include "flow/flow.h"
#include "flow/liveness.h"
#include "flow/text.h"

namespace weir::flow {

namespace {

constexpr std::size_t word_size = 8;

// What a register holds at one point of the program.
struct Value {
  enum class Kind : std::uint8_t {
    undefined,  // not written on some path
    number,
    window,        // a handle of `size` packet bytes
    map_value,     // address of `size` bytes
    maybe_null,    // the same, or 0
    map_interior,  // an address inside a map value, at an offset known only when it runs
  };
  Kind kind = Kind::undefined;
  std::uint64_t size = 0;

  friend bool operator==(const Value&, const Value&) = default;
};

// What holds when either of two holds. A pointer that is one on one path only is a number: nothing
// may be loaded through it.
Value join(const Value& a, const Value& b) {
  if (a == b) return a;
  if (a.kind == Value::Kind::undefined || b.kind == Value::Kind::undefined) return {};
  if (a.kind == b.kind) return {a.kind, std::min(a.size, b.size)};
  return {Value::Kind::number, 0};
}

class Verifier {
 public:
  explicit Verifier(const Function& function) : function_(function) {}

  void run() {
    require(!function_.blocks.empty(), "no blocks");
    for (std::size_t b = 0; b < function_.blocks.size(); ++b) {
      block_ = BlockId(b);
      check_block(function_.blocks[b]);
    }
    follow_values();
  }

 private:
  void require(bool holds, std::string_view what, std::string_view where = {}) const {
    if (holds) return;
    std::string message = "flow \"" + function_.name + "\"";
    if (block_.valid()) message += " b" + std::to_string(block_.value);
    if (!where.empty()) message += ": " + std::string(where);
    throw InvariantError(message + ": " + std::string(what));
  }

  // ---- Form -------------------------------------------------------------------------------------

  void check_block(const Block& block) const {
    require(block.rule >= -1 && block.rule < static_cast<std::int64_t>(function_.rule_names.size()),
            "the block's rule has no name");
    for (const Instruction& instruction : block.instructions) check_form(instruction);
    check_form(block.end);
  }

  void check_register(Reg r, bool wanted, const std::string& text) const {
    require(r.valid() == wanted, wanted ? "an operand is missing" : "an operand too many", text);
    require(!wanted || r.value < function_.registers, "a register beyond the function's count",
            text);
  }

  // Whether the second operand may be no number.
  static bool needs_second(Op op) {
    switch (op) {
      case Op::exchange:
      case Op::exchange_at:
      case Op::fetch_add_at:
      case Op::put_at:
      case Op::answer:
        return true;
      default:
        return false;
    }
  }

  void check_form(const Instruction& i) const {
    const std::string text = print(i);
    const std::string_view has = shape(i.op);
    check_register(i.dst, has.contains('d'), text);
    check_register(i.a, has.contains('a'), text);
    if (i.b.valid() || needs_second(i.op)) check_register(i.b, has.contains('b'), text);
    for (const Reg r : i.args) check_register(r, has.contains('g') || has.contains('c'), text);
    require(!has.contains('c') || i.args.size() == 1, "not one register more", text);
    require(i.map.valid() == has.contains('m'), "a map is missing, or one too many", text);
    require(!i.map.valid() || i.map.index() < function_.maps.size(), "no such map", text);
    if (has.contains('s')) {
      require(i.size == 1 || i.size == 2 || i.size == 4 || i.size == 8, "no such load size", text);
    }
    if (has.contains('k')) {
      require(i.imm < context_keys, "no such context key", text);
    }
    if ((i.op == Op::shl || i.op == Op::shr) && !i.b.valid()) {
      require(i.imm < 64, "a shift by 64 or more", text);
    }
    if (i.map.valid()) check_map(i, function_.maps[i.map.index()], text);
  }

  void check_map(const Instruction& i, const isa::MapSpec& map, const std::string& text) const {
    if (i.op == Op::lookup || i.op == Op::insert || i.op == Op::erase) {
      const std::size_t value = i.op == Op::insert ? map.value_size : 0;
      require(i.key_size == map.key_size, "the key has not the size of the map's", text);
      require(i.args.size() ==
                  (i.key_size + word_size - 1) / word_size + (value + word_size - 1) / word_size,
              "not as many words as the key has", text);
      require(i.op == Op::lookup || (map.type == isa::MapType::hash && value % word_size == 0),
              "not a hash map of words", text);
    } else if (i.op == Op::sweep) {
      require(map.type == isa::MapType::hash && map.value_size >= word_size,
              "not a hash map of words", text);
    } else if (i.op == Op::word || i.op == Op::exchange || i.op == Op::fetch_add) {
      require(map.type == isa::MapType::array && map.max_entries == 1,
              "not an array of one element", text);
      require(i.imm % word_size == 0 && i.imm < map.value_size, "no such word", text);
    } else if (i.op == Op::map_value || i.op == Op::opaque_zero) {
      require(map.type == isa::MapType::array && map.max_entries == 1,
              "not an array of one element", text);
      require(i.op == Op::opaque_zero || i.imm < map.value_size, "beyond the value", text);
    } else if (i.op == Op::record) {
      require(map.type == isa::MapType::ringbuf, "not a ring buffer", text);
      require(i.args.size() == record_operands, "not lengths, devices and a mark", text);
    } else if (i.op == Op::count) {
      require(map.type == isa::MapType::percpu_array || map.type == isa::MapType::array,
              "not an array", text);
      require(i.b.valid() || i.imm < map.max_entries, "no such counter", text);
    }
  }

  void check_form(const Terminator& end) const {
    const std::string text = print(end);
    const bool is_window = end.kind == Terminator::Kind::window;
    const bool is_branch = end.kind == Terminator::Kind::branch;
    require(end.kind != Terminator::Kind::none, "the block does not end");
    check_register(end.dst, is_window, text);
    const bool is_dispatch = end.kind == Terminator::Kind::dispatch;
    if (end.kind == Terminator::Kind::leave) {
      if (end.a.valid()) check_register(end.a, true, text);
    } else if (!is_window) {
      check_register(end.a, is_branch || is_dispatch, text);
    }
    require(is_dispatch == !end.sites.empty(), "a dispatch has sites, and nothing else has", text);
    for (std::size_t i = 1; i < end.sites.size(); ++i) {
      require(end.sites[i - 1].number < end.sites[i].number, "sites out of order", text);
    }
    if (is_window && end.a.valid()) check_register(end.a, true, text);
    if (end.b.valid()) check_register(end.b, is_branch, text);
    if (is_window) require(end.imm2 > 0, "a window of no bytes", text);
    if (end.kind == Terminator::Kind::ret)
      require(end.imm < verdict_names.size(), "no such verdict", text);
    for (const BlockId target : successors(end)) {
      require(target.valid() && target.index() < function_.blocks.size(), "no such block", text);
    }
  }

  // ---- Values -----------------------------------------------------------------------------------

  // What is known at the start of a block: one value for each register that is live there, in the
  // order of live_. Keeping no others keeps the analysis linear in the number of rules.
  using Entry = std::vector<Value>;
  // The same inside a block, by register. Holds leftovers for registers that are not live.
  using State = std::vector<Value>;

  void follow_values() {
    live_ = live_at_start(function_, Reads::all);
    block_ = BlockId(0);
    if (!live_[0].empty()) {
      require(false, unwritten(live_[0].front()));
    }
    entries_.assign(function_.blocks.size(), std::nullopt);
    entries_[0] = Entry();
    State state(function_.registers);
    std::vector<BlockId> work{BlockId(0)};
    while (!work.empty()) {
      block_ = work.back();
      work.pop_back();
      const std::vector<Reg>& live = live_[block_.index()];
      for (std::size_t i = 0; i < live.size(); ++i) {
        state[live[i].index()] = (*entries_[block_.index()])[i];
      }
      const Block& block = function_[block_];
      for (const Instruction& instruction : block.instructions) step(instruction, state);
      leave(block.end, state, work);
    }
  }

  static std::string unwritten(Reg r) {
    return "v" + std::to_string(r.value) + " is read before it is written on every path";
  }

  void check_read(const std::vector<Reg>& regs, const State& state, const std::string& text) const {
    for (const Reg r : regs) {
      if (state[r.index()].kind == Value::Kind::undefined) require(false, unwritten(r), text);
    }
  }

  void step(const Instruction& i, State& state) const {
    check_read(uses(i), state, print(i));
    if (i.op == Op::load) check_load(i, state[i.a.index()], i.size);
    if (i.op == Op::word_at || i.op == Op::exchange_at || i.op == Op::fetch_add_at ||
        i.op == Op::put_at) {
      require(i.imm % word_size == 0, "not a word", print(i));
      check_load(i, state[i.a.index()], word_size);
    }
    if (i.dst.valid()) state[i.dst.index()] = result(i, state);
    if (!changes_packet(i.op)) return;
    for (Value& value : state) {
      if (value.kind == Value::Kind::window) value = {};
    }
  }

  void check_load(const Instruction& i, const Value& base, std::uint64_t size) const {
    using Kind = Value::Kind;
    require(base.kind == Kind::window || base.kind == Kind::map_value ||
                base.kind == Kind::map_interior,
            base.kind == Kind::maybe_null ? "a load from an address that may be 0"
                                          : "a load from what is not an address",
            print(i));
    if (base.kind == Kind::map_interior) return;
    require(i.imm <= base.size && size <= base.size - i.imm, "a load outside of its window",
            print(i));
  }

  [[nodiscard]] Value result(const Instruction& i, const State& state) const {
    using Kind = Value::Kind;
    switch (i.op) {
      case Op::copy:
        return state[i.a.index()];
      case Op::lookup:
        return {Kind::maybe_null, function_.maps[i.map.index()].value_size};
      case Op::map_value:
        return {Kind::map_value, function_.maps[i.map.index()].value_size - i.imm};
      case Op::add: {
        const Kind base = state[i.a.index()].kind;
        const bool in_map = base == Kind::map_value || base == Kind::map_interior;
        return {in_map ? Kind::map_interior : Kind::number, 0};
      }
      case Op::constant:
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
        return {Kind::number, 0};
    }
    throw InvariantError("no such operation");
  }

  // Hands the state on to where control may go.
  void leave(const Terminator& end, State& state, std::vector<BlockId>& work) {
    check_read(uses(end), state, print(end));
    switch (end.kind) {
      case Terminator::Kind::none:
      case Terminator::Kind::ret:
      case Terminator::Kind::leave:
        return;
      case Terminator::Kind::dispatch:
        for (const Site& site : end.sites) enter(site.block, state, work);
        return;
      case Terminator::Kind::jump:
        enter(end.yes, state, work);
        return;
      case Terminator::Kind::window:
        state[end.dst.index()] = {};
        enter(end.no, state, work);
        state[end.dst.index()] = {Value::Kind::window, end.imm2};
        enter(end.yes, state, work);
        return;
      case Terminator::Kind::branch: {
        const bool against_zero = !end.b.valid() && end.imm == 0;
        const bool is_ne = against_zero && end.condition == Condition::ne;
        const bool is_eq = against_zero && end.condition == Condition::eq;
        Value& tested = state[end.a.index()];
        const Value before = tested;
        Value present = tested;
        if (present.kind == Value::Kind::maybe_null) present.kind = Value::Kind::map_value;
        tested = is_ne ? present : before;
        enter(end.yes, state, work);
        tested = is_eq ? present : before;
        enter(end.no, state, work);
        return;
      }
    }
  }

  void enter(BlockId target, const State& state, std::vector<BlockId>& work) {
    const std::vector<Reg>& live = live_[target.index()];
    std::optional<Entry>& known = entries_[target.index()];
    bool changed = !known;
    if (!known) {
      known = Entry();
      for (const Reg r : live) known->push_back(state[r.index()]);
    }
    for (std::size_t i = 0; i < live.size(); ++i) {
      const Value joined = join((*known)[i], state[live[i].index()]);
      changed = changed || joined != (*known)[i];
      (*known)[i] = joined;
    }
    if (changed) work.push_back(target);
  }

  const Function& function_;
  BlockId block_;
  std::vector<std::vector<Reg>> live_;
  std::vector<std::optional<Entry>> entries_;
};

}  // namespace

void verify(const Function& function) {
  Verifier(function).run();
}

}  // namespace weir::flow
