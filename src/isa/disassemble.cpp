// SPDX-License-Identifier: BSD-2-Clause
//
// Instructions as text: isa::disassemble(). How each form looks is in isa/syntax.h.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "isa/helpers.h"
#include "isa/isa.h"
#include "isa/syntax.h"

namespace weir::isa {
namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

std::string signed_number(std::int64_t value) {
  return (value < 0 ? "" : "+") + std::to_string(value);
}

std::string field_name(const FieldOffset& field) {
  std::string text = field.structure + "." + field.member;
  if (field.addend != 0) text += signed_number(field.addend);
  return text;
}

// Bit operations and comparisons are easier to read in hexadecimal, as the kernel prints them.
bool prefers_hex(const OpcodeInfo& row) {
  return row.form == Form::jump_imm || row.symbol == "&=" || row.symbol == "|=" ||
         row.symbol == "^=";
}

class Printer {
 public:
  explicit Printer(std::span<const Insn> insns) : insns_(insns) {}
  Printer(const Object& object, const Program& program) : insns_(program.insns), object_(&object) {
    for (const Relocation& relocation : program.relocations) {
      relocations_[relocation.insn] = &relocation;
    }
    name_targets();
  }

  // The number of slots that the instruction at `index` takes.
  [[nodiscard]] std::size_t width(std::size_t index) const {
    const auto known = opcode(insns_[index]);
    return known && is_wide(*known) && has_second_slot(*known, index) ? 2 : 1;
  }

  [[nodiscard]] const std::string* label(std::size_t index) const {
    const auto found = labels_.find(static_cast<std::int64_t>(index));
    return found == labels_.end() ? nullptr : &found->second;
  }

  [[nodiscard]] std::string instruction(std::size_t index) const {
    const auto known = opcode(insns_[index]);
    if (!known || (is_wide(*known) && !has_second_slot(*known, index))) {
      return ".insn " + to_hex(encode(insns_[index]));
    }
    const OpcodeInfo& row = info(*known);
    std::string text;
    const std::string_view form = syntax(row.form);
    for (std::size_t at = 0; at < form.size(); ++at) {
      if (form[at] == '%') {
        text += operand(form[++at], row, index);
      } else {
        text += form[at];
      }
    }
    return text;
  }

 private:
  [[nodiscard]] bool has_second_slot(Opcode opcode, std::size_t index) const {
    return index + 1 < insns_.size() && is_second_slot(opcode, insns_[index + 1]);
  }

  void name_targets() {
    std::set<std::int64_t> starts;  // a jump between the two slots of a constant gets no label
    std::set<std::int64_t> targets;
    for (std::size_t index = 0; index < insns_.size(); index += width(index)) {
      starts.insert(static_cast<std::int64_t>(index));
      if (const auto target = jump_target(index)) targets.insert(*target);
    }
    for (const std::int64_t target : targets) {
      if (starts.contains(target)) labels_[target] = "L" + std::to_string(labels_.size() + 1);
    }
  }

  // Where a jump or local call goes; nothing for other instructions and outside of the program.
  [[nodiscard]] std::optional<std::int64_t> jump_target(std::size_t index) const {
    const auto known = opcode(insns_[index]);
    if (!known || (!is_jump(*known) && !names_function(*known))) return std::nullopt;
    const std::int64_t target =
        static_cast<std::int64_t>(index) + 1 + distance(*known, insns_[index]);
    if (target < 0 || target >= static_cast<std::int64_t>(insns_.size())) return std::nullopt;
    return target;
  }

  [[nodiscard]] const Relocation* relocation(std::size_t index) const {
    const auto found = relocations_.find(index);
    return found == relocations_.end() ? nullptr : found->second;
  }

  template <typename T>
  [[nodiscard]] const T* relocated(std::size_t index) const {
    const Relocation* found = relocation(index);
    return found == nullptr ? nullptr : std::get_if<T>(&found->what);
  }

  [[nodiscard]] std::string map_name(MapIndex map) const {
    invariant(map.index() < object_->maps.size(), "a relocation names a map that is not there");
    return object_->maps[map.index()].name;
  }

  [[nodiscard]] std::string operand(char what, const OpcodeInfo& row, std::size_t index) const {
    const Insn& insn = insns_[index];
    const char bank = row.bits == 32 ? 'w' : 'r';
    switch (what) {
      case 'd':
        return bank + std::to_string(insn.dst);
      case 's':
        return bank + std::to_string(insn.src);
      case 'D':
        return "r" + std::to_string(insn.dst);
      case 'S':
        return "r" + std::to_string(insn.src);
      case 'o':
        return std::string(row.symbol);
      case 'b':
        return std::to_string(row.bits);
      case 'm':
        return displacement(index);
      case 'i':
        return immediate(row, index);
      case 'v':
        return constant(index);
      case 'p':
        return map(index);
      case 'q':
        return map_value(index);
      case 'j':
        return target(row, index);
      case 'h':
        return helper(insn);
      case 'k':
        return kernel_function(index);
      default:
        throw InvariantError("unknown operand in the syntax of an instruction");
    }
  }

