// SPDX-License-Identifier: BSD-2-Clause
//
// What one operation does to a State, and whether it may. Shared by the files transfer_*.cpp; the
// exploration of paths in checker.cpp is the only user.
#pragma once

#include <optional>
#include <vector>

#include "base/error.h"
#include "engine/code.h"
#include "engine/precision.h"
#include "engine/state.h"

namespace weir::engine {

class Transfer {
 public:
  explicit Transfer(Code& code) : code_(code), depths_(code.functions.size()) {}

  // At the start of a function: of the program's own, or of one of global linkage.
  [[nodiscard]] State start(std::size_t function) const;
  // Any operation but jumps, local calls and exit.
  [[nodiscard]] Status step(State& state, Operation& operation);
  // A conditional jump: the state where it is taken, and where it is not; nothing where that cannot
  // happen.
  struct Branches {
    std::optional<State> taken;
    std::optional<State> not_taken;
  };
  [[nodiscard]] Result<Branches> branch(const State& state, const Operation& operation);
  // From the end of the program, and from a function to its caller.
  [[nodiscard]] Status exit(const State& state, const Operation& operation);
  [[nodiscard]] Status leave(State& state, const Operation& operation);
  // Into a function, whose operations live with `function` at its start and which the caller goes
  // on from with `caller`.
  [[nodiscard]] Status enter(State& state, const Operation& operation, std::uint32_t return_to,
                             const Parts& function, const Parts& caller);
  // A call of a function of global linkage, which is checked apart.
  [[nodiscard]] Status call_global(State& state, const Operation& operation,
                                   const LocalFunction& function);
  // A round of a loop with a callback; `loop` is the loop's own operation, and `caller` what lives
  // before it.
  [[nodiscard]] Status enter_callback(State& state, const Operation& operation, std::uint32_t loop,
                                      const Parts& caller);
  // From the callback back to the loop: first whether it may, then the way.
  [[nodiscard]] Status end_callback(const State& state, const Operation& operation);
  static void leave_callback(State& state);
  // Whether the stacks of all functions that can be active at once fit, after all paths were seen.
  [[nodiscard]] Status stacks();
  // The parts whose numbers the last call of step(), branch() or exit() rested on, as they were
  // before it.
  [[nodiscard]] const Parts& needed() const { return needed_; }

 private:
  static void push(State& state, Frame callee, std::uint32_t return_to);

  // What a function needs with all that it calls: bytes of stack, and functions active at once.
  struct Demand {
    std::int64_t bytes = 0;
    std::size_t frames = 0;
  };
  Result<Demand> demand_of(std::size_t function, std::vector<std::optional<Demand>>& known,
                           std::vector<bool>& active);

  struct Bytes {
    std::int64_t offset = 0;  // beside what the pointer itself holds
    std::int64_t size = 0;
    bool write = false;
  };

  // transfer_alu.cpp
  Status arithmetic(State& state, const Operation& operation);
  Status pointer_arithmetic(State& state, const Operation& operation, const Value& left,
                            const Value& right, isa::Opcode wide);
  Status move(State& state, const Operation& operation) const;
  Status unary(State& state, const Operation& operation) const;

  // transfer_memory.cpp
  Status load(State& state, Operation& operation);
  Status load_member(State& state, Operation& operation, const Value& base);
  Status store_member(Operation& operation, const Value& base, const Value& value);
  Status store(State& state, Operation& operation);
  Status atomic(State& state, Operation& operation);
  // Whether the bytes lie within what `base` points to; not for structures.
  Status bounds(const State& state, const Operation& operation, const Value& base, Bytes bytes);
  Status stack_bounds(const State& state, const Operation& operation, const Value& base,
                      Bytes bytes);
  Status stack_readable(const Frame& frame, const Operation& operation, std::int64_t begin,
                        std::int64_t size) const;
  Result<Value> read_stack(State& state, const Operation& operation, std::uint32_t number,
                           std::int64_t begin) const;
  void write_stack(Frame& frame, std::int64_t begin, std::int64_t size) const;
  // The bytes keep whether they were written, but no longer what they hold.
  void clobber_stack(Frame& frame, std::int64_t begin, std::int64_t size) const;
  Status set_access(Operation& operation, Access access) const;

  // transfer_call.cpp
  Status call(State& state, const Operation& operation);
  Status argument(State& state, const Operation& operation, std::size_t index);
  Status dynptr_argument(State& state, const Operation& operation, std::uint8_t reg, bool fresh);
  Status memory_argument(State& state, const Operation& operation, std::uint8_t reg, Argument kind);
  Status global_argument(State& state, const Operation& operation, std::uint8_t reg,
                         const isa::Subprogram::Argument& declared);
  Status returned(State& state, const Operation& operation) const;
  // clear_all_pkt_pointers(): in every frame; slices go with them.
  static void forget_packet_pointers(State& state);
  static void forget_record(State& state);
  [[nodiscard]] bool is_ring(const Value& map) const;

  // transfer_branch.cpp
  std::optional<Branches> packet_branch(const State& state, const Operation& operation,
                                        const Value& left, const Value& right) const;
  std::optional<Branches> null_branch(const State& state, const Operation& operation,
                                      const Value& left, const Value& right);

  // transfer.cpp
  Result<Value> read(const State& state, const Operation& operation, std::uint8_t reg) const;
  // The register, or the constant, that is the right side of an arithmetic operation or comparison.
  Result<Value> right_side(const State& state, const Operation& operation) const;
  [[nodiscard]] std::unexpected<Diagnostic> refuse(const Operation& operation,
                                                   const std::string& what) const {
    return engine::refuse(code_, operation, what);
  }
  [[nodiscard]] std::string describe(const Value& value) const {
    return engine::describe(value, *code_.object);
  }
  [[nodiscard]] const isa::MapSpec& map_of(const Value& value) const {
    return code_.object->maps[value.object];
  }

  void need(std::uint8_t reg) { needed_ = needed_ | part_of_register(reg); }
  void need_right_side(const Operation& operation);

  Code& code_;
  Parts needed_;
  std::vector<std::int64_t> depths_;  // of each function: bytes of its stack that it touched
};

}  // namespace weir::engine
