// SPDX-License-Identifier: BSD-2-Clause
//
// What the compiler made of each rule at each stage: the texts of the stages, cut up by rule, and
// which passes changed what the rule's part of them says.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver/compile.h"
#include "driver/stages.h"
#include "imr/imr.h"
#include "isa/program.h"
#include "kernel/kernel.h"

namespace weir::cli {

// Texts of whole lines. The code around the rules goes by an id that is not valid.
using ByRule = std::map<imr::RuleId, std::string>;

// The statements; copies count as the rules they are copies of, one behind the other.
[[nodiscard]] ByRule imr_by_rule(const imr::Ruleset& ruleset, const std::string& printed);
// The blocks.
[[nodiscard]] ByRule flow_by_rule(const flow::Function& function);
// The instructions with their numbers and labels.
[[nodiscard]] ByRule bpf_by_rule(const isa::Object& object, const isa::Program& program);
// Offset and bytes, 16 a line.
[[nodiscard]] ByRule machine_code_by_rule(const isa::Object& object,
                                          const kernel::MachineCode& code);

// Looks on while the compiler runs.
class RuleTrail {
 public:
  // This must outlive the options that it is put into.
  [[nodiscard]] driver::Observer observer();

  // The passes that changed the rule, in order, of one program: those of the IMR, which each of its
  // units goes through, and those of flow.
  [[nodiscard]] std::vector<std::string> imr_passes(const driver::Compilation& compilation,
                                                    std::size_t program, Nfproto nfproto,
                                                    imr::RuleId rule) const;
  [[nodiscard]] std::vector<std::string> flow_passes(std::size_t program, imr::RuleId rule) const;

 private:
  struct State {
    std::string pass;
    ByRule rules;
  };
  std::map<std::pair<std::size_t, Nfproto>, std::vector<State>> units_;
  std::map<std::size_t, std::vector<State>> functions_;  // by program; the first is as lowered
};

}  // namespace weir::cli
