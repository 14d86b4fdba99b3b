// SPDX-License-Identifier: BSD-2-Clause
//
// Dynamic sets of an installed policy: what programs have made of them, which is in their maps and
// nowhere else. Programs that take the place of others use the same maps.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "driver/elements.h"
#include "imr/imr.h"
#include "kernel/kernel.h"
#include "service/state.h"

namespace weir::service {

[[nodiscard]] std::vector<DynamicSetState> describe_dynamic_sets(
    const imr::Ruleset& ruleset, const driver::Compilation& compilation);

// The one set of it, without elements, in its table.
[[nodiscard]] imr::Ruleset described(const DynamicSetState& state);

// Sets keep the size that they have in the policy, where the ruleset's elements fit it: one that
// does not say how large it is has room for more than it is written with, and may get fewer.
void keep_sizes(const PolicyState& policy, imr::Ruleset& ruleset);

// Puts the maps of sets that mean the same before and after into `given`, by their places in the
// object to come.
[[nodiscard]] Status share_dynamic_sets(const PolicyState& policy,
                                        const std::vector<DynamicSetState>& next,
                                        const Paths& paths, std::vector<kernel::Fd>& given);
// Copies the living elements of sets of which that is not so. Their statements begin anew where
// they are others. What programs change meanwhile is not copied.
[[nodiscard]] Status carry_dynamic_sets(const PolicyState& policy,
                                        const std::vector<DynamicSetState>& next,
                                        const std::vector<kernel::Fd>& maps, const Paths& paths);

// The elements that have not expired, by their keys.
[[nodiscard]] Result<std::vector<driver::LivingElement>> living_elements(
    const PolicyState& policy, const DynamicSetState& state, const Paths& paths);

// Makes the elements of `given`, a set as it is described with elements that expire from now on,
// members of the set. All of it or nothing, but for what packets do meanwhile.
[[nodiscard]] Status add_elements(const PolicyState& policy, const DynamicSetState& state,
                                  const imr::Set& given, const Paths& paths);
// The same of a map that is not pinned yet.
[[nodiscard]] Status add_elements(const DynamicSetState& state, const kernel::Fd& map,
                                  const imr::Set& given);
// An input error where one of them is not there.
[[nodiscard]] Status check_living(const PolicyState& policy, const DynamicSetState& state,
                                  const imr::Set& given, const Paths& paths);
// Takes them out; one that is gone already is as good.
[[nodiscard]] Status delete_elements(const PolicyState& policy, const DynamicSetState& state,
                                     const imr::Set& given, const Paths& paths);

// The set with its elements as nft lists it, indented as in a table.
[[nodiscard]] std::string listed(const imr::Set& set,
                                 const std::vector<driver::LivingElement>& elements);
// A key of the set, or the data of a map, as nft writes it.
[[nodiscard]] std::string key_text(const imr::Set& set, ByteView key);
[[nodiscard]] std::string data_text(const imr::Set& set, ByteView data);
// The set's statements, each with a blank before it, with what they hold in an element.
[[nodiscard]] std::string state_text(const imr::Set& set, std::span<const std::uint64_t> words);

}  // namespace weir::service
