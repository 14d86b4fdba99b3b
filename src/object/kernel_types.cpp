// SPDX-License-Identifier: BSD-2-Clause
#include "object/kernel_types.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace weir::object {
namespace {

enum class Kind : std::uint8_t { none, number, pointer, structure, name };

// Numbers have their size in bytes; pointers point to a structure of unknown members, or to void.
struct KnownType {
  Kind kind = Kind::none;
  std::uint32_t size = 0;
};
constexpr KnownType u16 = {Kind::number, 2};
constexpr KnownType u32 = {Kind::number, 4};
constexpr KnownType u64 = {Kind::number, 8};
constexpr KnownType any_pointer = {Kind::pointer};
constexpr KnownType structure_pointer = {Kind::structure};
constexpr KnownType device_name = {Kind::name, 16};  // char [IFNAMSIZ]

struct KnownFunction {
  std::string_view name;
  KnownType result;
  std::vector<KnownType> parameters;
};

const std::vector<KnownFunction>& known_functions() {
  static const std::vector<KnownFunction> table = {
      {"bpf_dynptr_from_skb", u32, {structure_pointer, u64, structure_pointer}},
      {"bpf_dynptr_from_xdp", u32, {structure_pointer, u64, structure_pointer}},
      {"bpf_dynptr_slice", any_pointer, {structure_pointer, u32, any_pointer, u32}},
      {"bpf_rdonly_cast", any_pointer, {any_pointer, u32}},
      {"bpf_cast_to_kern_ctx", any_pointer, {any_pointer}},
  };
  return table;
}

struct KnownMember {
  std::string_view structure;
  std::string_view member;  // or the path of a member within a member
  KnownType type;
  std::uint32_t bits = 0;  // of bit fields
};

constexpr std::array known_members = {
    KnownMember{"bpf_nf_ctx", "skb", any_pointer},
    KnownMember{"bpf_nf_ctx", "state", any_pointer},
    KnownMember{"nf_hook_state", "in", any_pointer},
    KnownMember{"nf_hook_state", "out", any_pointer},
    KnownMember{"xdp_buff", "rxq", any_pointer},
    KnownMember{"xdp_rxq_info", "dev", any_pointer},
    KnownMember{"net_device", "ifindex", u32},
    KnownMember{"net_device", "type", u16},
    KnownMember{"net_device", "group", u32},
    KnownMember{"net_device", "name", device_name},
    KnownMember{"net_device", "nd_net.net", any_pointer},
    KnownMember{"net", "ipv4.sysctl_ip_default_ttl", {Kind::number, 1}},
    KnownMember{"net", "ipv6.devconf_all", any_pointer},
    KnownMember{"ipv6_devconf", "hop_limit", u32},
    KnownMember{"sk_buff", "data", any_pointer},
    KnownMember{"sk_buff", "head", any_pointer},
    KnownMember{"sk_buff", "dev", any_pointer},
    KnownMember{"sk_buff", "sk", any_pointer},
    KnownMember{"sk_buff", "len", u32},
    KnownMember{"sk_buff", "data_len", u32},
    KnownMember{"sk_buff", "mark", u32},
    KnownMember{"sk_buff", "priority", u32},
    KnownMember{"sk_buff", "hash", u32},
    KnownMember{"sk_buff", "skb_iif", u32},
    KnownMember{"sk_buff", "vlan_all", u32},
    KnownMember{"sk_buff", "protocol", u16},
    KnownMember{"sk_buff", "vlan_proto", u16},
    KnownMember{"sk_buff", "vlan_tci", u16},
    KnownMember{"sk_buff", "mac_header", u16},
    KnownMember{"sk_buff", "network_header", u16},
    KnownMember{"sk_buff", "transport_header", u16},
    KnownMember{"sk_buff", "_nfct", u64},
    KnownMember{"sk_buff", "pkt_type", {Kind::number, 1}, 3},
    KnownMember{"nf_conn", "status", u64},
    KnownMember{"nf_conn", "mark", u32},
    KnownMember{"nf_conn", "timeout", u32},
};

const KnownMember* find_member(std::string_view structure, std::string_view member) {
  const auto it = std::ranges::find_if(known_members, [&](const KnownMember& known) {
    return known.structure == structure && known.member == member;
  });
  return it == known_members.end() ? nullptr : it;
}

std::uint32_t make(const KnownType& type, Types& types) {
  switch (type.kind) {
    case Kind::none:
      return 0;
    case Kind::number:
      return types.unsigned_integer(type.size);
    case Kind::pointer:
      return types.pointer(0);
    case Kind::structure:
      return types.pointer(types.opaque_structure("kernel_object"));
    case Kind::name:
      return types.array(types.unsigned_integer(1), type.size);
  }
  throw InvariantError("kind of type out of range");
}

std::uint32_t size_of(const KnownType& type) {
  const bool pointer = type.kind == Kind::pointer || type.kind == Kind::structure;
  return pointer ? 8 : type.size;
}

// Of what stands at the end of the path: structures within structures, each with one member.
Types::Member make_member(const std::string& path, const KnownMember& known, std::uint32_t offset,
                          Types& types) {
  const std::size_t dot = path.find('.');
  Types::Member out{.name = path.substr(0, dot), .type = 0, .offset = offset, .bits = known.bits};
  if (dot == std::string::npos) {
    out.type = make(known.type, types);
  } else {
    const Types::Member inner = make_member(path.substr(dot + 1), known, 0, types);
    out.type = types.structure("", size_of(known.type), {inner});
  }
  return out;
}

}  // namespace

