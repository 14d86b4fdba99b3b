// SPDX-License-Identifier: BSD-2-Clause
//
// Programs out of functions: one with the function that it may count by, or the parts of a split
// function with a main one that leads a packet from part to part.
#include <algorithm>
#include <array>
#include <map>

#include "backend/answers.h"
#include "backend/emitter.h"
#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using isa::Opcode;

namespace {

// The kernel gives a program so much with all functions that are called at a time, each rounded up
// (round_up_stack_depth() in kernel/bpf/verifier.c).
constexpr std::int32_t whole_stack = 512;
constexpr std::int32_t frame_step = 32;
constexpr std::int32_t counting_stack = 32;  // and sweeping, which never happens at the same time

std::int32_t rounded(std::int32_t bytes) {
  return (bytes + frame_step - 1) / frame_step * frame_step;
}

Piece counting_piece(isa::MapIndex counters, const Profile& profile, bool global) {
  const flow::Function none;
  Emitter out(none, profile, {});
  out.counting_function(counters);
  Piece piece = out.finish();
  piece.head = {.start = 0, .name = counting_name, .global = global, .arguments = {{}, {}}};
  return piece;
}

Piece recording_piece(isa::MapIndex ring, const Profile& profile, bool global) {
  using Kind = isa::Subprogram::Argument::Kind;
  const flow::Function none;
  Emitter out(none, profile, {});
  out.recording_function(ring);
  Piece piece = out.finish();
  piece.head = {.start = 0,
                .name = recording_name,
                .global = global,
                .arguments = {{.kind = Kind::context}, {}, {}, {}, {}}};
  return piece;
}

// Global, so that each is verified once.
std::array<Piece, 2> answering_pieces(isa::MapIndex scratch, const Profile& profile) {
  using Kind = isa::Subprogram::Argument::Kind;
  const auto piece = [&](const char* name, void (Emitter::*write)(isa::MapIndex)) {
    const flow::Function none;
    Emitter out(none, profile, {});
    (out.*write)(scratch);
    Piece made = out.finish();
    made.head = {
        .start = 0, .name = name, .global = true, .arguments = {{.kind = Kind::context}, {}, {}}};
    return made;
  };
  return {piece(answering_name, &Emitter::answering_function),
          piece(summing_name, &Emitter::summing_function)};
}

Piece sweeping_piece(const Profile& profile) {
  const flow::Function none;
  Emitter out(none, profile, {});
  out.sweeping_function();
  Piece piece = out.finish();
  piece.head = {.start = 0, .name = sweeping_name, .arguments = {{}, {}, {}, {}}};
  return piece;
}

// Functions that are called by those of `pieces`, behind them.
void add_called(std::vector<Piece>& pieces, const Profile& profile, bool global) {
  isa::MapIndex counters;
  isa::MapIndex ring;
  isa::MapIndex scratch;
  bool sweeps = false;
  for (const Piece& piece : pieces) {
    if (piece.counters.valid()) counters = piece.counters;
    if (piece.ring.valid()) ring = piece.ring;
    if (piece.scratch.valid()) scratch = piece.scratch;
    sweeps = sweeps || piece.sweeps;
  }
  if (counters.valid()) pieces.push_back(counting_piece(counters, profile, global));
  if (ring.valid()) pieces.push_back(recording_piece(ring, profile, global));
  if (scratch.valid()) {
    for (Piece& piece : answering_pieces(scratch, profile)) pieces.push_back(std::move(piece));
  }
  if (sweeps) pieces.push_back(sweeping_piece(profile));
}

// What they need of the stack at most.
std::int32_t stack_of_called(const flow::Function& function) {
  std::int32_t most = counting_stack;
  for (const flow::Block& block : function.blocks) {
    for (const flow::Instruction& one : block.instructions) {
      if (one.op == flow::Op::record) most = std::max<std::int32_t>(most, recording_stack);
      if (one.op == flow::Op::answer) most = std::max<std::int32_t>(most, answering_stack);
    }
  }
  return most;
}

std::string part_name(std::size_t part) {
  return "part" + std::to_string(part);
}
constexpr const char* step_name = "step";

// The main function of a split one, and the step that it repeats. Its frame from the top: the
// context pointer, the number of the next entry, the state.
class Leader {
 public:
  Leader(const SplitFunction& function, const Profile& profile)
      : function_(function),
        profile_(profile),
        state_size_(static_cast<std::int16_t>(std::max<std::uint32_t>(function.state_size, 8))),
        state_(static_cast<std::int16_t>(-16 - state_size_)) {}

