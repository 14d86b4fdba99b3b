// SPDX-License-Identifier: BSD-2-Clause
//
// Elements of the named sets of an installed policy, changed in place: no program is compiled or
// attached anew, and every packet sees the old set or the new one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

struct ElementChange {
  enum class Kind : std::uint8_t { add, remove };
  Kind kind = Kind::add;
  Family family = Family::inet;
  std::string table;
  std::string set;
  std::string elements;  // as nft takes them: "{ 10.0.0.1, 10.0.1.0/24 }"
};

// One list of elements in braces, and no command behind it.
[[nodiscard]] Status check_elements(std::string_view text);

// The elements of such a list, each without white space around it.
[[nodiscard]] std::vector<std::string> split_elements(std::string_view text);

// nft itself judges the change, in a scratch namespace, behind the policy's own text. Input errors
// of nft, sets that the policy does not have or that have no room in its maps, and policies that
// are locked or wait for confirmation are refused, and nothing has changed then.
[[nodiscard]] Status change_elements(const std::string& policy, const ElementChange& change,
                                     const Paths& paths, const StepHook& at_step = {});

// Finds out what became of a change that was broken off: PolicyState::elements is what the sets
// hold then, and nothing is pending. Looks into the policy's maps.
[[nodiscard]] Status settle_elements(PolicyState& policy, const Paths& paths);

}  // namespace weir::service
