// SPDX-License-Identifier: BSD-2-Clause
//
// Policies that are whole or not there: every process of an apply or confirm is killed at each of
// its steps, and real packets tell what is left.
#include "service/apply.h"

#include <bpf/bpf.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "frontend/nft/nft.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/service_world.h"
#include "kernel/support/root_only.h"
#include "object/elf.h"
#include "service/guard.h"
#include "service/listing.h"
#include "service/object.h"
#include "service/object_note.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using namespace std::chrono_literals;
using service::Standing;

// Two hooks of other kinds, and a device.
constexpr const char* tc_rules = R"(
table netdev t {
  chain out {
    type filter hook egress device "lo" priority 0; policy accept;
    udp dport 1001 drop
  }
  chain in {
    type filter hook ingress device "lo" priority 0; policy accept;
    udp dport 1002 drop
  }
}
)";

constexpr const char* cgroup_rules = R"(
table inet t {
  chain out {
    type filter hook output priority 0; policy accept;
    udp dport 1001 counter drop
  }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 1002 counter drop
  }
}
)";

// ---- kill -9 -----------------------------------------------------------------------------------

TEST_F(Service, AppliesAndReleases) {
  EXPECT_EQ(observed(), Policy::nothing);
  EXPECT_EQ(apply(0), 0);
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_EQ(tables(), "table inet weir_conntrack_p\n");
  expect_releasable();
}

TEST_F(Service, AnApplyThatIsKilledLeavesAllOrNothing) {
  for (const char* step : {"apply: attached 0", "apply: attached 1", "apply: attached 3",
                           "apply: staged", "apply: saved", "settle: tracking"}) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(was_killed(apply(0, step)));
    expect_gone();
  }
  for (const char* step : {"settle: published", "settle: saved"}) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(was_killed(apply(0, step)));
    EXPECT_EQ(observed(), Policy::whole);
    expect_releasable();
  }
}

TEST_F(Service, AnApplyWithAGuardThatIsKilledLeavesAllOrNothing) {
  for (const char* step :
       {"apply: attached 1", "apply: staged", "apply: saved", "apply: before the guard"}) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(was_killed(apply(60, step)));
    expect_gone();
  }
  EXPECT_TRUE(was_killed(apply(60, "apply: guarded")));
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_EQ(standing(), Standing::waiting);
  EXPECT_EQ(confirm(), 0);
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

TEST_F(Service, WithTheGuardThePolicyGoes) {
  ASSERT_EQ(apply(60), 0);
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_NE(tables(), "") << "connections are tracked";
  const auto guard = service::guard_of("p", paths_);
  ASSERT_TRUE(guard);
  EXPECT_EQ(::getsid(*guard), *guard) << "a session of its own";
  ASSERT_EQ(::kill(*guard, SIGKILL), 0);
  EXPECT_EQ(observed_at_last(Policy::nothing), Policy::nothing);
  EXPECT_EQ(tables(), "") << "the table goes with its owner";
  EXPECT_NE(confirm(), 0) << "there is nothing to confirm";
  expect_gone();
}

TEST_F(Service, AGuardThatIsKilledWhileItKeepsThePolicyLeavesAllOrNothing) {
  for (const char* step : {"guard: asked", "settle: tracking"}) {
    SCOPED_TRACE(step);
    ASSERT_EQ(apply(60, step), 0);
    EXPECT_NE(confirm(), 0) << "the guard dies of it";
    expect_gone();
  }
  for (const char* step : {"settle: published", "settle: saved"}) {
    SCOPED_TRACE(step);
    ASSERT_EQ(apply(60, step), 0);
    EXPECT_EQ(confirm(), 0) << "the guard dies of it before it answers, and yet it is done";
    EXPECT_EQ(observed(), Policy::whole);
    expect_releasable();
  }
}

TEST_F(Service, AConfirmThatIsKilledLeavesThePolicyWhole) {
  ASSERT_EQ(apply(60), 0);
  EXPECT_TRUE(was_killed(confirm("confirm: connected")));
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_EQ(standing(), Standing::waiting) << "the guard was not asked";
  EXPECT_TRUE(was_killed(confirm("confirm: asked")));
  for (int i = 0; i < 100 && standing() != Standing::settled; ++i)
    std::this_thread::sleep_for(20ms);
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

// ---- Time --------------------------------------------------------------------------------------

TEST_F(Service, GoesWhenItsTimeIsUp) {
  ASSERT_EQ(apply(1), 0);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < start + 800ms) {
    ASSERT_EQ(observed(), Policy::whole);
    std::this_thread::sleep_for(50ms);
  }
  expect_gone();
}

