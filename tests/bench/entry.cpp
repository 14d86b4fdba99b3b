// SPDX-License-Identifier: BSD-2-Clause
#include "bench/entry.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <stdexcept>

#include "base/error.h"
#include "kernel/support/netns.h"

namespace weir::bench {
namespace {

constexpr int exit_system = 3;
constexpr int exit_internal = 70;

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
    test::give_up(fmt::format("staying on CPU {}", cpu), errno);
  }
}

}  // namespace

int run_bench(const std::string& name, const std::string& description, int argc, char** argv,
              const std::function<std::string(const Options&)>& measure) {
  CLI::App app(description, name);
  Options options;
  app.add_flag("-j,--json", options.json, "JSON lines instead of a table");
  app.add_option("--rounds", options.rounds, "samples of each quantity")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--cpu", options.cpu, "CPU to stay on")
      ->check(CLI::Range(0, CPU_SETSIZE - 1))
      ->capture_default_str();
  app.add_option("--hook", options.hooks, "of hooks_bench: only these")->delimiter(',');
  app.add_option("--rules", options.rules, "of hooks_bench: how many rules")
      ->delimiter(',')
      ->check(CLI::Range(1, 50000));
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0) {
    fmt::print(stderr, "{}: needs root: makes namespaces and loads BPF programs\n", name);
    return exit_system;
  }
  try {
    pin_to(options.cpu);
    fmt::print("{}", measure(options));
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return exit_system;
  } catch (const InvariantError& error) {
    fmt::print(stderr, "{}: internal error: {}\n", name, error.what());
    return exit_internal;
  }
  return 0;
}

}  // namespace weir::bench
