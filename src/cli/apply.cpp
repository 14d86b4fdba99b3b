// SPDX-License-Identifier: BSD-2-Clause
//
// weir apply: compiles a ruleset and puts it in force, all or nothing over all its hooks.
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "cli/common.h"
#include "cli/pass_times.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "driver/reassembly.h"
#include "kernel/kernel.h"
#include "object/elf.h"
#include "service/apply.h"
#include "service/attach.h"
#include "service/counters.h"
#include "service/object.h"
#include "service/ssh.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::string name = "default";
  bool foreground = false;
  bool dry_run = false;
  bool lock = false;
  bool replace = false;
  bool time_passes = false;
  std::uint32_t confirm = 0;
  std::string classifier;
};

constexpr std::uint32_t longest_wait = 86400;  // seconds

ByteView bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

std::string chains_text(const service::AttachmentState& attachment) {
  std::string out;
  for (const std::string& chain : attachment.chains) out += (out.empty() ? "" : ", ") + chain;
  return out;
}

void print_installed(const service::PolicyState& state) {
  for (const service::AttachmentState& attachment : state.attachments) {
    fmt::print("{}: chain {}, program {}\n", service::place_text(attachment),
               chains_text(attachment), attachment.program_id);
  }
}

void print_planned(const service::PolicyState& state) {
  for (const service::AttachmentState& attachment : state.attachments) {
    fmt::print("{}: chain {}\n", service::place_text(attachment), chains_text(attachment));
  }
  fmt::print("{} programs would be attached, and the kernel takes them all\n",
             state.attachments.size());
}

std::string_view advice(const Options& options) {
  if (options.confirm != 0 || options.replace) return {};
  return "with --confirm 60 they go by themselves, unless weir confirm comes";
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

Result<int> tell(const Options& options, service::Installed& installed, const sigset_t& signals) {
  print_installed(installed.state);
  if (options.foreground) return wait_in_foreground(installed, signals);
  if (options.confirm != 0) {
    fmt::print("in force for {} s, and from then on if this comes before: weir confirm {}\n",
               options.confirm, options.name);
  }
  return exit_done;
}

service::Terms terms_of(const Options& options) {
  return {.name = options.name,
          .foreground = options.foreground,
          .replace = options.replace,
          .lock = options.lock,
          .confirm = options.confirm};
}

// What the kernel runs stays as it is: compiled and put beside it, each rule would decide twice.
Status check_files(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (!file.starts_with("live:")) continue;
    return input_error(file +
                       " is what the kernel runs, and is read only: weir apply expects a file, "
                       "or - for standard input");
  }
  return {};
}

// The file, if the ruleset is an ELF object that weir compile made.
Result<std::optional<std::string>> read_object(const RulesOptions& rules) {
  for (const std::string& file : rules.files) {
    if (file == "-") continue;
    WEIR_TRY(text, read_file(file));
    if (!object::is_elf(bytes_of(text))) continue;
    if (rules.files.size() > 1 || !rules.chains.empty()) {
      return input_error(file +
                         " is an ELF object: expected no other file beside it, and no "
                         "--chain");
    }
    return std::optional(std::move(text));
  }
  return std::optional<std::string>();
}

