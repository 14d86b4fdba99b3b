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

Result<bench::ContestOptions> contest_options(const Options& options) {
  bench::ContestOptions out{.hooks = {},
                            .peers = {},
                            .rounds = options.rounds,
                            .packets = options.packets,
                            .skew = options.skew};
  for (const std::string& text : options.hooks) {
    WEIR_TRY(hook, parse_hook(text));
    if (auto site = bench::site_of(bench::Engine::weir, hook); !site) {
      return std::unexpected(site.error());
    }
    out.hooks.push_back(hook);
  }
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

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    if (options.lists.empty()) {
      return input_error("which rules? Expected --generate acl:N, fw:N, ipc:N or linear:N");
    }
    WEIR_TRY(names, list_names(options.lists));
    WEIR_TRY(how, contest_options(options));
    if (::geteuid() != 0) {
      return system_error("makes network namespaces and loads programs: only root may");
    }
    WEIR_CHECK(stay_on(options.cpu));
    std::ofstream svg;
    if (!options.svg.empty()) {
      WEIR_TRY(file, open_for_writing(options.svg));
      svg = std::move(file);
    }
    bench::Contest contest(std::move(how));
    std::vector<bench::Row> rows;
    for (const bench::ListName& name : names) {
      WEIR_TRY(of_list, contest.run(name));
      rows.insert(rows.end(), of_list.begin(), of_list.end());
    }
    if (!options.svg.empty()) WEIR_CHECK(write_plot(svg, options.svg, rows));
    fmt::print("{}", options.json ? bench::json_of(rows) : bench::table_of(rows));
    return exit_done;
  });
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("bench", "measure what rules cost a packet, beside nftables");
  verb->add_option("--generate", options->lists,
                   "rules of a generator: acl:N, fw:N, ipc:N or linear:N; several sizes as "
                   "acl:1000,10000; repeatable")
      ->allow_extra_args(false)
      ->type_name("LIST");
  verb->add_option("--hook", options->hooks,
                   "xdp, tc:ingress or netfilter:prerouting (default: all three); repeatable")
      ->delimiter(',')
      ->default_val(std::vector<std::string>{"xdp", "tc:ingress", "netfilter:prerouting"})
      ->default_str("")
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
  verb->add_option("--skew", options->skew,
                   "rule n, of a random order, is hit by a weight of 1 / n^SKEW; 0: all alike")
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
