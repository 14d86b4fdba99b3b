// SPDX-License-Identifier: BSD-2-Clause
//
// One program at one hook: on a device, in a cgroup, among the netfilter hooks.
#pragma once

#include "base/error.h"
#include "isa/program.h"
#include "kernel/kernel.h"
#include "service/state.h"

namespace weir::service {

// Hooks that need a device or a cgroup have one, and others have none. What belongs to a socket is
// attached by the program that owns it.
[[nodiscard]] Status check_hook(const Hook& hook);
// The device or cgroup is there, in the calling thread's namespaces.
[[nodiscard]] Status check_target(const Hook& hook);

// An empty program of the type and direction that the hook takes.
[[nodiscard]] isa::Program program_for(Hook::Kind kind);

// Attaches the program where `state` says, and tells it the ids, the mode and the filter. A device
// without native XDP gets generic XDP; TC filters take the place of TCX links where the kernel has
// none, or where `tc_mode` asks for them: the descriptor is not valid then. A refusal names who
// holds the place, as far as can be found out.
[[nodiscard]] Result<kernel::Fd> attach(const kernel::Fd& program, AttachmentState& state,
                                        kernel::TcMode tc_mode, const Paths& paths);

// Puts another program in the place of the one that runs at `attachment`, at once. `holder` is the
// pinned link or place, not valid for TC filters. Success where the device, cgroup or network
// namespace is gone, and with it whatever ran there.
[[nodiscard]] Status put_program(const kernel::Fd& program, const AttachmentState& attachment,
                                 const kernel::Fd& holder, std::uint64_t namespace_id);

// Takes the TC filters of the policy off, in its network namespace, unless others have taken their
// places.
void detach_filters(const PolicyState& policy);

// "netfilter:input ipv4 priority 0", "xdp@eth0 (native)", "cgroup:egress@/sys/fs/cgroup/web"
[[nodiscard]] std::string place_text(const AttachmentState& attachment);

}  // namespace weir::service
