// SPDX-License-Identifier: BSD-2-Clause
//
// Reads the verifier's log from its end. Forms: kernel/bpf/log.c (print_verifier_state,
// print_insn_state) and verbose() in kernel/bpf/verifier.c.
#include "kernel/log.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace weir::kernel {
namespace {

constexpr std::size_t kept_lines = 5;

std::vector<std::string_view> lines_of(std::string_view log) {
  std::vector<std::string_view> lines;
  while (!log.empty()) {
    const auto end = log.find('\n');
    const auto line = log.substr(0, end);
    if (!line.empty() && line.find('\0') == line.npos) lines.push_back(line);
    log.remove_prefix(end == log.npos ? log.size() : end + 1);
  }
  return lines;
}

// "12: (61) r0 = ..." names instruction 12; "12: R0=..." shows its state only.
std::optional<std::uint32_t> instruction_of(std::string_view line) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), index);
  if (error != std::errc() || end == line.data()) return std::nullopt;
  const auto rest = line.substr(static_cast<std::size_t>(end - line.data()));
  if (!rest.starts_with(": (")) return std::nullopt;
  return index;
}

bool too_complex(std::string_view line) {
  return line.find("too large") != line.npos || line.find("too complex") != line.npos ||
         line.find("combined stack size") != line.npos;
}

std::optional<std::string> rule_of(std::uint32_t insn, const isa::Program& program,
                                   const SharedList<std::string>& rule_names) {
  std::int32_t rule = -1;
  for (const auto& row : program.origins) {
    if (row.insn > insn) break;
    rule = row.rule;
  }
  if (rule < 0 || static_cast<std::size_t>(rule) >= rule_names.size()) return std::nullopt;
  return rule_names[static_cast<std::size_t>(rule)];
}

}  // namespace

std::vector<std::string> telling_lines(std::string_view log, const isa::Program& program,
                                       const SharedList<std::string>& rule_names) {
  auto lines = lines_of(log);
  if (lines.empty()) return {};
  const bool complex = std::ranges::any_of(lines, too_complex);
  if (!complex) {
    std::erase_if(lines, [](auto line) { return line.starts_with("processed "); });
  }

  std::optional<std::uint32_t> failing;
  std::size_t first = lines.size() - std::min(lines.size(), kept_lines);
  for (std::size_t i = lines.size(); i-- > 0;) {
    failing = instruction_of(lines[i]);
    if (!failing) continue;
    first = std::max(i, first);
    break;
  }

  std::vector<std::string> telling;
  if (failing) {
    const auto rule = rule_of(*failing, program, rule_names);
    telling.push_back("instruction " + std::to_string(*failing) + " of program " + program.name +
                      (rule ? ", from rule " + *rule : ", from the code around the rules"));
  }
  telling.insert(telling.end(), lines.begin() + static_cast<std::ptrdiff_t>(first), lines.end());
  return telling;
}

}  // namespace weir::kernel
