// SPDX-License-Identifier: BSD-2-Clause
//
// The elements of a policy's sets in nft's words: what its text and its notes of later changes
// (PolicyState::elements) make of them, and what one more change would.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "driver/elements.h"
#include "imr/imr.h"
#include "service/element.h"
#include "service/state.h"

namespace weir::service {

// "add element inet filter blocked { 10.0.0.1 }"
[[nodiscard]] std::string command_of(const ElementChange& change);

// The ruleset as it is now, with more commands. nft's words about that are without a place: the
// user has not seen the text.
[[nodiscard]] Result<imr::Ruleset> ruleset_with(const PolicyState& policy,
                                                const std::vector<std::string>& more);
// With the elements of the change in their set, whichever way they go, and no others. Those of a
// map that go may be named by their keys: they have some data of the `living` ones then.
[[nodiscard]] Result<imr::Ruleset> ruleset_with_alone(
    const PolicyState& policy, const DynamicSetState& state, const ElementChange& change,
    const std::vector<driver::LivingElement>& living);
// The set that the change is of; an input error where there is none.
[[nodiscard]] Result<const imr::Set*> find_set(const imr::Ruleset& ruleset,
                                               const ElementChange& change);
// The dynamic set that it is of, or nullptr.
[[nodiscard]] const DynamicSetState* find_dynamic(const PolicyState& policy,
                                                  const ElementChange& change);

// The policy with the change in its notes, by which the set must be the same as `after`. An input
// error where nft's words cannot be told to mean the same element.
[[nodiscard]] Result<PolicyState> noted(const PolicyState& policy, const ElementChange& change,
                                        const imr::Set& after,
                                        bool (*same)(const imr::Set&, const imr::Set&));

}  // namespace weir::service
