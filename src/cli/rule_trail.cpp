// SPDX-License-Identifier: BSD-2-Clause
#include "cli/rule_trail.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "flow/flow.h"
#include "imr/identity.h"
#include "imr/print.h"
#include "isa/isa.h"

namespace weir::cli {
namespace {

template <typename See>
void each_line(std::string_view text, const See& see) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    see(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
}

// The number in front of `text`, less spaces.
std::optional<std::uint32_t> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

imr::RuleId rule_of(std::int32_t number) {
  return number < 0 ? imr::RuleId() : imr::RuleId(static_cast<std::size_t>(number));
}

// Operations and how blocks end, without the numbers of registers and blocks, which passes change
// everywhere.
ByRule operations_by_rule(const flow::Function& function) {
  ByRule out;
  for (const flow::Block& block : function.blocks) {
    std::string& text = out[rule_of(block.rule)];
    for (const flow::Instruction& i : block.instructions) {
      text += fmt::format("{} {} {} {}\n", flow::to_string(i.op), i.imm, i.size, i.args.size());
    }
    text += fmt::format("end {} {} {}\n", static_cast<int>(block.end.kind), block.end.imm,
                        block.end.imm2);
  }
  return out;
}

std::string text_of(const ByRule& rules, imr::RuleId rule) {
  const auto found = rules.find(rule);
  return found == rules.end() ? std::string() : found->second;
}

}  // namespace

ByRule imr_by_rule(const imr::Ruleset& ruleset, const std::string& printed) {
  constexpr std::string_view head = "  rule #";
  constexpr std::string_view body = "    ";
  ByRule out;
  std::optional<imr::RuleId> open;
  each_line(printed, [&](std::string_view line) {
    if (line.starts_with(body) && open) {
      out[*open] += line;
      return;
    }
    open.reset();
    if (!line.starts_with(head)) return;
    const auto number = leading_number(line.substr(head.size()));
    invariant(number.has_value(), "a rule without a number");
    const bool removed = line.find(" removed") == head.size() + std::to_string(*number).size();
    const imr::RuleId rule = imr::as_written(ruleset, imr::RuleId(std::size_t{*number}));
    if (!removed) {
      open = rule;
      out[rule];
    }
  });
  return out;
}

ByRule flow_by_rule(const flow::Function& function) {
  ByRule out;
  std::size_t block = 0;
  imr::RuleId open;
  bool started = false;
  each_line(flow::print(function), [&](std::string_view line) {
    if (line.starts_with("b") && line.find(':') == 1 + std::to_string(block).size()) {
      open = rule_of(function.blocks.at(block++).rule);
      started = true;
      out[open] += std::string(line.substr(0, line.find(':'))) + ":\n";
    } else if (started) {
      out[open] += line;
    }
  });
  return out;
}

ByRule bpf_by_rule(const isa::Object& object, const isa::Program& program) {
  ByRule out;
  std::string label;  // in front of the next instruction
  auto next = program.origins.begin();
  imr::RuleId open;
  each_line(isa::disassemble(object, program, true), [&](std::string_view line) {
    if (line.starts_with(';')) return;
    const auto number = leading_number(line);
    if (!number || line.find(": ") == std::string_view::npos) {
      label += line;
      return;
    }
    for (; next != program.origins.end() && next->insn <= *number; ++next) {
      open = rule_of(next->rule);
    }
    out[open] += label + std::string(line);
    label.clear();
  });
  return out;
}

ByRule machine_code_by_rule(const isa::Object& object, const kernel::MachineCode& code) {
  constexpr std::size_t columns = 16;
  const auto rule_at = [&](const std::string& text) {
    for (std::size_t i = 0; i < object.rule_names.size(); ++i) {
      const std::string& name = object.rule_names[i];
      if (text == name || text.starts_with(name + ": ")) return imr::RuleId(i);
    }
    return imr::RuleId();
  };
  ByRule out;
  for (std::size_t i = 0; i < code.rows.size(); ++i) {
    const std::size_t end = i + 1 < code.rows.size() ? code.rows[i + 1].begin : code.bytes.size();
    std::string& text = out[rule_at(code.rows[i].text)];
    for (std::size_t at = code.rows[i].begin; at < end; at += columns) {
      text += fmt::format("{:>6x}:", at);
      for (std::size_t b = at; b < std::min(end, at + columns); ++b) {
        text += fmt::format(" {:02x}", code.bytes.at(b));
      }
      text += "\n";
    }
  }
  return out;
}

driver::Observer RuleTrail::observer() {
  return [this](const driver::StageReport& report) {
    const std::string pass(report.name);
    if (report.unit != nullptr) {
      units_[{report.program, report.unit->nfproto}].push_back(
          {pass, imr_by_rule(report.unit->ruleset, imr::print(*report.unit))});
    } else if (report.function != nullptr) {
      std::vector<State>& states = functions_[report.program];
      // A program that is too large is lowered anew.
      if (pass == "lower") states.clear();
      states.push_back({pass, operations_by_rule(*report.function)});
    }
  };
}

std::vector<std::string> RuleTrail::imr_passes(const driver::Compilation& compilation,
                                               std::size_t program, Nfproto nfproto,
                                               imr::RuleId rule) const {
  std::vector<std::string> out;
  const auto states = units_.find({program, nfproto});
  if (states == units_.end()) return out;
  const auto& units = compilation.programs.at(program).units;
  const auto unit = std::ranges::find(units, nfproto, &imr::Unit::nfproto);
  invariant(unit != units.end(), "a pass over a unit that is not there");
  std::string before = text_of(imr_by_rule(unit->ruleset, imr::print(*unit)), rule);
  for (const State& state : states->second) {
    std::string after = text_of(state.rules, rule);
    if (after != before) out.push_back(state.pass);
    before = std::move(after);
  }
  return out;
}

std::vector<std::string> RuleTrail::flow_passes(std::size_t program, imr::RuleId rule) const {
  std::vector<std::string> out;
  const auto states = functions_.find(program);
  if (states == functions_.end()) return out;
  for (std::size_t i = 1; i < states->second.size(); ++i) {
    const State& state = states->second[i];
    if (text_of(state.rules, rule) == text_of(states->second[i - 1].rules, rule)) continue;
    if (std::ranges::find(out, state.pass) == out.end()) out.push_back(state.pass);
  }
  return out;
}

}  // namespace weir::cli
