// SPDX-License-Identifier: BSD-2-Clause
#include "engine/code.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "engine/layout.h"

namespace weir::engine {
namespace {

constexpr std::uint32_t no_operation = 0xffffffff;
constexpr std::size_t max_instructions = 1'000'000;  // BPF_COMPLEXITY_LIMIT_INSNS

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

class Decoder {
 public:
  Decoder(const isa::Object& object, const isa::Program& program)
      : insns_(program.insns), code_{.object = &object, .program = &program} {}

  Result<Code> run() {
    WEIR_CHECK(check_size());
    WEIR_CHECK(split());
    WEIR_CHECK(relocate());
    WEIR_CHECK(resolve_targets());
    WEIR_CHECK(check_calls_and_registers());
    find_functions();
    WEIR_CHECK(describe_functions());
    WEIR_CHECK(check_functions());
    WEIR_CHECK(check_flow());
    return std::move(code_);
  }

 private:
  Status check_size() {
    if (!insns_.empty() && insns_.size() <= max_instructions) return {};
    return input_error("program " + code_.program->name + " has " + std::to_string(insns_.size()) +
                       " instructions, expected 1 to " + std::to_string(max_instructions));
  }

  Status split() {
    operation_of_.assign(insns_.size(), no_operation);
    for (std::uint32_t slot = 0; slot < insns_.size(); ++slot) {
      const isa::Insn& insn = insns_[slot];
      Operation operation{.dst = insn.dst, .src = insn.src, .off = insn.off, .slot = slot};
      operation.imm = static_cast<std::uint64_t>(std::int64_t{insn.imm});
      const auto opcode = isa::opcode(insn);
      if (!opcode) return refuse(code_, operation, "is not an eBPF instruction");
      operation.opcode = *opcode;
      if (insn.dst > frame_register || insn.src > frame_register) {
        return refuse(code_, operation, "names a register above r10");
      }
      operation_of_[slot] = static_cast<std::uint32_t>(code_.operations.size());
      if (isa::is_wide(*opcode)) {
        if (++slot == insns_.size() || insns_[slot] != isa::Insn{.imm = insns_[slot].imm}) {
          return refuse(code_, operation, "lacks its second half");
        }
        operation.imm = isa::wide_value(insn, insns_[slot]);
      }
      code_.operations.push_back(operation);
    }
    return {};
  }

  Status relocate() {
    for (const isa::Relocation& relocation : code_.program->relocations) {
      if (relocation.insn >= insns_.size() || operation_of_[relocation.insn] == no_operation) {
        return input_error("program " + code_.program->name + " has a relocation at slot " +
                           std::to_string(relocation.insn) + ", where no instruction begins");
      }
      Operation& operation = code_.operations[operation_of_[relocation.insn]];
      WEIR_CHECK(std::visit(
          Overloaded{
              [&](const isa::MapReference& what) { return relocate_map(operation, what); },
              [&](const isa::MapValueReference& what) { return relocate_value(operation, what); },
              [&](const isa::KfuncReference& what) { return relocate_kfunc(operation, what); },
              [&](const isa::FieldOffset& what) { return relocate_field(operation, what); },
          },
          relocation.what));
    }
    return {};
  }

  Status check_map(const Operation& operation, isa::MapIndex map) const {
    if (map.index() < code_.object->maps.size()) return {};
    return refuse(code_, operation,
                  "refers to map " + std::to_string(map.index()) + " of " +
                      std::to_string(code_.object->maps.size()));
  }

  Status relocate_map(Operation& operation, const isa::MapReference& what) const {
    WEIR_CHECK(check_map(operation, what.map));
    if (form(operation) != isa::Form::load_map) {
      return refuse(code_, operation, "has a map's relocation, expected the load of a map");
    }
    operation.map = what.map;
    return {};
  }

  // array_map_direct_value_addr(): arrays of one element only.
  Status relocate_value(Operation& operation, const isa::MapValueReference& what) const {
    WEIR_CHECK(check_map(operation, what.map));
    if (form(operation) != isa::Form::load_map_value) {
      return refuse(code_, operation,
                    "has a map value's relocation, expected the load of a map value");
    }
    const isa::MapSpec& spec = code_.object->maps[what.map.index()];
    if (spec.type != isa::MapType::array || spec.max_entries != 1) {
      return refuse(
          code_, operation,
          "addresses the value of map " + spec.name + ", expected an array of one element");
    }
    if (what.offset >= spec.value_size) {
      return refuse(code_, operation,
                    "addresses byte " + std::to_string(what.offset) + " of a value of " +
                        std::to_string(spec.value_size));
    }
    operation.map = what.map;
    operation.imm = what.offset;
    return {};
  }

