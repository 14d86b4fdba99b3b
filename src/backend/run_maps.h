// SPDX-License-Identifier: BSD-2-Clause
//
// The runs of rules (classify/runs.h) of all programs of an object, ready to be searched, and the
// maps that they are searched in. Made once, however often their programs are lowered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backend/run_tables.h"
#include "classify/run_index.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

struct RunPlace {
  classify::RunIndex index;
  std::size_t searches = 1;  // of a packet, at most
  RunLayout layout;
  isa::MapIndex map;
};

class RunMaps {
 public:
  // Appends the maps of all runs that rules of the units are numbered for. `traced`: the program
  // tells which rules a packet meets. The units stay where they are while place() is asked.
  [[nodiscard]] static std::shared_ptr<const RunMaps> make(
      const std::vector<const imr::Unit*>& units, bool traced, std::vector<isa::MapSpec>& maps);

  [[nodiscard]] const RunPlace& place(const imr::Unit& unit, std::uint32_t run) const;

 private:
  void add(const imr::Unit& unit, bool traced, std::vector<isa::MapSpec>& maps);

  std::map<std::pair<const imr::Unit*, std::uint32_t>, RunPlace> places_;
};

}  // namespace weir::backend
