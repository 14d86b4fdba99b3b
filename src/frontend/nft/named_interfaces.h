// SPDX-License-Identifier: BSD-2-Clause
//
// Interfaces that a script names, for where nft's messages do not say which of them it misses.
// The loopback interface, which is always there, is left out; so are names in variables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::frontend::nft {

// Devices of chains and flowtables: "device eth0", "devices = { eth0, eth1 }", "dev": "eth0".
[[nodiscard]] std::vector<std::string> named_devices(std::string_view script, bool json);

// Interfaces that "iif" and "oif" are compared with, in nft's JSON syntax.
[[nodiscard]] std::vector<std::string> interfaces_in_json(std::string_view script);

}  // namespace weir::frontend::nft
