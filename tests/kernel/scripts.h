// SPDX-License-Identifier: BSD-2-Clause
//
// Random nft scripts for the judges that attach: base chains at one hook, in the words of people
// who write rulesets, over what those judges have and a test run has not (devices, mark, packet
// type, connections).
#pragma once

#include <cstddef>
#include <random>
#include <string>

namespace weir::test {

struct ScriptOptions {
  std::string hook = "forward";
  // Devices (tun0 and tun1), mark and packet type: what XDP does not know.
  bool devices = true;
  bool connections = false;  // ct state
  std::size_t max_rules = 24;
  bool single_chain = false;  // one base chain, never two
};

// One rule a line, so that a script can be made smaller line by line. Not every script is one that
// nft takes: two matches of a rule may contradict each other.
[[nodiscard]] std::string random_script(const ScriptOptions& options, std::mt19937_64& random);

}  // namespace weir::test
