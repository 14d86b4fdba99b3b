// SPDX-License-Identifier: BSD-2-Clause
#include "service/attach.h"

#include <linux/magic.h>
#include <net/if.h>
#include <sys/vfs.h>

#include "kernel/forward.h"
#include "service/netns.h"

namespace weir::service {
namespace {

// Who holds a place among the netfilter hooks, as far as can be found out.
std::vector<std::string> holders(const AttachmentState& wanted, const Paths& paths) {
  std::vector<std::string> out;
  if (wanted.hook.kind != Hook::Kind::netfilter) return out;
  const auto here = current_namespace();
  for (const std::string& name : policy_names(paths)) {
    const auto policy = load_policy(name, paths);
    if (!policy || !here || policy->namespace_id != *here) continue;
    for (const AttachmentState& other : policy->attachments) {
      if (other.hook == wanted.hook && other.nfproto == wanted.nfproto &&
          other.priority == wanted.priority) {
        out.push_back("weir policy '" + name + "' (weir release " + name + " removes it)");
      }
    }
  }
  for (std::string& chain : nft_chains_at(wanted.nfproto, wanted.hook.nf_hook, wanted.priority)) {
    out.push_back(std::move(chain));
  }
  return out;
}

Result<std::uint32_t> device_index(const Hook& hook) {
  const unsigned ifindex = if_nametoindex(hook.device.c_str());
  if (ifindex != 0) return ifindex;
  return input_error("there is no interface '" + hook.device + "' in this network namespace");
}

Result<kernel::Fd> attach_to_device(const kernel::Fd& program, AttachmentState& state) {
  WEIR_TRY(ifindex, device_index(state.hook));
  auto native = kernel::attach_xdp(program, ifindex, kernel::XdpMode::native);
  if (native) {
    state.mode = "native";
    return native;
  }
  auto generic = kernel::attach_xdp(program, ifindex, kernel::XdpMode::generic);
  if (generic) {
    state.mode = "generic";
    return generic;
  }
  Diagnostic error = generic.error();
  error.message = to_string(state.hook) + ": " + error.message;
  error.notes.push_back("native mode: " + native.error().message);
  return std::unexpected(error);
}

Result<kernel::Fd> attach_to_tc(const kernel::Fd& program, AttachmentState& state,
                                kernel::TcMode mode) {
  WEIR_TRY(ifindex, device_index(state.hook));
  const auto direction =
      state.hook.kind == Hook::Kind::tc_ingress ? isa::Direction::ingress : isa::Direction::egress;
  auto held = kernel::attach_tc(program, ifindex, direction, mode);
  if (!held) {
    Diagnostic error = held.error();
    error.message = to_string(state.hook) + ": " + error.message;
    return std::unexpected(error);
  }
  if (auto* link = std::get_if<kernel::Fd>(&*held)) {
    state.mode = "tcx";
    return std::move(*link);
  }
  state.mode = "filter";
  state.filter = std::get<kernel::TcFilter>(*held);
  return kernel::Fd();
}

Result<kernel::Fd> attach_to_netfilter(const kernel::Fd& program, const AttachmentState& state,
                                       const Paths& paths) {
  auto link = kernel::attach_netfilter(program, state.nfproto, state.hook.nf_hook, state.priority,
                                       state.defragments);
  if (link) return link;
  Diagnostic error = link.error();
  for (const std::string& holder : holders(state, paths)) {
    error.notes.push_back("held by " + holder);
  }
  for (const std::string& chain : state.chains) error.notes.push_back("wanted for chain " + chain);
  return std::unexpected(error);
}

Result<kernel::Fd> attach_anywhere(const kernel::Fd& program, AttachmentState& state,
                                   kernel::TcMode tc_mode, const Paths& paths) {
  switch (state.hook.kind) {
    case Hook::Kind::xdp:
      return attach_to_device(program, state);
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      return attach_to_tc(program, state, tc_mode);
    case Hook::Kind::netfilter:
      return attach_to_netfilter(program, state, paths);
    case Hook::Kind::cgroup_ingress:
      return kernel::attach_cgroup(program, state.hook.device, isa::Direction::ingress);
    case Hook::Kind::cgroup_egress:
      return kernel::attach_cgroup(program, state.hook.device, isa::Direction::egress);
    case Hook::Kind::socket:
      break;
  }
  throw InvariantError("a hook that nothing can be attached to");
}

}  // namespace

Status check_hook(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      if (!hook.device.empty()) return {};
      return input_error("hook " + to_string(hook) + " needs a device, expected " +
                         to_string(hook) + "@DEVICE");
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      if (!hook.device.empty()) return {};
      return input_error("hook " + to_string(hook) + " needs a cgroup, expected " +
                         to_string(hook) + "@/sys/fs/cgroup/...");
    case Hook::Kind::netfilter:
      if (hook.device.empty()) return {};
      return input_error("hook " + to_string(hook) + ": netfilter hooks have no device");
    case Hook::Kind::socket:
      return input_error(
          "hook socket: the program that owns a socket attaches its filter; weir compile --hook "
          "socket -o FILE.o makes the object for it");
  }
  throw InvariantError("hook kind out of range");
}

