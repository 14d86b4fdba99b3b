// SPDX-License-Identifier: BSD-2-Clause
//
// The reference evaluator on the cases of evaluator/*.txt. Lines of such a file:
//
//   ; comment
//   let NAME BYTES       from here on, NAME stands for the bytes
//   == TITLE             a case; the lines up to the first packet are the text of its unit
//   > [KEY=VALUE] BYTES  a packet
//   = OUTCOME            what it must come to; what is behind ", counted" may be left out
//
// BYTES are hex digits and NAMEs; "*N" behind one repeats it, "[N]" cuts it to N bytes. Keys: at
// (offset of the network header), iif and oif (INDEX/NAME), mark, type, ct, keep-unparsable,
// vlan (PROTOCOL/TCI, in metadata), now (milliseconds since the first packet of the case, which its
// meters go through with the others).
#include "imr/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "imr/parse.h"
#include "imr/verify.h"

namespace weir::imr {
namespace {

using Names = std::map<std::string, Bytes>;

constexpr std::uint64_t clock_start = 5'000'000'000'000;

struct Probe {
  packet::Packet packet;
  EvaluatorOptions options{.now = clock_start};
};

std::size_t to_number(const std::string& text) {
  return std::stoul(text, nullptr, 0);
}

Bytes read_bytes(std::string word, const Names& names) {
  std::size_t times = 1;
  std::size_t size = SIZE_MAX;
  if (const auto cut = word.find('['); cut != std::string::npos) {
    size = to_number(word.substr(cut + 1));
    word.resize(cut);
  }
  if (const auto star = word.find('*'); star != std::string::npos) {
    times = to_number(word.substr(star + 1));
    word.resize(star);
  }
  Bytes once;
  if (const auto named = names.find(word); named != names.end()) {
    once = named->second;
  } else {
    const auto hex = from_hex("0x" + word);
    if (!hex) throw InvariantError("neither a name nor hex digits: " + word);
    once = *hex;
  }
  Bytes out;
  for (std::size_t i = 0; i < times; ++i) out.insert(out.end(), once.begin(), once.end());
  out.resize(std::min(out.size(), size));
  return out;
}

// "a/b/c"
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream words(text);
  for (std::string part; std::getline(words, part, '/');) parts.push_back(part);
  return parts;
}

// Index, name, and where they matter group and kind.
packet::Device read_device(const std::string& text) {
  const std::vector<std::string> parts = split(text);
  packet::Device device{.index = static_cast<std::uint32_t>(to_number(parts.at(0))),
                        .name = parts.size() > 1 ? parts[1] : ""};
  if (parts.size() > 2) device.group = static_cast<std::uint32_t>(to_number(parts[2]));
  if (parts.size() > 3) device.kind = parts[3];
  return device;
}

Bytes hex_bytes(const std::string& text) {
  const Result<Bytes> bytes = from_hex("0x" + text);
  invariant(bytes.has_value(), "no hexadecimal digits: " + text);
  return *bytes;
}

// "10.0.0.1" as it stands in hexadecimal, a port, and so to the other end: "0a000001/1/0a000002/2".
void read_side(const std::string& text, packet::ConnectionSide& side) {
  const std::vector<std::string> parts = split(text);
  invariant(parts.size() == 4, "a side of a connection has four parts");
  side.source = hex_bytes(parts[0]);
  side.source_port = static_cast<std::uint16_t>(to_number(parts[1]));
  side.destination = hex_bytes(parts[2]);
  side.destination_port = static_cast<std::uint16_t>(to_number(parts[3]));
}

// Realms, and where they matter the next hop as hexadecimal digits, and "ipsec".
packet::Route read_route(const std::string& text) {
  const std::vector<std::string> parts = split(text);
  packet::Route route{.realms = static_cast<std::uint32_t>(to_number(parts.at(0)))};
  if (parts.size() > 1 && !parts[1].empty()) route.next_hop = hex_bytes(parts[1]);
  route.transformed = parts.size() > 2 && parts[2] == "ipsec";
  return route;
}

// Of the packet's connection; whether it is such a key.
bool read_connection(const std::string& key, const std::string& value,
                     packet::Connection& connection) {
  const auto number = [&] { return static_cast<std::uint32_t>(to_number(value)); };
  if (key == "ct-status") {
    connection.status = number();
  } else if (key == "ct-mark") {
    connection.mark = number();
  } else if (key == "ct-helper") {
    connection.helper = value;
  } else if (key == "ct-family") {
    connection.ipv6 = value == "6";
  } else if (key == "ct-protocol") {
    connection.protocol = static_cast<std::uint8_t>(to_number(value));
  } else if (key == "ct-zone") {  // and "original" or "reply"
    const std::string of = value.substr(value.find('/') + 1);
    connection.zone = {.id = static_cast<std::uint16_t>(to_number(value)),
                       .of_original = of != "reply",
                       .of_reply = of != "original"};
  } else if (key == "ct-labels") {
    std::ranges::copy(hex_bytes(value), connection.labels.begin());
  } else if (key == "ct-original") {
    read_side(value, connection.original);
  } else if (key == "ct-reply") {
    read_side(value, connection.reply);
  } else if (key == "ct-counts") {  // packets and bytes of either direction
    const std::vector<std::string> parts = split(value);
    connection.original.packets = to_number(parts.at(0));
    connection.original.bytes = to_number(parts.at(1));
    connection.reply.packets = to_number(parts.at(2));
    connection.reply.bytes = to_number(parts.at(3));
  } else {
    return false;
  }
  return true;
}

void read_key(const std::string& key, const std::string& value, Probe& probe) {
  packet::Packet& packet = probe.packet;
  if (read_connection(key, value, packet.connection)) return;
  if (key == "at") {
    packet.network_offset = static_cast<std::uint32_t>(to_number(value));
  } else if (key == "iif") {
    packet.in = read_device(value);
  } else if (key == "oif") {
    packet.out = read_device(value);
  } else if (key == "mark") {
    packet.mark = static_cast<std::uint32_t>(to_number(value));
  } else if (key == "priority") {
    packet.priority = static_cast<std::uint32_t>(to_number(value));
  } else if (key == "cpu") {
    packet.cpu = static_cast<std::uint32_t>(to_number(value));
  } else if (key == "route") {
    packet.route = read_route(value);
  } else if (key == "socket") {  // user, group, class; without a file the class alone
    const std::vector<std::string> parts = split(value);
    packet.socket = packet::Socket{.has_file = parts.size() == 3};
    packet.socket->cgroup_class = static_cast<std::uint32_t>(to_number(parts.back()));
    if (packet.socket->has_file) {
      packet.socket->user = static_cast<std::uint32_t>(to_number(parts[0]));
      packet.socket->group = static_cast<std::uint32_t>(to_number(parts[1]));
    }
  } else if (key == "type") {
    packet.type = static_cast<packet::PacketType>(to_number(value));
  } else if (key == "ct") {
    packet.ct_info = static_cast<packet::CtInfo>(to_number(value));
    packet.has_connection = packet.ct_info != packet::CtInfo::untracked;
  } else if (key == "vlan") {
    packet.vlan = packet::HwaccelTag{
        .protocol = static_cast<std::uint16_t>(to_number(value)),
        .tci = static_cast<std::uint16_t>(to_number(value.substr(value.find('/') + 1)))};
  } else if (key == "now") {
    probe.options.now = clock_start + std::uint64_t{1'000'000} * to_number(value);
  } else if (key == "keep-unparsable") {
    probe.options.drop_unparsable = false;
  } else {
    throw InvariantError("unknown key " + key);
  }
}

Probe read_probe(const std::string& line, const Names& names) {
  Probe probe;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    if (const auto equals = word.find('='); equals != std::string::npos) {
      read_key(word.substr(0, equals), word.substr(equals + 1), probe);
      continue;
    }
    const Bytes bytes = read_bytes(word, names);
    probe.packet.bytes.insert(probe.packet.bytes.end(), bytes.begin(), bytes.end());
  }
  return probe;
}

