// SPDX-License-Identifier: BSD-2-Clause
#include "differential/list_text.h"

#include <cstdint>

#include "base/bytes.h"

namespace weir::differential {
namespace {

std::string bytes_of(std::uint64_t number, std::size_t size) {
  return to_hex(big_endian_bytes(number, size));
}

std::string in_range(const std::string& value, std::uint64_t first, std::uint64_t last,
                     std::size_t size) {
  const std::string lowest = bytes_of(first, size);
  if (first == last) return " match " + value + " == " + lowest;
  return " match " + value + " in [" + lowest + ", " + bytes_of(last, size) + "]";
}

std::string address(const char* value, const bench::Ipv4Prefix& prefix) {
  if (prefix.length == 0) return "";
  return in_range(value, prefix.address, prefix.address | ~prefix.mask(), 4);
}

std::string port(const char* value, const bench::PortRange& range) {
  if (range.is_any()) return "";
  return in_range(value, range.first, range.last, 2);
}

// Limits that fill too slowly for a test to see.
std::string tail(std::size_t number) {
  switch (number % 5) {
    case 1:
      return " log prefix \"rule " + std::to_string(number) + "\" level 4 flags 0";
    case 2:
      return " meter limit 1 packets each 604800 burst 2 counter";
    case 3:
      return " meter over quota 90 used " + std::to_string(number % 100);
    case 4:
      return " meter limit 100 bytes each 604800 burst " + std::to_string(number % 3 * 50) +
             " log prefix \"\" group 2 snaplen 30 threshold 1";
    default:
      return "";
  }
}

}  // namespace

std::string imr_of(const bench::ListRule& rule, std::size_t number, bool tails) {
  std::string out = "  rule" + address("payload network 12 4", rule.source) +
                    address("payload network 16 4", rule.destination);
  const bool ports = !rule.source_port.is_any() || !rule.destination_port.is_any();
  if (rule.protocol || ports) {
    out += " match meta l4proto == " + bytes_of(rule.protocol.value_or(6), 1);
  }
  out += port("payload transport 0 2", rule.source_port) +
         port("payload transport 2 2", rule.destination_port);
  if (number % 3 == 0) out += " counter";
  if (tails) out += tail(number);
  if (number % 12 == 0) return out + "\n";
  return out + (rule.accept ? " accept\n" : " drop\n");
}

}  // namespace weir::differential
