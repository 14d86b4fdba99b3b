// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel structures that programs see, as data: which members there are, how large, and what a
// load of one yields. Offsets are the engine's own; programs get them through relocations. The only
// exceptions are the contexts, whose offsets are part of the kernel's interface.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "isa/program.h"

namespace weir::engine {

enum class StructureId : std::uint8_t {
  xdp_md,
  bpf_nf_ctx,
  nf_hook_state,
  sk_buff,
  net_device,
  sk_buff_view,  // struct __sk_buff: the context of programs that run on a struct sk_buff
  xdp_buff,
  xdp_rxq_info,
  rtnl_link_ops,
  task_struct,
  hrtimer_clock_base,
  hrtimer_cpu_base,
  // Read as memory of no type, at offsets that relocations give.
  net,
  sock,
  request_sock,
  socket,
  file,
  cred,
  dst_entry,
  rtable,
  rt6_info,
  nf_conn,
  nf_ct_ext,
  nf_conn_acct,
  nf_conn_labels,
  nf_conn_help,
  nf_conntrack_helper,
  ipv6_devconf,
};

enum class MemberKind : std::uint8_t {
  scalar,
  bytes,           // an array, read at any size within it
  pointer,         // to `target`, never null
  probed_pointer,  // to `target` or null; loads through it are probed, as in the kernel
  packet,          // the address of the packet's first byte
  packet_end,      // the address behind its last byte
};

struct Member {
  std::string_view name;
  MemberKind kind = MemberKind::scalar;
  std::uint32_t offset = 0;  // as programs use it
  std::uint32_t size = 0;    // as programs load it
  StructureId target = StructureId::xdp_md;
  // Where it really stands, when that differs: of contexts.
  std::uint32_t real_offset = 0;
  std::uint32_t real_size = 0;
  // Of contexts: the types of programs that may load and store it, a bit each (bit_of()).
  std::uint32_t readers = ~std::uint32_t{0};
  std::uint32_t writers = 0;
};

[[nodiscard]] constexpr std::uint32_t bit_of(isa::ProgramType type) {
  return std::uint32_t{1} << (static_cast<unsigned>(type) % 32);
}

struct Structure {
  std::string_view name;
  std::span<const Member> members;
};

[[nodiscard]] const Structure& structure(StructureId id);
// The member that holds bytes [offset, offset + size), or nullptr.
[[nodiscard]] const Member* member_at(StructureId id, std::int64_t offset, std::uint32_t size);
// What a relocation of type FieldOffset is filled with; nothing for an unknown name.
[[nodiscard]] std::optional<std::int64_t> field_offset(const isa::FieldOffset& field);
// The type of r1 of a program.
[[nodiscard]] StructureId context_of(isa::ProgramType type);
// The structure behind the context (bpf_cast_to_kern_ctx()); nothing where weir has no use for it.
[[nodiscard]] std::optional<StructureId> kernel_context_of(isa::ProgramType type);
// Whether a program runs on a struct sk_buff whose address is its context.
[[nodiscard]] bool runs_on_skb(isa::ProgramType type);

// The engine's own structures. Member names follow the kernel's (include/linux/{skbuff,netdevice,
// netfilter}.h, include/net/{xdp,sock,dst}.h, include/net/netfilter); bit 0 to 2 of pkt_type_bits
// are the bit field skb->pkt_type.
namespace kernel_structs {

struct Ipv6Devconf {
  std::int32_t hop_limit = 0;
};

struct Net {
  std::uint64_t cookie = 0;
  std::uint8_t ip_ttl = 0;
  const Ipv6Devconf* devconf = nullptr;
};

struct LinkOps {
  const char* kind = nullptr;
};

struct NetDevice {
  char name[16] = {};
  std::int32_t ifindex = 0;
  std::uint16_t type = 0;
  std::uint32_t group = 0;
  const LinkOps* rtnl_link_ops = nullptr;
  const Net* net = nullptr;
};

struct HookState {
  std::uint8_t hook = 0;
  std::uint8_t pf = 0;
  const NetDevice* in = nullptr;
  const NetDevice* out = nullptr;
  const Net* net = nullptr;
};

struct Cred {
  std::uint32_t fsuid = 0;
  std::uint32_t fsgid = 0;
};

struct File {
  const Cred* cred = nullptr;
};

struct Socket {
  const File* file = nullptr;
};

// struct sock, and with `listener` struct request_sock, which begin alike.
struct Sock {
  std::uint8_t state = 0;
  const Net* net = nullptr;
  const Sock* listener = nullptr;
  const Socket* socket = nullptr;
  std::uint32_t classid = 0;
};

struct DstEntry {
  std::uint32_t tclassid = 0;
  const void* xfrm = nullptr;
};

// struct rtable and struct rt6_info in one.
struct Route {
  DstEntry dst;
  std::uint8_t gateway_family = 0;
  std::uint8_t gateway[4] = {};
  std::uint8_t destination6[16] = {};
  std::uint8_t gateway6[16] = {};
  std::uint32_t flags6 = 0;
};

struct ConntrackTuple {
  std::uint8_t src_u3[16] = {};
  std::uint16_t src_u = 0;
  std::uint16_t l3num = 0;
  std::uint8_t dst_u3[16] = {};
  std::uint16_t dst_u = 0;
  std::uint8_t protonum = 0;
  std::uint8_t dir = 0;
};

struct ConntrackZone {
  std::uint16_t id = 0;
  std::uint8_t flags = 0;
  std::uint8_t dir = 0;
};

struct ConntrackHelper {
  char name[16] = {};
};

struct ConnHelp {
  const ConntrackHelper* helper = nullptr;
};

struct ConnAcct {
  std::uint64_t original_packets = 0;
  std::uint64_t original_bytes = 0;
  std::uint64_t reply_packets = 0;
  std::uint64_t reply_bytes = 0;
};

struct ConnLabels {
  std::uint64_t bits[2] = {};
};

// Extensions stand behind their offsets; 0 is that of none.
struct CtExtensions {
  std::uint8_t helper_offset = 0;
  std::uint8_t acct_offset = 0;
  std::uint8_t labels_offset = 0;
  ConnHelp help = {};
  ConnAcct acct = {};
  ConnLabels labels = {};
};

struct Conn {
  ConntrackTuple tuples[2] = {};
  ConntrackZone zone = {};
  std::uint64_t status = 0;
  std::uint32_t mark = 0;
  const Conn* master = nullptr;
  const CtExtensions* ext = nullptr;
};

struct SkBuff {
  std::uint32_t len = 0;
  std::uint32_t data_len = 0;
  std::uint64_t nfct = 0;
  std::uint8_t pkt_type_bits = 0;
  std::uint16_t protocol = 0;
  std::uint16_t network_header = 0;
  std::uint16_t mac_header = 0;
  std::uint16_t mac_len = 0;
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t hash = 0;
  std::int32_t skb_iif = 0;
  std::uint16_t vlan_proto = 0;
  std::uint16_t vlan_tci = 0;
  std::uint64_t refdst = 0;
  const Sock* sk = nullptr;
  const NetDevice* dev = nullptr;
  const std::uint8_t* head = nullptr;
  const std::uint8_t* data = nullptr;
  // What struct __sk_buff shows and the kernel computes or keeps elsewhere.
  const std::uint8_t* data_end = nullptr;
  std::uint32_t dev_ifindex = 0;
  std::uint8_t vlan_present = 0;
  std::uint32_t cb[5] = {};
};

struct CpuClocks {
  std::int64_t real_offset = 0;
};

struct ClockBase {
  const CpuClocks* cpu_base = nullptr;
};

struct Task {
  const ClockBase* timer_base = nullptr;
};

struct NetfilterContext {
  const HookState* state = nullptr;
  const SkBuff* skb = nullptr;
};

struct XdpReceiveQueue {
  const NetDevice* dev = nullptr;
  std::uint32_t queue_index = 0;
};

// struct xdp_buff, and what struct xdp_md shows of what is behind it.
struct XdpBuff {
  const std::uint8_t* data = nullptr;
  const std::uint8_t* data_end = nullptr;
  const std::uint8_t* data_hard_start = nullptr;
  const XdpReceiveQueue* rxq = nullptr;
  std::uint32_t data_meta = 0;
  std::uint32_t ingress_ifindex = 0;
  std::uint32_t rx_queue_index = 0;
};

}  // namespace kernel_structs

}  // namespace weir::engine