  Status relocate_kfunc(Operation& operation, const isa::KfuncReference& what) const {
    if (form(operation) != isa::Form::call_kfunc) {
      return refuse(code_, operation, "has a kernel function's relocation, expected a call");
    }
    operation.function = find_kfunc(what.name);
    if (operation.function != nullptr) return {};
    return refuse(code_, operation, "calls " + what.name + ", which the engine does not have");
  }

  Status relocate_field(Operation& operation, const isa::FieldOffset& what) const {
    const auto offset = field_offset(what);
    if (!offset) {
      return refuse(
          code_, operation,
          "uses " + what.structure + "::" + what.member + ", which the engine does not have");
    }
    if (*offset < std::numeric_limits<std::int16_t>::min() ||
        *offset > std::numeric_limits<std::int16_t>::max()) {
      return refuse(code_, operation,
                    "gets the offset " + std::to_string(*offset) + ", which does not fit");
    }
    if (form(operation) == isa::Form::load) {
      operation.off = static_cast<std::int16_t>(*offset);
    } else if (form(operation) == isa::Form::alu_imm) {
      operation.imm = static_cast<std::uint64_t>(*offset);
    } else {
      return refuse(code_, operation,
                    "has a field's relocation, expected a load or arithmetic with a constant");
    }
    return {};
  }

  Status resolve_targets() {
    for (Operation& operation : code_.operations) {
      if (!isa::is_jump(operation.opcode) && !isa::names_function(operation.opcode)) continue;
      const std::int64_t slot = std::int64_t{operation.slot} + 1 +
                                isa::distance(operation.opcode, insns_[operation.slot]);
      if (slot < 0 || slot >= static_cast<std::int64_t>(insns_.size())) {
        return refuse(code_, operation, "jumps out of the program");
      }
      operation.target = operation_of_[static_cast<std::size_t>(slot)];
      if (operation.target == no_operation) {
        return refuse(code_, operation, "jumps into the middle of an instruction");
      }
    }
    return {};
  }

  Status check_calls_and_registers() {
    for (Operation& operation : code_.operations) {
      WEIR_CHECK(check_constant(operation));
      switch (form(operation)) {
        case isa::Form::load_map:
        case isa::Form::load_map_value:
          if (!operation.map.valid()) return refuse(code_, operation, "lacks its relocation");
          break;
        case isa::Form::call_kfunc:
          if (operation.function == nullptr) {
            return refuse(code_, operation, "lacks the relocation that names its function");
          }
          break;
        case isa::Form::call_helper:
          operation.function = find_helper(static_cast<std::int64_t>(operation.imm));
          if (operation.function == nullptr) {
            return refuse(code_, operation, "calls a helper that the engine does not have");
          }
          break;
        default:
          break;
      }
      if (operation.dst == frame_register && writes_dst(operation)) {
        return refuse(code_, operation, "writes r10, which is read-only");
      }
      if (operation.src == frame_register && form(operation) == isa::Form::atomic_fetch) {
        return refuse(code_, operation, "writes r10, which is read-only");
      }
    }
    return {};
  }

  // check_alu_op(): constant divisors are not zero, constant shifts are below the width.
  Status check_constant(const Operation& operation) const {
    if (form(operation) != isa::Form::alu_imm) return {};
    switch (operation.opcode) {
      using enum isa::Opcode;
      case div64_imm:
      case div32_imm:
      case sdiv64_imm:
      case sdiv32_imm:
      case mod64_imm:
      case mod32_imm:
      case smod64_imm:
      case smod32_imm:
        if (operation.imm == 0) return refuse(code_, operation, "divides by zero");
        return {};
      case lsh64_imm:
      case lsh32_imm:
      case rsh64_imm:
      case rsh32_imm:
      case arsh64_imm:
      case arsh32_imm:
        if (operation.imm >= info(operation).bits) {
          return refuse(code_, operation, "shifts by more than its width");
        }
        return {};
      default:
        return {};
    }
  }

  static bool writes_dst(const Operation& operation) {
    switch (form(operation)) {
      case isa::Form::alu_imm:
      case isa::Form::alu_reg:
      case isa::Form::neg:
      case isa::Form::mov_sx:
      case isa::Form::swap:
      case isa::Form::load:
      case isa::Form::load_imm64:
      case isa::Form::load_map:
      case isa::Form::load_map_value:
      case isa::Form::load_function:
        return true;
      case isa::Form::store_reg:
      case isa::Form::store_imm:
      case isa::Form::atomic:
      case isa::Form::atomic_fetch:
      case isa::Form::atomic_cmpxchg:
      case isa::Form::jump:
      case isa::Form::jump_long:
      case isa::Form::jump_imm:
      case isa::Form::jump_reg:
      case isa::Form::call_helper:
      case isa::Form::call_local:
      case isa::Form::call_kfunc:
      case isa::Form::exit:
        return false;
    }
    throw InvariantError("a form of instruction that the decoder does not know");
  }

