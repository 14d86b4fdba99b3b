// SPDX-License-Identifier: BSD-2-Clause
//
// weir bench: measures what rules cost a packet, beside nftables and iptables with the same rules.
#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>

#include "bench/contest.h"
#include "bench/plot.h"
#include "bench/results.h"
#include "cli/common.h"
#include "cli/verbs.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::vector<std::string> lists;
  std::vector<std::string> hooks;
  std::vector<std::string> peers;
  std::string svg;
  int rounds = 15;
  std::uint32_t packets = 65536;
  double skew = 0;
  int cpu = 0;
  bool json = false;
};

// The files as one script, and the chains that decide.
Result<bench::Script> read_script(const RulesOptions& rules) {
  bench::Script out;
  for (const std::string& file : rules.files) {
    if (file.starts_with("live:")) {
      return input_error("what the kernel runs is not measured, expected files");
    }
    WEIR_TRY(text, read_file(file));
    out.text += text + "\n";
    const std::string name = file == "-" ? "<stdin>" : file;
    out.file = out.file.empty() ? name : out.file + "," + name;
  }
  for (const std::string& text : rules.chains) {
    WEIR_TRY(chain, driver::parse_chain_name(text));
    out.chains.push_back(chain);
  }
  return out;
}

// "acl:1000,10000" is two lists.
Result<std::vector<bench::ListName>> list_names(const std::vector<std::string>& texts) {
  std::vector<bench::ListName> out;
  for (const std::string& text : texts) {
    const std::size_t colon = text.find(':');
    for (std::size_t begin = colon == std::string::npos ? 0 : colon + 1; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      WEIR_TRY(name, bench::parse_list_name(colon == std::string::npos
                                                ? text
                                                : text.substr(0, colon + 1) +
                                                      text.substr(begin, end - begin)));
      out.push_back(name);
      begin = end + 1;
    }
  }
  return out;
}

const std::vector<std::string> usual_hooks = {"xdp", "tc:ingress", "netfilter:prerouting"};

Result<std::vector<Hook>> hooks_of(const Options& options) {
  std::vector<Hook> out;
  for (const std::string& text : options.hooks.empty() ? usual_hooks : options.hooks) {
    WEIR_TRY(hook, parse_hook(text));
    if (auto site = bench::site_of(bench::Engine::weir, hook); !site) {
      return std::unexpected(site.error());
    }
    out.push_back(hook);
  }
  return out;
}

Result<bench::ContestOptions> contest_options(const Options& options) {
  bench::ContestOptions out{.peers = {}, .rounds = options.rounds};
  for (const std::string& text : options.peers) {
    WEIR_TRY(peer, bench::parse_peer(text));
    out.peers.push_back(peer);
  }
  out.progress = [](const std::string& what) { fmt::print(stderr, "{}\n", what); };
  return out;
}

// All work is one thread's, and stays on one CPU.
Status stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (::sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return system_error(fmt::format("staying on CPU {}", cpu), errno);
}

// Opened before hours are spent on what is to stand in it.
Result<std::ofstream> open_for_writing(const std::string& path) {
  errno = 0;
  std::ofstream out(path, std::ios::trunc);
  if (!out) return system_error("writing " + path, errno);
  return out;
}

Status write_plot(std::ofstream& out, const std::string& path,
                  const std::vector<bench::Row>& rows) {
  errno = 0;
  out << bench::plot_of(rows);
  out.close();
  if (!out) return system_error("writing " + path, errno);
  return {};
}

void add(bench::Outcome& all, bench::Outcome&& some) {
  all.rows.insert(all.rows.end(), some.rows.begin(), some.rows.end());
  all.notes.insert(all.notes.end(), some.notes.begin(), some.notes.end());
}

