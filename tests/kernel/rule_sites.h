// SPDX-License-Identifier: BSD-2-Clause
//
// One policy at every kind of hook, of which one rule changes.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "kernel/rules_world.h"
#include "kernel/scratch_cgroup.h"
#include "service/exchange.h"

namespace weir::test {

struct Site {
  const char* name;
  const char* chains;  // two base chains, which a datagram passes, of "table FAMILY t"
  const char* alone;   // a base chain by itself
  const char* family;
  kernel::TcMode tc_mode = kernel::TcMode::automatic;
  bool at_cgroup = false;
  bool at_xdp = false;
};

inline void PrintTo(const Site& site, std::ostream* out) {
  *out << site.name;
}

constexpr const char* at_netfilter = R"(
  chain out { type filter hook output priority 0; jump user; }
  chain in { type filter hook input priority 0; jump user; })";
constexpr const char* at_tc = R"(
  chain out { type filter hook egress device "lo" priority 0; jump user; }
  chain in { type filter hook ingress device "lo" priority 0; jump user; })";
constexpr const char* at_device = R"(
  chain in { type filter hook ingress device "lo" priority 0; jump user; })";

constexpr const char* at_input = "type filter hook input priority 0";
constexpr const char* at_ingress = "type filter hook ingress device \"lo\" priority 0";

class EverySite : public Rules, public testing::WithParamInterface<Site> {
 protected:
  // The handle of the rule that changes is 2: `user` has 1.
  static constexpr const char* first = "udp dport 1001 drop";
  static constexpr const char* second = "udp dport 1002 drop";

  explicit EverySite(const std::string& more = {}) : EverySite(more, false) {}
  // Rules behind these, with which they are searched in tables; in one base chain, for of lists
  // that take rules of several chains none changes in place.
  struct InTables {
    std::string more;
  };
  explicit EverySite(const InTables& list) : EverySite(list.more, true) {}

 private:
  EverySite(const std::string& more, bool in_tables) {
    const Site& site = GetParam();
    if (in_tables) classifier_ = classify::Kind::tuples;
    text_ = "table " + std::string(site.family) + " t {\n chain user {\n " +
            (in_tables ? std::string(site.alone) + "\n " : "") + first +
            "\n udp dport 1003 counter\n" + more + "};\n" + (in_tables ? "" : site.chains) +
            "\n}\n";
    if (site.at_cgroup) {
      group_.emplace(
          expect(kernel::ScratchCgroup::create("weir-rules-test-" + std::to_string(::getpid()))));
      compile_in_cgroup(in_tables);
      expect(group_->enter());
    } else if (site.at_xdp) {
      compile_policy(text_, true, Hook{.kind = Hook::Kind::xdp, .device = "lo"});
    } else {
      compile_policy(text_);
    }
    expect(install({.name = "p", .tc_mode = site.tc_mode}));
  }

 protected:
  ~EverySite() override {
    if (group_) expect(group_->leave());
  }
  void compile_in_cgroup(bool in_tables) {
    compiled_ = {};
    compiled_.ruleset = expect(frontend::nft::read_script(text_, "rules.nft"));
    service::reserve_counters(compiled_.ruleset);
    std::vector<driver::Attachment> attachments;
    std::vector<std::pair<Hook::Kind, const char*>> places = {{Hook::Kind::cgroup_egress, "out"},
                                                              {Hook::Kind::cgroup_ingress, "in"}};
    if (in_tables) places = {{Hook::Kind::cgroup_ingress, "user"}};
    for (const auto& [kind, chain] : places) {
      const Hook hook = {.kind = kind, .nf_hook = {}, .device = group_->path()};
      auto planned = expect(driver::plan(compiled_.ruleset, hook, {{Family::inet, "t", chain}}));
      attachments.push_back(std::move(planned.front()));
    }
    compile_at(attachments);
  }
  // The command that replaces the first rule of `user`, whatever it is now.
  [[nodiscard]] service::RuleChange turned() const {
    const service::RuleState rule = user_rules().front();
    return {.kind = Change::replace,
            .words = std::string(GetParam().family) + " t user handle " +
                     std::to_string(rule.handle) + " " + (rule.text == first ? second : first)};
  }
  Status turn(const service::StepHook& at_step = {}) {
    return service::change_rules("p", turned(), paths_, at_step);
  }
  // Which of the two rules is in force: a part of one and a part of the other would drop both, or
  // nothing.
  static bool is_second() {
    const bool one = arrives(1001);
    const bool two = arrives(1002);
    EXPECT_NE(one, two) << one << two;
    EXPECT_TRUE(arrives(1003));
    return one;
  }
  [[nodiscard]] service::PolicyState in_force() const {
    service::PolicyState policy = state();
    service::view_exchange(policy, paths_);
    return policy;
  }
  [[nodiscard]] std::vector<service::RuleState> user_rules() const {
    const service::PolicyState policy = in_force();
    return std::ranges::find(policy.chains, "user", &service::ChainState::name)->rules;
  }
  [[nodiscard]] bool lists_second() const { return user_rules().front().text == second; }
  // By the rule that is about port 1003.
  [[nodiscard]] std::uint64_t counted() const {
    const service::PolicyState policy = in_force();
    for (const service::RuleState& rule : user_rules()) {
      if (!rule.text.contains("dport 1003 ")) continue;
      return expect(service::live_counts(policy, rule, paths_)).front().packets;
    }
    give_up("no rule counts");
  }

  std::optional<kernel::ScratchCgroup> group_;
};

inline std::vector<Site> sites() {
  std::vector<Site> out = {
      {.name = "netfilter", .chains = at_netfilter, .alone = at_input, .family = "inet"},
      {.name = "filters",
       .chains = at_tc,
       .alone = at_ingress,
       .family = "netdev",
       .tc_mode = kernel::TcMode::filter},
      {.name = "cgroup",
       .chains = at_netfilter,
       .alone = at_input,
       .family = "inet",
       .at_cgroup = true},
      {.name = "xdp",
       .chains = at_device,
       .alone = at_ingress,
       .family = "netdev",
       .at_xdp = true}};
  if (::geteuid() == 0 && kernel::has_tcx()) {
    out.push_back({.name = "tcx", .chains = at_tc, .alone = at_ingress, .family = "netdev"});
  }
  return out;
}

}  // namespace weir::test
