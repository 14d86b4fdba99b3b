// SPDX-License-Identifier: BSD-2-Clause
//
// Policies that are whole or not there: every process of an apply or confirm is killed at each of
// its steps, and real packets tell what is left. One chain of the policy drops datagrams on their
// way out, one on their way in, so that a part of it would show.
#include "service/apply.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "frontend/nft/nft.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/root_only.h"
#include "service/element.h"
#include "service/guard.h"
#include "service/listing.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using namespace std::chrono_literals;
using service::Standing;
namespace fs = std::filesystem;

constexpr std::uint16_t plain_port = 1000;  // no rule is about it
constexpr std::uint16_t out_port = 1001;    // dropped on the way out
constexpr std::uint16_t in_port = 1002;     // dropped on the way in

constexpr const char* rules = R"(
table inet t {
  chain out {
    type filter hook output priority 0; policy accept;
    udp dport 1001 ct state new,established counter drop
  }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 1002 counter drop
  }
}
)";

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

enum class Policy : std::uint8_t { nothing, whole, part };
std::ostream& operator<<(std::ostream& out, Policy policy) {
  return out << (policy == Policy::nothing ? "nothing"
                 : policy == Policy::whole ? "the whole policy"
                                           : "a part of the policy");
}

// Whether a datagram to this port of the loopback device arrives.
bool arrives(std::uint16_t port) {
  const kernel::Fd receiver(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const kernel::Fd sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const any = reinterpret_cast<const sockaddr*>(&to);
  if (::bind(receiver.get(), any, sizeof to) != 0) give_up("binding a socket", errno);
  ::sendto(sender.get(), "weir", 4, 0, any, sizeof to);
  char text[8];
  return ::recv(receiver.get(), text, sizeof text, MSG_DONTWAIT) == 4;
}

Policy observed() {
  if (!arrives(plain_port)) give_up("the loopback device loses what no rule drops");
  const bool out = arrives(out_port);
  const bool in = arrives(in_port);
  if (out && in) return Policy::nothing;
  return out || in ? Policy::part : Policy::whole;
}

// The kernel takes the links of a dead process off a moment later, one after another.
Policy observed_at_last(Policy expected) {
  Policy now = observed();
  for (int i = 0; i < 100 && now != expected; ++i) {
    std::this_thread::sleep_for(20ms);
    now = observed();
  }
  return now;
}

// A process of its own; how it ended.
template <typename Work>
int in_child(const Work& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) give_up("a child process", errno);
  return status;
}

bool was_killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

struct Compiled {
  imr::Ruleset ruleset;
  driver::Compilation compilation;
};

Compiled compile(const char* text, const driver::Options& how = {
                                       .untrusted_memory = kernel::has_untrusted_memory()}) {
  Compiled out;
  out.ruleset = expect(frontend::nft::read_script(text, "rules.nft"));
  const auto attachments = expect(driver::plan(out.ruleset, std::nullopt, {}));
  out.compilation = expect(driver::compile(out.ruleset, attachments, how));
  return out;
}

class Service : public testing::Test {
 protected:
  Service() : netns_(Netns::create()), inside_(netns_), nft_(netns_), compiled_(compile(rules)) {
    expect(run_command({"ip", "link", "set", "lo", "up"}));
    root_ = fs::temp_directory_path() / ("weir-service-" + std::to_string(::getpid()));
    paths_ = {.bpffs = (root_ / "bpf").string(), .state = (root_ / "run").string()};
    fs::create_directories(paths_.bpffs);
    if (::mount("bpf", paths_.bpffs.c_str(), "bpf", 0, nullptr) != 0) give_up("bpffs", errno);
  }
  ~Service() override {
    for (const std::string& name : service::policy_names(paths_)) {
      EXPECT_TRUE(service::release(name, paths_, true)) << name;
    }
    ::umount2(paths_.bpffs.c_str(), MNT_DETACH);
    fs::remove_all(root_);
  }

  [[nodiscard]] service::Request request(std::uint32_t confirm = 0) const {
    return {.ruleset = compiled_.ruleset,
            .compilation = compiled_.compilation,
            .name = "p",
            .source = rules,
            .confirm = confirm};
  }
  // In a process of its own, that ends at the step, or at none.
  int apply(std::uint32_t confirm, const std::string& last_step = {}) {
    return in_child([&] {
      service::Request wanted = request(confirm);
      wanted.at_step = kill_at(last_step);
      if (const auto done = service::apply(wanted, paths_); !done) {
        std::fprintf(stderr, "%s\n", done.error().text().c_str());
        ::_exit(1);
      }
    });
  }
  int confirm(const std::string& last_step = {}) {
    return in_child([&] { ::_exit(service::confirm("p", paths_, kill_at(last_step)) ? 0 : 1); });
  }
  static service::StepHook kill_at(const std::string& last_step) {
    return [last_step](std::string_view step) {
      if (step == last_step) ::raise(SIGKILL);
    };
  }
  [[nodiscard]] Standing standing() const {
    const auto policy = service::load_policy("p", paths_);
    return policy ? service::standing(*policy, paths_) : Standing::leftover;
  }
  [[nodiscard]] std::string tables() { return expect(nft_.run("list tables")); }

