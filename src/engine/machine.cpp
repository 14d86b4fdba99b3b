// SPDX-License-Identifier: BSD-2-Clause
#include "engine/machine.h"

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "engine/ring_buffer.h"

namespace weir::engine {
namespace {

// Room before the packet, so that no structure's offset happens to be zero.
constexpr std::uint16_t headroom = 64;
constexpr std::size_t growth = 2048;             // room for what programs add to a packet
constexpr std::uint16_t no_mac_header = 0xffff;  // skb_mac_header_was_set()

void set_device(kernel_structs::NetDevice& device, std::uint32_t index, const std::string& name,
                std::uint16_t type) {
  device = {};
  device.ifindex = static_cast<std::int32_t>(index);
  device.type = type;
  std::memcpy(device.name, name.data(), std::min(name.size(), sizeof device.name - 1));
}

// A number as it stands in memory when the network's byte order is meant.
std::uint16_t network_order(std::uint16_t number) {
  return static_cast<std::uint16_t>(number << 8 | number >> 8);
}

}  // namespace

Machine::Machine(isa::ProgramType type, std::vector<Map*> maps)
    : type_(type), maps_(std::move(maps)) {
  memory_.add(stack_.data(), stack_.size(), true);
  for (Map* map : maps_) {
    if (const auto block = map->block(); !block.empty()) {
      memory_.add(block.data(), block.size(), true);
    }
  }
  memory_.add(&task_, sizeof task_, false);
  memory_.add(&clock_base_, sizeof clock_base_, false);
  memory_.add(&clocks_, sizeof clocks_, false);
  switch (type_) {
    case isa::ProgramType::xdp:
      memory_.add(&xdp_, sizeof xdp_, false);
      memory_.add(&queue_, sizeof queue_, false);
      break;
    case isa::ProgramType::netfilter:
      memory_.add(&netfilter_, sizeof netfilter_, false);
      memory_.add(&state_, sizeof state_, false);
      memory_.add(&skb_, sizeof skb_, false);
      break;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      memory_.add(&skb_, sizeof skb_, true);
      break;
  }
  lasting_regions_ = memory_.count();
}

void Machine::prepare(const Input& input) {
  memory_.keep(lasting_regions_);
  bytes_ = input.bytes;
  before_ = std::min<std::size_t>(input.data_offset, bytes_.size());
  network_offset_ = std::min<std::size_t>(input.network_offset, bytes_.size());
  std::size_t linear = packet().size();
  if (type_ != isa::ProgramType::xdp) linear = std::min<std::size_t>(linear, input.linear_length);
  // The room is there from the start, so that no pointer moves when the linear part grows.
  linear_.reserve(headroom + bytes_.size() + growth);
  linear_.assign(headroom + bytes_.size(), 0);
  std::ranges::copy(bytes_.first(before_ + linear), linear_.begin() + headroom);
  const bool writable = type_ == isa::ProgramType::xdp || type_ == isa::ProgramType::sched_cls;
  memory_.add(linear_.data() + headroom, before_ + linear, writable);

  sent_ = {};
  cpu_ = input.cpu;
  now_ = input.now;
  clocks_.real_offset = input.wall_offset;
  if (input.chance) chance_ = Chance(*input.chance);
  prepare_devices(input);
  if (type_ == isa::ProgramType::xdp) {
    prepare_xdp(input);
  } else {
    prepare_skb(input, linear);
    prepare_route(input);
    prepare_socket(input);
    prepare_connection(input);
    if (type_ == isa::ProgramType::netfilter) prepare_netfilter(input);
  }
  stack_.fill(0);
}

void Machine::prepare_devices(const Input& input) {
  set_device(in_, input.iif, input.iifname, input.iiftype);
  set_device(out_, input.oif, input.oifname, input.oiftype);
  in_.group = input.iifgroup;
  out_.group = input.oifgroup;
  in_.net = out_.net = &net_;
  devconf_ = {.hop_limit = input.ip6_hop_limit};
  net_ = {.ip_ttl = input.ip_ttl, .devconf = &devconf_};
  memory_.add(&devconf_, sizeof devconf_, false);
  memory_.add(&net_, sizeof net_, false);
  kind_names_ = {};
  const auto give_kind = [&](kernel_structs::NetDevice& device, kernel_structs::LinkOps& ops,
                             const std::string& kind, char* room) {
    // Zeros stand behind it.
    constexpr std::size_t longest = 15;
    std::ranges::copy(std::string_view(kind).substr(0, longest), room);
    ops.kind = room;
    device.rtnl_link_ops = kind.empty() ? nullptr : &ops;
  };
  give_kind(in_, in_kind_, input.iifkind, kind_names_.data());
  give_kind(out_, out_kind_, input.oifkind, kind_names_.data() + kind_names_.size() / 2);
  memory_.add(kind_names_.data(), kind_names_.size(), false);
  memory_.add(&in_kind_, sizeof in_kind_, false);
  memory_.add(&out_kind_, sizeof out_kind_, false);
  if (input.iif != 0) memory_.add(&in_, sizeof in_, false);
  if (input.oif != 0) memory_.add(&out_, sizeof out_, false);
}

void Machine::prepare_xdp(const Input& input) {
  const std::uint8_t* data = linear_.data() + headroom + before_;
  queue_ = {.dev = input.iif != 0 ? &in_ : nullptr};
  xdp_ = {};
  xdp_.data = data;
  xdp_.data_end = data + packet().size();
  xdp_.data_hard_start = linear_.data();
  xdp_.rxq = &queue_;
  xdp_.data_meta = static_cast<std::uint32_t>(address_of(data));
  xdp_.ingress_ifindex = input.iif;
}

void Machine::prepare_skb(const Input& input, std::size_t linear) {
  skb_ = {};
  skb_.len = static_cast<std::uint32_t>(packet().size());
  skb_.data_len = static_cast<std::uint32_t>(packet().size() - linear);
  skb_.pkt_type_bits = input.pkttype & 7;
  skb_.protocol = input.protocol;
  skb_.network_header = static_cast<std::uint16_t>(headroom + network_offset_);
  skb_.mac_header = network_offset_ == 0 ? no_mac_header : headroom;
  skb_.mac_len = static_cast<std::uint16_t>(network_offset_);
  skb_.mark = input.mark;
  skb_.priority = input.priority;
  skb_.hash = input.hash;
  skb_.skb_iif = static_cast<std::int32_t>(input.iif);
  if (input.vlan_present) {
    skb_.vlan_present = 1;
    skb_.vlan_proto = network_order(input.vlan_protocol);
    skb_.vlan_tci = input.vlan_tci;
  }
  const bool either = input.at == Input::At::output_else_input;
  if (input.iif != 0 && (either || input.at == Input::At::input)) skb_.dev = &in_;
  if (input.oif != 0 && (either || input.at == Input::At::output)) skb_.dev = &out_;
  if (skb_.dev != nullptr) skb_.dev_ifindex = static_cast<std::uint32_t>(skb_.dev->ifindex);
  skb_.head = linear_.data();
  skb_.data = linear_.data() + headroom + before_;
  skb_.data_end = skb_.data + linear;
}

void Machine::prepare_route(const Input& input) {
  if (!input.route) return;
  const Route& route = *input.route;
  route_ = {.dst = {.tclassid = route.tclassid, .xfrm = route.transformed ? &net_ : nullptr},
            .gateway_family = route.gateway_family,
            .flags6 = route.flags};
  std::ranges::copy(route.gateway, route_.gateway);
  std::ranges::copy(route.gateway6, route_.gateway6);
  std::ranges::copy(route.destination, route_.destination6);
  memory_.add(&route_, sizeof route_, false);
  skb_.refdst = address_of(&route_) | 1;  // SKB_DST_NOREF
}

// States of sockets: include/net/tcp_states.h.
void Machine::prepare_socket(const Input& input) {
  constexpr std::uint8_t time_wait = 6;
  constexpr std::uint8_t closed = 7;
  constexpr std::uint8_t new_syn_received = 12;
  if (!input.socket) return;
  const Socket& socket = *input.socket;
  cred_ = {.fsuid = socket.user, .fsgid = socket.group};
  file_ = {.cred = &cred_};
  socket_ = {.file = socket.has_file ? &file_ : nullptr};
  sock_ = {.state = closed,
           .net = socket.same_netns ? &net_ : &other_net_,
           .socket = &socket_,
           .classid = socket.cgroup_class};
  if (socket.kind == Socket::Kind::time_wait) sock_.state = time_wait;
  skb_.sk = &sock_;
  if (socket.kind == Socket::Kind::request) {
    listener_ = {.state = new_syn_received, .net = sock_.net, .listener = &sock_};
    skb_.sk = &listener_;
    memory_.add(&listener_, sizeof listener_, false);
  }
  memory_.add(&sock_, sizeof sock_, false);
  memory_.add(&socket_, sizeof socket_, false);
  memory_.add(&file_, sizeof file_, false);
  memory_.add(&cred_, sizeof cred_, false);
}

void Machine::prepare_connection(const Input& input) {
  skb_.nfct = input.ct_info;
  if (!input.has_connection) return;
  const Connection& from = input.connection;
  connection_ = {};
  connection_.status = from.status;
  connection_.mark = from.mark;
  connection_.zone = {.id = from.zone, .dir = from.zone_directions};
  for (std::size_t i = 0; i < from.sides.size(); ++i) {
    const Connection::Side& side = from.sides[i];
    kernel_structs::ConntrackTuple& tuple = connection_.tuples[i];
    std::ranges::copy(side.source, tuple.src_u3);
    std::ranges::copy(side.destination, tuple.dst_u3);
    tuple.src_u = side.source_port;
    tuple.dst_u = side.destination_port;
    tuple.l3num = from.l3proto;
    tuple.protonum = from.protocol;
    tuple.dir = static_cast<std::uint8_t>(i);
  }
  extensions_ = {};
  extensions_.acct = {.original_packets = from.sides[0].packets,
                      .original_bytes = from.sides[0].bytes,
                      .reply_packets = from.sides[1].packets,
                      .reply_bytes = from.sides[1].bytes};
  std::memcpy(extensions_.labels.bits, from.labels.data(), from.labels.size());
  using kernel_structs::CtExtensions;
  if (from.accounted) extensions_.acct_offset = offsetof(CtExtensions, acct);
  if (from.labelled) extensions_.labels_offset = offsetof(CtExtensions, labels);
  if (from.accounted || from.labelled) connection_.ext = &extensions_;
  if (!from.helper.empty()) {
    helper_ = {};
    std::memcpy(helper_.name, from.helper.data(),
                std::min(from.helper.size(), sizeof helper_.name - 1));
    master_extensions_ = {.helper_offset = offsetof(CtExtensions, help), .help = {&helper_}};
    master_ = {};
    master_.ext = &master_extensions_;
    connection_.master = &master_;
    memory_.add(&helper_, sizeof helper_, false);
    memory_.add(&master_, sizeof master_, false);
    memory_.add(&master_extensions_, sizeof master_extensions_, false);
  }
  memory_.add(&connection_, sizeof connection_, false);
  memory_.add(&extensions_, sizeof extensions_, false);
  skb_.nfct |= address_of(&connection_);
}

void Machine::prepare_netfilter(const Input& input) {
  constexpr std::uint16_t ipv6_ethertype = 0xdd86;  // 0x86dd as it stands in memory
  constexpr std::uint8_t nfproto_ipv4 = 2;
  constexpr std::uint8_t nfproto_ipv6 = 10;
  state_ = {};
  state_.pf = input.protocol == ipv6_ethertype ? nfproto_ipv6 : nfproto_ipv4;
  if (input.iif != 0) state_.in = &in_;
  if (input.oif != 0) state_.out = &out_;
  state_.net = &net_;
  netfilter_ = {.state = &state_, .skb = &skb_};
}

ByteView Machine::linear() const {
  const std::size_t size =
      type_ == isa::ProgramType::xdp ? packet().size() : packet().size() - skb_.data_len;
  return ByteView(linear_).subspan(headroom + before_, size);
}

bool Machine::is_packet(std::uint64_t address) const {
  return type_ == isa::ProgramType::xdp ? address == address_of(&xdp_)
                                        : address == address_of(&skb_);
}

bool Machine::read_packet(std::int64_t offset, std::uint8_t* out, std::size_t size) const {
  const auto before = static_cast<std::int64_t>(before_);
  if (offset < -before || offset > static_cast<std::int64_t>(packet().size())) return false;
  const auto begin = static_cast<std::size_t>(offset + before);
  if (size > bytes_.size() - begin) return false;
  const std::size_t in_linear = before_ + linear().size();
  for (std::size_t at = begin; at < begin + size; ++at) {
    out[at - begin] = at < in_linear ? linear_[headroom + at] : bytes_[at];
  }
  return true;
}

bool Machine::write_packet(std::uint32_t offset, ByteView value) {
  const std::size_t end = offset + value.size();
  if (end > packet().size() || (type_ != isa::ProgramType::xdp && !pull(end))) return false;
  std::ranges::copy(value,
                    linear_.begin() + static_cast<std::ptrdiff_t>(headroom + before_ + offset));
  return true;
}

bool Machine::splice(std::size_t at, std::size_t gone, std::size_t zeros) {
  Bytes changed = changed_bytes();
  const auto begin = changed.begin() + static_cast<std::ptrdiff_t>(before_ + at);
  invariant(at + gone <= packet().size(), "engine: more taken out of a packet than there is");
  changed.erase(begin, begin + static_cast<std::ptrdiff_t>(gone));
  changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(before_ + at), zeros, 0);
  if (headroom + changed.size() > linear_.capacity()) return false;
  spliced_ = std::move(changed);
  bytes_ = spliced_;
  linear_.resize(headroom + bytes_.size());
  std::ranges::copy(bytes_, linear_.begin() + headroom);
  const bool is_xdp = type_ == isa::ProgramType::xdp;
  memory_.add(linear_.data() + headroom, bytes_.size(),
              is_xdp || type_ == isa::ProgramType::sched_cls);
  const std::uint8_t* data = linear_.data() + headroom + before_;
  xdp_.data_end = data + packet().size();
  skb_.len = static_cast<std::uint32_t>(packet().size());
  skb_.data_len = 0;
  skb_.data_end = data + packet().size();
  return true;
}

