// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of the whole rulesets of tests/rulesets, as nf_tables and as weir's programs, on
// the same packets in one run: three of four that the rules accept, from both sides of a router,
// answers among them where the rules know connections. Limits are so wide that none is met.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "backend/profile.h"
#include "bench/entry.h"
#include "bench/road.h"
#include "bench/spread.h"
#include "bench/subjects.h"
#include "differential/explore.h"
#include "differential/rulesets.h"
#include "driver/runner.h"
#include "frontend/nft/nft.h"
#include "kernel/support/forwarding_world.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace weir::bench {
namespace {

using packet::Packet;
using test::expect;

constexpr std::uint32_t packets_each_way = 8192;  // a sample
constexpr std::size_t trace_packets = 1024;
constexpr std::size_t explored_packets = 3000;
constexpr int times_built = 4;

struct Subject {
  std::string file;
  std::string chain;
  std::string first;  // the ruleset's own names of the two devices
  std::string second;
  std::string hook = "netfilter:forward";
};

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> all = {
      {"bastion", "input", "eth0", "eth1"},
      {"campus-gateway", "forward", "vlan101", "border0"},
      {"campus-gateway", "forward", "border0", "srv0"},
      {"cluster-node", "prerouting", "eth0", "eth1"},
      {"cluster-node", "forward", "eth0", "eth1"},
      {"container-host", "forward", "eth0", "br-web"},
      {"dns-server", "prerouting", "eth0", "eth1"},
      {"home-router", "input", "lan0", "wan0"},
      {"home-router", "forward", "lan0", "wan0"},
      {"ipv6-only", "forward", "eth0", "eth1"},
      {"isp-edge", "forward", "core0", "uplink"},
      {"mail-server", "output", "lo", "eth0"},
      {"vpn-concentrator", "input", "wg0", "wan0"},
      {"web-server", "early", "-", "-"},
      {"web-server", "input", "-", "-"},
      {"scrubber", "ingress", "uplink0", "-", "tc:ingress"},
      {"dns-server", "prerouting", "-", "-", "tc:ingress"},
      {"cluster-node", "prerouting", "-", "-", "tc:ingress"},
      {"qos-marking", "postrouting", "-", "-", "tc:egress"},
      {"isp-edge", "uplink", "-", "-", "tc:egress"},
  };
  return all;
}

std::string with_wide_limits(const std::string& text) {
  static const std::regex packets(
      R"((limit rate (?:over )?)\d+/(?:second|minute|hour|day)(?: burst \d+ packets)?)");
  static const std::regex bytes(
      R"((limit rate (?:over )?)\d+ [km]?bytes/(?:second|minute)(?: burst \d+ [km]?bytes)?)");
  const std::string out = std::regex_replace(text, bytes, "$011000 mbytes/second burst 100 mbytes");
  return std::regex_replace(out, packets, "$01100000000/second burst 1000000 packets");
}

bool at_forward(const Subject& subject) {
  return subject.hook.starts_with("netfilter");
}

std::string place_of(const Subject& subject) {
  if (at_forward(subject)) return "hook forward priority 0";
  return subject.hook == "tc:egress" ? "hook egress device \"road1\" priority 0"
                                     : "hook ingress device \"road0\" priority 0";
}

std::string script_of(const Subject& subject) {
  const auto all = differential::whole_rulesets();
  const auto found = std::ranges::find(all, subject.file, &differential::WholeRuleset::name);
  if (found == all.end()) test::give_up("no ruleset " + subject.file);
  return differential::moved(
      with_wide_limits(found->text),
      {.chain = subject.chain,
       .place = place_of(subject),
       .devices = {{subject.first, Road::first_device}, {subject.second, Road::second_device}},
       .family = at_forward(subject) ? "" : "netdev"});
}

std::string empty_chain(const Subject& subject) {
  return fmt::format("table {} floor {{\n chain c {{ type filter {}; policy accept; }}\n}}\n",
                     at_forward(subject) ? "inet" : "netdev", place_of(subject));
}

