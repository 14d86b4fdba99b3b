// SPDX-License-Identifier: BSD-2-Clause
//
// What the verbs share: exit codes, errors on a terminal, and the options that say which ruleset.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::cli {

constexpr int exit_done = 0;
constexpr int exit_input = 1;
constexpr int exit_partial = 2;
constexpr int exit_system = 3;
constexpr int exit_bug = 70;

[[nodiscard]] int exit_code(ErrorKind kind);

enum class Colour : std::uint8_t { none, red, green, yellow, bold };
// `text` in a colour when `stream` is a terminal and NO_COLOR is not set.
[[nodiscard]] std::string painted(std::string_view text, Colour colour, std::FILE* stream);

// Prints the error, with its place and notes, on standard error; its exit code.
int fail(const Diagnostic& error);
// Runs `body`, a function that returns Result<int>, and reports its error.
template <typename Body>
int guarded(const Body& body) {
  const Result<int> code = body();
  return code ? *code : fail(code.error());
}

// Whole content of a file; "-" is standard input.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// Which ruleset, and which of its chains at which hook.
struct RulesOptions {
  std::vector<std::string> files;
  std::string format;
  std::string hook;
  std::vector<std::string> chains;
  bool defragment = false;
};
// --limit, of verbs that compile.
void add_limit_option(CLI::App& verb, std::vector<std::string>& limits);
void add_classifier_option(CLI::App& verb, std::string& name);
// Nothing of an empty name.
[[nodiscard]] Result<std::optional<classify::Kind>> parse_classifier(const std::string& name);
// "tree (about 61 ns a packet; tuples 76)"
[[nodiscard]] std::string describe_search(const driver::SearchedRun& run);
enum class HookOption : std::uint8_t { absent, optional, required };
void add_rules_options(CLI::App& verb, RulesOptions& options, HookOption hook);

struct Rules {
  imr::Ruleset ruleset;
  std::string source;  // the text of all files, one behind the other
  std::vector<driver::Attachment> attachments;
};
// Reads the files, in order, as one script, and plans what they are to be compiled to.
[[nodiscard]] Result<Rules> load_rules(const RulesOptions& options);

}  // namespace weir::cli
