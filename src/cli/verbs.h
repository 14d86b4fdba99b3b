// SPDX-License-Identifier: BSD-2-Clause
//
// The verbs of the command line: each adds itself to the application and says what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace weir::cli {

// What the verb that was given runs; its result is the exit code.
using Action = std::function<int()>;

void add_check(CLI::App& app, Action& action);
void add_compile(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_test(CLI::App& app, Action& action);
void add_apply(CLI::App& app, Action& action);
void add_confirm(CLI::App& app, Action& action);
void add_element(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_rule(CLI::App& app, Action& action);
void add_release(CLI::App& app, Action& action);
void add_list(CLI::App& app, Action& action);
void add_log(CLI::App& app, Action& action);
void add_status(CLI::App& app, Action& action);
void add_features(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);

// The whole command line. `action` must outlive it.
[[nodiscard]] std::unique_ptr<CLI::App> make_app(Action& action);

}  // namespace weir::cli
