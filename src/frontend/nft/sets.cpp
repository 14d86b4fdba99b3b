// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/sets.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <bit>

#include "frontend/nft/dynamic_sets.h"
#include "frontend/nft/ranges.h"

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
// Bytes that a value of the type takes; 0 where the type alone does not tell.
constexpr std::array<std::uint8_t, 47> type_sizes = {
    0, 0, 1, 0, 0, 0, 0,  4, 16, 6, 2, 2, 1, 2, 1, 1, 1, 1,  0, 4, 4, 2, 4, 4,
    4, 4, 4, 1, 4, 1, 16, 1, 1,  1, 1, 4, 1, 1, 4, 1, 4, 16, 1, 8, 0, 1, 8};
constexpr unsigned concatenation_bits = 6;  // each type of a concatenation takes so many bits
constexpr std::uint32_t one_type = (1U << concatenation_bits) - 1;

std::string type_name(std::uint32_t type) {
  std::string name;
  do {
    const std::uint32_t one = type & one_type;
    const std::string_view text =
        one < type_names.size() ? type_names.at(one) : std::string_view("unknown");
    name = name.empty() ? std::string(text) : std::string(text) + " . " + name;
    type >>= concatenation_bits;
  } while (type != 0);
  return name;
}

// Bytes of each part of a concatenation: nft tells the kernel where it has intervals to tell apart;
// elsewhere they follow from the types. Empty for plain keys, and where they are not known.
std::vector<std::uint8_t> field_sizes(const nftnl_set* set, std::uint32_t key_type,
                                      std::size_t key_size) {
  std::vector<std::uint8_t> sizes;
  std::uint32_t count = 0;
  const auto* told =
      static_cast<const std::uint8_t*>(nftnl_set_get_data(set, NFTNL_SET_DESC_CONCAT, &count));
  if (told != nullptr && count >= 2) {
    sizes.assign(told, told + count);
  } else if (key_type >> concatenation_bits != 0) {
    for (; key_type != 0; key_type >>= concatenation_bits) {
      const std::uint32_t one = key_type & one_type;
      sizes.insert(sizes.begin(), one < type_sizes.size() ? type_sizes.at(one) : 0);
    }
  }
  std::size_t total = 0;
  for (const std::uint8_t size : sizes) {
    if (size == 0) return {};
    total += imr::padded_size(size);
  }
  return total == key_size ? sizes : std::vector<std::uint8_t>();
}

// Of sets that packets change, or whose elements expire or keep something.
std::optional<imr::Dynamics> dynamics_of(const nftnl_set* set, std::uint32_t flags,
                                         const ElementState& state) {
  if ((flags & (NFT_SET_TIMEOUT | NFT_SET_EVAL | NFT_SET_EXPR)) == 0 && state.statements.empty()) {
    return std::nullopt;
  }
  imr::Dynamics out{.timeouts = (flags & NFT_SET_TIMEOUT) != 0};
  if (nftnl_set_is_set(set, NFTNL_SET_TIMEOUT)) {
    out.timeout = nftnl_set_get_u64(set, NFTNL_SET_TIMEOUT);
  }
  if (nftnl_set_is_set(set, NFTNL_SET_DESC_SIZE)) {
    out.size = nftnl_set_get_u32(set, NFTNL_SET_DESC_SIZE);
  }
  out.statements = state.statements;
  return out;
}

// Whose places maps hold, as nft names them: no type of values has such a name.
constexpr std::array<std::pair<std::uint32_t, std::string_view>, 3> objects_in_maps = {
    {{NFT_OBJECT_COUNTER, "counter"}, {NFT_OBJECT_QUOTA, "quota"}, {NFT_OBJECT_LIMIT, "limit"}}};

std::string object_name(std::uint32_t type) {
  for (const auto& [known, name] : objects_in_maps) {
    if (known == type) return std::string(name);
  }
  return {};
}

