// SPDX-License-Identifier: BSD-2-Clause
//
// Elements of dynamic sets in nft's words.
#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "imr/dynamic_sets.h"
#include "imr/visit.h"
#include "service/dynamic_sets.h"
#include "service/rule_text.h"

namespace weir::service {
namespace {

constexpr std::uint64_t millisecond = 1'000'000;  // nanoseconds

// Types whose values have the order of the host (include/datatype.h of nft).
constexpr std::array<std::string_view, 16> host_order = {
    "mark",      "iface_index", "iface_type", "realm",    "classid", "uid",  "gid", "ct_state",
    "ct_status", "ct_dir",      "pkt_type",   "devgroup", "time",    "hour", "day", "ct_label"};
constexpr std::array<std::string_view, 6> decimal = {"inet_service", "inet_proto", "uid",
                                                     "gid",          "devgroup",   "iface_index"};

bool is_one_of(std::string_view type, const auto& types) {
  return std::ranges::find(types, type) != types.end();
}

std::string hex(std::uint64_t value, std::size_t digits) {
  constexpr std::string_view all = "0123456789abcdef";
  std::string out(digits, '0');
  for (std::size_t i = digits; i-- > 0; value >>= 4) out[i] = all[value & 15];
  return "0x" + out;
}

std::string address(int family, ByteView value) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  return inet_ntop(family, value.data(), buffer.data(), buffer.size());
}

// Keys of sets with intervals have the order of the network, whatever their type.
enum class Order : std::uint8_t { of_type, network };

std::string one_value(std::string_view type, ByteView value, Order order) {
  if (type == "ipv4_addr" && value.size() == 4) return address(AF_INET, value);
  if (type == "ipv6_addr" && value.size() == 16) return address(AF_INET6, value);
  if (type == "ether_addr") {
    std::string out;
    for (const std::uint8_t byte : value) out += (out.empty() ? "" : ":") + hex(byte, 2).substr(2);
    return out;
  }
  if (type == "ifname") {
    return "\"" + std::string(value.begin(), std::ranges::find(value, std::uint8_t{0})) + "\"";
  }
  if (value.size() > 8) return to_hex(value);
  const std::uint64_t number = order == Order::of_type && is_one_of(type, host_order)
                                   ? load_native(value)
                                   : load_big_endian(value);
  if (type == "iface_index") {
    std::array<char, IF_NAMESIZE> name{};
    if (if_indextoname(static_cast<unsigned>(number), name.data()) != nullptr) {
      return "\"" + std::string(name.data()) + "\"";
    }
  }
  return is_one_of(type, decimal) ? std::to_string(number) : hex(number, 2 * value.size());
}

// "1h4m2s300ms"
std::string time_text(std::uint64_t milliseconds) {
  struct Unit {
    std::uint64_t size;
    std::string_view name;
  };
  constexpr std::array<Unit, 5> units = {
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}}};
  std::string out;
  for (const Unit& unit : units) {
    const std::uint64_t count = milliseconds / unit.size;
    if (count != 0) out += std::to_string(count) + std::string(unit.name);
    milliseconds %= unit.size;
  }
  return out.empty() ? "0s" : out;
}

std::string_view unit_name(std::uint64_t seconds) {
  switch (seconds) {
    case 1:
      return "second";
    case 60:
      return "minute";
    case 3600:
      return "hour";
    case 86'400:
      return "day";
    default:
      return "week";
  }
}

std::string limit_text(const imr::MeterState& limit) {
  constexpr std::uint32_t usual_burst = 5;
  const bool packets = limit.kind == imr::MeterState::Kind::packet_rate;
  std::string out = std::string("limit rate ") + (limit.over ? "over " : "") +
                    (packets ? std::to_string(limit.amount) : amount_words(limit.amount)) + "/" +
                    std::string(unit_name(limit.unit));
  if (packets && limit.burst != usual_burst) {
    out += " burst " + std::to_string(limit.burst) + " packets";
  } else if (!packets && limit.burst != 0) {
    out += " burst " + amount_words(limit.burst);
  }
  return out;
}

// With what it holds: the words of imr/dynamic_sets.h.
std::string statement_text(const imr::ElementStatement& statement,
                           std::span<const std::uint64_t> words) {
  return imr::match_on(
      statement,
      [&](const imr::ElementCounter&) {
        return "counter packets " + std::to_string(words[0]) + " bytes " + std::to_string(words[1]);
      },
      [&](const imr::MeterState& meter) {
        if (meter.kind != imr::MeterState::Kind::quota) return limit_text(meter);
        const std::uint64_t used = std::min(words[0], meter.amount);
        return std::string("quota ") + (meter.over ? "over " : "") + amount_words(meter.amount) +
               (used == 0 ? "" : " used " + amount_words(used));
      });
}