  [[nodiscard]] std::int32_t stack() const {
    return rounded(16 + state_size_) + (function_.returns ? frame_step : 0);
  }
  [[nodiscard]] std::uint32_t state_size() const { return static_cast<std::uint32_t>(state_size_); }

  [[nodiscard]] Piece main() const;
  [[nodiscard]] Piece step() const;

 private:
  void run_in_order(Emitter& out, Label verdict) const;
  void run_by_steps(Emitter& out, Label verdict) const;
  void choose(Emitter& out, std::size_t from, std::size_t to, Label behind) const;

  const SplitFunction& function_;
  const Profile& profile_;
  std::int16_t state_size_;
  std::int16_t state_;  // offset from r10
};

Piece Leader::main() const {
  const flow::Function none;
  Emitter out(none, profile_, {});
  const Label verdict = out.label();
  out.op(Opcode::stx64, frame_pointer, r1, -8);
  // Kernels before 6.3 take no memory for an argument that has not been written.
  for (int at = state_; at < -16; at += 8) {
    out.op(Opcode::st64, frame_pointer, 0, static_cast<std::int16_t>(at), 0);
  }
  out.op(Opcode::mov64_imm, r3, 0, 0, first_entry);
  if (function_.returns) {
    run_by_steps(out, verdict);
  } else {
    run_in_order(out, verdict);
  }
  out.bind(verdict);
  // Most packets are accepted or dropped.
  for (const flow::Verdict one :
       {flow::Verdict::accept, flow::Verdict::drop, flow::Verdict::answered}) {
    const Label other = out.label();
    const auto number = static_cast<std::int32_t>(one);
    out.jump_imm(Opcode::jne64_imm, r0, number, other);
    out.op(Opcode::mov64_imm, r0, 0, 0, returned(profile_, static_cast<std::uint64_t>(number)));
    out.op(Opcode::exit);
    out.bind(other);
  }
  out.op(Opcode::mov64_imm, r0, 0, 0, profile_.forwarded);
  out.op(Opcode::exit);
  return out.finish();
}

// Control goes from a part to later ones only: they are called in order, and those before the next
// entry are passed over.
void Leader::run_in_order(Emitter& out, Label verdict) const {
  for (std::size_t part = 0; part < function_.parts.size(); ++part) {
    const Label behind = out.label();
    if (part > 0) {
      const Part& here = function_.parts[part];
      if (part + 1 < function_.parts.size()) {
        out.jump_imm(Opcode::jge64_imm, r0,
                     static_cast<std::int32_t>(here.first_entry + here.entries), behind);
      }
      out.op(Opcode::ldx64, r1, frame_pointer, -8);
      out.op(Opcode::mov64_reg, r3, r0);
    }
    out.op(Opcode::mov64_reg, r2, frame_pointer);
    out.op(Opcode::add64_imm, r2, 0, 0, state_);
    out.call_function(part_name(part));
    if (part + 1 < function_.parts.size()) {
      out.jump_imm(Opcode::jlt64_imm, r0, first_entry, verdict);
    }
    out.bind(behind);
  }
}

// The first part, which is all that most packets see, and then steps until there is a verdict. A
// ruleset that takes more steps than bpf_loop() makes (BPF_MAX_LOOPS) drops the packet.
void Leader::run_by_steps(Emitter& out, Label verdict) const {
  constexpr std::int32_t most_steps = 1 << 23;
  out.op(Opcode::mov64_reg, r2, frame_pointer);
  out.op(Opcode::add64_imm, r2, 0, 0, state_);
  out.call_function(part_name(0));
  out.op(Opcode::stx64, frame_pointer, r0, -16);
  out.jump_imm(Opcode::jlt64_imm, r0, first_entry, verdict);
  out.op(Opcode::mov64_imm, r1, 0, 0, most_steps);
  out.load_function(r2, step_name);
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, state_);
  out.op(Opcode::mov64_imm, r4, 0, 0, 0);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::loop));
  out.op(Opcode::ldx64, r0, frame_pointer, -16);
}

