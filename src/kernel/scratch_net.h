// SPDX-License-Identifier: BSD-2-Clause
//
// A network namespace for a moment, in which things are tried that must not touch a real one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/hook.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// Runs `work` on a thread of its own in a network namespace made for it; the caller's stays as it
// is.
[[nodiscard]] Status in_scratch_network(const std::function<Status()>& work);

// A pair of veth devices in the calling thread's namespace, down; the interface index of `name`.
[[nodiscard]] Result<std::uint32_t> create_veth(const std::string& name, const std::string& peer);

// A TAP device in the calling thread's namespace, up, silent, for the longest packets there are.
// What is written to its descriptor arrives there, and has done so when write(2) returns: as long
// as the descriptor is open, the device and the namespace are there.
struct Tap {
  Fd fd;
  std::uint32_t index = 0;
};
// `index` 0: any.
[[nodiscard]] Result<Tap> create_tap(const std::string& name, std::uint32_t index);

// The default route of the protocol in the calling thread's namespace: out by the device, or, with
// `local`, to this host itself, as if every address were its own.
[[nodiscard]] Status add_default_route(Nfproto nfproto, std::uint32_t device, bool local);

// Writes /proc/sys/net/`name` of the calling thread's namespace.
[[nodiscard]] Status write_sysctl(const std::string& name, std::string_view value);

}  // namespace weir::kernel
