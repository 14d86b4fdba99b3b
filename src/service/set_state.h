// SPDX-License-Identifier: BSD-2-Clause
//
// What weir remembers of the sets of an installed policy whose elements may change: where they are
// in its maps, and how much room they have there.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "backend/set_maps.h"
#include "base/error.h"
#include "base/hook.h"

namespace weir::service {

struct SetState {
  Family family = Family::inet;
  std::string table;
  backend::UpdatableSet set;  // its table is not valid here
};
[[nodiscard]] bool operator==(const SetState& a, const SetState& b);

[[nodiscard]] nlohmann::ordered_json to_json(const SetState& set);
// Throws nlohmann::json::exception for what is no such set.
[[nodiscard]] SetState set_from_json(const nlohmann::ordered_json& json);

}  // namespace weir::service
