// SPDX-License-Identifier: BSD-2-Clause
#include "differential/explore.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>

#include "differential/random.h"
#include "driver/runner.h"
#include "imr/constants.h"
#include "imr/probes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace weir::differential {
namespace {

using packet::Packet;
using packet::Probe;

// Tries for each packet that is asked for.
constexpr std::size_t tries_each = 20;
// Packets of each rule that others are made of.
constexpr std::size_t enough = 4;

// Devices as rules name them, with an index each.
class Devices {
 public:
  Devices(const imr::Ruleset& ruleset, const Hook& hook) {
    const imr::Constants constants = imr::constants(ruleset);
    const bool leaves =
        hook.kind == Hook::Kind::tc_egress || hook.kind == Hook::Kind::cgroup_egress;
    const bool netfilter = hook.kind == Hook::Kind::netfilter;
    has_in_ = netfilter ? hook.nf_hook != NfHook::output : !leaves;
    has_out_ =
        netfilter ? hook.nf_hook != NfHook::prerouting && hook.nf_hook != NfHook::input : leaves;
    add(constants, imr::MetaKey::iifname, in_);
    add(constants, imr::MetaKey::oifname, out_);
  }

  void give(Packet& packet, Random& random) const {
    packet.in = has_in_ ? random.pick(in_) : packet::Device{};
    packet.out = has_out_ ? random.pick(out_) : packet::Device{};
  }

 private:
  void add(const imr::Constants& constants, imr::MetaKey key, std::vector<packet::Device>& to) {
    std::set<std::string> names = {"eth0"};
    for (const imr::MetaConstant& constant : constants.meta) {
      if (constant.key != key) continue;
      std::string name;
      for (const std::uint8_t c : constant.value) {
        if (c == 0 || c == 0xff) break;
        name += static_cast<char>(c);
      }
      // What begins a name ("wg*") is made one.
      if (name.size() == constant.value.size() && name.size() < 15) name += "0";
      if (!name.empty()) names.insert(name);
    }
    for (const std::string& name : names) {
      to.push_back({.index = next_index_++, .name = name});
    }
  }

  std::uint32_t next_index_ = 1001;
  bool has_in_ = false;
  bool has_out_ = false;
  std::vector<packet::Device> in_;
  std::vector<packet::Device> out_;
};

std::optional<std::size_t> place_of(const Probe& probe, const Packet& packet) {
  switch (probe.layer) {
    case packet::Layer::link:
      // Addresses; what stands behind them says what kind of packet it is.
      if (packet.network_offset == 0 || probe.offset + probe.length > 12) return std::nullopt;
      return probe.offset;
    case packet::Layer::network:
      return packet.network_offset + probe.offset;
    case packet::Layer::transport: {
      const auto transport = packet::find_transport(packet.network(), packet.ethertype);
      if (!transport) return std::nullopt;
      return packet.network_offset + transport->offset + probe.offset;
    }
    case packet::Layer::extension:
      break;  // directed packets have the items that rules ask for
  }
  return std::nullopt;
}

class Explorer {
 public:
  Explorer(const RulesetAtHook& subject, PacketFacts facts, std::mt19937_64& random)
      : subject_(subject),
        facts_(facts),
        random_(random),
        probes_(imr::probes_of(subject.ruleset)),
        devices_(subject.ruleset, subject.hook) {
    for (std::size_t i = 0; i < probes_.size(); ++i) by_rule_[probes_[i].group].push_back(i);
  }

  Result<Explored> run(const driver::Compilation& compilation, std::size_t count) {
    WEIR_TRY(evaluator,
             driver::Runner::create(driver::EngineKind::evaluator, subject_.ruleset, compilation));
    std::vector<Packet> first = directed(count);
    for (const Packet& packet : first) {
      WEIR_CHECK(look_at(evaluator, packet));
    }
    std::vector<Packet> changed;
    for (std::size_t i = 0; i < count * tries_each && !found_.empty(); ++i) {
      Packet packet = random_.pick(found_);
      change(packet);
      if (facts_ == PacketFacts::test_run && !test_run_takes(packet, subject_.hook)) continue;
      WEIR_CHECK(look_at(evaluator, packet));
      if (i % tries_each == 0) changed.push_back(std::move(packet));
    }
    out_.packets = found_;
    if (out_.packets.size() > count / 2) out_.packets.resize(count / 2);
    fill(std::move(first), std::move(changed), count);
    return std::move(out_);
  }

 private:
  std::vector<Packet> directed(std::size_t count) {
    const bool drawn = facts_ != PacketFacts::test_run;
    std::vector<Packet> out =
        packets_for(subject_, count, drawn, random_.engine(), facts_ == PacketFacts::routed);
    if (facts_ == PacketFacts::routed) {
      for (Packet& packet : out) devices_.give(packet, random_);
    }
    return out;
  }

  // One that meets a rule that few before did is found: the first may be cut off, or a fragment.
  Status look_at(driver::Runner& evaluator, const Packet& packet) {
    WEIR_TRY(outcome, evaluator.run(packet));
    bool is_new = false;
    for (const imr::RuleId rule : outcome.matched) {
      out_.reached.insert(rule.index());
      is_new = ++met_[rule.index()] <= enough || is_new;
    }
    if (is_new) found_.push_back(packet);
    return {};
  }

