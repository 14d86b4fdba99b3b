// SPDX-License-Identifier: BSD-2-Clause
//
// weir apply: compiles a ruleset and puts it in force, all or nothing over all its hooks.
#include <fmt/core.h>

#include <csignal>
#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "kernel/kernel.h"
#include "service/apply.h"
#include "service/listing.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::string name = "default";
  bool foreground = false;
  bool dry_run = false;
};

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

void print_installed(const service::PolicyState& state) {
  for (const service::AttachmentState& attachment : state.attachments) {
    std::string where = to_string(attachment.hook);
    if (attachment.hook.kind == Hook::Kind::netfilter) {
      where += fmt::format(" {} priority {}", to_string(attachment.nfproto), attachment.priority);
    } else {
      where += fmt::format(" ({})", attachment.mode);
    }
    std::string chains;
    for (const std::string& chain : attachment.chains) {
      chains += (chains.empty() ? "" : ", ") + chain;
    }
    fmt::print("{}: chain {}, program {}\n", where, chains, attachment.program_id);
  }
}

Result<int> wait_in_foreground(service::Installed& installed, const sigset_t& signals) {
  fmt::print(stderr, "in force until this process gets SIGINT or SIGTERM\n");
  std::fflush(stdout);
  int signal = 0;
  if (const int error = ::sigwait(&signals, &signal); error != 0) {
    return system_error("waiting for a signal", error);
  }
  WEIR_CHECK(service::release(installed));
  return exit_done;
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_TRY(rules, load_rules(options.rules));
    driver::Options how;
    how.untrusted_memory = kernel::has_untrusted_memory();
    WEIR_TRY(compilation, driver::compile(rules.ruleset, rules.attachments, how));
    if (options.dry_run) {
      WEIR_CHECK(service::dry_run(compilation));
      fmt::print("{} programs would be attached, and the kernel takes them all\n",
                 compilation.programs.size());
      return exit_done;
    }
    // Blocked before anything is attached, so that an early signal waits for the end of apply.
    const sigset_t signals = ending_signals();
    if (options.foreground) sigprocmask(SIG_BLOCK, &signals, nullptr);
    const service::Request request = {.ruleset = rules.ruleset,
                                      .compilation = compilation,
                                      .name = options.name,
                                      .source = rules.source,
                                      .foreground = options.foreground};
    WEIR_TRY(installed, service::apply(request, service::Paths{}));
    print_installed(installed.state);
    if (options.foreground) return wait_in_foreground(installed, signals);
    return exit_done;
  });
}

}  // namespace

void add_apply(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("apply", "put a ruleset in force, all or nothing");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_option("--name", options->name, "what to call the policy (default)")->type_name("NAME");
  verb->add_flag("--foreground", options->foreground,
                 "in force as long as this process runs; nothing stays");
  verb->add_flag("--dry-run", options->dry_run, "load everything, attach nothing");
  verb->footer(
      "Without --hook, each base chain gets the hook that it names.\n"
      "Example: weir apply office.nft --name office\n"
      "         weir apply edge.nft --hook xdp@eth0 --name edge");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
