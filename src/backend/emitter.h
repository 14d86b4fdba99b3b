// SPDX-License-Identifier: BSD-2-Clause
//
// Emission: flow to eBPF. The Emitter is also what hook profiles write their code with.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backend/allocate.h"
#include "backend/profile.h"
#include "backend/split.h"
#include "flow/flow.h"
#include "isa/isa.h"
#include "isa/program.h"

namespace weir::backend {

// One program from one verified function; nothing when its values do not fit the stack of a program
// (lowering with fewer shared words then does).
[[nodiscard]] std::optional<isa::Program> emit(const flow::Function& function,
                                               const Profile& profile);
// The same from one that has been split: a function for each part, and a main one that calls them
// in turn.
[[nodiscard]] std::optional<isa::Program> emit(const SplitFunction& function,
                                               const Profile& profile);

using Label = Id<struct LabelTag>;

// What counts packets where a program does so often: the name of its piece.
inline constexpr const char* counting_name = "count";
// The same of what looks at one entry of a map that is swept.
inline constexpr const char* sweeping_name = "sweep";

// The same of what records packets, and the stack of that.
inline constexpr const char* recording_name = "record";
inline constexpr std::int16_t recording_stack = 64;  // bytes

// The same of what answers packets, and sums up bytes of them (backend/answers.h).
inline constexpr const char* answering_name = "answer";
inline constexpr const char* summing_name = "sum";

// A function of a program, before it has a place there.
struct Piece {
  isa::Subprogram head;  // all but `start`
  std::vector<isa::Insn> insns;
  std::vector<isa::Relocation> relocations;
  std::vector<isa::OriginRow> origins;
  struct Call {
    std::uint32_t insn = 0;
    std::string function;  // the name of another piece
  };
  std::vector<Call> calls;
  isa::MapIndex counters;  // valid when something is counted by a call
  isa::MapIndex ring;      // valid when packets are recorded
  isa::MapIndex scratch;   // valid when packets are answered
  bool sweeps = false;     // whether it needs the piece of that name
};
// Puts pieces one behind another; the first one is where the program starts.
[[nodiscard]] isa::Program join(const std::vector<Piece>& pieces, const Profile& profile);

// What a function may take for itself, and how it ends.
struct Role {
  std::int16_t stack = 0;  // bytes
  bool part = false;       // of a split function: see backend/split.h
};

class Emitter {
 public:
  Emitter(const flow::Function& function, const Profile& profile, const Role& role);
  // The function; nothing when it takes more stack than it may.
  std::optional<Piece> run();
  // What has been written by the functions below.
  [[nodiscard]] Piece finish();

  // Counts one packet of r2 bytes by the counter of index r1. A function of its own.
  void counting_function(isa::MapIndex counters);
  // Records one packet (backend/records.h).
  void recording_function(isa::MapIndex ring);
  // What makes an answer, and the sum that it needs (backend/answers.h). Functions of their own.
  void answering_function(isa::MapIndex scratch);
  void summing_function(isa::MapIndex scratch);
  // Callback of bpf_for_each_map_elem(): deletes the entry if its first word is neither 0 nor above
  // the number that r4 points to. A function of its own.
  void sweeping_function();

  // ---- For profiles ----
  void op(isa::Opcode opcode, std::uint8_t dst = 0, std::uint8_t src = 0, std::int16_t off = 0,
          std::int32_t imm = 0);
  // dst = *(src + offset of structure.member)
  void load_field(isa::Opcode load, std::uint8_t dst, std::uint8_t src,
                  const std::string& structure, const std::string& member);
  // dst += offset of structure.member
  void add_field_offset(std::uint8_t dst, const std::string& structure, const std::string& member);
  void constant(std::uint8_t dst, std::uint64_t value);
  void call_kfunc(const std::string& name);
  void call_helper(std::int32_t helper);
  void call_function(const std::string& name);
  void map_pointer(std::uint8_t dst, isa::MapIndex map);
  void load_function(std::uint8_t dst, const std::string& name);  // its address, for a helper
  void load_context_pointer(std::uint8_t dst);
  // Stack room of the profile: offsets from r10 of a dynptr (16 bytes), of a saved value (8 bytes)
  // and of the buffer for the window that is being emitted.
  [[nodiscard]] std::int16_t dynptr() const { return dynptr_; }
  [[nodiscard]] std::int16_t saved() const { return saved_; }
  [[nodiscard]] std::int16_t buffer() const { return buffer_; }
  // Of a value of 8 bytes while a fact is loaded (Profile::needs_scratch).
  [[nodiscard]] std::int16_t scratch() const { return scratch_; }
  void use_buffer(std::int16_t buffer) { buffer_ = buffer; }  // for deferred code