Result<int> run_object(const Options& options, const std::string& file) {
  if (!options.classifier.empty()) {
    return input_error("the rules of an ELF object are compiled: --classifier is for weir compile");
  }
  service::ObjectRequest request = {.file = bytes_of(file), .terms = terms_of(options)};
  if (!options.rules.hook.empty()) {
    WEIR_TRY(hook, parse_hook(options.rules.hook));
    request.hook = hook;
  }
  warn_of_cut(
      [&](const service::SshSession& session, const packet::Device& device) {
        return service::object_cuts(request, session, device).value_or(std::vector<std::string>());
      },
      advice(options));
  const sigset_t signals = ending_signals();
  if (options.foreground) sigprocmask(SIG_BLOCK, &signals, nullptr);
  if (options.dry_run) {
    WEIR_TRY(planned, service::dry_run_object(request, service::Paths{}));
    print_planned(planned);
    return exit_done;
  }
  WEIR_TRY(installed, service::apply_object(request, service::Paths{}));
  return tell(options, installed, signals);
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_CHECK(check_files(options.rules.files));
    WEIR_TRY(object, read_object(options.rules));
    if (object) return run_object(options, *object);
    PassTimes times;
    WEIR_TRY(rules, load_rules(options.rules));
    times.step("read the rules");
    const bool behind = std::ranges::any_of(rules.attachments, &driver::Attachment::defragments);
    if (behind && !kernel::has_reassembly()) {
      WEIR_CHECK(driver::do_without_reassembly(rules.ruleset, rules.attachments));
    }
    // Rules that come later want to count, too.
    if (!options.lock && !options.foreground) service::reserve_counters(rules.ruleset);
    WEIR_TRY(classifier, parse_classifier(options.classifier));
    driver::Options how;
    how.classifier = classifier;
    how.untrusted_memory = kernel::has_untrusted_memory();
    how.updatable_sets = !options.lock;  // whose maps are frozen
    how.updatable_rules = !options.lock && !options.foreground;
    if (options.time_passes) how.observer = times.observer();
    WEIR_TRY(compilation, driver::compile(rules.ruleset, rules.attachments, how));
    times.step("compile them, in all");
    warn_of_cut(
        [&](const service::SshSession& session, const packet::Device& device) {
          return service::cuts(rules.ruleset, rules.attachments, session, device);
        },
        advice(options));
    // Blocked before anything is attached, so that an early signal waits for the end of apply.
    const sigset_t signals = ending_signals();
    if (options.foreground) sigprocmask(SIG_BLOCK, &signals, nullptr);
    service::Request request = {.ruleset = rules.ruleset,
                                .compilation = compilation,
                                .source = rules.source,
                                .terms = terms_of(options),
                                .classifier = classifier};
    if (options.time_passes) {
      request.terms.at_step = [&times](std::string_view step) { times.step(step); };
    }
    if (options.dry_run) {
      WEIR_TRY(planned, service::dry_run(request, service::Paths{}));
      print_planned(planned);
      return exit_done;
    }
    WEIR_TRY(installed, service::apply(request, service::Paths{}));
    if (options.time_passes) fmt::print(stderr, "{}", times.table(compilation));
    return tell(options, installed, signals);
  });
}

}  // namespace

void add_apply(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("apply", "put a ruleset in force, all or nothing");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_option("--name", options->name, "what to call the policy (default)")->type_name("NAME");
  auto* foreground = verb->add_flag("--foreground", options->foreground,
                                    "in force as long as this process runs; nothing stays");
  auto* confirm =
      verb->add_option(
              "--confirm", options->confirm,
              "undo all of it after so many seconds, or when a process of it dies, unless weir "
              "confirm comes")
          ->type_name("SECONDS")
          ->check(CLI::Range(1U, longest_wait))
          ->excludes(foreground);
  auto* lock =
      verb->add_flag("--lock", options->lock,
                     "freeze all maps; weir itself changes or releases the policy by --force only");
  verb->add_flag(
          "--replace", options->replace,
          "in the place of the policy of this name, if there is one, at the same hooks: each "
          "packet sees the old rules or the new ones")
      ->excludes(foreground)
      ->excludes(confirm)
      ->excludes(lock);
  add_classifier_option(*verb, options->classifier);
  verb->add_flag("--time-passes", options->time_passes,
                 "say on standard error how long each step and stage took");
  verb->add_flag("--dry-run", options->dry_run,
                 "load everything, attach nothing, and say what would be attached where");
  verb->footer(
      "Without --hook, each base chain gets the hook that it names.\n"
      "Example: weir apply office.nft --name office\n"
      "         weir apply edge.nft --hook xdp@eth0 --name edge\n"
      "         weir apply edge.o --hook xdp@eth0 --name edge\n"
      "         weir apply office.nft --name office --confirm 60 && weir confirm office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
