// SPDX-License-Identifier: BSD-2-Clause
//
// Single rules of a policy in force that come, go or are replaced, without a program compiled anew:
// by a few stores into maps (backend/run_editor.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backend/run_editor.h"
#include "driver/compile.h"
#include "imr/edit.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::driver {

// Into the value of a map of the object.
using MapStore = backend::RunStore;

struct InPlaceChange {
  std::vector<MapStore> before;  // no packet sees them yet; in order, each at once
  MapStore turn;                 // from then on packets see the change, and all of it
  std::vector<MapStore> after;   // once no packet is on its way that began before the turn
};

class InPlace {
 public:
  // Of what was compiled with Options::updatable_rules, and is in force as it was compiled.
  explicit InPlace(const Compilation& compilation);
  InPlace(InPlace&&) noexcept;
  InPlace& operator=(InPlace&&) noexcept;
  ~InPlace();

  // The stores for an edit that the ruleset, whose counters are the elements of the object's map,
  // has already; they have to be made before the next call. Nothing where it cannot be done in
  // place: whatever happens then, this is of no use any more.
  [[nodiscard]] std::optional<InPlaceChange> change(const imr::Ruleset& ruleset,
                                                    const imr::RuleEdit& edit);

  // The maps that are stored into.
  [[nodiscard]] std::vector<isa::MapIndex> maps() const;

 private:
  class Half;
  std::shared_ptr<const backend::RunMaps> runs_;  // which the halves refer to
  std::vector<Half> halves_;                      // of programs: one for each unit
  isa::MapIndex turn_;
  std::uint32_t now_ = 0;  // what stands there
  bool broken_ = false;
};

}  // namespace weir::driver
