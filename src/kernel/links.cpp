// SPDX-License-Identifier: BSD-2-Clause
//
// BPF links: programs at netfilter hooks and on devices, for as long as a descriptor or pin lives.
#include <linux/if_link.h>

#include <cerrno>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

// struct bpf_link_info of Linux 6.18, with the two members of its union that weir has links for.
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
      std::uint32_t pf;
      std::uint32_t hook;
      std::int32_t priority;
      std::uint32_t flags;
    } netfilter;
  } of = {};
};
static_assert(sizeof(RawLinkInfo) == 32);

std::string place(Nfproto nfproto, NfHook hook, std::int32_t priority) {
  return std::string(to_string(nfproto)) + " " + std::string(to_string(hook)) + " at priority " +
         std::to_string(priority);
}

}  // namespace

Result<Fd> attach_netfilter(const Fd& program, Nfproto nfproto, NfHook hook,
                            std::int32_t priority) {
  LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                      .attach_type = attach_netfilter_type,
                      .pf = static_cast<std::uint32_t>(nfproto),
                      .hook = static_cast<std::uint32_t>(hook),
                      .priority = priority};
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
  if (raw.type == link_type_xdp) info.ifindex = raw.of.xdp.ifindex;
  if (raw.type == link_type_netfilter) {
    info.netfilter = NetfilterPlace{.nfproto = static_cast<Nfproto>(raw.of.netfilter.pf),
                                    .hook = static_cast<NfHook>(raw.of.netfilter.hook),
                                    .priority = raw.of.netfilter.priority};
  }
  return info;
}

}  // namespace weir::kernel