TEST_F(Service, StaysWhenConfirmed) {
  ASSERT_EQ(apply(1), 0);
  ASSERT_EQ(confirm(), 0);
  EXPECT_NE(confirm(), 0) << "once is enough";
  std::this_thread::sleep_for(1500ms);
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

TEST_F(Service, IsReleasedWhileItWaits) {
  ASSERT_EQ(apply(60), 0);
  ASSERT_TRUE(service::release("p", paths_));
  EXPECT_EQ(observed(), Policy::nothing);
  EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
  EXPECT_EQ(tables(), "");
}

TEST_F(Service, OutlivesItsTerminal) {
  int master = -1;
  const pid_t pid = ::forkpty(&master, nullptr, nullptr, nullptr);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (!service::apply(request(60), paths_)) ::_exit(1);
    ::write(1, "in force\n", 9);
    while (true) ::pause();
  }
  char text[256] = {};
  ASSERT_GT(::read(master, text, sizeof text), 0);
  EXPECT_EQ(std::string_view(text).substr(0, 8), "in force");
  ::close(master);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) << status;
  EXPECT_EQ(standing(), Standing::waiting);
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_EQ(confirm(), 0);
  expect_releasable();
}

TEST_F(Service, AWaitingPolicyIsListed) {
  ASSERT_EQ(apply(60), 0);
  EXPECT_FALSE(arrives(out_port));
  const auto policy = expect(service::load_policy("p", paths_));
  const std::string list = expect(service::list_text(policy, paths_));
  EXPECT_NE(list.find("counter packets 1 bytes 32 drop"), std::string::npos) << list;
  const std::string text = service::status_text(policy, paths_);
  EXPECT_NE(text.find("waits for confirmation, 60 s left: weir confirm p keeps it"),
            std::string::npos)
      << text;
  const auto json = nlohmann::json::parse(service::status_json(policy, paths_));
  EXPECT_GT(json["waiting"]["seconds_left"], 50);
  EXPECT_EQ(json["waiting"]["guard"], *service::guard_of("p", paths_));
  for (const auto& attachment : json["attachments"]) EXPECT_EQ(attachment["attached"], true);
}

// ---- All or nothing ----------------------------------------------------------------------------

TEST_F(Service, ARefusedProgramChangesNothing) {
  compiled_.compilation.object.programs.back().insns.resize(1);
  compiled_.compilation.object.programs.back().relocations.clear();
  const auto done = service::apply(request(), paths_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::system);
  EXPECT_EQ(observed(), Policy::nothing);
  EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
  EXPECT_EQ(tables(), "");
}

TEST_F(Service, ABusyPlaceChangesNothing) {
  expect(nft_.run("table ip6 x { chain c { type filter hook input priority 0; }; }"));
  for (const std::uint32_t confirm : {0U, 60U}) {
    const auto done = service::apply(request(confirm), paths_);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().text().find("held by nft chain ip6 x c"), std::string::npos)
        << done.error().text();
    EXPECT_EQ(observed(), Policy::nothing);
    EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
    EXPECT_EQ(tables(), "table ip6 x\n");
  }
}

// A netfilter link shares its priority with nothing, and base chains do: of several with one
// priority, the kernel runs the youngest first, and what is dropped there reaches no other.
constexpr const char* level_rules = R"(
table inet a {
  chain oldest {
    type filter hook input priority 0;
    udp dport 1001-1003 counter
  }
  chain middle {
    type filter hook input priority 0;
    udp dport 1002 counter drop
    udp dport 1001-1003 counter
  }
}
table ip b {
  chain youngest {
    type filter hook input priority 0;
    udp dport 1003 counter drop
    udp dport 1001-1003 counter
  }
  chain late {
    type filter hook input priority 1;
    udp dport 1001-1003 counter
  }
}
)";

