// SPDX-License-Identifier: BSD-2-Clause
#include "engine/layout.h"

#include <array>
#include <cstddef>

#include "base/error.h"

namespace weir::engine {
namespace {

using namespace kernel_structs;

#define WEIR_MEMBER(text, member_kind, type, field)                                   \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = offsetof(type, field), \
    .size = sizeof(type::field), .real_offset = offsetof(type, field),                \
    .real_size = sizeof(type::field)                                                  \
  }
#define WEIR_POINTER(text, member_kind, type, field, target_structure)                \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = offsetof(type, field), \
    .size = sizeof(type::field), .target = StructureId::target_structure,             \
    .real_offset = offsetof(type, field), .real_size = sizeof(type::field)            \
  }
#define WEIR_AT(text, member_kind, at, bytes, type, field)                            \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = (at), .size = (bytes), \
    .real_offset = offsetof(type, field), .real_size = sizeof(type::field)            \
  }

// Members that are pointers are meant to have a pointer's size.
// NOLINTBEGIN(bugprone-sizeof-expression)

// struct xdp_md in linux/bpf.h.
constexpr std::array xdp_members = {
    WEIR_AT("data", packet, 0, 4, XdpContext, data),
    WEIR_AT("data_end", packet_end, 4, 4, XdpContext, data_end),
    WEIR_AT("data_meta", scalar, 8, 4, XdpContext, data_meta),
    WEIR_AT("ingress_ifindex", scalar, 12, 4, XdpContext, ingress_ifindex),
    WEIR_AT("rx_queue_index", scalar, 16, 4, XdpContext, rx_queue_index),
};

// struct bpf_nf_ctx in linux/netfilter.h. The offsets are those of the kernel.
constexpr std::array netfilter_members = {
    WEIR_POINTER("state", pointer, NetfilterContext, state, nf_hook_state),
    WEIR_POINTER("skb", pointer, NetfilterContext, skb, sk_buff),
};

constexpr std::array state_members = {
    WEIR_MEMBER("hook", scalar, HookState, hook),
    WEIR_MEMBER("pf", scalar, HookState, pf),
    WEIR_POINTER("in", probed_pointer, HookState, in, net_device),
    WEIR_POINTER("out", probed_pointer, HookState, out, net_device),
};

constexpr std::array skb_members = {
    WEIR_MEMBER("len", scalar, SkBuff, len),
    WEIR_MEMBER("data_len", scalar, SkBuff, data_len),
    WEIR_MEMBER("_nfct", scalar, SkBuff, nfct),
    WEIR_MEMBER("pkt_type", scalar, SkBuff, pkt_type_bits),
    WEIR_MEMBER("protocol", scalar, SkBuff, protocol),
    WEIR_MEMBER("network_header", scalar, SkBuff, network_header),
    WEIR_MEMBER("mac_header", scalar, SkBuff, mac_header),
    WEIR_MEMBER("mark", scalar, SkBuff, mark),
    WEIR_MEMBER("head", scalar, SkBuff, head),
    WEIR_MEMBER("data", scalar, SkBuff, data),
};

constexpr std::array device_members = {
    WEIR_MEMBER("name", bytes, NetDevice, name),
    WEIR_MEMBER("ifindex", scalar, NetDevice, ifindex),
};

// NOLINTEND(bugprone-sizeof-expression)

#undef WEIR_MEMBER
#undef WEIR_POINTER
#undef WEIR_AT

// In the order of StructureId.
constexpr std::array structures = {
    Structure{"xdp_md", xdp_members},          Structure{"bpf_nf_ctx", netfilter_members},
    Structure{"nf_hook_state", state_members}, Structure{"sk_buff", skb_members},
    Structure{"net_device", device_members},
};

}  // namespace

const Structure& structure(StructureId id) {
  return structures[static_cast<std::size_t>(id)];
}

const Member* member_at(StructureId id, std::int64_t offset, std::uint32_t size) {
  for (const Member& member : structure(id).members) {
    if (offset >= member.offset && offset + size <= std::int64_t{member.offset} + member.size) {
      return &member;
    }
  }
  return nullptr;
}

std::optional<std::int64_t> field_offset(const isa::FieldOffset& field) {
  for (const Structure& candidate : structures) {
    if (candidate.name != field.structure) continue;
    for (const Member& member : candidate.members) {
      if (member.name == field.member) return std::int64_t{member.offset} + field.addend;
    }
  }
  return std::nullopt;
}

std::optional<StructureId> context_of(isa::ProgramType type) {
  switch (type) {
    case isa::ProgramType::xdp:
      return StructureId::xdp_md;
    case isa::ProgramType::netfilter:
      return StructureId::bpf_nf_ctx;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      return std::nullopt;
  }
  throw InvariantError("a program type without a context");
}

}  // namespace weir::engine
