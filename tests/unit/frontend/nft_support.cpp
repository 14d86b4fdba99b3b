// SPDX-License-Identifier: BSD-2-Clause
#include "unit/frontend/nft_support.h"

#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>

#include "imr/print.h"
#include "imr/verify.h"

namespace weir::frontend::nft::test {
namespace {

// One process for all tests: a script costs a millisecond then.
Result<imr::Ruleset> read_with(const std::string& script, const Options& options) {
  static Result<ScratchNamespace> scratch = ScratchNamespace::create();
  if (!scratch) return std::unexpected(scratch.error());
  return scratch->read(script, "test.nft", options);
}

std::string without_comment(const std::string& line) {
  return line.substr(0, line.find("  ; "));
}

}  // namespace

imr::Ruleset read(const std::string& script, const Options& options) {
  Result<imr::Ruleset> ruleset = read_with(script, options);
  if (!ruleset) {
    ADD_FAILURE() << ruleset.error().text() << "\nin:\n" << script;
    return {};
  }
  if (const auto violation = imr::find_violation(*ruleset)) {
    ADD_FAILURE() << *violation << "\nin:\n" << imr::print(*ruleset);
  }
  return std::move(*ruleset);
}

Diagnostic refuse(const std::string& script) {
  const Result<imr::Ruleset> ruleset = read_with(script, {});
  if (!ruleset) return ruleset.error();
  ADD_FAILURE() << "taken, but expected to be refused:\n" << script;
  return {};
}

std::string in_chain(std::string_view rule, std::string_view family) {
  return "table " + std::string(family) +
         " t {\n  chain c {\n    type filter hook forward priority 0\n    " + std::string(rule) +
         "\n  }\n}\n";
}

std::string statements(const imr::Ruleset& ruleset) {
  std::istringstream lines(imr::print(ruleset));
  std::string out;
  bool in_rule = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("    ")) {
      in_rule = line.starts_with("  rule");
      if (in_rule && !out.empty()) out += '\n';
    } else if (in_rule) {
      out += without_comment(line.substr(4)) + '\n';
    }
  }
  return out;
}

std::string statements_of(std::string_view rule, std::string_view family) {
  return statements(read(in_chain(rule, family)));
}

std::string sets(const imr::Ruleset& ruleset) {
  std::istringstream lines(imr::print(ruleset));
  std::string out;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    const bool continued = line.starts_with("    ");
    if (!continued) inside = line.starts_with("set ") || line.starts_with("map ");
    if (!inside) continue;
    if (continued) out.back() = ' ';  // where the printer broke the line
    out += (continued ? line.substr(4) : line) + '\n';
  }
  return out;
}

const imr::Chain& chain(const imr::Ruleset& ruleset, std::string_view name) {
  for (const imr::Chain& chain : ruleset.chains) {
    if (chain.name == name) return chain;
  }
  throw std::runtime_error("no chain " + std::string(name));
}

}  // namespace weir::frontend::nft::test
