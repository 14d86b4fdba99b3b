// SPDX-License-Identifier: BSD-2-Clause
//
// The whole rulesets of tests/rulesets by the kernel's own nf_tables: each base chain of an IP
// family at the forward hook, whatever hook it names, those of the other families, and those that
// mark packets, at a device. The same packets get the same verdicts, marks and bytes from nft,
// weir's programs and the evaluator, and leave the same counts.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "differential/explore.h"
#include "differential/rulesets.h"
#include "kernel/forward_case.h"
#include "kernel/netdev_case.h"
#include "kernel/support/root_only.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::size_t packets_a_chain = 900;

// A base chain of a ruleset by itself, with limits for no clock to matter, and devices that the
// worlds have.
struct Part {
  std::string file;
  std::string chain;  // its name
  std::string place;  // "hook forward priority 0"
  std::string in;     // the ruleset's own devices
  std::string out;
  std::string family = {};  // as in differential::Move

  [[nodiscard]] std::string script() const;
};

void PrintTo(const Part& part, std::ostream* out) {
  *out << part.file << " " << part.chain;
}

std::string Part::script() const {
  const auto all = differential::whole_rulesets();
  const auto found = std::ranges::find(all, file, &differential::WholeRuleset::name);
  if (found == all.end()) give_up("no ruleset " + file);
  const bool forwarded = place.find("forward") != std::string::npos;
  return differential::moved(
      differential::with_tight_limits(found->text),
      {.chain = chain,
       .place = place,
       .devices = {{in, forwarded ? "tun0" : "eth0"}, {out, forwarded ? "tun1" : "eth0"}},
       .family = family});
}

std::string identifier(std::string text) {
  for (char& c : text) c = c == '-' || c == ':' ? '_' : c;
  return text;
}

class Forwarded : public testing::TestWithParam<Part> {};

// Packets that reach the rules, in the order of directed ones, and flows where the rules know
// connections.
std::vector<Sent> traffic_for(const std::string& script, bool connections,
                              std::mt19937_64& random) {
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  const auto subject =
      expect(differential::read_at_hook(scratch, script, expect(parse_hook("netfilter:forward"))));
  const auto compiled = expect(driver::compile(subject.ruleset, subject.attachments));
  std::vector<Sent> traffic = directed_traffic(subject.ruleset, packets_a_chain, random);
  const auto explored = expect(differential::explore(subject, compiled, packets_a_chain,
                                                     differential::PacketFacts::routed, random));
  for (const packet::Packet& packet : explored.packets) {
    const bool back = packet.in.name == "tun1";
    traffic.push_back({.bytes = Bytes(packet.network().begin(), packet.network().end()),
                       .linear = 0,
                       .back = back});
  }
  if (connections) {
    std::erase_if(traffic, [](const Sent& sent) { return is_fragment(sent.bytes); });
    std::ranges::move(flow_traffic(packets_a_chain, random), std::back_inserter(traffic));
  }
  return traffic;
}

TEST_P(Forwarded, MeansWhatNftMeans) {
  const std::string script = GetParam().script();
  const bool connections = script.find("ct state") != std::string::npos;
  std::mt19937_64 random(1);
  const std::vector<Sent> traffic = traffic_for(script, connections, random);
  ForwardCase forward(connections);
  const ForwardReport report = forward.run(script, traffic);
  ASSERT_EQ(report.kind, ForwardReport::Kind::judged) << report.text << script;
  EXPECT_GE(report.verdicts, packets_a_chain);
  EXPECT_GE(report.dropped, 1u);
  EXPECT_LT(report.dropped, report.verdicts);
  std::cout << report.verdicts << " verdicts, " << report.dropped << " dropped, "
            << report.evaluated << " by the evaluator too, " << report.counted << " counted\n";
}

