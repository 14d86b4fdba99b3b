// SPDX-License-Identifier: BSD-2-Clause
#include "engine/machine.h"

#include <algorithm>
#include <cstring>

namespace weir::engine {
namespace {

// Room before the packet, so that no structure's offset happens to be zero.
constexpr std::uint16_t headroom = 64;
constexpr std::uint16_t no_mac_header = 0xffff;  // skb_mac_header_was_set()

void set_device(kernel_structs::NetDevice& device, std::uint32_t index, const std::string& name) {
  device = {};
  device.ifindex = static_cast<std::int32_t>(index);
  std::memcpy(device.name, name.data(), std::min(name.size(), sizeof device.name - 1));
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
  switch (type_) {
    case isa::ProgramType::xdp:
      memory_.add(&xdp_, sizeof xdp_, false);
      break;
    case isa::ProgramType::netfilter:
      memory_.add(&netfilter_, sizeof netfilter_, false);
      memory_.add(&state_, sizeof state_, false);
      memory_.add(&skb_, sizeof skb_, false);
      break;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      throw InvariantError("a machine for programs that the engine does not run");
  }
  lasting_regions_ = memory_.count();
}

void Machine::prepare(const Input& input) {
  memory_.keep(lasting_regions_);
  packet_ = input.bytes;
  const std::size_t linear = type_ == isa::ProgramType::xdp
                                 ? packet_.size()
                                 : std::min<std::size_t>(packet_.size(), input.linear_length);
  linear_.assign(headroom, 0);
  linear_.insert(linear_.end(), packet_.begin(),
                 packet_.begin() + static_cast<std::ptrdiff_t>(linear));
  memory_.add(linear_.data() + headroom, linear, type_ == isa::ProgramType::xdp);
  if (type_ == isa::ProgramType::xdp) {
    prepare_xdp(input);
  } else {
    prepare_netfilter(input);
  }
  stack_.fill(0);
}

void Machine::prepare_xdp(const Input& input) {
  const std::uint8_t* data = linear_.data() + headroom;
  xdp_ = {};
  xdp_.data = data;
  xdp_.data_end = data + packet_.size();
  xdp_.data_meta = static_cast<std::uint32_t>(address_of(data));
  xdp_.ingress_ifindex = input.iif;
}

void Machine::prepare_netfilter(const Input& input) {
  constexpr std::uint16_t ipv6_ethertype = 0xdd86;  // 0x86dd as it stands in memory
  constexpr std::uint8_t nfproto_ipv4 = 2;
  constexpr std::uint8_t nfproto_ipv6 = 10;
  const std::size_t linear = linear_.size() - headroom;

  set_device(in_, input.iif, input.iifname);
  set_device(out_, input.oif, input.oifname);
  state_ = {};
  state_.pf = input.protocol == ipv6_ethertype ? nfproto_ipv6 : nfproto_ipv4;
  if (input.iif != 0) {
    state_.in = &in_;
    memory_.add(&in_, sizeof in_, false);
  }
  if (input.oif != 0) {
    state_.out = &out_;
    memory_.add(&out_, sizeof out_, false);
  }

  skb_ = {};
  skb_.len = static_cast<std::uint32_t>(packet_.size());
  skb_.data_len = static_cast<std::uint32_t>(packet_.size() - linear);
  skb_.nfct = input.ct_info | (input.has_connection ? address_of(connection_.data()) : 0);
  skb_.pkt_type_bits = input.pkttype & 7;
  skb_.protocol = input.protocol;
  skb_.network_header = headroom;
  skb_.mac_header = no_mac_header;
  skb_.mark = input.mark;
  skb_.head = linear_.data();
  skb_.data = linear_.data() + headroom;
  netfilter_ = {.state = &state_, .skb = &skb_};
}

std::uint64_t Machine::context() const {
  return type_ == isa::ProgramType::xdp ? address_of(&xdp_) : address_of(&netfilter_);
}

Map& Machine::map_at(std::uint64_t address) const {
  const auto found = std::ranges::find_if(
      maps_, [&](const Map* candidate) { return address_of(candidate) == address; });
  invariant(found != maps_.end(), "engine: a call on something that is no map");
  return **found;
}

void Machine::require(std::uint64_t address, std::uint64_t size, bool writable) const {
  invariant(memory_.contains(address, size, writable),
            writable ? "engine: a write outside of live memory"
                     : "engine: a read outside of live memory");
}

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers in every process.
std::uint64_t Machine::random() {
  random_state_ += 0x9e3779b97f4a7c15;
  std::uint64_t mixed = random_state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

}  // namespace weir::engine
