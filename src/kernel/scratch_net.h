// SPDX-License-Identifier: BSD-2-Clause
//
// A network namespace for a moment, in which things are tried that must not touch a real one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"

namespace weir::kernel {

// Runs `work` on a thread of its own in a network namespace made for it; the caller's stays as it
// is.
[[nodiscard]] Status in_scratch_network(const std::function<Status()>& work);

// A pair of veth devices in the calling thread's namespace, down; the interface index of `name`.
[[nodiscard]] Result<std::uint32_t> create_veth(const std::string& name, const std::string& peer);

}  // namespace weir::kernel
