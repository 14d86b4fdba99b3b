// SPDX-License-Identifier: BSD-2-Clause
//
// The runs of rules (classify/runs.h) of all programs of an object, ready to be searched, and the
// maps that they are searched in. Made once, however often their programs are lowered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "backend/run_tables.h"
#include "backend/run_vectors.h"
#include "classify/run_index.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

struct RunPlace {
  classify::RunIndex index;
  // Of what is searched in a map:
  std::variant<std::monostate, TupleLayout, VectorLayout> layout = {};
  isa::MapIndex map = {};
  std::size_t searches = 1;  // of a packet in tables, at most
};

class RunMaps {
 public:
  // Appends the maps of all runs that rules of the units are numbered for. `traced`: the program
  // tells which rules a packet meets. `classifier`: with this structure, not the fastest one. The
  // units stay where they are while place() is asked.
  [[nodiscard]] static std::shared_ptr<const RunMaps> make(
      const std::vector<const imr::Unit*>& units, bool traced,
      std::optional<classify::Kind> classifier, std::vector<isa::MapSpec>& maps);

  [[nodiscard]] const RunPlace& place(const imr::Unit& unit, std::uint32_t run) const;
  // Of one unit, by their numbers.
  [[nodiscard]] std::map<std::uint32_t, const RunPlace*> runs_of(const imr::Unit& unit) const;

 private:
  void add(const imr::Unit& unit, std::vector<isa::MapSpec>& maps);
  [[nodiscard]] RunPlace prepared(const imr::Unit& unit, std::span<const imr::RuleId> rules,
                                  std::vector<isa::MapSpec>& maps) const;

  bool traced_ = false;
  std::optional<classify::Kind> classifier_;
  std::map<std::pair<const imr::Unit*, std::uint32_t>, RunPlace> places_;
};

}  // namespace weir::backend
