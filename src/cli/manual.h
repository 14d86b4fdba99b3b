// SPDX-License-Identifier: BSD-2-Clause
//
// The man page and the shell completion, made from the command line's own description.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace weir::cli {

// weir(1), in man(7) macros.
[[nodiscard]] std::string man_page(const CLI::App& app);
// A completion script for bash.
[[nodiscard]] std::string bash_completion(const CLI::App& app);

}  // namespace weir::cli