Result<std::uint32_t> kernel_function(const std::string& name, Types& types) {
  const auto it = std::ranges::find(known_functions(), name, &KnownFunction::name);
  if (it == known_functions().end()) {
    return input_error("a program calls " + name +
                       "() of the kernel, which ELF objects cannot name yet");
  }
  std::vector<Types::Parameter> parameters;
  for (const KnownType& parameter : it->parameters) {
    parameters.push_back(
        {.name = "a" + std::to_string(parameters.size() + 1), .type = make(parameter, types)});
  }
  return types.function(name, Linkage::external, make(it->result, types), parameters);
}

Status KernelMembers::use(const std::string& structure, const std::string& member) {
  if (find_member(structure, member) == nullptr) {
    return input_error("a program reads " + structure + "." + member +
                       " of the kernel, which ELF objects cannot name yet");
  }
  auto it = std::ranges::find(structures_, structure, &Structure::name);
  if (it == structures_.end()) {
    structures_.push_back({.name = structure});
    it = structures_.end() - 1;
  }
  if (std::ranges::find(it->members, member) == it->members.end()) it->members.push_back(member);
  return {};
}

void KernelMembers::make_types(Types& types) {
  for (Structure& structure : structures_) {
    std::vector<Types::Member> members;
    std::uint32_t offset = 0;
    for (const std::string& name : structure.members) {
      const KnownMember& known = *find_member(structure.name, name);
      members.push_back(make_member(name, known, offset, types));
      std::string path = "0:" + std::to_string(structure.accesses.size());
      for (auto within = std::ranges::count(name, '.'); within > 0; --within) path += ":0";
      structure.accesses.push_back(
          {.path = types.text(path), .offset = static_cast<std::int16_t>(offset)});
      offset += (size_of(known.type) + 7) / 8 * 8;
    }
    const std::uint32_t type = types.structure(structure.name, offset, members);
    for (Access& access : structure.accesses) access.structure = type;
  }
}

KernelMembers::Access KernelMembers::access(const std::string& structure,
                                            const std::string& member) const {
  const auto it = std::ranges::find(structures_, structure, &Structure::name);
  invariant(it != structures_.end(), "access to a structure that was not noted");
  const auto found = std::ranges::find(it->members, member);
  invariant(found != it->members.end(), "access to a member that was not noted");
  return it->accesses.at(static_cast<std::size_t>(found - it->members.begin()));
}

}  // namespace weir::object