TEST_F(Service, ChainsOfOnePriorityDecideInTheKernelsOrder) {
  using Counts = std::map<std::string, std::uint64_t>;
  const auto send = [] { return std::array{arrives(1001), arrives(1002), arrives(1003)}; };
  const auto name = [](const auto& family, const std::string& table, const std::string& chain,
                       std::uint64_t handle) {
    return std::string(family) + " " + table + " " + chain + " " + std::to_string(handle);
  };
  expect(nft_.run(level_rules));
  const auto sent_past_nft = send();
  Counts by_nft;
  for (const RuleCounter& counter : expect(nft_.counters())) {
    by_nft[name(counter.family, counter.table, counter.chain, counter.handle)] = counter.packets;
  }
  EXPECT_EQ(sent_past_nft, (std::array{true, false, false}));
  expect(nft_.run("flush ruleset"));

  compiled_ = compile(level_rules);
  ASSERT_EQ(apply(0), 0);
  EXPECT_EQ(send(), sent_past_nft);
  Counts by_weir;
  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_EQ(policy.attachments.size(), 3U) << "two for IPv4, one for IPv6";
  for (const service::ChainState& chain : policy.chains) {
    for (const service::RuleState& rule : chain.rules) {
      by_weir[name(to_string(chain.family), chain.table, chain.name, rule.handle)] =
          expect(service::live_counts(policy, rule, paths_)).at(0).packets;
    }
  }
  EXPECT_EQ(by_weir, by_nft);
}

TEST_F(Service, ANameServesOnce) {
  ASSERT_EQ(apply(60), 0);
  const auto again = service::apply(request(), paths_);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("waits for confirmation"), std::string::npos);
  EXPECT_EQ(observed(), Policy::whole);
}

// ---- Other hooks -------------------------------------------------------------------------------

TEST_F(Service, ServesTcByLinks) {
  if (!kernel::has_tcx()) GTEST_SKIP() << "needs TCX";
  compiled_ = compile(tc_rules);
  ASSERT_EQ(apply(60), 0);
  EXPECT_EQ(observed(), Policy::whole);
  ASSERT_EQ(confirm(), 0);
  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_EQ(policy.attachments.at(0).mode, "tcx");
  EXPECT_EQ(policy.attachments.at(1).mode, "tcx");
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

TEST_F(Service, ServesTcByFilters) {
  compiled_ = compile(tc_rules);
  service::Request wanted = request();
  wanted.terms.tc_mode = kernel::TcMode::filter;
  ASSERT_TRUE(service::apply(wanted, paths_));
  EXPECT_EQ(observed(), Policy::whole);
  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_EQ(policy.attachments.at(0).mode, "filter");
  const auto json = nlohmann::json::parse(service::status_json(policy, paths_));
  for (const auto& attachment : json["attachments"]) EXPECT_EQ(attachment["attached"], true);
  expect_releasable();

  wanted.terms.confirm = 60;
  const auto refused = service::apply(wanted, paths_);
  ASSERT_FALSE(refused) << "nobody takes a filter off when the guard is killed";
  EXPECT_NE(refused.error().message.find("--confirm cannot be kept"), std::string::npos);
  EXPECT_EQ(observed(), Policy::nothing);
}

TEST_F(Service, ServesCgroups) {
  auto group = expect(kernel::ScratchCgroup::create("weir-service-test"));
  // Each chain at its side: out for what leaves the cgroup, in for what comes to it.
  std::vector<driver::Attachment> attachments;
  for (const auto& [kind, chain] :
       {std::pair{Hook::Kind::cgroup_egress, "out"}, std::pair{Hook::Kind::cgroup_ingress, "in"}}) {
    compiled_.ruleset = expect(frontend::nft::read_script(cgroup_rules, "rules.nft"));
    const Hook hook = {.kind = kind, .nf_hook = {}, .device = group.path()};
    auto planned = expect(driver::plan(compiled_.ruleset, hook, {{Family::inet, "t", chain}}));
    attachments.push_back(std::move(planned.front()));
  }
  compiled_.compilation = expect(driver::compile(compiled_.ruleset, attachments));
  ASSERT_EQ(apply(60), 0);
  EXPECT_EQ(observed(), Policy::nothing) << "this process is not in the cgroup";
  expect(group.enter());
  EXPECT_EQ(observed(), Policy::whole);
  ASSERT_EQ(confirm(), 0);
  const auto policy = expect(service::load_policy("p", paths_));
  const auto json = nlohmann::json::parse(service::status_json(policy, paths_));
  for (const auto& attachment : json["attachments"]) EXPECT_EQ(attachment["attached"], true);
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
  expect(group.leave());
}

TEST_F(Service, RefusesSocketsByName) {
  compiled_.compilation.programs.front().attachment.hook = {.kind = Hook::Kind::socket,
                                                            .device = {}};
  const auto done = service::apply(request(), paths_);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("the program that owns a socket attaches its filter"),
            std::string::npos);
}