Result<bench::Outcome> measure(const Options& options, const std::vector<bench::ListName>& names,
                               const std::vector<Hook>& hooks) {
  WEIR_TRY(how, contest_options(options));
  const auto progress = how.progress;
  bench::Contest contest(std::move(how));
  bench::Outcome all;
  for (const bench::ListName& name : names) {
    progress(fmt::format("{}:{}: making rules and packets", to_string(name.kind), name.rules));
    WEIR_TRY(outcome, contest.run(bench::task_of(name, options.packets, options.skew), hooks));
    add(all, std::move(outcome));
  }
  if (options.rules.files.empty()) return all;
  WEIR_TRY(script, read_script(options.rules));
  // Another hook, another view of a packet, and another judgement.
  for (const Hook& hook : hooks) {
    progress(script.file + ": making packets");
    auto task = bench::task_of(script, hook, options.packets);
    // Nobody has asked for a hook where the chains do not run, unless by name or all of them.
    const bool last = &hook == &hooks.back() && all.rows.empty();
    if (!task && task.error().kind == ErrorKind::input && options.hooks.empty() && !last) {
      all.notes.push_back(fmt::format("{} has no row at {}: {}", script.file, to_string(hook),
                                      task.error().text()));
      continue;
    }
    if (!task) return std::unexpected(task.error());
    WEIR_TRY(outcome, contest.run(*task, {hook}));
    add(all, std::move(outcome));
  }
  return all;
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    if (options.lists.empty() && options.rules.files.empty()) {
      return input_error(
          "which rules? Expected RULES, or --generate acl:N, fw:N, ipc:N or linear:N");
    }
    WEIR_TRY(names, list_names(options.lists));
    WEIR_TRY(hooks, hooks_of(options));
    if (::geteuid() != 0) {
      return system_error("makes network namespaces and loads programs: only root may");
    }
    WEIR_CHECK(stay_on(options.cpu));
    std::ofstream svg;
    if (!options.svg.empty()) {
      WEIR_TRY(file, open_for_writing(options.svg));
      svg = std::move(file);
    }
    WEIR_TRY(outcome, measure(options, names, hooks));
    if (!options.svg.empty()) WEIR_CHECK(write_plot(svg, options.svg, outcome.rows));
    fmt::print("{}", options.json ? bench::json_of(outcome) : bench::table_of(outcome));
    return exit_done;
  });
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("bench", "measure what rules cost a packet, beside nftables");
  verb->add_option("-f,--file,RULES", options->rules.files,
                   "nft scripts, read one after the other; - is standard input")
      ->type_name("FILE");
  verb->add_option("--chain", options->rules.chains,
                   "FAMILY/TABLE/CHAIN that decides there, at hooks other than netfilter; several "
                   "decide in the order given")
      ->allow_extra_args(false)
      ->type_name("CHAIN");
  verb->add_option("--generate", options->lists,
                   "rules of a generator: acl:N, fw:N, ipc:N or linear:N; several sizes as "
                   "acl:1000,10000; repeatable")
      ->allow_extra_args(false)
      ->type_name("LIST");
  verb->add_option("--hook", options->hooks,
                   "xdp, tc:ingress or netfilter:prerouting (default: all three); repeatable")
      ->delimiter(',')
      ->type_name("HOOK");
  verb->add_option("--against", options->peers, "nft, nft-sets, iptables, or some of them")
      ->delimiter(',')
      ->type_name("PEERS");
  verb->add_option("--svg", options->svg, "a plot of ns against the number of rules")
      ->type_name("FILE");
  verb->add_option("--rounds", options->rounds, "samples of each quantity")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  verb->add_option("--packets", options->packets, "packets of the trace")
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  verb->add_option(
          "--skew", options->skew,
          "of generated rules: rule n, of a random order, is hit by a weight of 1 / n^SKEW")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  verb->add_option("--cpu", options->cpu, "CPU to stay on")
      ->check(CLI::Range(0, CPU_SETSIZE - 1))
      ->capture_default_str();
  verb->add_flag("-j,--json", options->json, "JSON: an object with a row for each engine and hook");
  verb->footer(
      "Example: weir bench --generate acl:1000,10000 --hook xdp --against nft,nft-sets --svg "
      "acl.svg");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