// Of TCP, as connections begin, and from the other side as they are answered.
void set_tcp_flags(Packet& packet, std::uint8_t flags) {
  const auto transport = packet::find_transport(packet.network(), packet.ethertype);
  if (!transport || transport->protocol != 6) return;
  const std::size_t at = packet.network_offset + transport->offset + 13;
  if (at < packet.bytes.size()) packet.bytes[at] = flags;
}

constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t syn_ack = 0x12;

// The other side's packet; none where a protocol has no ports to exchange.
std::optional<Packet> answer_to(const Packet& packet) {
  const auto transport = packet::find_transport(packet.network(), packet.ethertype);
  const bool ports = transport && (transport->protocol == 6 || transport->protocol == 17) &&
                     !transport->is_fragment() && packet.network().size() >= transport->offset + 8;
  if (!ports) return std::nullopt;
  Packet out = packet;
  const bool v6 = packet.ethertype == packet::ethertype_ipv6;
  const auto network = out.bytes.begin() + out.network_offset;
  std::swap_ranges(network + (v6 ? 8 : 12), network + (v6 ? 24 : 16), network + (v6 ? 24 : 16));
  const auto header = network + transport->offset;
  std::swap_ranges(header, header + 2, header + 2);
  set_tcp_flags(out, syn_ack);
  packet::repair_checksums(out);
  return out;
}

Bytes network_bytes(const Packet& packet) {
  return {packet.network().begin(), packet.network().end()};
}

// Frames by each device.
struct Traffic {
  std::vector<Bytes> forth;
  std::vector<Bytes> back;
};

class TrafficMaker {
 public:
  TrafficMaker(const Subject& subject, const std::string& script, bool connections)
      : subject_(subject), script_(script), connections_(connections) {}

  Traffic make() {
    auto scratch = expect(frontend::nft::ScratchNamespace::create());
    const Hook hook = expect(parse_hook(subject_.hook));
    const auto ruleset = expect(differential::read_at_hook(scratch, script_, hook));
    const auto compiled = expect(driver::compile(ruleset.ruleset, ruleset.attachments));
    auto evaluator =
        expect(driver::Runner::create(driver::EngineKind::evaluator, ruleset.ruleset, compiled));
    std::mt19937_64 random(1);
    auto explored = expect(differential::explore(ruleset, compiled, explored_packets,
                                                 differential::PacketFacts::routed, random));
    Traffic traffic;
    for (const bool back : {false, true}) {
      if (back && !at_forward(subject_)) break;
      add(explored.packets, back, evaluator, random, traffic);
    }
    return traffic;
  }

 private:
  void place(Packet& packet, bool back) const {
    const packet::Device first{.index = 1001, .name = Road::first_device};
    const packet::Device second{.index = 1002, .name = Road::second_device};
    const bool leaves = subject_.hook == "tc:egress";
    packet.in = leaves ? packet::Device{} : back ? second : first;
    packet.out = at_forward(subject_) || leaves ? (back ? first : second) : packet::Device{};
    packet.mark = 0;
    packet.type = packet::PacketType::host;
    packet.has_connection = connections_;
    packet.ct_info = packet::CtInfo::new_;
    if (connections_) set_tcp_flags(packet, syn);
    packet::repair_checksums(packet);
  }

  // Of the packets that a router forwards: those that the rules accept, and some that they drop.
  void add(const std::vector<Packet>& packets, bool back, driver::Runner& evaluator,
           std::mt19937_64& random, Traffic& traffic) {
    std::vector<Packet> accepted;
    std::vector<Packet> dropped;
    for (Packet packet : packets) {
      place(packet, back);
      if (!world_.send(packet.network())) continue;
      const bool accepts = expect(evaluator.run(packet)).verdict == imr::Outcome::Verdict::accept;
      (accepts ? accepted : dropped).push_back(std::move(packet));
    }
    for (std::size_t i = 0; i < trace_packets; ++i) {
      const bool wanted = i % 4 != 0 ? !accepted.empty() : dropped.empty();
      const std::vector<Packet>& from = wanted ? accepted : dropped;
      if (from.empty()) continue;
      const Packet& packet = from[random() % from.size()];
      (back ? traffic.back : traffic.forth).push_back(network_bytes(packet));
      const auto answer =
          connections_ && wanted && at_forward(subject_) ? answer_to(packet) : std::nullopt;
      if (answer) (back ? traffic.forth : traffic.back).push_back(network_bytes(*answer));
    }
  }