std::string text_of(const SentFrame& frame) {
  return std::to_string(frame.device.value_or(0)) + " " + to_hex(frame.bytes);
}

std::string in_words(const Outcome& outcome) {
  std::string text;
  switch (outcome.verdict) {
    case Outcome::Verdict::accept:
      text = "accept";
      break;
    case Outcome::Verdict::drop:
      text = "drop";
      break;
    case Outcome::Verdict::native:
      text = "native";
      break;
  }
  text += outcome.decided_by ? " by #" + std::to_string(outcome.decided_by->value) : " by policy";
  text += ", matched";
  for (const RuleId rule : outcome.matched) text += " #" + std::to_string(rule.value);
  if (outcome.matched.empty()) text += " none";
  if (outcome.mark) text += ", mark " + to_hex(big_endian_bytes(*outcome.mark, 4));
  if (outcome.priority) text += ", priority " + std::to_string(*outcome.priority);
  if (outcome.type) text += ", type " + std::to_string(static_cast<unsigned>(*outcome.type));
  if (outcome.bytes) text += ", bytes " + to_hex(*outcome.bytes);
  for (const SentFrame& copy : outcome.duplicates) text += ", copy to " + text_of(copy);
  if (outcome.sent) text += ", sent to " + text_of(*outcome.sent);
  for (const LogRecord& one : outcome.logged) {
    text += ", logs #" + std::to_string(one.rule.value) + "." + std::to_string(one.number) + " " +
            std::to_string(one.bytes.size()) + " of " + std::to_string(one.length);
  }
  text += ", counted";
  for (const CounterId counter : outcome.counted) text += " #" + std::to_string(counter.value);
  if (outcome.counted.empty()) text += " none";
  return text + ", " + std::to_string(outcome.counted_bytes) + " bytes";
}

