// SPDX-License-Identifier: BSD-2-Clause
#include "driver/seen.h"

#include "packet/vlan.h"

namespace weir::driver {
namespace {

constexpr std::size_t ethernet_header = 14;

Status wants_frame(const Hook& hook, const packet::Packet& packet) {
  if (packet.network_offset >= ethernet_header) return {};
  return input_error(to_string(hook) + " sees frames, and this packet has no Ethernet header");
}

}  // namespace

Result<packet::Packet> seen_at(const Hook& hook, const packet::Packet& packet) {
  switch (hook.kind) {
    case Hook::Kind::xdp: {
      WEIR_CHECK(wants_frame(hook, packet));
      packet::Packet out = packet;
      if (packet.vlan) {
        out.bytes = packet::on_wire(packet);
        out.network_offset += 4;
        out.vlan.reset();
      }
      return out;
    }
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
    case Hook::Kind::socket:
      WEIR_CHECK(wants_frame(hook, packet));
      return packet::as_received(packet);
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      return packet;
  }
  throw InvariantError("hook kind out of range");
}

}  // namespace weir::driver