// Callback of bpf_loop(): runs the part of the next entry. Always the same on all ways to its end,
// so that the verifier sees the second round as the first.
Piece Leader::step() const {
  const flow::Function none;
  Emitter out(none, profile_, {});
  const Label behind = out.label();
  const Label done = out.label();
  out.op(Opcode::mov64_reg, r6, r2);
  out.op(Opcode::ldx64, r3, r6, state_size_);
  out.op(Opcode::ldx64, r1, r6, static_cast<std::int16_t>(state_size_ + 8));
  out.op(Opcode::mov64_reg, r2, r6);
  choose(out, 0, function_.parts.size(), behind);
  out.bind(behind);
  out.op(Opcode::stx64, r6, r0, state_size_);
  out.op(Opcode::mov64_reg, r7, r0);
  out.op(Opcode::mov64_imm, r0, 0, 0, 1);
  out.jump_imm(Opcode::jlt64_imm, r7, first_entry, done);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.bind(done);
  out.op(Opcode::exit);
  Piece piece = out.finish();
  piece.head.name = step_name;
  piece.head.arguments = {
      {}, {.kind = isa::Subprogram::Argument::Kind::memory, .size = state_size() + 16}};
  return piece;
}

// A call of the part that has entry r3.
void Leader::choose(Emitter& out, std::size_t from, std::size_t to, Label behind) const {
  if (to - from == 1) {
    out.call_function(part_name(from));
    out.jump(behind);
    return;
  }
  const std::size_t middle = from + (to - from) / 2;
  const Label upper = out.label();
  out.jump_imm(Opcode::jge64_imm, r3,
               static_cast<std::int32_t>(function_.parts[middle].first_entry), upper);
  choose(out, from, middle, behind);
  out.bind(upper);
  choose(out, middle, to, behind);
}

}  // namespace

isa::Program join(const std::vector<Piece>& pieces, const Profile& profile) {
  isa::Program program{.name = {}, .type = profile.program_type, .direction = profile.direction};
  std::map<std::string, std::uint32_t> starts;
  std::uint32_t end = 0;
  for (const Piece& piece : pieces) {
    starts[piece.head.name] = end;
    end += static_cast<std::uint32_t>(piece.insns.size());
  }
  for (const Piece& piece : pieces) {
    const auto start = static_cast<std::uint32_t>(program.insns.size());
    if (start != 0) {
      program.subprograms.push_back(piece.head);
      program.subprograms.back().start = start;
    }
    program.insns.insert(program.insns.end(), piece.insns.begin(), piece.insns.end());
    for (isa::Relocation relocation : piece.relocations) {
      relocation.insn += start;
      program.relocations.push_back(std::move(relocation));
    }
    for (isa::OriginRow row : piece.origins) {
      row.insn += start;
      program.origins.push_back(row);
    }
    for (const Piece::Call& call : piece.calls) {
      const std::uint32_t at = start + call.insn;
      program.insns[at].imm =
          static_cast<std::int32_t>(starts.at(call.function)) - static_cast<std::int32_t>(at) - 1;
    }
  }
  return program;
}

std::optional<isa::Program> emit(const flow::Function& function, const Profile& profile) {
  const auto room = static_cast<std::int16_t>(whole_stack - stack_of_called(function));
  auto main = Emitter(function, profile, {.stack = room}).run();
  if (!main) return std::nullopt;
  std::vector<Piece> pieces;
  pieces.push_back(std::move(*main));
  add_called(pieces, profile, false);
  return join(pieces, profile);
}

std::optional<isa::Program> emit(const SplitFunction& function, const Profile& profile) {
  const Leader leader(function, profile);
  std::int32_t called = 0;
  for (const Part& part : function.parts) called = std::max(called, stack_of_called(part.code));
  const std::int32_t room = whole_stack - called - leader.stack();
  if (room < frame_step) return std::nullopt;
  std::vector<Piece> pieces = {leader.main()};
  if (function.returns) pieces.push_back(leader.step());
  for (std::size_t i = 0; i < function.parts.size(); ++i) {
    const Role role{.stack = static_cast<std::int16_t>(room), .part = true};
    auto part = Emitter(function.parts[i].code, profile, role).run();
    if (!part) return std::nullopt;
    using Kind = isa::Subprogram::Argument::Kind;
    part->head = {.start = 0,
                  .name = part_name(i),
                  .global = true,
                  .arguments = {{.kind = Kind::context},
                                {.kind = Kind::memory, .size = leader.state_size()},
                                {.kind = Kind::scalar}}};
    pieces.push_back(std::move(*part));
  }
  add_called(pieces, profile, true);
  return join(pieces, profile);
}

}  // namespace weir::backend
