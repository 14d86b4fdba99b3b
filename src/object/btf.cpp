// SPDX-License-Identifier: BSD-2-Clause
#include "object/btf.h"

#include <linux/bpf.h>

#include <algorithm>
#include <set>

#include "isa/isa.h"

namespace weir::object {
namespace {

constexpr std::size_t longest_name = 15;  // BPF_OBJ_NAME_LEN of the kernel, less the end

static_assert(sizeof(FunctionRow) == sizeof(bpf_func_info));
static_assert(sizeof(LineRow) == sizeof(bpf_line_info));

// What the kernel takes for the context, by name: btf_is_prog_ctx_type() compares with the first
// type of the program type's row in include/linux/bpf_types.h.
const char* context_name(isa::ProgramType type) {
  switch (type) {
    case isa::ProgramType::xdp:
      return "xdp_md";
    case isa::ProgramType::netfilter:
      return "bpf_nf_ctx";
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      return "__sk_buff";
  }
  throw InvariantError("program type out of range");
}

// Letters, digits and '_', not a digit first, as btf_name_valid_identifier() has it; unlike the
// names in `taken`.
std::string unique_name(const std::string& wanted, std::set<std::string>& taken) {
  std::string clean;
  for (const char c : wanted) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    clean += letter || (digit && !clean.empty()) ? c : '_';
  }
  if (clean.empty()) clean = "f";
  std::string name = clean.substr(0, longest_name);
  for (unsigned i = 2; !taken.insert(name).second; ++i) {
    const std::string suffix = "_" + std::to_string(i);
    name = clean.substr(0, longest_name - suffix.size()) + suffix;
  }
  return name;
}

std::set<std::uint32_t> function_starts(const isa::Program& program) {
  std::set<std::uint32_t> starts = {0};
  for (const isa::Subprogram& subprogram : program.subprograms) starts.insert(subprogram.start);
  for (std::size_t i = 0; i < program.insns.size(); ++i) {
    const isa::Insn& insn = program.insns[i];
    const bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src == BPF_PSEUDO_CALL;
    const bool wide = insn.code == (BPF_LD | BPF_IMM | BPF_DW);
    if (call || (wide && insn.src == BPF_PSEUDO_FUNC)) {
      starts.insert(static_cast<std::uint32_t>(static_cast<std::int64_t>(i) + insn.imm + 1));
    }
    if (wide) ++i;
  }
  return starts;
}

std::vector<Types::Parameter> parameters(const isa::Program& program, const Function& function,
                                         Types& types) {
  using Kind = isa::Subprogram::Argument::Kind;
  const auto context = [&] {
    return Types::Parameter{
        .name = "ctx", .type = types.pointer(types.opaque_structure(context_name(program.type)))};
  };
  if (function.start == 0) return {context()};
  std::vector<Types::Parameter> out;
  if (function.subprogram == nullptr) return out;
  for (const isa::Subprogram::Argument& argument : function.subprogram->arguments) {
    const std::string name = "a" + std::to_string(out.size() + 1);
    switch (argument.kind) {
      case Kind::scalar:
        out.push_back({.name = name, .type = types.unsigned_integer(8)});
        break;
      case Kind::context:
        out.push_back(context());
        break;
      case Kind::memory:
        out.push_back({.name = name, .type = types.pointer(types.memory(argument.size))});
        break;
    }
  }
  return out;
}

LineRow line_row(const isa::Object& object, const isa::Program& program, std::uint32_t insn,
                 std::int32_t rule, Types& types) {
  LineRow row = {.insn = insn};
  if (rule < 0 || static_cast<std::size_t>(rule) >= object.rule_names.size()) {
    row.text = types.text("around the rules of " + program.name);
    return row;
  }
  const auto index = static_cast<std::size_t>(rule);
  std::string text = object.rule_names[index];
  if (index < object.rule_sources.size()) {
    const isa::RuleSource& source = object.rule_sources[index];
    if (!source.text.empty()) text += ": " + source.text;
    row.file = types.text(source.file);
    row.line_and_column = source.line << 10;
  }
  row.text = types.text(text);
  return row;
}

// A row wherever the rule changes, and at the start of each function, where the kernel asks for one
// (check_btf_line()).
std::vector<LineRow> lines(const isa::Object& object, const isa::Program& program,
                           const std::vector<Function>& functions, Types& types) {
  std::set<std::uint32_t> starts;
  for (const Function& function : functions) starts.insert(function.start);
  for (const isa::OriginRow& origin : program.origins) starts.insert(origin.insn);
  std::vector<LineRow> out;
  auto next = program.origins.begin();
  std::int32_t rule = -1;
  for (const std::uint32_t start : starts) {
    if (start >= program.insns.size()) break;
    for (; next != program.origins.end() && next->insn <= start; ++next) rule = next->rule;
    out.push_back(line_row(object, program, start, rule, types));
  }
  return out;
}

}  // namespace

std::vector<std::vector<Function>> functions_of(const isa::Object& object) {
  std::set<std::string> taken;
  std::vector<std::vector<Function>> out(object.programs.size());
  // The main functions choose their names first: people look for these.
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    out[i].push_back({.name = unique_name(object.programs[i].name, taken)});
  }
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    const isa::Program& program = object.programs[i];
    const std::set<std::uint32_t> starts = function_starts(program);
    for (const std::uint32_t start : starts) {
      if (start == 0) continue;
      out[i].back().end = start;
      const auto it = std::ranges::find(program.subprograms, start, &isa::Subprogram::start);
      const bool described = it != program.subprograms.end();
      const std::string name = described ? it->name : "function";
      out[i].push_back({.start = start,
                        .name = unique_name(name, taken),
                        .subprogram = described ? &*it : nullptr});
    }
    out[i].back().end = static_cast<std::uint32_t>(program.insns.size());
  }
  return out;
}

ProgramRows describe(const isa::Object& object, const isa::Program& program,
                     const std::vector<Function>& functions, Types& types) {
  ProgramRows rows;
  for (const Function& function : functions) {
    const bool global =
        function.start == 0 || (function.subprogram != nullptr && function.subprogram->global);
    const std::uint32_t type =
        types.function(function.name, global ? Linkage::global : Linkage::local,
                       types.signed_integer(), parameters(program, function, types));
    rows.functions.push_back({.insn = function.start, .type = type});
  }
  rows.lines = lines(object, program, functions, types);
  return rows;
}

Description describe(const isa::Object& object) {
  Types types;
  Description out;
  const std::vector<std::vector<Function>> functions = functions_of(object);
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    out.programs.push_back(describe(object, object.programs[i], functions[i], types));
  }
  out.btf = types.bytes();
  return out;
}

}  // namespace weir::object
