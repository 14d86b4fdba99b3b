// SPDX-License-Identifier: BSD-2-Clause
//
// What the profiles of several hooks have in common: facts out of the kernel's own structures, and
// packets of programs whose context is struct __sk_buff.
#pragma once

#include <cstdint>
#include <optional>

#include "backend/emitter.h"
#include "backend/profile.h"

namespace weir::backend::facts {

// r0 = one half of the name of the struct net_device at r1, 0 without a device. A renamed device
// may keep bytes of a longer name behind the zero byte, where nft_meta_store_ifname() sees zeros.
void device_name(Emitter& out, bool second);
// r0 = ContextKey::iiftype, iifgroup or a half of the kind, of the struct net_device at r1.
void device_type(Emitter& out);
void device_group(Emitter& out);
void device_kind(Emitter& out, bool second);
// Sets the bit of r0 that says that there is a value. r2 holds something that is never zero; that
// no checker knows it keeps its states few: on the way without a value r0 is 0, and a bit that it
// saw set on the other would make two of each state behind. r3 is lost.
void mark_present(Emitter& out, std::int32_t bit);
// r1 = memory that any load may read, and that faults to zero, at the address in r1; all of r0 to
// r5 but r1 are lost. Programs see what is behind pointers that the kernel's types do not tell.
void to_memory(Emitter& out);
// r0 = one half of the zero-terminated text in memory at r1, of at most 15 bytes, with zeros behind
// it; may jump to `done`. By bytes, since what follows the text need not be memory.
void text(Emitter& out, bool second, Label done);
// r0 = ContextKey::wall_offset, by a timer of the current task: that of the processor which the
// task last set it on. One that was taken offline since keeps what was right until then.
void wall_offset(Emitter& out);
// r0 = ContextKey::ip_ttl or ip6_hop_limit of the network namespace that the struct net_device at
// r1 is in; without a device, what namespaces begin with.
void time_to_live(Emitter& out, bool of_ipv6);
// r0 = ContextKey::ct_info, out of skb->_nfct in r0.
void connection(Emitter& out);

// ---- Facts about a struct sk_buff, wherever a program has it from (packet_facts.cpp) ----
struct PacketAccess {
  void (*load_skb)(Emitter& out) = nullptr;  // r1 = the struct sk_buff
  // r2 = the network namespace that nf_tables chains of the place run in, with the struct sk_buff
  // in r1, which stays.
  void (*load_net)(Emitter& out) = nullptr;
};
// r0 = the CPU, or a fact about the packet's socket, route or connection.
void emit_packet_fact(Emitter& out, flow::ContextKey key, const PacketAccess& access);
// Profile::needs_scratch of profiles that use it.
bool packet_fact_needs_scratch(flow::ContextKey key);

// ---- Programs whose context is struct __sk_buff (linux/bpf.h), a fixed interface ----
// Profile::context_key where packets have one device, skb->dev. Where a packet came in is another
// matter at egress (skb_iif is the lowest device, not the one that rules name).
std::optional<flow::ContextKey> skb_key_at_ingress(imr::MetaKey key);
std::optional<flow::ContextKey> skb_key_at_egress(imr::MetaKey key);
// Loads the fact into r0. The device is skb->dev: that where the packet came in, or goes out.
void emit_skb_context(Emitter& out, flow::ContextKey key);
// In place where the linear part of the packet has the bytes, else through bpf_skb_load_bytes().
std::uint8_t direct_window(Emitter& out, const PacketWindow& window);
// Through bpf_skb_load_bytes() always.
std::uint8_t helper_window(Emitter& out, const PacketWindow& window);

// r0 = buffer, filled with packet bytes at offset r1 by a helper that takes (context,
// offset, buffer, width).
std::uint8_t load_bytes(Emitter& out, std::int32_t helper, const PacketWindow& window);
// Profile::emit_copy by a helper of that shape, and by bpf_skb_load_bytes().
void copy_bytes(Emitter& out, std::int32_t helper);
void helper_copy(Emitter& out);

}  // namespace weir::backend::facts