  void find_functions() {
    std::vector<std::uint32_t> starts = {0};
    for (const Operation& operation : code_.operations) {
      if (isa::names_function(operation.opcode)) starts.push_back(operation.target);
    }
    std::ranges::sort(starts);
    starts.erase(std::ranges::unique(starts).begin(), starts.end());
    for (const std::uint32_t start : starts) code_.functions.push_back({.start = start});
    // merge_callee_effects(): a caller does what its callees do.
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t at = 0; at < code_.operations.size(); ++at) {
        if (!moves_packet(code_.operations[at])) continue;
        LocalFunction& function = code_.functions[function_of(code_, at)];
        changed = changed || !function.moves_packet;
        function.moves_packet = true;
      }
    }
  }

  [[nodiscard]] bool moves_packet(const Operation& operation) const {
    if (operation.function != nullptr) return operation.function->moves_packet;
    return isa::names_function(operation.opcode) &&
           code_.functions[function_of(code_, operation.target)].moves_packet;
  }

  // Where Program::subprograms has something to say.
  Status describe_functions() {
    constexpr std::size_t most_arguments = 5;
    for (const isa::Subprogram& declared : code_.program->subprograms) {
      const std::uint32_t start =
          declared.start < insns_.size() ? operation_of_[declared.start] : no_operation;
      const auto found = std::ranges::find(code_.functions, start, &LocalFunction::start);
      if (found == code_.functions.begin() || found == code_.functions.end()) {
        return input_error("program " + code_.program->name + " declares function " +
                           declared.name + " at slot " + std::to_string(declared.start) +
                           ", which nothing calls");
      }
      if (declared.arguments.size() > most_arguments) {
        return input_error("program " + code_.program->name + ", function " + declared.name + ": " +
                           std::to_string(declared.arguments.size()) +
                           " arguments, expected at most 5");
      }
      if (declared.global) found->global = &declared;
    }
    return {};
  }

  // check_subprogs(): control comes into a function by calls only, and leaves it by exit only.
  Status check_functions() const {
    const auto& operations = code_.operations;
    for (std::size_t at = 0; at < operations.size(); ++at) {
      const std::size_t function = function_of(code_, at);
      const bool last = at + 1 == operations.size() || function_of(code_, at + 1) != function;
      if (last && falls_through(operations[at])) {
        return refuse(code_, operations[at], "is the last one, and control falls off the end");
      }
      if (isa::is_jump(operations[at].opcode) &&
          function_of(code_, operations[at].target) != function) {
        return refuse(code_, operations[at], "jumps into another function");
      }
    }
    return {};
  }

  // check_cfg(): control comes to every instruction.
  Status check_flow() const {
    const auto& operations = code_.operations;
    std::vector<bool> reached(operations.size());
    std::vector<std::uint32_t> pending = {0};
    while (!pending.empty()) {
      const std::uint32_t at = pending.back();
      pending.pop_back();
      if (reached[at]) continue;
      reached[at] = true;
      if (falls_through(operations[at])) pending.push_back(at + 1);
      if (isa::is_jump(operations[at].opcode) || isa::names_function(operations[at].opcode)) {
        pending.push_back(operations[at].target);
      }
    }
    const auto missed = std::ranges::find(reached, false);
    if (missed == reached.end()) return {};
    return refuse(code_, operations[static_cast<std::size_t>(missed - reached.begin())],
                  "can never be reached");
  }

  const std::vector<isa::Insn>& insns_;
  std::vector<std::uint32_t> operation_of_;  // by slot
  Code code_;
};

std::string rule_of(const isa::Object& object, const isa::Program& program, std::uint32_t slot) {
  std::int32_t rule = -1;
  for (const isa::OriginRow& row : program.origins) {
    if (row.insn > slot) break;
    rule = row.rule;
  }
  if (rule < 0 || static_cast<std::size_t>(rule) >= object.rule_names.size()) return {};
  return " of rule \"" + object.rule_names[static_cast<std::size_t>(rule)] + "\"";
}

}  // namespace

std::size_t function_of(const Code& code, std::size_t operation) {
  const auto next = std::ranges::upper_bound(code.functions, operation, {}, &LocalFunction::start);
  return static_cast<std::size_t>(next - code.functions.begin()) - 1;
}

std::unexpected<Diagnostic> refuse(const Code& code, const Operation& operation,
                                   const std::string& what) {
  return input_error("program " + code.program->name + ", instruction " +
                     std::to_string(operation.slot) + " (" +
                     isa::disassemble(code.program->insns, operation.slot) + ")" +
                     rule_of(*code.object, *code.program, operation.slot) + ": " + what);
}

Result<Code> decode(const isa::Object& object, std::size_t index) {
  invariant(index < object.programs.size(), "decode: no such program");
  return Decoder(object, object.programs[index]).run();
}

}  // namespace weir::engine