  [[nodiscard]] std::string displacement(std::size_t index) const {
    if (const auto* field = relocated<FieldOffset>(index)) return " + " + field_name(*field);
    const int off = insns_[index].off;
    return (off < 0 ? " - " : " + ") + std::to_string(off < 0 ? -off : off);
  }

  [[nodiscard]] std::string immediate(const OpcodeInfo& row, std::size_t index) const {
    const bool memory = row.form == Form::store_imm;  // whose relocation is that of the address
    const auto* field = relocated<FieldOffset>(index);
    if (field != nullptr && !memory) return field_name(*field);
    const std::int32_t imm = insns_[index].imm;
    return prefers_hex(row) ? hex(static_cast<std::uint32_t>(imm)) : std::to_string(imm);
  }

  [[nodiscard]] std::string constant(std::size_t index) const {
    return hex(wide_value(insns_[index], insns_[index + 1]));
  }

  [[nodiscard]] std::string map(std::size_t index) const {
    if (const auto* reference = relocated<MapReference>(index)) {
      return "map[" + map_name(reference->map) + "]";
    }
    return "map[fd:" + std::to_string(insns_[index].imm) + "]";
  }

  [[nodiscard]] std::string map_value(std::size_t index) const {
    if (const auto* reference = relocated<MapValueReference>(index)) {
      return "map[" + map_name(reference->map) + "][0]+" + std::to_string(reference->offset);
    }
    const auto offset = static_cast<std::uint32_t>(insns_[index + 1].imm);
    return "map[fd:" + std::to_string(insns_[index].imm) + "][0]+" + std::to_string(offset);
  }

  [[nodiscard]] std::string target(const OpcodeInfo& row, std::size_t index) const {
    if (const auto to = jump_target(index)) {
      if (const std::string* name = label(static_cast<std::size_t>(*to))) return *name;
    }
    return signed_number(distance(row.opcode, insns_[index]));
  }

  [[nodiscard]] static std::string helper(const Insn& insn) {
    return std::string(helper_name(insn.imm)) + "#" + std::to_string(insn.imm);
  }

  [[nodiscard]] std::string kernel_function(std::size_t index) const {
    if (const auto* function = relocated<KfuncReference>(index)) return function->name;
    const Insn& insn = insns_[index];
    std::string text = "#" + std::to_string(insn.imm);
    if (insn.off != 0) text += ":" + std::to_string(insn.off);
    return text;
  }

  std::span<const Insn> insns_;
  const Object* object_ = nullptr;
  std::map<std::size_t, const Relocation*> relocations_;
  std::map<std::int64_t, std::string> labels_;
};

std::string_view type_name(ProgramType type) {
  switch (type) {
    case ProgramType::socket_filter:
      return "socket_filter";
    case ProgramType::sched_cls:
      return "sched_cls";
    case ProgramType::xdp:
      return "xdp";
    case ProgramType::cgroup_skb:
      return "cgroup_skb";
    case ProgramType::netfilter:
      return "netfilter";
  }
  throw InvariantError("a program type without a name");
}

std::string padded(std::size_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  digits.insert(0, width - std::min(width, digits.size()), ' ');
  return digits;
}

}  // namespace

std::string disassemble(std::span<const Insn> insns, std::size_t index) {
  invariant(index < insns.size(), "no such instruction");
  return Printer(insns).instruction(index);
}

std::string disassemble(const Object& object, const Program& program, bool numbered) {
  const Printer printer(object, program);
  std::string text =
      "; program " + program.name + ", " + std::string(type_name(program.type)) + "\n";
  auto origin = program.origins.begin();
  for (std::size_t index = 0; index < program.insns.size(); index += printer.width(index)) {
    for (; origin != program.origins.end() && origin->insn <= index; ++origin) {
      if (origin->rule >= 0) {
        text += "; " + object.rule_names.at(static_cast<std::size_t>(origin->rule)) + "\n";
      } else if (index > 0) {
        text += "; around the rules\n";
      }
    }
    if (const std::string* label = printer.label(index)) text += *label + ":\n";
    text += numbered ? padded(index, 6) + ": " : "  ";
    text += printer.instruction(index) + "\n";
  }
  return text;
}

}  // namespace weir::isa
