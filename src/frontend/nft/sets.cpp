// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/sets.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>

namespace weir::frontend::nft {
namespace {

// NFTNL_SET_KEY_TYPE is opaque to the kernel; the numbers are nft's own (enum datatypes in its
// include/datatype.h) and part of what it stores in the kernel, so they never change.
constexpr std::array<std::string_view, 47> type_names = {
    "invalid",    "verdict",      "nf_proto",     "bitmask",     "integer",      "string",
    "ll_addr",    "ipv4_addr",    "ipv6_addr",    "ether_addr",  "ether_type",   "arp_op",
    "inet_proto", "inet_service", "icmp_type",    "tcp_flag",    "dccp_pkttype", "mh_type",
    "time",       "mark",         "iface_index",  "iface_type",  "realm",        "classid",
    "uid",        "gid",          "ct_state",     "ct_dir",      "ct_status",    "icmpv6_type",
    "ct_label",   "pkt_type",     "icmp_code",    "icmpv6_code", "icmpx_code",   "devgroup",
    "dscp",       "ecn",          "fib_addrtype", "boolean",     "ct_event",     "ifname",
    "igmp_type",  "time",         "hour",         "day",         "cgroupsv2"};
constexpr unsigned concatenation_bits = 6;  // each type of a concatenation takes so many bits

std::string type_name(std::uint32_t type) {
  std::string name;
  do {
    const std::uint32_t one = type & ((1U << concatenation_bits) - 1);
    const std::string_view text =
        one < type_names.size() ? type_names.at(one) : std::string_view("unknown");
    name = name.empty() ? std::string(text) : std::string(text) + " . " + name;
    type >>= concatenation_bits;
  } while (type != 0);
  return name;
}

std::string reason_against(const nftnl_set* set, std::uint32_t flags, std::uint32_t key_type) {
  const bool is_map = (flags & NFT_SET_MAP) != 0;
  if ((flags & NFT_SET_CONCAT) != 0 || key_type >> concatenation_bits != 0) {
    return "concatenations are not translated yet";
  }
  if ((flags & NFT_SET_OBJECT) != 0) return "maps to objects are not translated yet";
  if (is_map && nftnl_set_get_u32(set, NFTNL_SET_DATA_TYPE) != NFT_DATA_VERDICT) {
    return "maps to values are not translated yet";
  }
  if ((flags & NFT_SET_TIMEOUT) != 0) return "sets with timeouts are not translated yet";
  if ((flags & NFT_SET_EVAL) != 0) return "sets that rules update are not translated yet";
  if ((flags & NFT_SET_EXPR) != 0 || nftnl_set_is_set(set, NFTNL_SET_EXPR) ||
      nftnl_set_is_set(set, NFTNL_SET_EXPRESSIONS)) {
    return "sets with statements in their elements are not translated yet";
  }
  if (nftnl_set_get_u32(set, NFTNL_SET_KEY_LEN) > imr::max_value_size) {
    return "set keys of more than 64 bytes are not translated";
  }
  return {};
}

Bytes element_bytes(nftnl_set_elem* element, std::uint16_t attribute) {
  std::uint32_t size = 0;
  const auto* data =
      static_cast<const std::uint8_t*>(nftnl_set_elem_get(element, attribute, &size));
  return data == nullptr ? Bytes() : Bytes(data, data + size);
}

// Zero when the element has no such attribute, which libnftnl would not survive.
std::uint32_t element_number(nftnl_set_elem* element, std::uint16_t attribute) {
  return nftnl_set_elem_is_set(element, attribute) ? nftnl_set_elem_get_u32(element, attribute) : 0;
}

std::string reason_against(nftnl_set_elem* element, std::size_t key_size, bool catch_all) {
  if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPR) ||
      nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPRESSIONS)) {
    return "sets with statements in their elements are not translated yet";
  }
  if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_TIMEOUT)) {
    return "sets with timeouts are not translated yet";
  }
  if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_KEY_END)) {
    return "concatenations are not translated yet";
  }
  if (!catch_all && element_bytes(element, NFTNL_SET_ELEM_KEY).size() != key_size) {
    return "the set has an element without a key of its size";
  }
  return {};
}

// The largest key below `key`, which is not all zero.
Bytes predecessor(Bytes key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    if (key[i]-- != 0) break;
  }
  return key;
}

}  // namespace

