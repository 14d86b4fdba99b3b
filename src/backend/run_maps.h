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
  struct Wishes {
    bool traced = false;     // the program tells which rules a packet meets
    bool updatable = false;  // rules may come and go in place: backend/run_editor.h
    std::optional<classify::Kind> classifier = {};  // with this structure, not the fastest one
  };
  // By unit and number.
  using Indexes = std::map<std::pair<const imr::Unit*, std::uint32_t>, classify::RunIndex>;
  // Appends the maps of all runs that rules of the units are numbered for; those that are not
  // `made` already as the wishes are, are made. The units stay where they are while place() is
  // asked.
  [[nodiscard]] static std::shared_ptr<const RunMaps> make(
      const std::vector<const imr::Unit*>& units, const Wishes& wishes, Indexes made,
      std::vector<isa::MapSpec>& maps);

  [[nodiscard]] const RunPlace& place(const imr::Unit& unit, std::uint32_t run) const;
  // Of one unit, by their numbers.
  [[nodiscard]] std::map<std::uint32_t, const RunPlace*> runs_of(const imr::Unit& unit) const;
  // The map with the one number, of 4 bytes, that says which entries of all runs are in force:
  // those without its bit (run_turn_one, at first, or run_turn_other). Not valid where none change.
  [[nodiscard]] isa::MapIndex turn() const { return turn_; }

 private:
  void add(const imr::Unit& unit, Indexes& made, std::vector<isa::MapSpec>& maps);
  [[nodiscard]] RunPlace prepared(const imr::Unit& unit, classify::RunIndex index,
                                  std::vector<isa::MapSpec>& maps) const;

  Wishes wishes_;
  isa::MapIndex turn_;
  std::map<std::pair<const imr::Unit*, std::uint32_t>, RunPlace> places_;
};

}  // namespace weir::backend
