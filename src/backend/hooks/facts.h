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
// r0 = ContextKey::iiftype of the struct net_device at r1.
void device_type(Emitter& out);
// r0 = ContextKey::ct_info, out of skb->_nfct in r0.
void connection(Emitter& out);

// ---- Programs whose context is struct __sk_buff (linux/bpf.h), a fixed interface ----
// Profile::context_key where packets have one device, skb->dev. Where a packet came in is another
// matter at egress (skb_iif is the lowest device, not the one that rules name).
std::optional<flow::ContextKey> skb_key_at_ingress(imr::MetaKey key);
std::optional<flow::ContextKey> skb_key_at_egress(imr::MetaKey key);
// Loads the fact into r0. The device is skb->dev: that where the packet came in, or goes out.
void emit_skb_context(Emitter& out, flow::ContextKey key);
// In place where the linear part of the packet has the bytes, else through bpf_skb_load_bytes().
void direct_window(Emitter& out, std::uint32_t width, flow::BlockId absent);
// Through bpf_skb_load_bytes() always.
void helper_window(Emitter& out, std::uint32_t width, flow::BlockId absent);

// r0 = buffer, filled with `width` packet bytes at offset r1 by a helper that takes (context,
// offset, buffer, width).
void load_bytes(Emitter& out, std::int32_t helper, std::uint32_t width, flow::BlockId absent);

}  // namespace weir::backend::facts
