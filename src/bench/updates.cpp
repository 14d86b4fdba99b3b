// SPDX-License-Identifier: BSD-2-Clause
#include "bench/updates.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "bench/clock.h"
#include "bench/engines.h"
#include "driver/compile.h"
#include "frontend/nft/nft.h"
#include "kernel/netns.h"
#include "service/apply.h"
#include "service/counters.h"
#include "service/rule_session.h"

namespace weir::bench {
namespace {

namespace fs = std::filesystem;

constexpr double longest_updates = 5e9;  // ns

// A policy of this process alone, gone with it: its state is in a folder of its own, and its name
// is that of no other.
class ScratchPolicy {
 public:
  ScratchPolicy() : name_("weir-bench-" + std::to_string(::getpid())) {
    std::string folder = (fs::temp_directory_path() / "weir-bench-XXXXXX").string();
    if (::mkdtemp(folder.data()) != nullptr) paths_.state = folder;
  }
  ScratchPolicy(const ScratchPolicy&) = delete;
  ScratchPolicy& operator=(const ScratchPolicy&) = delete;
  ~ScratchPolicy() {
    [[maybe_unused]] const Status released = service::release(name_, paths_, true);
    std::error_code ignored;
    if (paths_.state != service::Paths{}.state) fs::remove_all(paths_.state, ignored);
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const service::Paths& paths() const { return paths_; }

 private:
  std::string name_;
  service::Paths paths_;
};

// A test that no packet of a trace passes, in the words of the family.
std::string new_rule(Family family) {
  switch (family) {
    case Family::ip:
    case Family::inet:
    case Family::netdev:
    case Family::bridge:
      return "ip saddr 0.0.0.1 drop";
    case Family::ip6:
      return "ip6 saddr ::2 drop";
    case Family::arp:
      return "";
  }
  throw InvariantError("family out of range");
}

Status install(const imr::Ruleset& ruleset, const std::vector<driver::Attachment>& attachments,
               const std::string& source, const ScratchPolicy& policy) {
  const driver::Options options{.untrusted_memory = kernel::has_untrusted_memory(),
                                .updatable_sets = true,
                                .updatable_rules = true};
  WEIR_TRY(compilation, driver::compile(ruleset, attachments, options));
  WEIR_TRY(installed, service::apply({.ruleset = ruleset,
                                      .compilation = compilation,
                                      .source = source,
                                      .terms = {.name = policy.name()}},
                                     policy.paths()));
  static_cast<void>(installed);
  return {};
}

// What `one` says, `count` times, or as often as there is time for.
template <typename One>
Status time_each(int count, std::vector<double>& out, const One& one) {
  const double begin = wall_time();
  for (int i = 0; i < count && wall_time() - begin < longest_updates; ++i) {
    WEIR_TRY(seconds, one());
    out.push_back(seconds);
  }
  return {};
}

}  // namespace

Result<std::vector<double>> time_nft(const Wire& wire, const std::vector<std::string>& commands) {
  std::vector<double> out;
  for (const std::string& command : commands) {
    WEIR_TRY(seconds, run_nft(wire, command));
    out.push_back(seconds);
  }
  return out;
}

Result<std::vector<double>> time_iptables(const Wire& wire, int count) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) {
    WEIR_TRY(seconds,
             run_iptables(wire, {"-t", "raw", "-I", "PREROUTING", "-s", "0.0.0.1", "-j", "DROP"}));
    out.push_back(seconds);
  }
  return out;
}

Result<WeirTimes> time_weir(const Script& script, const Hook& hook, int count) {
  // The end where frames come out has an XDP program already.
  Hook place = hook;
  if (hook.kind != Hook::Kind::netfilter) place.device = Wire::input_device;
  WEIR_TRY(wire, Wire::to_stack(hook.device));
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  WEIR_TRY(ruleset, frontend::nft::read_script(script.text, script.file));
  WEIR_TRY(attachments, driver::plan(ruleset, place, script.chains));
  const ScratchPolicy policy;
  service::reserve_counters(ruleset);
  WEIR_CHECK(install(ruleset, attachments, script.text, policy));
  const imr::ChainId chain = attachments.front().roots.front();
  const std::string rule = new_rule(ruleset[ruleset[chain].table].family);
  const service::RuleChange change = {.kind = service::RuleChange::Kind::insert,
                                      .words = imr::qualified_name(ruleset, chain) + " " + rule};
  WeirTimes out;
  if (rule.empty()) return out;
  WEIR_TRY(session, service::RuleSession::open(policy.name(), policy.paths()));
  const auto run = [&]() -> Result<double> {
    const double start = wall_time();
    WEIR_TRY(done, session.change(change));
    const double seconds = (wall_time() - start) / 1e9;
    if (done.in_place) ++out.in_place;
    WEIR_CHECK(session.tidy_up());
    return seconds;
  };
  const auto swap = [&]() -> Result<double> {
    const double start = wall_time();
    WEIR_CHECK(service::change_rules(policy.name(), change, policy.paths()));
    return (wall_time() - start) / 1e9;
  };
  WEIR_CHECK(time_each(count, out.running, run));
  WEIR_CHECK(time_each(count, out.swapped, swap));
  return out;
}

}  // namespace weir::bench