  const Subject& subject_;
  const std::string& script_;
  bool connections_;
  test::ForwardingWorld world_;
};

// One engine on a road of its own, or what it costs without rules.
class Lane {
 public:
  Lane(const Subject& subject, bool connections, const Traffic& traffic)
      : subject_(subject), traffic_(traffic), road_(connections) {}

  Road& road() { return road_; }

  // Connections come to be; then packets end where they are counted.
  void warm_up(const Sender& forth, const Sender& back) {
    for (int i = 0; i < 2; ++i) static_cast<void>(send(forth, back, trace_packets * 2));
    if (subject_.hook != "tc:egress") road_.end_at_the_hook();
  }

  double send(const Sender& forth, const Sender& back, std::uint32_t count) const {
    double ns = 0;
    if (!traffic_.forth.empty()) ns += road_.send(forth, false, count);
    if (!traffic_.back.empty()) ns += road_.send(back, true, count);
    return ns / (count * ((traffic_.forth.empty() ? 0.0 : 1.0) + (traffic_.back.empty() ? 0 : 1)));
  }

 private:
  const Subject& subject_;
  const Traffic& traffic_;
  Road road_;
};

// What weir makes of a script: a program for each network protocol.
struct Made {
  driver::Compilation compilation;
  kernel::LoadedObject loaded;
  std::size_t rules = 0;
  std::uint32_t instructions = 0;
};

Made make(const Subject& subject, const std::string& script) {
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  const auto ruleset =
      expect(differential::read_at_hook(scratch, script, expect(parse_hook(subject.hook))));
  Made made{.compilation =
                expect(driver::compile(ruleset.ruleset, ruleset.attachments,
                                       {.untrusted_memory = kernel::has_untrusted_memory(),
                                        .updatable_sets = true,
                                        .updatable_rules = true}))};
  made.loaded = expect(kernel::load(made.compilation.object));
  made.rules = driver::count_rules(ruleset.ruleset, std::span(ruleset.attachments).first(1));
  for (const isa::Program& program : made.compilation.object.programs) {
    made.instructions += static_cast<std::uint32_t>(program.insns.size());
  }
  return made;
}

std::vector<driver::Attachment> attachments_of(const Made& made) {
  std::vector<driver::Attachment> out;
  for (const driver::CompiledProgram& program : made.compilation.programs) {
    out.push_back(program.attachment);
  }
  return out;
}

// Programs that accept everything, in the places of others.
void attach_floor(Lane& lane, const std::vector<driver::Attachment>& attachments) {
  std::vector<kernel::Fd> programs;
  for (const driver::Attachment& place : attachments) {
    const backend::Profile profile = backend::profile_for(place.hook);
    programs.push_back(returning_program(profile.program_type, profile.direction, profile.accept));
  }
  lane.road().attach(programs, attachments);
}

// The same packets must be accepted. What a connection's state is depends on when the kernel
// forgets it: some may differ.
void check_accepted(const Subject& subject, std::uint64_t by_nft, std::uint64_t by_weir) {
  constexpr double most = 0.01;
  const auto all = static_cast<double>(2 * trace_packets);
  const double difference = std::abs(static_cast<double>(by_nft) - static_cast<double>(by_weir));
  if (difference <= most * all) return;
  test::give_up(fmt::format("{} {}: nft accepts {} packets, weir {}", subject.file, subject.chain,
                            by_nft, by_weir));
}

// Samples, ns a packet: one a round.
struct Measured {
  const Subject* subject = nullptr;
  std::size_t rules = 0;
  std::uint32_t instructions = 0;
  std::vector<double> chain;    // an empty chain
  std::vector<double> program;  // as many programs as weir's that accept at once
  std::vector<double> nft;
  std::vector<double> weir;
  std::vector<double> saved;  // the differences
};