  // Nothing is in force, and nothing is in the way of the same policy, nor stays behind it.
  void expect_gone() {
    EXPECT_EQ(observed_at_last(Policy::nothing), Policy::nothing);
    for (int i = 0; i < 100 && standing() == Standing::waiting; ++i) {
      std::this_thread::sleep_for(20ms);
    }
    EXPECT_EQ(standing(), Standing::leftover);
    EXPECT_EQ(apply(0), 0) << "the places are free";
    EXPECT_EQ(observed(), Policy::whole);
    expect_releasable();
  }
  void expect_releasable() {
    EXPECT_EQ(standing(), Standing::settled);
    const auto released = service::release("p", paths_);
    EXPECT_TRUE(released) << released.error().text();
    EXPECT_EQ(observed(), Policy::nothing);
    EXPECT_EQ(tables(), "");
    EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
    EXPECT_FALSE(fs::exists(paths_.pins("p")));
    EXPECT_FALSE(fs::exists(paths_.guard_socket("p")));
  }

  Netns netns_;
  Inside inside_;
  Nft nft_;
  Compiled compiled_;
  fs::path root_;
  service::Paths paths_;
};

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
  wanted.tc_mode = kernel::TcMode::filter;
  ASSERT_TRUE(service::apply(wanted, paths_));
  EXPECT_EQ(observed(), Policy::whole);
  const auto policy = expect(service::load_policy("p", paths_));
  EXPECT_EQ(policy.attachments.at(0).mode, "filter");
  const auto json = nlohmann::json::parse(service::status_json(policy, paths_));
  for (const auto& attachment : json["attachments"]) EXPECT_EQ(attachment["attached"], true);
  expect_releasable();

  wanted.confirm = 60;
  const auto refused = service::apply(wanted, paths_);
  ASSERT_FALSE(refused) << "nobody takes a filter off when the guard is killed";
  EXPECT_NE(refused.error().message.find("--confirm cannot be kept"), std::string::npos);
  EXPECT_EQ(observed(), Policy::nothing);
}

TEST_F(Service, ServesCgroups) {
  const auto group = expect(kernel::ScratchCgroup::create("weir-service-test"));
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
  wanted.lock = true;
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

// ---- Elements ----------------------------------------------------------------------------------

constexpr const char* set_rules = R"(
table inet t {
  set ports {
    type inet_service
    flags interval
    elements = { 1001, 1100-1200 }
  }
  set many {
    type inet_service
    elements = { 2000 }
  }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport @ports counter drop
    udp dport @many drop
  }
}
)";

class Elements : public Service {
 protected:
  Elements() {
    compiled_ = compile(
        set_rules, {.untrusted_memory = kernel::has_untrusted_memory(), .updatable_sets = true});
    service::Request wanted = request();
    wanted.source = set_rules;
    expect(service::apply(wanted, paths_));
  }
  Status change(service::ElementChange::Kind kind, const std::string& set,
                const std::string& elements) {
    return service::change_elements(
        "p", {.kind = kind, .family = Family::inet, .table = "t", .set = set, .elements = elements},
        paths_);
  }
  static constexpr auto add = service::ElementChange::Kind::add;
  static constexpr auto remove = service::ElementChange::Kind::remove;
};

TEST_F(Elements, ComeAndGoUnderTheSameProgram) {
  const auto before = expect(service::load_policy("p", paths_));
  EXPECT_FALSE(arrives(1001));
  EXPECT_FALSE(arrives(1150));
  EXPECT_TRUE(arrives(1300));
  EXPECT_TRUE(arrives(2001));
  for (int round = 0; round < 2; ++round) {
    expect(change(add, "ports", "{ 1300, 1400-1410 }"));
    EXPECT_FALSE(arrives(1300));
    EXPECT_FALSE(arrives(1405));
    EXPECT_FALSE(arrives(1001)) << "what was there stays";
    expect(change(add, "many", "{ 2001, 2002 }"));
    EXPECT_FALSE(arrives(2001));
    EXPECT_FALSE(arrives(2000));
    expect(change(remove, "ports", "{ 1300, 1100-1200 }"));
    EXPECT_TRUE(arrives(1300));
    EXPECT_TRUE(arrives(1150));
    EXPECT_FALSE(arrives(1405));
    expect(change(remove, "many", "{ 2000, 2001 }"));
    EXPECT_TRUE(arrives(2000));
    EXPECT_TRUE(arrives(2001));
    EXPECT_FALSE(arrives(2002));
    expect(change(add, "many", "{ 2000 }"));
    expect(change(add, "ports", "{ 1100-1200 }"));
    EXPECT_FALSE(arrives(2000));
    EXPECT_FALSE(arrives(1150));
    expect(change(remove, "ports", "{ 1400-1410 }"));
    expect(change(remove, "many", "{ 2002 }"));
  }
  const auto after = expect(service::load_policy("p", paths_));
  EXPECT_EQ(after.attachments, before.attachments);
  // What the policy is listed as means the sets as they are.
  const auto ruleset = expect(frontend::nft::read_script(
      after.source, "listed",
      {.interface_index = {}, .commands = service::element_commands(after)}));
  EXPECT_EQ(ruleset.sets.at(0).elements.size(), 2U);
}

TEST_F(Elements, AreRefusedAndThenNothingHasChanged) {
  const auto before = expect(service::load_policy("p", paths_));
  const std::vector<std::array<std::string, 3>> cases = {
      {"nosuch", "{ 1 }", "there are: inet t many, inet t ports"},
      {"ports", "{ 70000 }", "out of range"},
      {"ports", "{ 1150 }", "overlaps"},
      {"ports", "{ 1 }; flush ruleset", "is no list of elements"},
      {"ports", "1300", "is no list of elements"}};
  for (const auto& [set, elements, words] : cases) {
    const auto changed = change(add, set, elements);
    ASSERT_FALSE(changed) << elements;
    EXPECT_NE(changed.error().text().find(words), std::string::npos) << changed.error().text();
  }
  EXPECT_EQ(expect(service::load_policy("p", paths_)), before);
  EXPECT_FALSE(arrives(1001));
  EXPECT_TRUE(arrives(1300));
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
