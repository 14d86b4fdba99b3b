// SPDX-License-Identifier: BSD-2-Clause
//
// BPF links: programs at netfilter hooks, on devices and cgroups, for as long as a descriptor or
// pin lives. And programs on sockets, which live as long as those.
#include <fcntl.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

// struct bpf_link_info of Linux 6.18, with the members of its union that weir has links for.
struct RawLinkInfo {
  std::uint32_t type = 0;
  std::uint32_t id = 0;
  std::uint32_t program_id = 0;
  std::uint32_t pad = 0;
  union {
    struct {
      std::uint32_t ifindex;
    } xdp;
    struct {
      std::uint32_t ifindex;
      std::uint32_t attach_type;
    } tcx;
    struct {
      std::uint64_t id;
      std::uint32_t attach_type;
    } cgroup;
    struct {
      std::uint32_t pf;
      std::uint32_t hook;
      std::int32_t priority;
      std::uint32_t flags;
    } netfilter;
  } of = {};
};
static_assert(sizeof(RawLinkInfo) == 32);

constexpr std::uint32_t defragment_flag = 1;  // BPF_F_NETFILTER_IP_DEFRAG

isa::Direction direction_of(std::uint32_t attach_type) {
  return attach_type == attach_tcx_egress_type || attach_type == attach_cgroup_egress_type
             ? isa::Direction::egress
             : isa::Direction::ingress;
}

AttachType tcx_type(isa::Direction direction) {
  return direction == isa::Direction::ingress ? attach_tcx_ingress_type : attach_tcx_egress_type;
}

const char* name_of(isa::Direction direction) {
  return direction == isa::Direction::ingress ? "ingress" : "egress";
}

std::string place(Nfproto nfproto, NfHook hook, std::int32_t priority) {
  return std::string(to_string(nfproto)) + " " + std::string(to_string(hook)) + " at priority " +
         std::to_string(priority);
}

}  // namespace

Result<Fd> attach_netfilter(const Fd& program, Nfproto nfproto, NfHook hook, std::int32_t priority,
                            bool defragment) {
  LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                      .attach_type = attach_netfilter_type,
                      .pf = static_cast<std::uint32_t>(nfproto),
                      .hook = static_cast<std::uint32_t>(hook),
                      .priority = priority,
                      .netfilter_flags = defragment ? defragment_flag : 0};
  Fd link(bpf(Command::link_create, attr));
  if (link.valid()) return link;
  // nf_hook_entries_grow() in net/netfilter/core.c lets no BPF hook share a priority.
  if (link.get() == -EBUSY) {
    return system_error("another hook holds " + place(nfproto, hook, priority) +
                        "; a neighbouring priority may be free");
  }
  return system_error("attaching to netfilter " + place(nfproto, hook, priority), -link.get());
}

Result<Fd> attach_xdp(const Fd& program, std::uint32_t ifindex, XdpMode mode) {
  std::uint32_t flags = 0;
  switch (mode) {
    case XdpMode::automatic:
      break;
    case XdpMode::native:
      flags = XDP_FLAGS_DRV_MODE;
      break;
    case XdpMode::generic:
      flags = XDP_FLAGS_SKB_MODE;
      break;
  }
  LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                      .target = ifindex,
                      .attach_type = attach_xdp_type,
                      .flags = flags};
  Fd link(bpf(Command::link_create, attr));
  if (link.valid()) return link;
  return system_error("attaching XDP to interface " + std::to_string(ifindex), -link.get());
}

Result<Fd> attach_tcx(const Fd& program, std::uint32_t ifindex, isa::Direction direction) {
  LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                      .target = ifindex,
                      .attach_type = tcx_type(direction)};
  Fd link(bpf(Command::link_create, attr));
  if (link.valid()) return link;
  return system_error(std::string("attaching to TC ") + name_of(direction) + " of interface " +
                          std::to_string(ifindex),
                      -link.get());
}

