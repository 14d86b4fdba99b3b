// SPDX-License-Identifier: BSD-2-Clause
#include "driver/stages.h"

#include "passes/imr_tools.h"

namespace weir::driver {

std::size_t size_of(const imr::Unit& unit) {
  std::size_t statements = 0;
  for (const imr::ChainId chain : passes::unit_chains(unit)) {
    for (const imr::RuleId rule : unit.ruleset[chain].rules) {
      statements += unit.ruleset[rule].statements.size();
    }
  }
  return statements;
}

std::size_t size_of(const std::vector<imr::Unit>& units) {
  std::size_t statements = 0;
  for (const imr::Unit& unit : units) statements += size_of(unit);
  return statements;
}

std::size_t size_of(const flow::Function& function) {
  std::size_t instructions = function.blocks.size();
  for (const flow::Block& block : function.blocks) instructions += block.instructions.size();
  return instructions;
}

std::size_t size_of(const isa::Program& program) {
  return program.insns.size();
}

template <typename Subject>
void Stage::finish(const Subject& subject) {
  report_.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
  report_.after = size_of(subject);
  observer_(report_);
}

void Stage::done(const imr::Unit& unit) {
  if (!observer_) return;
  report_.unit = &unit;
  finish(unit);
}

void Stage::done(const flow::Function& function) {
  if (!observer_) return;
  report_.function = &function;
  finish(function);
}

void Stage::done(const isa::Program& program) {
  if (observer_) finish(program);
}

}  // namespace weir::driver