class EvaluatorCases : public testing::TestWithParam<const char*> {};

TEST_P(EvaluatorCases, ComeToTheirOutcome) {
  const std::string path =
      std::string(WEIR_SOURCE_DIR "/tests/unit/imr/evaluator/") + GetParam() + ".txt";
  std::ifstream file(path);
  ASSERT_TRUE(file) << "cannot read " << path;
  Names names;
  std::string title;
  std::string text;
  MeterMemory meters;
  ElementMemory elements;
  std::optional<Unit> unit;
  std::optional<Probe> probe;
  int checked = 0;
  int line_number = 0;
  for (std::string line; std::getline(file, line);) {
    ++line_number;
    SCOPED_TRACE(path + ":" + std::to_string(line_number) + ": " + title);
    if (line.starts_with("let ")) {
      std::istringstream words(line.substr(4));
      std::string name;
      words >> name;
      std::string rest;
      std::getline(words, rest);
      names[name] = read_probe(rest, names).packet.bytes;
    } else if (line.starts_with("== ")) {
      title = line.substr(3);
      text.clear();
      unit.reset();
    } else if (line.starts_with("> ")) {
      if (!unit) {
        auto parsed = parse_unit(text, path);
        ASSERT_TRUE(parsed) << parsed.error().text() << "\nin\n" << text;
        unit = std::move(*parsed);
        meters = MeterMemory(unit->ruleset, clock_start);
        elements = ElementMemory(unit->ruleset, clock_start);
      }
      probe = read_probe(line.substr(2), names);
      probe->options.meters = &meters;
      probe->options.elements = &elements;
    } else if (line.starts_with("= ")) {
      ASSERT_TRUE(unit && probe) << "an outcome without a packet";
      const std::string expected = line.substr(2);
      std::string found = in_words(evaluate(*unit, probe->packet, probe->options));
      if (expected.find("counted") == std::string::npos) found.resize(found.find(", counted"));
      EXPECT_EQ(found, expected);
      probe.reset();
      ++checked;
    } else if (!line.starts_with(";")) {
      text += line + "\n";
    }
  }
  EXPECT_GT(checked, 0);
}

INSTANTIATE_TEST_SUITE_P(Files, EvaluatorCases,
                         testing::Values("walk", "writes", "option_writes", "answers", "sends",
                                         "expressions", "sets", "ipv4", "ipv6", "context", "xdp",
                                         "frames", "extensions", "meters", "chance", "logs",
                                         "dynamic_sets"),
                         [](const auto& file) { return std::string(file.param); });

// What XDP does not know is refused when a program is compiled; here it is a mistake of ours.
TEST(Evaluator, XdpKnowsNoConnectionsMarksAndOutputs) {
  for (const std::string expr :
       {"ct state", "ct mark", "meta mark", "meta oif", "meta oifname", "meta oifgroup",
        "meta pkttype", "meta priority", "meta skuid", "meta cgroup", "meta rtclassid",
        "meta rtipsec", "nexthop(payload network 16 4)"}) {
    auto unit = parse_unit(
        "unit xdp ipv4 roots ip t c table ip t chain ip t c hook forward priority 0 policy drop "
        "rule match " +
            expr + " == 0x00",
        "test");
    ASSERT_TRUE(unit) << unit.error().text();
    packet::Packet packet;
    packet.bytes.assign(12, 0);
    for (const int byte : {0x08, 0x00, 0x45, 0x00, 0x00, 0x14}) {
      packet.bytes.push_back(static_cast<std::uint8_t>(byte));
    }
    packet.bytes.resize(34);
    EXPECT_THROW(static_cast<void>(evaluate(*unit, packet)), InvariantError) << expr;
  }
}

}  // namespace
}  // namespace weir::imr
