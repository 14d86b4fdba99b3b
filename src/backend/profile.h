// SPDX-License-Identifier: BSD-2-Clause
//
// A hook profile: one table a hook that says what a program there can see and how it says its
// verdict. Lowering asks it what exists, emission asks it for code. Profiles live in backend/hooks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/hook.h"
#include "flow/flow.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

class Emitter;  // backend/emitter.h

struct Profile {
  std::string_view name;
  isa::ProgramType program_type = isa::ProgramType::xdp;

  // Values of r0 for the two verdicts.
  std::int32_t accept = 0;
  std::int32_t drop = 0;

  // Whether packets start at the Ethernet header, and may be anything. Else they start at the
  // network header, and the stack has seen to it that it is whole.
  bool starts_at_link = false;
  // Whether transport loads flagged in_later_fragments are there in later fragments (the nf_tables
  // interpreter's own quirk), at offset 0 of the packet for IPv6.
  bool nf_tables_quirks = false;

  // The context fact behind a meta key, or nothing where the hook cannot know it. Keys that come
  // out of the packet itself (l4proto, nfproto) are not asked for.
  std::optional<flow::ContextKey> (*context_key)(imr::MetaKey key) = nullptr;
  bool has_conntrack = false;

  // Emission; each may use r0 to r5 freely and expects the context pointer in the frame.
  // Loads the fact into r0.
  void (*emit_context)(Emitter& out, flow::ContextKey key) = nullptr;
  // r1 holds the offset into the packet. r0 becomes a pointer from which `width` bytes can be
  // loaded; falls through on success, jumps to `absent` else.
  void (*emit_window)(Emitter& out, std::uint32_t width, flow::BlockId absent) = nullptr;
};

// What a caller of the compiler may ask of a profile.
struct ProfileOptions {
  bool untrusted_memory = true;  // see driver::Options
};

// The profile that serves the hook.
[[nodiscard]] const Profile& profile_for(const Hook& hook, const ProfileOptions& options);

extern const Profile xdp_profile;
extern const Profile netfilter_profile;         // packets through bpf_rdonly_cast
extern const Profile netfilter_slices_profile;  // packets through dynptr slices

}  // namespace weir::backend
