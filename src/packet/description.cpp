// SPDX-License-Identifier: BSD-2-Clause
#include "packet/description.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "packet/address.h"
#include "packet/builder.h"
#include "packet/checksum.h"
#include "packet/fields.h"

namespace weir::packet {
namespace {

struct Word {
  std::string_view text;
  std::uint32_t column = 0;  // from 1
};

std::vector<Word> split(std::string_view text) {
  std::vector<Word> words;
  constexpr std::string_view blanks = " \t\n,";
  for (std::size_t at = text.find_first_not_of(blanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    words.push_back({text.substr(at, end - at), static_cast<std::uint32_t>(at + 1)});
    at = text.find_first_not_of(blanks, end);
  }
  return words;
}

std::unexpected<Diagnostic> wrong(const Word& word, const std::string& expected) {
  return input_error("found '" + std::string(word.text) + "', expected " + expected,
                     {.file = "packet description", .line = 1, .column = word.column});
}

// One header as described, with what is said of its fields.
struct Header {
  const Protocol* protocol = nullptr;
  std::uint32_t column = 0;
  std::vector<std::pair<const Field*, Bytes>> fields;  // value: the field's bits, right-aligned
};

template <std::size_t N>
using Names = std::array<std::pair<std::string_view, std::uint64_t>, N>;

constexpr Names<8> tcp_flags = {{{"fin", 0x01},
                                 {"syn", 0x02},
                                 {"rst", 0x04},
                                 {"psh", 0x08},
                                 {"ack", 0x10},
                                 {"urg", 0x20},
                                 {"ecn", 0x40},
                                 {"cwr", 0x80}}};
// RFC 792 and RFC 4443, by nft's names.
constexpr Names<9> icmp_types = {{{"echo-reply", 0},
                                  {"destination-unreachable", 3},
                                  {"source-quench", 4},
                                  {"redirect", 5},
                                  {"echo-request", 8},
                                  {"time-exceeded", 11},
                                  {"parameter-problem", 12},
                                  {"timestamp-request", 13},
                                  {"timestamp-reply", 14}}};
constexpr Names<12> icmpv6_types = {{{"destination-unreachable", 1},
                                     {"packet-too-big", 2},
                                     {"time-exceeded", 3},
                                     {"parameter-problem", 4},
                                     {"echo-request", 128},
                                     {"echo-reply", 129},
                                     {"mld-listener-query", 130},
                                     {"nd-router-solicit", 133},
                                     {"nd-router-advert", 134},
                                     {"nd-neighbor-solicit", 135},
                                     {"nd-neighbor-advert", 136},
                                     {"nd-redirect", 137}}};
constexpr Names<6> packet_types = {{{"host", 0},
                                    {"unicast", 0},
                                    {"broadcast", 1},
                                    {"multicast", 2},
                                    {"other", 3},
                                    {"outgoing", 4}}};

template <std::size_t N>
std::optional<std::uint64_t> find_name(const Names<N>& names, std::string_view name) {
  const auto* found =
      std::ranges::find(names, name, &std::pair<std::string_view, std::uint64_t>::first);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<Bytes> parse_mac(std::string_view text) {
  Bytes out;
  while (out.size() < 6) {
    const std::size_t end = std::min(text.find(':'), text.size());
    unsigned value = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + end, value, 16);
    if (error != std::errc() || at != text.data() + end || end == 0 || end > 2) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(value));
    const bool last = end == text.size();
    if (last != (out.size() == 6)) return std::nullopt;
    text.remove_prefix(last ? end : end + 1);
  }
  return out;
}

// "syn|ack"
std::optional<std::uint64_t> parse_flags(std::string_view text) {
  std::uint64_t flags = 0;
  for (;;) {
    const std::size_t end = std::min(text.find('|'), text.size());
    const auto flag = find_name(tcp_flags, text.substr(0, end));
    if (!flag) return std::nullopt;
    flags |= *flag;
    if (end == text.size()) return flags;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint64_t> find_service(std::string_view name, std::string_view protocol) {
  const std::string service(name);
  const std::string transport(protocol);
  const servent* found =
      ::getservbyname(service.c_str(), transport == "th" ? nullptr : transport.c_str());
  if (found == nullptr) return std::nullopt;
  return ntohs(static_cast<std::uint16_t>(found->s_port));
}

// What a word may stand for in a field, beside a number.
std::optional<std::uint64_t> parse_name(const Field& field, std::string_view text) {
  if (field.name == "tcp flags") return parse_flags(text);
  if (field.name == "icmp type") return find_name(icmp_types, text);
  if (field.name == "icmpv6 type") return find_name(icmpv6_types, text);
  if (field.name.ends_with(" sport") || field.name.ends_with(" dport")) {
    return find_service(text, field.protocol->name);
  }
  if (field.name == "ip protocol" || field.name.ends_with(" nexthdr")) {
    const Protocol* named = find_protocol(text);
    if (named != nullptr && named->ip_protocol) return *named->ip_protocol;
  }
  if (field.name == "ether type" || field.name == "vlan type") {
    const Protocol* named = find_protocol(text);
    if (named != nullptr && named->ethertype) return *named->ethertype;
  }
  return std::nullopt;
}

bool is_ipv4_address(const Field& field) {
  return field.bit_length == 32 &&
         (field.name.ends_with("addr") || field.name.ends_with(" addr ip") ||
          field.name == "arp saddr ip" || field.name == "arp daddr ip" ||
          field.name == "icmp gateway" || field.name == "igmp group");
}

template <typename Address>
Result<Bytes> address_bytes(const Word& word, Result<Address> address, const std::string& kind) {
  if (!address) return wrong(word, kind);
  return Bytes(address->begin(), address->end());
}

Result<Bytes> parse_value(const Field& field, const Word& word) {
  const std::string of = " for " + std::string(field.name);
  if (field.bit_length == 128) {
    return address_bytes(word, parse_ipv6(word.text), "an IPv6 address" + of);
  }
  if (is_ipv4_address(field)) {
    return address_bytes(word, parse_ipv4(word.text), "an IPv4 address" + of);
  }
  if (field.bit_length == 48) {
    const auto mac = parse_mac(word.text);
    if (!mac) return wrong(word, "a MAC address" + of);
    return *mac;
  }
  auto number = parse_number(word.text);
  if (!number) number = parse_name(field, word.text);
  if (!number) return wrong(word, "a value" + of);
  if (field.bit_length < 64 && *number >> field.bit_length != 0) {
    return wrong(word,
                 "at most " + std::to_string((std::uint64_t{1} << field.bit_length) - 1) + of);
  }
  return big_endian_bytes(*number, 8);
}

// Reads the words into headers and facts.
class Reader {
 public:
  explicit Reader(std::string_view text) : words_(split(text)) {}

  Status run();

  std::vector<Header> headers;
  std::size_t payload = 0;
  std::uint32_t mark = 0;
  PacketType type = PacketType::host;
  std::optional<Description::Connection> connection;

 private:
  [[nodiscard]] bool at_end() const { return next_ == words_.size(); }
  Result<Word> take(const std::string& expected);
  Status meta();
  Status ct_state();
  Status payload_size();
  Status field();

  std::vector<Word> words_;
  std::size_t next_ = 0;
};

Result<Word> Reader::take(const std::string& expected) {
  if (!at_end()) return words_[next_++];
  const std::uint32_t column =
      words_.empty() ? 1
                     : words_.back().column + static_cast<std::uint32_t>(words_.back().text.size());
  return input_error("the description ends, expected " + expected,
                     {.file = "packet description", .line = 1, .column = column});
}

Status Reader::run() {
  while (!at_end()) {
    const Word word = words_[next_];
    if (word.text == "meta" || word.text == "ct" || word.text == "payload") {
      ++next_;
      WEIR_CHECK(word.text == "meta" ? meta() : word.text == "ct" ? ct_state() : payload_size());
    } else if (const Protocol* protocol = find_protocol(word.text); protocol != nullptr) {
      ++next_;
      headers.push_back({.protocol = protocol, .column = word.column, .fields = {}});
    } else {
      WEIR_CHECK(field());
    }
  }
  return {};
}

Status Reader::meta() {
  WEIR_TRY(key, take("mark or pkttype"));
  if (key.text != "mark" && key.text != "pkttype") return wrong(key, "mark or pkttype");
  WEIR_TRY(value, take("a value for meta " + std::string(key.text)));
  if (key.text == "mark") {
    const auto number = parse_number(value.text);
    if (!number || *number > 0xffffffff) return wrong(value, "a mark of 32 bits");
    mark = static_cast<std::uint32_t>(*number);
    return {};
  }
  const auto found = find_name(packet_types, value.text);
  if (!found) return wrong(value, "host, broadcast, multicast, other or outgoing");
  type = static_cast<PacketType>(*found);
  return {};
}

Status Reader::ct_state() {
  WEIR_TRY(key, take("state"));
  if (key.text != "state") return wrong(key, "state");
  const std::string expected = "new, established, related, invalid or untracked";
  WEIR_TRY(value, take(expected));
  if (value.text == "new") {
    connection = {.exists = true, .info = CtInfo::new_};
  } else if (value.text == "established") {
    connection = {.exists = true, .info = CtInfo::established};
  } else if (value.text == "related") {
    connection = {.exists = true, .info = CtInfo::related};
  } else if (value.text == "invalid") {
    connection = {.exists = false, .info = CtInfo::established};
  } else if (value.text == "untracked") {
    connection = {.exists = false, .info = CtInfo::untracked};
  } else {
    return wrong(value, expected);
  }
  return {};
}

Status Reader::payload_size() {
  constexpr std::uint64_t most = 65000;
  WEIR_TRY(value, take("a number of bytes"));
  const auto number = parse_number(value.text);
  if (!number || *number > most) {
    return wrong(value, "a number of bytes, at most " + std::to_string(most));
  }
  payload = *number;
  return {};
}

Status Reader::field() {
  const Word word = words_[next_++];
  if (headers.empty()) return wrong(word, "a protocol, meta, ct or payload");
  Header& header = headers.back();
  std::string name = std::string(header.protocol->name) + " " + std::string(word.text);
  const Field* found = find_field(name);
  if (found == nullptr && !at_end()) {  // "arp saddr ip"
    found = find_field(name + " " + std::string(words_[next_].text));
    if (found != nullptr) ++next_;
  }
  if (found == nullptr) {
    return wrong(word, "a field of " + std::string(header.protocol->name) + " or a protocol");
  }
  WEIR_TRY(value, take("a value for " + std::string(found->name)));
  WEIR_TRY(bytes, parse_value(*found, value));
  header.fields.emplace_back(found, std::move(bytes));
  return {};
}

// ---- From headers to bytes
// -----------------------------------------------------------------------

std::optional<TransportHeader> transport_of(std::string_view name) {
  if (name == "tcp") return Tcp{};
  if (name == "udp") return Udp{};
  if (name == "udplite") return UdpLite{};
  if (name == "sctp") return Sctp{};
  if (name == "dccp") return Dccp{};
  if (name == "icmp") return Icmp{};
  if (name == "icmpv6") return Icmpv6{};
  if (name == "igmp") return Igmp{};
  if (name == "ah") return Ah{};
  if (name == "esp") return Esp{};
  if (name == "gre") return Gre{};
  return std::nullopt;
}

// What the headers are to the builder, and which of its headers each of them is.
struct Plan {
  Recipe recipe = {.link = Ethernet{}};
  bool has_network = false;
  bool has_transport = false;
  std::size_t tags = 0;
  std::vector<Extension> extensions;
  // One for each described header: how many of its own kind (tags, extensions) come before it.
  std::vector<std::size_t> ordinals;
};

Status add_network(Plan& plan, std::string_view name) {
  plan.has_network = true;
  if (name == "ip") plan.recipe.network = Ipv4{};
  if (name == "ip6") plan.recipe.network = Ipv6{};
  if (name == "arp") plan.recipe.network = Arp{};
  return {};
}

Status add_header(Plan& plan, const Header& header) {
  const std::string_view name = header.protocol->name;
  const Word word{.text = name, .column = header.column};
  plan.ordinals.push_back(0);
  switch (header.protocol->layer) {
    case Layer::link:
      if (plan.has_network) return wrong(word, "no link-layer header behind a network header");
      if (name == "vlan") {
        plan.ordinals.back() = plan.tags++;
        plan.recipe.link->tags.emplace_back();
      }
      return {};
    case Layer::network:
      if (plan.has_network) return wrong(word, "one network header");
      return add_network(plan, name);
    case Layer::extension: {
      if (plan.has_transport) return wrong(word, "no extension header behind a transport header");
      if (!plan.has_network) WEIR_CHECK(add_network(plan, "ip6"));
      if (!std::holds_alternative<Ipv6>(plan.recipe.network)) {
        return wrong(word, "extension headers behind ip6 only");
      }
      plan.ordinals.back() = plan.extensions.size();
      plan.extensions.push_back(
          {.kind = static_cast<IpProtocol>(header.protocol->ip_protocol.value())});
      return {};
    }
    case Layer::transport: {
      if (name == "th") {
        if (!plan.has_transport) return wrong(word, "tcp, udp, udplite, sctp or dccp before th");
        return {};
      }
      if (plan.has_transport) return wrong(word, "one transport header");
      if (!plan.has_network) WEIR_CHECK(add_network(plan, name == "icmpv6" ? "ip6" : "ip"));
      if (std::holds_alternative<Arp>(plan.recipe.network)) {
        return wrong(word, "no transport header behind arp");
      }
      const auto transport = transport_of(name);
      invariant(transport.has_value(), "a transport protocol that cannot be built");
      plan.recipe.transport = *transport;
      plan.has_transport = true;
      return {};
    }
  }
  throw InvariantError("layer out of range");
}

std::size_t header_offset(const Header& header, std::size_t ordinal, const Layout& layout) {
  switch (header.protocol->layer) {
    case Layer::link:
      return header.protocol->layer_offset + 4 * ordinal;
    case Layer::network:
      return layout.network_offset;
    case Layer::extension:
      return ordinal == 0 ? layout.network_end : layout.extension_ends.at(ordinal - 1);
    case Layer::transport:
      return layout.transport_offset;
  }
  throw InvariantError("layer out of range");
}

// Puts the low bits of `value` at bit `at` of the packet.
void put_bits(Bytes& packet, std::size_t at, std::size_t count, ByteView value) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t from = value.size() * 8 - count + i;
    const bool bit = ((value[from / 8] >> (7 - from % 8)) & 1) != 0;
    std::uint8_t& byte = packet.at((at + i) / 8);
    const auto mask = static_cast<std::uint8_t>(0x80 >> ((at + i) % 8));
    byte = static_cast<std::uint8_t>(bit ? byte | mask : byte & ~mask);
  }
}

bool is_checksum(const Field& field) {
  return field.name.ends_with(" checksum");
}

}  // namespace

Result<Description> parse_description(std::string_view text) {
  Reader reader(text);
  WEIR_CHECK(reader.run());
  Plan plan;
  for (const Header& header : reader.headers) WEIR_CHECK(add_header(plan, header));
  if (auto* ipv6 = std::get_if<Ipv6>(&plan.recipe.network)) ipv6->extensions = plan.extensions;
  plan.recipe.payload.assign(reader.payload, 0);

  Built built = build_with_layout(plan.recipe);
  const auto put = [&](bool checksums) {
    for (std::size_t i = 0; i < reader.headers.size(); ++i) {
      const std::size_t start =
          8 * header_offset(reader.headers[i], plan.ordinals[i], built.layout);
      for (const auto& [field, value] : reader.headers[i].fields) {
        if (is_checksum(*field) != checksums) continue;
        put_bits(built.packet.bytes, start + field->bit_offset, field->bit_length, value);
      }
    }
  };
  put(false);
  repair_checksums(built.packet);
  put(true);

  Description out{.packet = std::move(built.packet), .connection = reader.connection};
  out.packet.mark = reader.mark;
  out.packet.type = reader.type;
  return out;
}

}  // namespace weir::packet
