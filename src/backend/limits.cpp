// SPDX-License-Identifier: BSD-2-Clause
#include "backend/limits.h"

#include <string>

namespace weir::backend {

std::string_view to_string(Limit limit) {
  switch (limit) {
    case Limit::no_calls:
      return "no-calls";
    case Limit::helper_access:
      return "helper-access";
    case Limit::read_only:
      return "read-only";
    case Limit::no_kfuncs:
      return "no-kfuncs";
    case Limit::offload:
      return "offload";
  }
  throw InvariantError("limit out of range");
}

Result<Limit> parse_limit(std::string_view name) {
  std::string known;
  for (const Limit limit : all_limits) {
    if (to_string(limit) == name) return limit;
    known += (known.empty() ? "" : ", ") + std::string(to_string(limit));
  }
  return input_error("unknown limit '" + std::string(name) + "', expected one of " + known);
}

Result<Limits> parse_limits(const std::vector<std::string>& names) {
  Limits limits;
  for (const std::string& name : names) {
    WEIR_TRY(limit, parse_limit(name));
    limits.insert(limit);
  }
  return limits;
}

}  // namespace weir::backend