// Four roads, one behind the other in every round, in one order and in the other.
void measure_on_roads(const Subject& subject, const std::string& script, int rounds,
                      Measured& out) {
  const bool connections = script.find("ct state") != std::string::npos;
  const Traffic traffic = TrafficMaker(subject, script, connections).make();
  const auto sender_of = [&](const std::vector<Bytes>& packets) {
    const std::vector<Bytes> none = {Bytes(60)};
    return expect(Sender::create(FrameTrace(packets.empty() ? none : packets)));
  };
  const Sender forth = sender_of(traffic.forth);
  const Sender back = sender_of(traffic.back);
  const Made made = make(subject, script);
  out.rules = made.rules;
  out.instructions = made.instructions;
  Lane chain(subject, connections, traffic);
  Lane nft(subject, connections, traffic);
  Lane weir(subject, connections, traffic);
  Lane program(subject, connections, traffic);
  chain.road().load_ruleset(empty_chain(subject));
  nft.road().load_ruleset(script);
  weir.road().attach(made.loaded.programs, attachments_of(made));
  attach_floor(program, attachments_of(made));
  for (Lane* lane : {&chain, &nft, &weir, &program}) lane->warm_up(forth, back);
  if (subject.hook != "tc:egress") {
    for (Lane* lane : {&nft, &weir}) static_cast<void>(lane->send(forth, back, trace_packets));
    check_accepted(subject, nft.road().accepted(), weir.road().accepted());
  }
  const std::array<std::pair<Lane*, std::vector<double>*>, 4> lanes = {
      {{&chain, &out.chain}, {&nft, &out.nft}, {&weir, &out.weir}, {&program, &out.program}}};
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const auto& [lane, samples] = lanes.at(round % 2 == 0 ? i : lanes.size() - 1 - i);
      samples->push_back(lane->send(forth, back, packets_each_way));
    }
    out.saved.push_back(out.nft.back() - out.weir.back());
  }
}

std::string row_of(const Measured& one) {
  const Spread saved = spread_of(one.saved);
  return fmt::format("{:<45}{:>6}{:>9}{:>8.0f}{:>8.0f}{:>8.0f}{:>8.0f}{:>8.0f}  {:.0f} to {:.0f}\n",
                     one.subject->file + " " + one.subject->chain + " " + one.subject->hook,
                     one.rules, one.instructions, spread_of(one.chain).median,
                     spread_of(one.nft).median, spread_of(one.program).median,
                     spread_of(one.weir).median, saved.median, saved.lower_quartile,
                     saved.upper_quartile);
}

std::string json_of(const Measured& one) {
  const nlohmann::json line = {{"ruleset", one.subject->file},
                               {"chain", one.subject->chain},
                               {"hook", one.subject->hook},
                               {"rules", one.rules},
                               {"instructions", one.instructions},
                               {"ns_empty_chain", spread_of(one.chain).median},
                               {"ns_nft", spread_of(one.nft).median},
                               {"ns_empty_program", spread_of(one.program).median},
                               {"ns_weir", spread_of(one.weir).median},
                               {"ns_saved", spread_of(one.saved).median}};
  return line.dump() + "\n";
}

std::string measure(const Options& options) {
  std::string out = options.json
                        ? std::string()
                        : fmt::format("{:<45}{:>6}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}  quartiles\n",
                                      "ruleset, chain, hook", "rules", "insns", "chain", "nft",
                                      "program", "weir", "saved");
  for (const Subject& subject : subjects()) {
    const bool wanted = options.hooks.empty() ||
                        std::ranges::find(options.hooks, subject.file) != options.hooks.end() ||
                        std::ranges::find(options.hooks, subject.hook) != options.hooks.end();
    if (!wanted) continue;
    const std::string script = script_of(subject);
    Measured measured{.subject = &subject};
    // Where connections lie in the kernel's table of them is a matter of luck, for each road.
    for (int built = 0; built < times_built; ++built) {
      const int rounds = (options.rounds + times_built - 1) / times_built;
      measure_on_roads(subject, script, rounds, measured);
    }
    out += options.json ? json_of(measured) : row_of(measured);
  }
  return out;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("rulesets_bench",
                                "ns per packet of whole rulesets, weir against an empty program "
                                "and against nft; --hook takes names of rulesets as well",
                                argc, argv, weir::bench::measure);
}
