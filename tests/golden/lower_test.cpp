// SPDX-License-Identifier: BSD-2-Clause
//
// Goldens of the back end: a unit in; out comes flow as lowering makes it, flow after the flow
// passes, or eBPF.
#include <gtest/gtest.h>

#include <stdexcept>

#include "backend/emitter.h"
#include "backend/lower.h"
#include "golden/runner.h"
#include "imr/parse.h"
#include "imr/verify.h"
#include "isa/isa.h"
#include "passes/pipeline.h"

namespace weir::test {
namespace {

// The unit lowered, behind the IMR passes that lowering relies on.
flow::Function lowered(const std::string& text, backend::Profile& profile) {
  Result<imr::Unit> unit = imr::parse_unit(text, "before");
  if (!unit) throw std::runtime_error(unit.error().text());
  imr::verify(*unit);
  for (const passes::ImrPass& pass : passes::imr_passes()) {
    if (pass.required) pass.run(*unit);
  }
  flow::Function function{.name = "golden"};
  for (std::size_t i = 0; i < unit->ruleset.rules.size(); ++i) {
    function.rule_names.push_back("rule " + std::to_string(i));
  }
  backend::SharedMaps shared;
  if (!unit->ruleset.counters.empty()) {
    function.maps.push_back(
        {.name = "counters",
         .type = isa::MapType::percpu_array,
         .value_size = 16,
         .max_entries = static_cast<std::uint32_t>(unit->ruleset.counters.size())});
    shared.counters = isa::MapIndex(std::size_t{0});
  }
  profile = backend::profile_for(unit->hook);
  const Status status = backend::lower({&*unit, 1}, profile, {}, shared, function);
  if (!status) throw std::runtime_error(status.error().text());
  flow::verify(function);
  return function;
}

flow::Function improved(const std::string& text, backend::Profile& profile) {
  flow::Function function = lowered(text, profile);
  for (const passes::FlowPass& pass : passes::flow_passes()) pass.run(function);
  flow::verify(function);
  return function;
}

std::string to_flow(const std::string& text) {
  backend::Profile profile;
  return flow::print(lowered(text, profile));
}

std::string to_improved_flow(const std::string& text) {
  backend::Profile profile;
  return flow::print(improved(text, profile));
}

std::string to_assembly(const std::string& text) {
  backend::Profile profile;
  const flow::Function function = improved(text, profile);
  isa::Program program = backend::emit(function, profile).value();
  program.name = function.name;
  const isa::Object object{
      .maps = function.maps, .programs = {program}, .rule_names = function.rule_names};
  return isa::disassemble(object, program);
}

class Lowering : public testing::TestWithParam<std::string> {};

TEST_P(Lowering, MakesTheTextAfterOfTheTextBefore) {
  check_golden(GetParam(),
               {{"flow", to_flow}, {"improved", to_improved_flow}, {"assembly", to_assembly}});
}

INSTANTIATE_TEST_SUITE_P(Golden, Lowering, testing::ValuesIn(golden_files("lower", "")));

}  // namespace
}  // namespace weir::test
