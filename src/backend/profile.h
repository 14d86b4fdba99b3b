// SPDX-License-Identifier: BSD-2-Clause
//
// A hook profile: one table a hook that says what a program there can see and how it says its
// verdict. Lowering asks it what exists, emission asks it for code. Profiles live in backend/hooks;
// docs/hooks.md is printed from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "backend/limits.h"
#include "base/hook.h"
#include "flow/flow.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

class Emitter;  // backend/emitter.h

// Bytes of a packet that are to be read.
struct PacketWindow {
  std::uint32_t width = 0;              // bytes
  flow::BlockId absent;                 // where to go when they are not there
  std::optional<std::uint32_t> offset;  // into the packet, where it is always the same
  std::uint8_t wanted = 0;              // the register where the pointer is to be
  // Where the profile takes them apart (splits_offsets) and the offset is small whatever the packet
  // is: the register that it is the sum of and of the number.
  std::optional<std::uint8_t> base;
  std::uint32_t number = 0;
};

struct Profile {
  std::string_view name;
  isa::ProgramType program_type = isa::ProgramType::xdp;
  isa::Direction direction = isa::Direction::ingress;

  // Values of r0 for the two verdicts.
  std::int32_t accept = 0;
  std::int32_t drop = 0;

  // Where the bytes of a packet start, and what the stack has done with it before.
  enum class Start : std::uint8_t {
    network,  // at the network header, which the IP stack has found whole
    frame,    // at the link header as it was received, VLAN tags in the bytes; may be anything
    skb,      // at the link header, if there is one: the stack knows where the network header is,
              // and has taken one VLAN tag out of the bytes
  };
  Start start = Start::network;
  // A program sees packets of one protocol (netfilter links have a family), or of all.
  bool one_protocol = false;

  // The context fact behind a meta key, or nothing where the hook cannot know it. Keys that come
  // out of the packet itself (l4proto, nfproto, at frames protocol) are not asked for.
  std::optional<flow::ContextKey> (*context_key)(imr::MetaKey key) = nullptr;
  bool has_conntrack = false;
  // Whether skb->sk is what nf_tables chains of the same place see.
  bool has_socket = false;
  bool writes_mark = false;
  bool writes_priority = false;
  bool writes_pkttype = false;
  bool writes_packets = false;
  // Whether programs learn, or helpers know, of checksums that the stack left to the device.
  bool knows_open_checksums = false;
  bool reads_packets = true;  // whether there is any way to the packet's bytes
  // Facts beyond those of the program type's own context structure take a kernel function.
  bool kernel_functions = true;
  // bpf_rdonly_cast() makes memory of any address (kernel 6.17).
  bool untrusted_memory = true;
  // Functions within the program, per-CPU maps, and addresses of map values may be used.
  bool local_calls = true;
  bool per_cpu_maps = true;
  bool coarse_clock = true;  // bpf_ktime_get_coarse_ns(), or else bpf_ktime_get_ns() for it
  bool map_values = true;
  Limits limits;

  // What windows need of the stack: a dynptr and a saved value; a buffer for each that is in use.
  bool window_dynptr = false;
  bool window_buffer = false;
  bool splits_offsets = false;  // whether PacketWindow::base may stand for r1
  // Whether the fact takes the frame's place for a value (Emitter::scratch()).
  bool (*needs_scratch)(flow::ContextKey key) = nullptr;

  // Emission; each may use r0 to r5 freely and expects the context pointer in the frame.
  // Loads the fact into r0.
  void (*emit_context)(Emitter& out, flow::ContextKey key) = nullptr;
  // r1 holds the offset into the packet, unless the window has a base. The register that is given
  // back, the wanted one or r0, becomes a pointer from which the bytes can be loaded; falls through
  // on success.
  std::uint8_t (*emit_window)(Emitter& out, const PacketWindow& window) = nullptr;
  // Sends a frame back to the device in the packet's place: r8 points to it, r9 is how long it is,
  // at most 1,330 bytes; r6 points to the value of backend/answers.h, r7 is what Op::answer is
  // told. r0 = 0 when it was done: the program returns `answered` then.
  void (*emit_answer)(Emitter& out) = nullptr;
  // The helper that copies bytes of the packet: context, offset, target, size.
  std::int32_t load_helper = 0;
  std::int32_t answered = 0;
  // Whether bpf_redirect() sends the packet, where the program returns `forwarded`, and
  // bpf_clone_redirect() copies of it.
  bool forwards = false;
  bool duplicates = false;
  std::int32_t forwarded = 0;
  // Copies the packet's first r7 bytes, at least one, to where r8 points; r6 to r9 stay. Needs the
  // frame's dynptr where windows do.
  void (*emit_copy)(Emitter& out) = nullptr;
};

// What a caller of the compiler may ask of a profile.
struct ProfileOptions {
  bool untrusted_memory = true;  // see driver::Options
  Limits limits = {};
};

// What programs return for a verdict of Terminator::Kind::ret.
[[nodiscard]] constexpr std::int32_t returned(const Profile& profile, std::uint64_t verdict) {
  switch (static_cast<flow::Verdict>(verdict)) {
    case flow::Verdict::drop:
      return profile.drop;
    case flow::Verdict::accept:
      return profile.accept;
    case flow::Verdict::answered:
      return profile.answered;
    case flow::Verdict::forwarded:
      return profile.forwarded;
  }
  throw InvariantError("verdict out of range");
}

// The profile that serves the hook, within the limits.
[[nodiscard]] Profile profile_for(const Hook& hook, const ProfileOptions& options = {});

// Every hook, the netfilter ones each, without devices.
[[nodiscard]] std::vector<Hook> all_hooks();

extern const Profile xdp_profile;
extern const Profile xdp_helper_profile;        // packets through bpf_xdp_load_bytes()
extern const Profile netfilter_profile;         // packets through bpf_rdonly_cast
extern const Profile netfilter_slices_profile;  // packets through dynptr slices
extern const Profile netfilter_copies_profile;  // packets through bpf_dynptr_read()
extern const Profile tc_ingress_profile;
extern const Profile tc_egress_profile;
extern const Profile cgroup_ingress_profile;
extern const Profile cgroup_egress_profile;
extern const Profile socket_profile;

}  // namespace weir::backend