constexpr const char* forward = "hook forward priority 0";
INSTANTIATE_TEST_SUITE_P(
    Rulesets, Forwarded,
    testing::Values(Part{"home-router", "input", forward, "lan0", "wan0"},
                    Part{"home-router", "forward", forward, "lan0", "wan0"},
                    Part{"home-router", "output", forward, "lan0", "wan0"},
                    Part{"web-server", "early", forward, "lo", "eth0"},
                    Part{"web-server", "input", forward, "lo", "eth0"},
                    Part{"web-server", "output", forward, "eth0", "lo"},
                    Part{"mail-server", "output", forward, "lo", "eth0"},
                    Part{"container-host", "forward", forward, "br-web", "br-db"},
                    Part{"container-host", "forward", forward, "eth0", "br-web"},
                    Part{"cluster-node", "prerouting", forward, "eth0", "eth1"},
                    Part{"cluster-node", "forward", forward, "eth0", "eth1"},
                    Part{"bastion", "input", forward, "eth0", "eth1"},
                    Part{"dns-server", "prerouting", forward, "eth0", "eth1"},
                    Part{"dns-server", "input", forward, "eth0", "eth1"},
                    Part{"vpn-concentrator", "input", forward, "wg0", "wan0"},
                    Part{"campus-gateway", "forward", forward, "vlan101", "srv0"},
                    Part{"campus-gateway", "forward", forward, "border0", "srv0"},
                    Part{"isp-edge", "forward", forward, "core0", "uplink"},
                    Part{"ipv6-only", "forward", forward, "eth0", "eth1"}),
    [](const auto& one) {
      return identifier(one.param.file + "_" + one.param.chain + "_" + one.param.in);
    });

class AtDevice : public testing::TestWithParam<std::tuple<const char*, Part>> {};

NetdevWorld::Middle middle_for(const std::string& file) {
  if (file == "bridge-firewall") return NetdevWorld::Middle::bridge;
  return file == "arp-guard" ? NetdevWorld::Middle::host : NetdevWorld::Middle::rules;
}

TEST_P(AtDevice, MeansWhatNftMeans) {
  const auto& [hook, part] = GetParam();
  const std::string script = part.script();
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  NetdevCase device(expect(parse_hook(hook)).kind, {}, middle_for(part.file));
  const auto subject = expect(device.read(scratch, script));
  std::mt19937_64 random(1);
  std::vector<Frame> frames = device.frames(subject, packets_a_chain, random);
  if (middle_for(part.file) != NetdevWorld::Middle::host) {
    // As many that reach more of the rules.
    const auto compiled = expect(driver::compile(subject.ruleset, subject.attachments));
    const auto explored = expect(differential::explore(
        subject, compiled, packets_a_chain, differential::PacketFacts::test_run, random));
    for (packet::Packet packet : explored.packets) {
      device.give_facts(packet);
      frames.push_back({.packet = std::move(packet)});
    }
  }
  const NetdevReport report = device.run(subject, script, frames, false);
  ASSERT_FALSE(report.refused) << report.text;
  ASSERT_FALSE(report.mismatch()) << report.text << script;
  EXPECT_GE(report.verdicts, packets_a_chain / 2);
  EXPECT_GE(report.dropped + report.marked, 1u);
  std::cout << report.verdicts << " verdicts, " << report.dropped << " dropped, " << report.marked
            << " marked, " << report.written << " written, " << report.counted << " counted\n";
}

constexpr const char* ingress = "hook ingress device \"eth0\" priority 0";
constexpr const char* egress = "hook egress device \"eth0\" priority 0";
INSTANTIATE_TEST_SUITE_P(
    Rulesets, AtDevice,
    testing::Values(
        std::tuple{"tc:ingress", Part{"scrubber", "ingress", ingress, "uplink0", "uplink1"}},
        std::tuple{"xdp", Part{"scrubber", "ingress", ingress, "uplink0", "uplink1"}},
        std::tuple{"tc:ingress",
                   Part{"bridge-firewall", "forward", "hook prerouting priority 0", "hall0", "-"}},
        std::tuple{"tc:ingress",
                   Part{"bridge-firewall", "ports", "hook prerouting priority 0", "hall0", "-"}},
        std::tuple{"tc:ingress", Part{"arp-guard", "input", "hook input priority 0", "-", "-"}},
        std::tuple{"xdp", Part{"arp-guard", "input", "hook input priority 0", "-", "-"}},
        std::tuple{"tc:egress", Part{"qos-marking", "postrouting", egress, "-", "-", "netdev"}},
        std::tuple{"tc:ingress", Part{"web-server", "early", ingress, "-", "-", "netdev"}},
        std::tuple{"tc:ingress", Part{"dns-server", "prerouting", ingress, "-", "-", "netdev"}},
        std::tuple{"xdp", Part{"cluster-node", "prerouting", ingress, "-", "-", "netdev"}},
        std::tuple{"tc:egress", Part{"isp-edge", "uplink", egress, "-", "-", "netdev"}}),
    [](const auto& device) {
      const Part& part = std::get<1>(device.param);
      return identifier(part.file + "_" + part.chain + "_" + std::get<0>(device.param));
    });

}  // namespace
}  // namespace weir::test
