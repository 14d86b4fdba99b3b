// SPDX-License-Identifier: BSD-2-Clause
//
// One rule that came into a namespace, with the sets without names that it brought, to IMR.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "frontend/nft/expressions.h"
#include "frontend/nft/sets.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

struct ArrivalScope {
  imr::Ruleset& ruleset;
  ExpressionPool& expressions;
  imr::ChainId chain;
  std::function<imr::SetId(const std::string&)> find_set;  // of the chain's table, with a name
  FindChain find_chain;                                    // the same
  std::function<std::string(const std::string&)> name_of;  // that a set without name will have
};

struct Arrival {
  imr::Rule rule;        // not in the ruleset, unlike what it refers to
  std::size_t sets = 0;  // that took a handle each, in front of the rule's
};

// `messages` of the kernel (frontend/nft/notifications.h), and nft's listing of the chain. The rule
// has the handle that it has there, and no place in a file. No value where anything else came too,
// and where not all of the rule is translated.
[[nodiscard]] std::optional<Arrival> translate_arrival(ByteView messages, std::string_view listing,
                                                       const ArrivalScope& scope);

}  // namespace weir::frontend::nft