Result<std::uint32_t> count_tcx(std::uint32_t ifindex, isa::Direction direction) {
  if (!has_tcx()) return 0;
  ProgQueryAttr attr{.target = ifindex, .attach_type = tcx_type(direction)};
  const int result = bpf(Command::prog_query, attr);
  if (result == 0) return attr.count;
  if (result == -ENOENT || result == -ENODEV) return 0;
  return system_error(std::string("asking for the programs at TC ") + name_of(direction) +
                          " of interface " + std::to_string(ifindex),
                      -result);
}

Result<Fd> attach_cgroup(const Fd& program, const std::string& path, isa::Direction direction) {
  const Fd cgroup(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return system_error("opening cgroup " + path, errno);
  LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                      .target = static_cast<std::uint32_t>(cgroup.get()),
                      .attach_type = direction == isa::Direction::ingress
                                         ? attach_cgroup_ingress_type
                                         : attach_cgroup_egress_type};
  Fd link(bpf(Command::link_create, attr));
  if (link.valid()) return link;
  return system_error(std::string("attaching to ") + name_of(direction) + " of cgroup " + path,
                      -link.get());
}

Status attach_socket(const Fd& program, int socket) {
  const int fd = program.get();
  if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof fd) == 0) return {};
  const int number = errno;
  auto error = system_error("attaching to a socket", number);
  // sk_filter_charge() in net/core/filter.c
  if (number == ENOMEM) {
    error.error().notes.emplace_back(
        "a socket's filter may take net.core.optmem_max bytes; raise it for large rulesets");
  }
  return error;
}

Status detach_socket(int socket) {
  const int unused = 0;
  if (::setsockopt(socket, SOL_SOCKET, SO_DETACH_BPF, &unused, sizeof unused) == 0) return {};
  return system_error("taking the filter off a socket", errno);
}

Result<std::variant<Fd, TcFilter>> attach_tc(const Fd& program, std::uint32_t ifindex,
                                             isa::Direction direction, TcMode mode) {
  if (mode != TcMode::filter) {
    auto link = attach_tcx(program, ifindex, direction);
    if (link) return std::move(*link);
    if (mode == TcMode::tcx || has_tcx()) return std::unexpected(link.error());
  }
  WEIR_TRY(filter, attach_tc_filter(program, {.ifindex = ifindex, .direction = direction}));
  return filter;
}

Status replace_program(const Fd& link, const Fd& program) {
  LinkUpdateAttr attr{.link_fd = static_cast<std::uint32_t>(link.get()),
                      .new_prog_fd = static_cast<std::uint32_t>(program.get())};
  const int result = bpf(Command::link_update, attr);
  if (result < 0) return system_error("replacing the program of a link", -result);
  return {};
}

Status detach(const Fd& link) {
  LinkDetachAttr attr{.link_fd = static_cast<std::uint32_t>(link.get())};
  const int result = bpf(Command::link_detach, attr);
  if (result < 0) return system_error("detaching a link", -result);
  return {};
}

Result<LinkInfo> link_info(const Fd& link) {
  RawLinkInfo raw;
  WEIR_CHECK(object_info(link, &raw, sizeof(raw)));
  LinkInfo info{.id = raw.id, .program_id = raw.program_id};
  switch (raw.type) {
    case link_type_xdp:
      info.kind = LinkKind::xdp;
      info.ifindex = raw.of.xdp.ifindex;
      break;
    case link_type_netfilter:
      info.kind = LinkKind::netfilter;
      info.netfilter =
          NetfilterPlace{.nfproto = static_cast<Nfproto>(raw.of.netfilter.pf),
                         .hook = static_cast<NfHook>(raw.of.netfilter.hook),
                         .priority = raw.of.netfilter.priority,
                         .defragment = (raw.of.netfilter.flags & defragment_flag) != 0};
      break;
    case link_type_tcx:
      info.kind = LinkKind::tcx;
      info.ifindex = raw.of.tcx.ifindex;
      info.direction = direction_of(raw.of.tcx.attach_type);
      break;
    case link_type_cgroup:
      info.kind = LinkKind::cgroup;
      info.cgroup = raw.of.cgroup.id;
      info.direction = direction_of(raw.of.cgroup.attach_type);
      break;
    default:
      break;
  }
  return info;
}

}  // namespace weir::kernel
