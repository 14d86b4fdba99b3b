// SPDX-License-Identifier: BSD-2-Clause
//
// Shared by the tests of the nft front end: scripts in, IMR text out. They load real nf_tables, so
// they need root or unprivileged user namespaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/nft/scratch.h"
#include "imr/imr.h"

namespace weir::frontend::nft::test {

// Reads a script that must be right; the test fails, and the ruleset is empty, when it is not.
imr::Ruleset read(const std::string& script, const Options& options = {});
// Reads a script that must be wrong.
Diagnostic refuse(const std::string& script);

// "table inet t { chain c { RULE } }", hooked into forward.
std::string in_chain(std::string_view rule, std::string_view family = "inet");

// The statements of each rule, one a line, without the printer's comments; rules are told apart by
// an empty line.
std::string statements(const imr::Ruleset& ruleset);
// The same of the one rule.
std::string statements_of(std::string_view rule, std::string_view family = "inet");

// The sets and maps of the printed ruleset, one a line.
std::string sets(const imr::Ruleset& ruleset);

const imr::Chain& chain(const imr::Ruleset& ruleset, std::string_view name);

}  // namespace weir::frontend::nft::test
