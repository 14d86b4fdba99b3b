// SPDX-License-Identifier: BSD-2-Clause
//
// Makes a failing case smaller: first its packets, then the lines of its script.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernel/traffic.h"

namespace weir::test {

struct Shrunk {
  std::string script;
  std::vector<Sent> traffic;
};

// `fails` may end the search by saying no. What does not load does not count as failing.
[[nodiscard]] Shrunk shrink(
    std::string script, std::vector<Sent> traffic,
    const std::function<bool(const std::string&, std::span<const Sent>)>& fails);

}  // namespace weir::test
