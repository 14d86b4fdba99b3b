// SPDX-License-Identifier: BSD-2-Clause
//
// nft scripts to IMR: libnftables loads the script into a scratch network namespace, libnftnl dumps
// what the kernel then holds, and the nf_tables expressions themselves are translated. And what
// runs in a namespace, in the same way.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imr/imr.h"

namespace weir::frontend::nft {

struct Options {
  // Index of an interface that the script names by iif or oif; no value: one is made up (from
  // 1000000 on). By default if_nametoindex(3).
  std::function<std::optional<std::uint32_t>(const std::string&)> interface_index;
  // Run behind the script, each as a transaction of its own: nft 1.0.6 loses elements of interval
  // sets that come and go in one.
  std::vector<std::string> commands = {};
  bool divide = true;  // tests only: false reads long scripts in one piece as well
};

// Reads a ruleset from `script`; `file` names it in messages. Errors of nft come back with
// file:line:column; nothing outside the scratch namespace changes. The caller may be root or not
// (then a user namespace is needed).
[[nodiscard]] Result<imr::Ruleset> read_script(const std::string& script, const std::string& file,
                                               const Options& options = {});

struct LiveRuleset {
  imr::Ruleset ruleset;  // its rules have a text and a handle, but no line
  std::string listing;   // as nft lists it, with handles
};
// What the kernel runs in the network namespace of the calling process, which must be allowed to
// see it. Nothing is changed.
[[nodiscard]] Result<LiveRuleset> read_live();
// Of the same, tables and chains alone.
[[nodiscard]] Result<imr::Ruleset> read_live_chains();

}  // namespace weir::frontend::nft
