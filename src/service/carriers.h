// SPDX-License-Identifier: BSD-2-Clause
//
// Which programs and maps carry a rule: found in the programs themselves, by the rule that each
// instruction came from and the map that it refers to.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "isa/program.h"
#include "service/state.h"

namespace weir::service {

// Indices into Object::programs and Object::maps.
struct Carriers {
  std::set<std::size_t> programs;
  std::set<std::size_t> maps;
  friend bool operator==(const Carriers&, const Carriers&) = default;
};
// The map that an instruction refers to, if it does.
[[nodiscard]] std::optional<isa::MapIndex> map_of(const isa::Relocation& relocation);
// One for each of Object::rule_names. Maps that only the code around the rules uses are not there.
[[nodiscard]] std::vector<Carriers> find_carriers(const isa::Object& object);

// What the kernel calls the programs and maps of an object, in its order. Several maps may have
// become one.
struct Ids {
  std::vector<std::uint32_t> programs;
  std::vector<std::uint32_t> maps;
};
// Tells each rule of `chains` its programs and maps, those included that count in a function of
// their own. Rules are known by their names, "inet filter forward handle 12".
void name_carriers(const isa::Object& object, const Ids& ids, std::vector<ChainState>& chains);

}  // namespace weir::service