Status check_target(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      WEIR_CHECK(device_index(hook));
      return {};
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress: {
      struct statfs info{};
      if (::statfs(hook.device.c_str(), &info) == 0 &&
          static_cast<std::uint32_t>(info.f_type) == CGROUP2_SUPER_MAGIC) {
        return {};
      }
      return input_error("'" + hook.device + "' is no cgroup of version 2");
    }
    case Hook::Kind::netfilter:
    case Hook::Kind::socket:
      return {};
  }
  throw InvariantError("hook kind out of range");
}

Result<kernel::Fd> attach(const kernel::Fd& program, AttachmentState& state, kernel::TcMode tc_mode,
                          const Paths& paths) {
  WEIR_TRY(link, attach_anywhere(program, state, tc_mode, paths));
  WEIR_TRY(id, kernel::program_id(program));
  state.program_id = id;
  if (link.valid()) {
    WEIR_TRY(info, kernel::link_info(link));
    state.link_id = info.id;
  }
  return std::move(link);
}

isa::Program program_for(Hook::Kind kind) {
  isa::Program out;
  switch (kind) {
    case Hook::Kind::xdp:
      out.type = isa::ProgramType::xdp;
      return out;
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      out.type = isa::ProgramType::sched_cls;
      return out;
    case Hook::Kind::netfilter:
      out.type = isa::ProgramType::netfilter;
      return out;
    case Hook::Kind::cgroup_egress:
      out.direction = isa::Direction::egress;
      [[fallthrough]];
    case Hook::Kind::cgroup_ingress:
      out.type = isa::ProgramType::cgroup_skb;
      return out;
    case Hook::Kind::socket:
      out.type = isa::ProgramType::socket_filter;
      return out;
  }
  throw InvariantError("hook out of range");
}

Status put_program(const kernel::Fd& program, const AttachmentState& attachment,
                   const kernel::Fd& holder, std::uint64_t namespace_id) {
  if (attachment.forwarded) return kernel::put_program(holder, 0, program);
  if (attachment.filter) {
    return in_namespace(namespace_id, [&]() -> Status {
      if (!kernel::tc_filter_program(*attachment.filter)) return {};
      WEIR_CHECK(kernel::attach_tc_filter(program, *attachment.filter));
      return {};
    });
  }
  WEIR_TRY(info, kernel::link_info(holder));
  const bool on_device = info.kind == kernel::LinkKind::xdp || info.kind == kernel::LinkKind::tcx;
  if (on_device && info.ifindex == 0) return {};
  if (info.kind == kernel::LinkKind::cgroup && info.cgroup == 0) return {};
  const Status put = kernel::replace_program(holder, program);
  if (put) return {};
  Diagnostic error = put.error();
  error.message = place_text(attachment) + ": " + error.message;
  return std::unexpected(error);
}

void detach_filters(const PolicyState& policy) {
  for (const AttachmentState& attachment : policy.attachments) {
    if (!attachment.filter) continue;
    [[maybe_unused]] const Status status = in_namespace(policy.namespace_id, [&]() -> Status {
      WEIR_TRY(program, kernel::tc_filter_program(*attachment.filter));
      if (program != attachment.program_id) return {};
      return kernel::detach_tc_filter(*attachment.filter);
    });
  }
}

std::string place_text(const AttachmentState& attachment) {
  std::string out = to_string(attachment.hook);
  if (attachment.hook.kind == Hook::Kind::netfilter) {
    out += " " + std::string(to_string(attachment.nfproto)) + " priority " +
           std::to_string(attachment.priority);
  }
  if (!attachment.mode.empty()) out += " (" + attachment.mode + ")";
  if (attachment.defragments) out += " (reassembles)";
  return out;
}

}  // namespace weir::service