  void change(Packet& packet) {
    if (random_.chance(70)) {
      apply_rule(packet);
    } else {
      for (std::uint64_t n = 1 + random_.below(2); n > 0 && !probes_.empty(); --n) {
        apply(random_.pick(probes_), packet);
      }
    }
    if (facts_ != PacketFacts::test_run && random_.one_in(4)) take_facts(packet);
    if (facts_ == PacketFacts::routed || !random_.one_in(10)) lengthen(packet);
    if (facts_ == PacketFacts::routed || !random_.one_in(30)) packet::repair_checksums(packet);
  }

  // As long as the IP header says: what is cut off has no transport header for nf_tables.
  static void lengthen(Packet& packet) {
    constexpr std::size_t longest = 1400;
    const ByteView network = packet.network();
    if (network.size() < 40 || !is_ip(packet)) return;
    const bool v6 = packet.ethertype == packet::ethertype_ipv6;
    const std::size_t said = load_big_endian(network.subspan(v6 ? 4 : 2, 2)) + (v6 ? 40 : 0);
    if (said > network.size() && said <= longest) {
      packet.bytes.resize(packet.network_offset + said);
    }
  }

  // A value for each of the places that one rule looks at; mostly a rule not yet met.
  void apply_rule(Packet& packet) {
    if (by_rule_.empty()) return;
    auto rule =
        std::next(by_rule_.begin(), static_cast<std::ptrdiff_t>(random_.below(by_rule_.size())));
    for (int i = 0; i < 8 && out_.reached.contains(rule->first); ++i) {
      rule =
          std::next(by_rule_.begin(), static_cast<std::ptrdiff_t>(random_.below(by_rule_.size())));
    }
    const std::vector<std::size_t>& all = rule->second;
    for (std::size_t i = 0; i < 4; ++i) apply(probes_[random_.pick(all)], packet);
  }

  void apply(const Probe& probe, Packet& packet) {
    if (probe.ethertype && *probe.ethertype != packet.ethertype) return;
    if (probe.ip_protocol) set_protocol(*probe.ip_protocol, packet);
    const auto at = place_of(probe, packet);
    if (!at || *at + probe.length > packet.bytes.size()) return;
    Bytes value = probe.value;
    value.resize(probe.length);
    if (random_.one_in(8)) value.back() = static_cast<std::uint8_t>(value.back() + 1);
    const bool has_version = is_ip(packet) && !packet.network().empty();
    const std::uint8_t version = has_version ? packet.network()[0] & 0xf0 : 0;
    std::ranges::copy(value, packet.bytes.begin() + static_cast<std::ptrdiff_t>(*at));
    if (!has_version) return;
    std::uint8_t& begin = packet.bytes[packet.network_offset];
    begin = static_cast<std::uint8_t>(version | (begin & 0x0f));
  }

  static bool is_ip(const Packet& packet) {
    return packet.ethertype == packet::ethertype_ipv4 || packet.ethertype == packet::ethertype_ipv6;
  }

  static void set_protocol(std::uint8_t protocol, Packet& packet) {
    const std::size_t place = packet.ethertype == packet::ethertype_ipv4 ? 9 : 6;
    if (is_ip(packet) && packet.network().size() > 40)
      packet.bytes[packet.network_offset + place] = protocol;
  }

  // Of another directed packet.
  void take_facts(Packet& packet) {
    if (donors_.empty()) donors_ = directed(64);
    const Packet& from = random_.pick(donors_);
    if (random_.one_in(3)) {
      packet.in = from.in;
      packet.out = from.out;
    } else {
      devices_.give(packet, random_);
    }
    packet.mark = from.mark;
    packet.type = from.type;
    packet.has_connection = from.has_connection;
    packet.ct_info = from.ct_info;
  }

  void fill(std::vector<Packet> first, std::vector<Packet> changed, std::size_t count) {
    std::vector<Packet>& all = out_.packets;
    const std::size_t some = count > all.size() ? count - all.size() : 0;
    const auto take = [&](std::vector<Packet>& from, std::size_t n) {
      for (std::size_t i = 0; i < std::min(n, from.size()); ++i) all.push_back(std::move(from[i]));
    };
    take(changed, some / 2);
    take(first, count > all.size() ? count - all.size() : 0);
    for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random_.below(i)]);
    if (facts_ != PacketFacts::drawn) return;
    constexpr std::array<std::int64_t, 6> steps = {0,         1,          1'000'000,
                                                   7'000'000, 50'000'000, 1'000'000'000};
    std::int64_t now = 1'795'281'776'779'374'000;
    for (Packet& packet : all) packet.time_ns = now += random_.pick(steps);
  }

  const RulesetAtHook& subject_;
  PacketFacts facts_;
  Random random_;
  std::vector<Probe> probes_;
  std::map<std::uint32_t, std::vector<std::size_t>> by_rule_;  // indices of probes
  Devices devices_;
  std::map<std::size_t, std::size_t> met_;  // packets by rule
  std::vector<Packet> found_;
  std::vector<Packet> donors_;
  Explored out_;
};

}  // namespace

Result<Explored> explore(const RulesetAtHook& subject, const driver::Compilation& compilation,
                         std::size_t count, PacketFacts facts, std::mt19937_64& random) {
  return Explorer(subject, facts, random).run(compilation, count);
}

}  // namespace weir::differential