// As a set has it.
std::string declared_text(const imr::ElementStatement& statement) {
  constexpr std::array<std::uint64_t, 1> nothing_used = {0};
  if (std::holds_alternative<imr::ElementCounter>(statement)) return "counter";
  return statement_text(statement, nothing_used);
}

std::string element_text(const imr::Set& set, const driver::LivingElement& element) {
  std::string out = key_text(set, element.key) + state_text(set, element.words);
  if (element.timeout != set.dynamic->timeout && element.timeout != 0) {
    out += " timeout " + time_text(element.timeout);
  }
  if (element.expires) out += " expires " + time_text(*element.expires / millisecond);
  if (set.is_data_map()) out += " : " + data_text(set, element.data);
  return out;
}

// How many bits all values from `first` to `last` have in common, where these are all that have
// them.
std::optional<std::size_t> prefix_length(ByteView first, ByteView last) {
  std::size_t bits = 0;
  const auto bit = [](ByteView value, std::size_t at) { return value[at / 8] >> (7 - at % 8) & 1; };
  while (bits < 8 * first.size() && bit(first, bits) == bit(last, bits)) ++bits;
  for (std::size_t at = bits; at < 8 * first.size(); ++at) {
    if (bit(first, at) != 0 || bit(last, at) != 1) return std::nullopt;
  }
  return bits;
}

std::string range_text(std::string_view type, ByteView first, ByteView last) {
  std::string from = one_value(type, first, Order::network);
  if (std::ranges::equal(first, last)) return from;
  if (type == "ifname") return from.substr(0, from.size() - 1) + "*\"";
  const bool address = type == "ipv4_addr" || type == "ipv6_addr";
  const auto prefix = address ? prefix_length(first, last) : std::nullopt;
  if (prefix) return from + "/" + std::to_string(*prefix);
  return from + "-" + one_value(type, last, Order::network);
}

}  // namespace

std::string key_text(const imr::Set& set, ByteView key) {
  if (set.field_sizes.empty()) return one_value(set.key_type, key, Order::of_type);
  const bool ranges = set.dynamic && set.dynamic->ranges;
  const std::size_t fields = set.field_sizes.size() / (ranges ? 2 : 1);
  constexpr std::string_view between = " . ";
  std::string out;
  std::string_view types = set.key_type;
  std::size_t at = 0;
  for (std::size_t i = 0; i < fields; ++i) {
    const std::size_t size = set.field_sizes[i];
    const std::size_t end = std::min(types.find(between), types.size());
    const std::string_view type = types.substr(0, end);
    const ByteView value = key.subspan(at, size);
    out += (out.empty() ? "" : std::string(between)) +
           (ranges ? range_text(type, value, key.subspan(key.size() / 2 + at, size))
                   : one_value(type, value, Order::of_type));
    types.remove_prefix(std::min(end + between.size(), types.size()));
    at += imr::padded_size(size);
  }
  return out;
}

std::string state_text(const imr::Set& set, std::span<const std::uint64_t> words) {
  std::string out;
  for (const imr::ElementStatement& statement : set.dynamic->statements) {
    out += " " + statement_text(statement, words);
    words = words.subspan(imr::words_of(statement));
  }
  return out;
}

std::string data_text(const imr::Set& set, ByteView data) {
  return one_value(set.data_type, data, Order::of_type);
}

std::string listed(const imr::Set& set, const std::vector<driver::LivingElement>& elements) {
  const imr::Dynamics& dynamics = *set.dynamic;
  std::string out = std::string("\t") + (set.is_data_map() ? "map " : "set ") + set.name + " {\n";
  out += "\t\ttype " + set.key_type + (set.is_data_map() ? " : " + set.data_type : "") + "\n";
  out += "\t\tsize " + std::to_string(dynamics.size) + "\n";
  out += std::string("\t\tflags ") + (dynamics.ranges ? "interval" : "dynamic") +
         (dynamics.timeouts ? ",timeout" : "") + "\n";
  if (dynamics.timeout != 0) out += "\t\ttimeout " + time_text(dynamics.timeout) + "\n";
  // Rules give none to these: the set has its statements itself, and nft wants to read so.
  if (dynamics.ranges && !dynamics.statements.empty()) {
    out += "\t\t";
    for (const imr::ElementStatement& statement : dynamics.statements) {
      out += &statement == &dynamics.statements.front() ? "" : " ";
      out += declared_text(statement);
    }
    out += "\n";
  }
  const char* before = "\t\telements = { ";
  for (const driver::LivingElement& element : elements) {
    out += before + element_text(set, element);
    before = ",\n\t\t\t     ";
  }
  return out + (elements.empty() ? "" : " }\n") + "\t}\n";
}

}  // namespace weir::service
