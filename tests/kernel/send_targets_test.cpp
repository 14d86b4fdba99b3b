// SPDX-License-Identifier: BSD-2-Clause
//
// Policies that send packets out by a device, and devices that they cannot reach as nf_tables does:
// what is refused leaves nothing behind.
#include "service/send_targets.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "frontend/nft/nft.h"
#include "kernel/service_world.h"
#include "kernel/support/root_only.h"
#include "object/elf.h"
#include "service/element.h"
#include "service/object.h"
#include "service/object_note.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using testing::HasSubstr;

std::string at_ingress(const std::string& rule, const std::string& more = {}) {
  return "table netdev t {\n " + more +
         "\n chain c {\n  type filter hook ingress device \"eth0\" priority 0;\n  " + rule +
         "\n }\n}\n";
}

// "eth0 -> eth1" and "away0 -> away1" are pairs of veth devices.
class SendTargets : public Service {
 protected:
  SendTargets() {
    for (const char* pair : {"eth", "away"}) {
      const std::string name = pair;
      expect(run_command(
          {"ip", "link", "add", name + "0", "type", "veth", "peer", "name", name + "1"}));
      for (const char* end : {"0", "1"}) {
        expect(run_command({"ip", "link", "set", name + end, "up"}));
      }
    }
  }

  static Compiled compile_at(const std::string& script, const char* hook,
                             const driver::Options& how) {
    Compiled out;
    out.ruleset = expect(frontend::nft::read_script(script, "rules.nft"));
    const auto wanted = hook == nullptr ? std::nullopt : std::optional(*parse_hook(hook));
    const auto attachments = expect(driver::plan(out.ruleset, wanted, {}));
    out.compilation = expect(driver::compile(out.ruleset, attachments, how));
    return out;
  }
  // The error's text; empty where the policy "p" is in force.
  std::string apply(const std::string& script, const char* hook = nullptr) {
    const Compiled compiled = compile_at(script, hook, {.updatable_sets = true});
    const auto done = service::apply({.ruleset = compiled.ruleset,
                                      .compilation = compiled.compilation,
                                      .source = script,
                                      .terms = {.name = "p"}},
                                     paths_);
    if (done) return {};
    EXPECT_THAT(service::policy_names(paths_), testing::IsEmpty());
    return done.error().text();
  }
  std::string apply_and_release(const std::string& script, const char* hook = nullptr) {
    std::string said = apply(script, hook);
    if (said.empty()) expect(service::release("p", paths_));
    return said;
  }
  void nft(const std::string& commands) { expect(nft_.run(commands)); }

  using Change = service::ElementChange::Kind;
  Status change(Change kind, const char* elements) {
    return service::change_elements("p",
                                    {.kind = kind,
                                     .family = Family::netdev,
                                     .table = "t",
                                     .set = "where",
                                     .elements = elements},
                                    paths_);
  }
};

TEST_F(SendTargets, HaveNoEgressChainOfNfTables) {
  const std::string passes_by = "chain netdev guard e of nf_tables at its egress";
  const std::string to_a_map =
      "fwd to meta l4proto map { tcp : \"lo\", udp : \"away0\" }\n  meta l4proto icmp accept";
  for (const char* const rule : {"fwd to \"away0\"", "dup to \"away0\"", to_a_map.c_str(),
                                 "reject with icmp port-unreachable", "fwd to meta iif"}) {
    SCOPED_TRACE(rule);
    nft("flush ruleset");
    EXPECT_EQ(apply_and_release(at_ingress(rule)), "");
    const std::string device =
        std::string_view(rule).find("away0") == std::string_view::npos ? "eth0" : "away0";
    nft("table netdev guard { flags dormant; \n chain e { type filter hook egress device " +
        device + " priority 0;\n }\n}\n");
    EXPECT_EQ(apply_and_release(at_ingress(rule)), "") << "a dormant table has no hooks";
    nft("delete table netdev guard\ntable netdev guard {\n chain e { type filter hook egress "
        "devices = { lo, " +
        device + " } priority 0;\n }\n}\n");
    EXPECT_THAT(apply(at_ingress(rule)), HasSubstr(passes_by));
    if (std::string_view(rule).starts_with("dup")) continue;
    EXPECT_THAT(apply(at_ingress(rule), "xdp@eth0"), HasSubstr(passes_by));
  }
}

// Any device is one that packets may name.
TEST_F(SendTargets, AreAllDevicesWherePacketsChooseThem) {
  const std::string script =
      at_ingress("update @where { udp sport : meta iif }\n  fwd to udp dport map @where",
                 "map where {\n  typeof udp dport : meta iif\n  flags dynamic\n  size 8\n }");
  EXPECT_EQ(apply_and_release(script), "");
  EXPECT_THAT(apply(script, "xdp@eth0"), HasSubstr("use tc:ingress"));
  nft("table netdev guard {\n chain e { type filter hook egress device away1 priority 0;\n }\n}\n");
  EXPECT_THAT(apply(script), HasSubstr("'away1', which has chain netdev guard e of nf_tables"));
}