// ---- Lock --------------------------------------------------------------------------------------

TEST_F(Service, ALockedPolicyStaysAsItIs) {
  service::Request wanted = request();
  wanted.terms.lock = true;
  ASSERT_TRUE(service::apply(wanted, paths_));
  EXPECT_FALSE(service::apply(request(), paths_));
  const auto refused = service::release("p", paths_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is locked"), std::string::npos);

  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_NE(service::status_text(policy, paths_).find(", locked\n"), std::string::npos);
  EXPECT_EQ(observed(), Policy::whole);
  const auto counters = expect(kernel::open_pinned(paths_.pins("p") + "/map_counters"));
  const Bytes key = native_bytes(0, 4);
  const Bytes before = expect(kernel::read_element(counters, key, 16, true));
  EXPECT_FALSE(kernel::write_element(counters, key, Bytes(before.size(), 0))) << "it is frozen";
  EXPECT_FALSE(arrives(out_port));
  EXPECT_NE(expect(kernel::read_element(counters, key, 16, true)), before)
      << "programs go on counting";
  ASSERT_TRUE(service::release("p", paths_, true));
  EXPECT_EQ(observed(), Policy::nothing);
}

// ---- ELF objects -------------------------------------------------------------------------------

// The same policy, by way of an object in a file.
class ObjectService : public Service {
 protected:
  ObjectService() { write(compile_for_file(rules), rules); }
  void write(const Compiled& from, const char* text) {
    std::vector<Hook> hooks;
    for (const auto& program : from.compilation.programs) hooks.push_back(program.attachment.hook);
    const std::string note = expect(service::object_note(from.ruleset, from.compilation, text));
    file_ = expect(object::to_elf(from.compilation.object, hooks, note));
  }
  Result<service::Installed> install(const service::Terms& terms) override {
    return service::apply_object({.file = file_, .terms = terms}, paths_);
  }
  static Compiled compile_for_file(const char* text) {
    return compile(text, {.untrusted_memory = false, .self_contained = true});
  }

  Bytes file_;
};

TEST_F(ObjectService, AnApplyThatIsKilledLeavesAllOrNothing) {
  for (const char* step : {"apply: attached 1", "apply: staged", "apply: saved"}) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(was_killed(apply(0, step)));
    expect_gone();
  }
  EXPECT_TRUE(was_killed(apply(0, "settle: published")));
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

TEST_F(ObjectService, WaitsForItsConfirmation) {
  EXPECT_TRUE(was_killed(apply(60, "apply: before the guard")));
  expect_gone();
  ASSERT_EQ(apply(60), 0);
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_EQ(standing(), Standing::waiting);
  const auto guard = service::guard_of("p", paths_);
  ASSERT_TRUE(guard);
  ASSERT_EQ(::kill(*guard, SIGKILL), 0);
  EXPECT_EQ(observed_at_last(Policy::nothing), Policy::nothing);
  expect_gone();
  ASSERT_EQ(apply(60), 0);
  EXPECT_EQ(confirm(), 0);
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

TEST_F(ObjectService, IsLocked) {
  ASSERT_TRUE(install({.name = "p", .lock = true}));
  EXPECT_EQ(observed(), Policy::whole);
  EXPECT_FALSE(service::release("p", paths_));
  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_TRUE(policy.locked);
  for (const service::MapState& map : policy.maps) {
    const auto pinned = expect(kernel::open_pinned(paths_.pins("p") + "/map_" + map.name));
    const Bytes key = native_bytes(0, 4);
    const bool counters = map.name == "counters";
    const Bytes value = expect(kernel::read_element(pinned, key, map.value_size, counters));
    EXPECT_FALSE(kernel::write_element(pinned, key, value)) << map.name << " is frozen";
  }
  EXPECT_TRUE(service::release("p", paths_, true));
}

TEST_F(ObjectService, IsTriedOut) {
  const auto state =
      expect(service::dry_run_object({.file = file_, .terms = {.name = "p"}}, paths_));
  EXPECT_EQ(state.attachments.size(), 4U);
  EXPECT_EQ(observed(), Policy::nothing);
  EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
}

// Numbers of maps that the kernel says a program uses.
std::vector<std::uint32_t> maps_of_program(std::uint32_t id) {
  const auto program = expect(kernel::open_by_id(kernel::ObjectKind::program, id));
  std::vector<std::uint32_t> ids(64);
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  info.nr_map_ids = static_cast<std::uint32_t>(ids.size());
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  if (::bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) give_up("asking", errno);
  ids.resize(info.nr_map_ids);
  return ids;
}

TEST_F(ObjectService, RulesTellTheirProgramsAndMaps) {
  std::string elements;
  for (int i = 2; i < 250; i += 2)
    elements += (i == 2 ? "10.0.0." : ", 10.0.0.") + std::to_string(i);
  const std::string text = "table inet t {\n set blocked { type ipv4_addr; elements = { " +
                           elements +
                           " }; }\n chain in {\n"
                           "  type filter hook input priority 0; policy accept;\n"
                           "  ip saddr @blocked counter drop\n"
                           "  udp dport 1002 drop\n"
                           "  udp dport 7 udp dport 8 drop\n }\n}\n";
  write(compile_for_file(text.c_str()), text.c_str());
  ASSERT_EQ(apply(0), 0);
  const auto policy = expect(service::load_policy("p", paths_));
  const auto id_of = [&](const char* name) {
    return std::ranges::find(policy.maps, name, &service::MapState::name)->id;
  };
  const auto list = nlohmann::json::parse(expect(service::list_json(policy, paths_)));
  const auto status = nlohmann::json::parse(service::status_json(policy, paths_));
  using Ids = std::vector<std::uint32_t>;
  const Ids programs = {policy.attachments.at(0).program_id, policy.attachments.at(1).program_id};
  // IPv6 has nothing of the first rule, and nothing has the last one, which never matches.
  EXPECT_EQ(list["rules"][0]["programs"], Ids{programs[0]});
  EXPECT_EQ(list["rules"][1]["programs"], programs);
  EXPECT_EQ(list["rules"][2]["programs"], Ids());
  const auto uses = [&](std::size_t rule, const char* map) {
    const Ids ids = list["rules"][rule]["maps"];
    return std::ranges::count(ids, id_of(map)) == 1;
  };
  EXPECT_TRUE(uses(0, "rodata")) << "the set is there";
  EXPECT_TRUE(uses(0, "counters"));
  EXPECT_FALSE(uses(1, "rodata"));
  EXPECT_FALSE(uses(1, "counters"));
  EXPECT_EQ(list["rules"][2]["maps"], Ids());
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(status["rules"][i]["programs"], list["rules"][i]["programs"]);
    EXPECT_EQ(status["rules"][i]["maps"], list["rules"][i]["maps"]);
  }
  const Ids used = maps_of_program(programs[0]);
  for (const std::uint32_t map : Ids(list["rules"][0]["maps"]))
    EXPECT_EQ(std::ranges::count(used, map), 1) << map;
}

// ---- Who carries a rule ------------------------------------------------------------------------

TEST_F(Service, RulesTellTheirProgramsAndMaps) {
  ASSERT_EQ(apply(0), 0);
  const auto policy = expect(service::load_policy("p", paths_));
  const auto list = nlohmann::json::parse(expect(service::list_json(policy, paths_)));
  const auto status = nlohmann::json::parse(service::status_json(policy, paths_));
  ASSERT_EQ(list["rules"].size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& rule = list["rules"][i];
    std::vector<std::uint32_t> programs;
    for (const service::AttachmentState& attachment : policy.attachments) {
      if (attachment.chains.front() == "inet t " + rule["chain"].get<std::string>()) {
        programs.push_back(attachment.program_id);
      }
    }
    EXPECT_EQ(rule["programs"], programs) << "one for each address family: " << rule;
    const auto counters = std::ranges::find(policy.maps, "counters", &service::MapState::name);
    EXPECT_GT(std::ranges::count(rule["maps"].get<std::vector<std::uint32_t>>(), counters->id), 0)
        << rule;
    EXPECT_EQ(status["rules"][i]["programs"], rule["programs"]);
    EXPECT_EQ(status["rules"][i]["maps"], rule["maps"]);
  }
}

}  // namespace
}  // namespace weir::test
