// SPDX-License-Identifier: BSD-2-Clause
//
// The machine level: basic blocks over virtual registers. A register holds 64 bits, may be assigned
// more than once, and is zero-extended from whatever was put into it. Wider values are several
// registers. What an instruction does to the world outside (packet, context, maps) is named here
// and spelled out by the hook's profile when it is emitted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "base/shared_list.h"
#include "isa/program.h"

namespace weir::flow {

using Reg = Id<struct RegTag>;
using BlockId = Id<struct BlockTag>;

// Facts that the hook's context supplies (see flow/context.def).
enum class ContextKey : std::uint8_t {
#define WEIR_CONTEXT_KEY(name, bits, source) name,
#include "flow/context.def"
#undef WEIR_CONTEXT_KEY
};
constexpr std::size_t context_keys = static_cast<std::size_t>(ContextKey::zero) + 1;

// Where a fact stands: in what every program of the hook may read, in structures of the kernel that
// a program sees by their types, or behind pointers whose types only bpf_rdonly_cast() gives them.
enum class Source : std::uint8_t { context, structure, memory };

// One row an operation: name in the text form, and which operands it has (see flow/ops.def).
enum class Op : std::uint8_t {
#define WEIR_FLOW_OP(name, text, shape) name,
#include "flow/ops.def"
#undef WEIR_FLOW_OP
};

// Conditions of a branch; all unsigned, on 64 bits.
constexpr std::size_t record_operands = 3;  // of Op::record

enum class Condition : std::uint8_t { eq, ne, lt, le, gt, ge, set };

struct Instruction {
  Op op = Op::constant;
  Reg dst;
  Reg a;
  Reg b;
  std::uint64_t imm = 0;      // a constant, an offset, a key of the context, a counter, a rule
  std::uint8_t size = 8;      // bytes, of loads
  std::uint8_t key_size = 0;  // bytes, of keys of maps
  isa::MapIndex map;
  // The words of a key, in memory order, and of what is inserted with it; what a record is of; or
  // the one register c.
  std::vector<Reg> args;

  friend bool operator==(const Instruction&, const Instruction&) = default;
};

// A place to which control may come back, by the number that Op::site gives it.
struct Site {
  std::uint64_t number = 0;
  BlockId block;

  friend bool operator==(const Site&, const Site&) = default;
};

// What Terminator::Kind::ret says, by its number.
enum class Verdict : std::uint8_t { drop, accept, answered, forwarded };
constexpr std::array<std::string_view, 4> verdict_names = {"drop", "accept", "answered",
                                                           "forwarded"};

// How a block ends.
struct Terminator {
  enum class Kind : std::uint8_t {
    none,      // not yet set: no verified function has it
    jump,      // to `yes`
    branch,    // on `a` condition `b` (or imm when b is not valid): `yes` or `no`
    window,    // dst becomes a handle of `imm2` packet bytes from offset a + imm on, and `yes`;
               // `no` when they reach beyond the packet. a not valid: from imm on.
    ret,       // the packet's verdict: imm 0 drop, 1 accept, 2 sent back as Op::answer made it, 3
               // sent out as Op::forward said
    dispatch,  // to the one of `sites` that `a` says
    leave,     // of a part of a split function: on to the entry of number imm, or `a` when valid
  };
  Kind kind = Kind::none;
  Condition condition = Condition::eq;
  Reg dst;
  Reg a;
  Reg b;
  std::uint64_t imm = 0;
  std::uint64_t imm2 = 0;
  BlockId yes;
  BlockId no;
  std::vector<Site> sites = {};  // ascending by number

  friend bool operator==(const Terminator&, const Terminator&) = default;
};

struct Block {
  std::vector<Instruction> instructions = {};
  Terminator end = {};
  std::int32_t rule = -1;  // into Function::rule_names; -1 is the code around the rules
};

struct Function {
  std::string name;
  std::vector<Block> blocks;  // the first one is the entry
  std::uint32_t registers = 0;
  std::vector<isa::MapSpec> maps;
  SharedList<std::string> rule_names;

  [[nodiscard]] Block& operator[](BlockId id) { return blocks.at(id.index()); }
  [[nodiscard]] const Block& operator[](BlockId id) const { return blocks.at(id.index()); }
  Reg new_register() { return Reg(registers++); }
  BlockId new_block(std::int32_t rule = -1) {
    blocks.push_back(Block{.rule = rule});
    return BlockId(blocks.size() - 1);
  }
};

[[nodiscard]] std::string_view to_string(Op op);
[[nodiscard]] std::string_view to_string(Condition condition);
[[nodiscard]] std::string_view to_string(ContextKey key);
// How many bits of the fact may be set.
[[nodiscard]] std::uint8_t width_of(ContextKey key);
[[nodiscard]] Source source_of(ContextKey key);

// What an operation has: d a destination, a, b and c registers, i an immediate, s a load size,
// k a context key, m a map, g a list of arguments.
[[nodiscard]] std::string_view shape(Op op);
// Whether it changes anything but its destination.
[[nodiscard]] bool has_effect(Op op);
// Whether it may change bytes of the packet: no window can be read behind it.
[[nodiscard]] bool changes_packet(Op op);
// The fact of the context that it may change.
[[nodiscard]] std::optional<ContextKey> changed_fact(Op op);

// The registers that an instruction or a terminator reads.
[[nodiscard]] std::vector<Reg> uses(const Instruction& instruction);
[[nodiscard]] std::vector<Reg> uses(const Terminator& end);
// Where control may go from here: none, one or two blocks, or those of all sites.
[[nodiscard]] std::vector<BlockId> successors(const Terminator& end);

// The text form, and back. See docs/flow.md for its grammar.
[[nodiscard]] std::string print(const Function& function);
[[nodiscard]] Result<Function> parse(std::string_view text, const std::string& file);

// Checks that operands fit the operation, every block ends, every target exists, no register is
// read before it is written on every path, and no loads leave their window. Throws InvariantError.
void verify(const Function& function);

}  // namespace weir::flow