TEST_F(SendTargets, HaveNoProgramAtEgressThatXdpPassesBy) {
  const std::string guard =
      "table netdev t {\n chain c {\n  type filter hook egress device \"away0\" priority 0;\n  "
      "drop\n }\n}\n";
  const Compiled compiled = compile_at(guard, nullptr, {});
  const auto guarding = expect(service::apply({.ruleset = compiled.ruleset,
                                               .compilation = compiled.compilation,
                                               .source = guard,
                                               .terms = {.name = "guard"}},
                                              paths_));
  const std::string script = at_ingress("fwd to \"away0\"");
  const Compiled sending = compile_at(script, "xdp@eth0", {});
  const auto refused = service::apply({.ruleset = sending.ruleset,
                                       .compilation = sending.compilation,
                                       .source = script,
                                       .terms = {.name = "p"}},
                                      paths_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("'away0', which has programs at tc:egress"));
  EXPECT_EQ(apply(script), "") << "at tc:ingress";
}

// What tc:ingress sends comes to programs at tc:egress.
TEST_F(SendTargets, MayHaveAnEgressChainOfThePolicy) {
  const std::string both = at_ingress(
      "fwd to \"away0\"",
      "chain e {\n  type filter hook egress device \"away0\" priority 0;\n  counter\n }");
  EXPECT_EQ(apply_and_release(both), "");
}

TEST_F(SendTargets, TakeEthernetFrames) {
  expect(run_command({"ip", "tuntap", "add", "layer3", "mode", "tun"}));
  expect(run_command({"ip", "link", "set", "layer3", "up"}));
  EXPECT_THAT(apply(at_ingress("fwd to \"layer3\"")), HasSubstr("without a link header"));
  EXPECT_EQ(apply_and_release(at_ingress("dup to \"lo\"")), "");
}

// The other end of a veth device has an XDP program, or the device takes none.
TEST_F(SendTargets, TakeFramesFromXdp) {
  // In generic mode the kernel sends them as any other packet; lo knows no other.
  EXPECT_EQ(apply_and_release("table netdev t {\n chain c {\n  type filter hook ingress device "
                              "\"lo\" priority 0;\n  udp dport 9 fwd to \"away0\"\n }\n}\n",
                              "xdp@lo"),
            "");
  const std::string to_away0 = at_ingress("fwd to \"away0\"");
  EXPECT_THAT(apply(to_away0, "xdp@eth0"), HasSubstr("'away0', which takes none from XDP"));
  const std::string there =
      "table netdev t {\n chain c {\n  type filter hook ingress device \"away1\" priority 0;\n  "
      "counter\n }\n}\n";
  const Compiled taker = compile_at(there, "xdp@away1", {});
  const auto taking = expect(service::apply({.ruleset = taker.ruleset,
                                             .compilation = taker.compilation,
                                             .source = there,
                                             .terms = {.name = "taker"}},
                                            paths_));
  EXPECT_EQ(apply_and_release(to_away0, "xdp@eth0"), "");
}

TEST_F(SendTargets, MayNotComeWithElements) {
  const std::string script = at_ingress(
      "fwd to tcp dport map @where",
      "map where {\n  type inet_service : iface_index\n  elements = { 80 : \"lo\" }\n }");
  nft("table netdev guard {\n chain e { type filter hook egress device away0 priority 0;\n }\n}\n");
  ASSERT_EQ(apply(script), "");
  expect(change(Change::add, "{ 81 : \"eth1\" }"));
  const Status refused = change(Change::add, "{ 82 : \"away0\" }");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("chain netdev guard e"));
}

TEST_F(SendTargets, MayNotComeBackWithElements) {
  ASSERT_EQ(
      apply(at_ingress("fwd to tcp dport map @where",
                       "map where {\n  type inet_service : iface_index\n  flags "
                       "interval,timeout\n  elements = { 80-89 timeout 1s : \"away0\" }\n }")),
      "");
  nft("table netdev guard {\n chain e { type filter hook egress device away0 priority 0;\n }\n}\n");
  ::usleep(1'100'000);
  const Status refused = change(Change::add, "{ 80-89 timeout 1h : \"away0\" }");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("chain netdev guard e"));
}

TEST_F(SendTargets, GoByTheirKeys) {
  for (const char* flags : {"timeout", "interval,timeout"}) {
    SCOPED_TRACE(flags);
    ASSERT_EQ(apply(at_ingress("fwd to tcp dport map @where",
                               "map where {\n  type inet_service : iface_index\n  flags " +
                                   std::string(flags) +
                                   "\n  elements = { 80 timeout 1h : \"lo\", 81 : \"lo\", 82 : "
                                   "\"away0\" }\n }")),
              "");
    expect(change(Change::remove, "{ 82, 80 : \"lo\" }"));
    EXPECT_FALSE(change(Change::remove, "{ 82 }"));
    expect(change(Change::remove, "{ 81 }"));
    EXPECT_FALSE(change(Change::remove, "{ 81 }"));
    expect(service::release("p", paths_));
  }
}

TEST_F(SendTargets, AreAskedForObjectsToo) {
  const std::string script = at_ingress("fwd to \"away0\"");
  const Compiled compiled =
      compile_at(script, nullptr, {.untrusted_memory = false, .self_contained = true});
  const std::string note =
      expect(service::object_note(compiled.ruleset, compiled.compilation, script));
  const std::vector<Hook> hooks = {compiled.compilation.programs.at(0).attachment.hook};
  const Bytes file = expect(object::to_elf(compiled.compilation.object, hooks, note));
  const service::ObjectRequest request = {.file = file, .terms = {.name = "p"}};
  expect(service::apply_object(request, paths_));
  expect(service::release("p", paths_));
  nft("table netdev guard {\n chain e { type filter hook egress device away0 priority 0;\n }\n}\n");
  const auto refused = service::apply_object(request, paths_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("chain netdev guard e"));
}

}  // namespace
}  // namespace weir::test