std::string reason_against(const nftnl_set* set, std::uint32_t flags, const imr::Set& described) {
  if ((flags & NFT_SET_CONCAT) != 0 && described.interval && described.field_sizes.empty()) {
    return "a concatenation with intervals and fields of unknown sizes is not translated";
  }
  if ((flags & NFT_SET_OBJECT) != 0) {
    if (!object_type(described)) {
      return "maps to objects other than counters, limits and quotas stay with the kernel";
    }
    if (described.dynamic) return "a map to objects whose elements expire is not translated";
  }
  if ((flags & NFT_SET_MAP) != 0 && !described.is_verdict_map &&
      (described.data_size == 0 || described.data_size > imr::max_value_size)) {
    return "maps to values of this size are not translated";
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

std::string reason_against(nftnl_set_elem* element, const imr::Set& set, bool catch_all) {
  if (catch_all)
    return set.dynamic ? "a catch-all element has no time and no state in a program" : "";
  const bool has_end = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_KEY_END);
  if (element_bytes(element, NFTNL_SET_ELEM_KEY).size() != set.key_size ||
      (has_end && (!set.has_interval_fields() ||
                   element_bytes(element, NFTNL_SET_ELEM_KEY_END).size() != set.key_size))) {
    return "the set has an element without a key of its size";
  }
  return {};
}

bool has_state(nftnl_set_elem* element) {
  const ElementState state = state_of(element);
  return !state.statements.empty() || !state.reason.empty();
}

// No bytes where rules cannot choose it.
Bytes place_of_object(nftnl_set_elem* element, std::uint32_t type, const FindObject& find_object) {
  if (!find_object || !nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_OBJREF)) return {};
  const auto place = find_object(type, nftnl_set_elem_get_str(element, NFTNL_SET_ELEM_OBJREF));
  return place ? native_bytes(*place, sizeof(*place)) : Bytes();
}

// What is left of an element's time, and all of it where that is more. Time has gone by since the
// element came to the kernel: what is left is taken for what was written, or for whole seconds.
void read_times(nftnl_set_elem* element, const imr::Dynamics& dynamics, RawElement& read) {
  constexpr std::uint64_t second = 1000;
  if (!nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPIRATION)) return;
  const std::uint64_t left = nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION);
  const std::uint64_t timeout = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_TIMEOUT)
                                    ? nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_TIMEOUT)
                                    : dynamics.timeout;
  const std::uint64_t seconds = std::max<std::uint64_t>(1, (left + second - 1) / second) * second;
  read.expires = timeout == 0 ? seconds : std::min(timeout, seconds);
  if (timeout > read.expires) read.timeout = timeout;
}

// False where it makes the set native.
bool read_state(nftnl_set_elem* element, bool first, imr::Set& set, RawElement& read) {
  ElementState state = state_of(element);
  set.native_reason = take_element(*set.dynamic, first, state);
  if (set.native_reason.empty() && set.is_data_map() && !set.dynamic->statements.empty()) {
    set.native_reason = why_not_dynamic(set);
  }
  if (!set.native_reason.empty()) {
    set.dynamic.reset();
    return false;
  }
  read_times(element, *set.dynamic, read);
  read.held = std::move(state.held);
  return true;
}

// The largest key below `key`, which is not all zero.
Bytes predecessor(Bytes key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    if (key[i]-- != 0) break;
  }
  return key;
}