  [[nodiscard]] Label label();
  [[nodiscard]] Label label(flow::BlockId block) const { return Label(block.index()); }
  void bind(Label label);
  void jump(Label target);
  void jump_imm(isa::Opcode condition, std::uint8_t dst, std::int32_t imm, Label target);
  void jump_reg(isa::Opcode condition, std::uint8_t dst, std::uint8_t src, Label target);
  // Code that is seldom reached: emitted behind all blocks.
  void defer(std::function<void(Emitter&)> code);

 private:
  struct Item {
    isa::Insn insn;
    Label target;  // of jumps
    std::optional<decltype(isa::Relocation::what)> relocation;
    std::int32_t rule = -1;
    bool far = false;  // takes the long form
    std::string callee = {};
  };

  [[nodiscard]] bool frame();  // false: it is larger than the stack
  void block(std::size_t position);
  void instruction(const flow::Instruction& instruction);
  void binary(const flow::Instruction& instruction);
  void swap(const flow::Instruction& instruction);
  void load(const flow::Instruction& instruction);
  void load_in_pieces(const flow::Instruction& instruction);
  // r2 = where the words of the key stand, and behind them those of a value.
  void put_key(const flow::Instruction& instruction);
  void lookup(const flow::Instruction& instruction);
  void insert(const flow::Instruction& instruction);
  void erase(const flow::Instruction& instruction);
  void sweep(const flow::Instruction& instruction);
  void count(const flow::Instruction& instruction);
  void set_member(const flow::Instruction& instruction, std::int16_t offset);
  void set_pkttype(const flow::Instruction& instruction);
  void send(const flow::Instruction& instruction);
  void load_place(const flow::Instruction& instruction);
  void store_packet(const flow::Instruction& instruction);
  void add_to_sum(const flow::Instruction& instruction);
  void shared_word(const flow::Instruction& instruction);
  void record(const flow::Instruction& instruction);
  void answer(const flow::Instruction& instruction);
  void word_at(const flow::Instruction& instruction);
  void add_to_counter(isa::MapIndex counters);
  void start_part();
  void end_function(const flow::Terminator& end);
  void trace(const flow::Instruction& instruction);
  void branch(const flow::Terminator& end, std::optional<flow::BlockId> next);
  void window(const flow::Terminator& end);
  void map_value(std::uint8_t dst, isa::MapIndex map, std::uint32_t offset = 0);
  void wide(isa::Opcode opcode, std::uint8_t dst, std::uint64_t value,
            std::optional<decltype(isa::Relocation::what)> relocation);

  [[nodiscard]] const Location& where(flow::Reg reg) const;
  // The register that holds it, after a load into `scratch` if it is on the stack.
  [[nodiscard]] std::uint8_t in_register(flow::Reg reg, std::uint8_t scratch);
  // Where to compute `dst`: its register, or r0, from which store() then puts it on the stack.
  [[nodiscard]] std::uint8_t target_of(flow::Reg dst) const;
  void store(flow::Reg dst, std::uint8_t from);

  void relax();
  [[nodiscard]] std::size_t slots(const Item& item) const;
  [[nodiscard]] Piece link();

  const flow::Function& function_;
  const Profile& profile_;
  Role role_;
  Allocation allocation_;
  std::vector<std::uint8_t> width_;  // bits of each virtual register that may be set
  std::vector<Item> items_;
  std::vector<std::uint32_t> label_at_;  // index into items_
  std::vector<std::uint32_t> address_;   // slot of each item, and the end
  std::vector<std::function<void(Emitter&)>> deferred_;
  bool count_by_call_ = false;
  isa::MapIndex counters_;     // valid when something is counted by a call
  isa::MapIndex ring_;         // valid when packets are recorded
  isa::MapIndex scratch_map_;  // valid when packets are answered
  bool sweeps_ = false;
  std::int32_t rule_ = -1;
  std::int16_t key_ = 0;
  std::int16_t dynptr_ = 0;
  std::int16_t saved_ = 0;
  std::int16_t scratch_ = 0;
  std::int16_t buffers_ = 0;
  std::int16_t buffer_size_ = 0;
  std::int16_t buffer_ = 0;
};

}  // namespace weir::backend