std::optional<imr::Verdict> to_verdict(std::uint32_t code, const char* chain,
                                       const FindChain& find_chain) {
  using Kind = imr::Verdict::Kind;
  const auto to_chain = [&](Kind kind) -> std::optional<imr::Verdict> {
    const imr::ChainId id = chain == nullptr ? imr::ChainId() : find_chain(chain);
    if (!id.valid()) return std::nullopt;
    return imr::Verdict{kind, id};
  };
  switch (static_cast<int>(code)) {
    case NF_ACCEPT:
      return imr::Verdict{Kind::accept, {}};
    case NF_DROP:
      return imr::Verdict{Kind::drop, {}};
    case NFT_CONTINUE:
      return imr::Verdict{Kind::continue_, {}};
    case NFT_RETURN:
      return imr::Verdict{Kind::return_, {}};
    case NFT_JUMP:
      return to_chain(Kind::jump);
    case NFT_GOTO:
      return to_chain(Kind::go_to);
    default:
      break;
  }
  if ((code & NF_VERDICT_MASK) == NF_QUEUE) return imr::Verdict{Kind::queue, {}};
  return std::nullopt;
}

imr::Set describe_set(const nftnl_set* set, imr::TableId table) {
  const std::uint32_t flags = nftnl_set_get_u32(set, NFTNL_SET_FLAGS);
  const std::uint32_t key_type = nftnl_set_get_u32(set, NFTNL_SET_KEY_TYPE);
  imr::Set out;
  out.table = table;
  out.name = nftnl_set_get_str(set, NFTNL_SET_NAME);
  out.key_size = static_cast<std::uint16_t>(nftnl_set_get_u32(set, NFTNL_SET_KEY_LEN));
  out.interval = (flags & NFT_SET_INTERVAL) != 0;
  out.is_verdict_map =
      (flags & NFT_SET_MAP) != 0 && nftnl_set_get_u32(set, NFTNL_SET_DATA_TYPE) == NFT_DATA_VERDICT;
  out.anonymous = (flags & NFT_SET_ANONYMOUS) != 0;
  out.key_type = type_name(key_type);
  out.native_reason = reason_against(set, flags, key_type);
  return out;
}

void read_elements(nftnl_set* message, const FindChain& find_chain, imr::Set& set,
                   std::vector<RawElement>& raw) {
  const NlElementIterator iterator(nftnl_set_elems_iter_create(message));
  while (nftnl_set_elem* element = nftnl_set_elems_iter_next(iterator.get())) {
    if (!set.native_reason.empty()) return;
    const std::uint32_t flags = element_number(element, NFTNL_SET_ELEM_FLAGS);
    const bool catch_all = (flags & NFT_SET_ELEM_CATCHALL) != 0;
    set.native_reason = reason_against(element, set.key_size, catch_all);
    if (!set.native_reason.empty()) return;

    RawElement read;
    if (!catch_all) read.key = element_bytes(element, NFTNL_SET_ELEM_KEY);
    read.interval_end = (flags & NFT_SET_ELEM_INTERVAL_END) != 0;
    if (set.is_verdict_map && !read.interval_end) {
      read.verdict = to_verdict(element_number(element, NFTNL_SET_ELEM_VERDICT),
                                nftnl_set_elem_get_str(element, NFTNL_SET_ELEM_CHAIN), find_chain);
      if (!read.verdict || read.verdict->kind == imr::Verdict::Kind::queue) {
        set.native_reason = "the map holds a verdict that is not translated yet";
        return;
      }
    }
    if (catch_all) {
      set.catch_all = imr::Element{{}, {}, read.verdict};
    } else {
      raw.push_back(std::move(read));
    }
  }
}

// As net/netfilter/nft_set_rbtree.c looks a key up: the greatest element not above it decides, and
// it is no match when that is the end of an interval. Of an end and a start at one key the start
// wins, so it is sorted behind.
std::vector<imr::Element> join_elements(std::vector<RawElement> raw, bool interval,
                                        std::size_t key_size) {
  std::ranges::sort(raw, [](const RawElement& a, const RawElement& b) {
    if (a.key != b.key) return a.key < b.key;
    return a.interval_end && !b.interval_end;
  });
  std::vector<imr::Element> elements;
  bool open = false;  // the last element has no upper end yet
  for (RawElement& element : raw) {
    if (open) elements.back().last = predecessor(element.key);
    open = false;
    if (element.interval_end) continue;
    elements.push_back({element.key, element.key, element.verdict});
    open = interval;
  }
  if (open) elements.back().last = Bytes(key_size, 0xff);
  return elements;
}

}  // namespace weir::frontend::nft