void Machine::forget_tag() {
  skb_.vlan_present = 0;
  skb_.vlan_proto = 0;
  skb_.vlan_tci = 0;
}

Bytes Machine::changed_bytes() const {
  Bytes out(bytes_.begin(), bytes_.end());
  std::copy_n(linear_.begin() + headroom, before_ + linear().size(), out.begin());
  return out;
}

void Machine::set_packet_type(std::uint8_t type) {
  skb_.pkt_type_bits = static_cast<decltype(skb_.pkt_type_bits)>((skb_.pkt_type_bits & ~7) | type);
}

// skb_ensure_writable(), as bpf_skb_pull_data() uses it.
bool Machine::pull(std::size_t length) {
  if (length > packet().size()) return false;
  const std::size_t linear = packet().size() - skb_.data_len;
  if (length <= linear) return true;
  std::ranges::copy(packet().subspan(linear, length - linear),
                    linear_.begin() + static_cast<std::ptrdiff_t>(headroom + before_ + linear));
  skb_.data_len = static_cast<std::uint32_t>(packet().size() - length);
  skb_.data_end = skb_.data + length;
  memory_.add(linear_.data() + headroom, before_ + length, type_ == isa::ProgramType::sched_cls);
  return true;
}

std::uint64_t Machine::context() const {
  switch (type_) {
    case isa::ProgramType::xdp:
      return address_of(&xdp_);
    case isa::ProgramType::netfilter:
      return address_of(&netfilter_);
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      return address_of(&skb_);
  }
  throw InvariantError("engine: a program type without a context");
}

Map& Machine::map_at(std::uint64_t address) const {
  const auto found = std::ranges::find_if(
      maps_, [&](const Map* candidate) { return address_of(candidate) == address; });
  invariant(found != maps_.end(), "engine: a call on something that is no map");
  return **found;
}

bool Machine::submit(const std::uint8_t* record) const {
  return std::ranges::any_of(maps_, [&](Map* map) {
    auto* ring = dynamic_cast<RingBuffer*>(map);
    return ring != nullptr && ring->submit(record);
  });
}

void Machine::require(std::uint64_t address, std::uint64_t size, bool writable) const {
  invariant(memory_.contains(address, size, writable),
            writable ? "engine: a write outside of live memory"
                     : "engine: a read outside of live memory");
}

std::uint64_t Machine::now() const {
  if (now_) return *now_;
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace weir::engine