// What the kernel does not look at, the bytes behind each field, is zero in the IMR.
Bytes without_padding(Bytes key, const std::vector<std::uint8_t>& fields) {
  std::size_t at = 0;
  for (const std::uint8_t size : fields) {
    const std::size_t end = at + imr::padded_size(size);
    std::fill(key.begin() + static_cast<std::ptrdiff_t>(at + size),
              key.begin() + static_cast<std::ptrdiff_t>(end), std::uint8_t{0});
    at = end;
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

std::optional<std::uint32_t> object_type(const imr::Set& set) {
  for (const auto& [type, name] : objects_in_maps) {
    if (set.data_type == name) return type;
  }
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
  out.field_sizes = field_sizes(set, key_type, out.key_size);
  if ((flags & NFT_SET_OBJECT) != 0) {
    out.data_type = object_name(nftnl_set_get_u32(set, NFTNL_SET_OBJ_TYPE));
    out.data_size = out.data_type.empty() ? 0 : sizeof(std::uint32_t);
  } else if ((flags & NFT_SET_MAP) != 0 && !out.is_verdict_map) {
    out.data_type = type_name(nftnl_set_get_u32(set, NFTNL_SET_DATA_TYPE));
    out.data_size = static_cast<std::uint16_t>(nftnl_set_get_u32(set, NFTNL_SET_DATA_LEN));
  }
  const ElementState state = state_of(set);
  out.dynamic = dynamics_of(set, flags, state);
  out.native_reason = reason_against(set, flags, out);
  if (out.native_reason.empty()) out.native_reason = state.reason;
  if (out.native_reason.empty() && out.dynamic) {
    out.native_reason = why_not_dynamic(out);
  }
  if (!out.native_reason.empty()) out.dynamic.reset();
  return out;
}

void read_elements(nftnl_set* message, const FindChain& find_chain, const FindObject& find_object,
                   imr::Set& set, std::vector<RawElement>& raw) {
  const NlElementIterator iterator(nftnl_set_elems_iter_create(message));
  while (nftnl_set_elem* element = nftnl_set_elems_iter_next(iterator.get())) {
    if (!set.native_reason.empty()) return;
    const std::uint32_t flags = element_number(element, NFTNL_SET_ELEM_FLAGS);
    const bool catch_all = (flags & NFT_SET_ELEM_CATCHALL) != 0;
    set.native_reason = reason_against(element, set, catch_all);
    // Of sets without a name: nft wants others to say it themselves.
    if (!set.dynamic && has_state(element)) {
      set.native_reason = "elements with statements in a set that says nothing of them";
    }
    if (!set.native_reason.empty()) return;

    RawElement read;
    if (!catch_all) read.key = element_bytes(element, NFTNL_SET_ELEM_KEY);
    if (set.has_interval_fields() && !catch_all) {
      const bool has_end = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_KEY_END);
      read.last = has_end ? element_bytes(element, NFTNL_SET_ELEM_KEY_END) : read.key;
    }
    read.interval_end = (flags & NFT_SET_ELEM_INTERVAL_END) != 0;
    if (set.is_verdict_map && !read.interval_end) {
      read.verdict = to_verdict(element_number(element, NFTNL_SET_ELEM_VERDICT),
                                nftnl_set_elem_get_str(element, NFTNL_SET_ELEM_CHAIN), find_chain);
      if (!read.verdict || read.verdict->kind == imr::Verdict::Kind::queue) {
        set.native_reason = "the map holds a verdict that stays with the kernel";
        return;
      }
    }
    if (set.is_data_map() && !read.interval_end) {
      const auto objects = object_type(set);
      read.data = objects ? place_of_object(element, *objects, find_object)
                          : element_bytes(element, NFTNL_SET_ELEM_DATA);
      if (objects && read.data.empty()) {
        set.native_reason = "the map holds an object that is not translated";
        return;
      }
      if (read.data.size() != set.data_size) {
        set.native_reason = "the map has an element without a value of its size";
        return;
      }
    }
    // The end of an interval keeps nothing.
    const bool first = std::ranges::find(raw, false, &RawElement::interval_end) == raw.end();
    if (set.dynamic && !read.interval_end && !read_state(element, first, set, read)) return;
    if (catch_all) {
      set.catch_all = imr::Element{{}, {}, read.verdict, std::move(read.data)};
    } else {
      raw.push_back(std::move(read));
    }
  }
}

// As net/netfilter/nft_set_rbtree.c looks a key up: the greatest element not above it decides, and
// it is no match when that is the end of an interval. Of an end and a start at one key the start
// wins, so it is sorted behind.
std::vector<imr::Element> join_elements(std::vector<RawElement> raw, const imr::Set& set) {
  std::vector<imr::Element> elements;
  elements.reserve(raw.size());
  if (set.has_interval_fields()) {
    for (RawElement& element : raw) {
      elements.push_back({without_padding(std::move(element.key), set.field_sizes),
                          without_padding(std::move(element.last), set.field_sizes),
                          element.verdict, std::move(element.data), element.expires,
                          std::move(element.held), element.timeout});
    }
    return elements;
  }
  std::ranges::sort(raw, [](const RawElement& a, const RawElement& b) {
    if (a.key != b.key) return a.key < b.key;
    return a.interval_end && !b.interval_end;
  });
  bool open = false;  // the last element has no upper end yet
  for (RawElement& element : raw) {
    if (open) elements.back().last = predecessor(element.key);
    open = false;
    if (element.interval_end) continue;
    elements.push_back({element.key, element.key, element.verdict, std::move(element.data),
                        element.expires, std::move(element.held), element.timeout});
    open = set.interval;
  }
  if (open) elements.back().last = Bytes(set.key_size, 0xff);
  return elements;
}

void make_room(imr::Set& set) {
  constexpr std::size_t least = 1024;
  if (!set.dynamic || set.dynamic->size != 0) return;
  set.dynamic->size = static_cast<std::uint32_t>(
      std::bit_ceil(std::max<std::size_t>(2 * set.elements.size(), least)));
}

}  // namespace weir::frontend::nft
