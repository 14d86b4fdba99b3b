// SPDX-License-Identifier: BSD-2-Clause
//
// Filters of traffic control, for kernels without TCX: requests of include/uapi/linux/{rtnetlink,
// pkt_sched,pkt_cls}.h to net/sched/{sch_api,cls_api,cls_bpf}.c.
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "kernel/kernel.h"
#include "kernel/netlink.h"

namespace weir::kernel {
namespace {

std::string describe(const TcFilter& filter) {
  return std::string("TC ") + (filter.direction == isa::Direction::ingress ? "ingress" : "egress") +
         " filter on interface " + std::to_string(filter.ifindex);
}

// Asks, and says of a refusal what for.
Result<Answer> ask(const Message& message, const std::string& what, const TcFilter& filter) {
  WEIR_TRY(answer, kernel::ask(message));
  if (answer.error == 0) return answer;
  return system_error(
      what + " a " + describe(filter) + (answer.words.empty() ? "" : " (" + answer.words + ")"),
      answer.error);
}

tcmsg header_of(const TcFilter& filter) {
  constexpr std::uint32_t all_protocols = ETH_P_ALL << 8;  // in network byte order, 16 bits
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(filter.ifindex);
  header.tcm_handle = filter.handle;
  header.tcm_parent =
      TC_H_MAKE(TC_H_CLSACT,
                filter.direction == isa::Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  header.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(filter.priority) << 16, all_protocols);
  return header;
}

Status ensure_clsact(const TcFilter& filter) {
  Message message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(filter.ifindex);
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  header.tcm_parent = TC_H_CLSACT;
  message.append(&header, sizeof header);
  message.attribute(TCA_KIND, "clsact");
  WEIR_TRY(answer, kernel::ask(message));
  if (answer.error == 0 || answer.error == EEXIST) return {};
  return system_error("making the queueing discipline for a " + describe(filter), answer.error);
}

}  // namespace

Result<TcFilter> attach_tc_filter(const Fd& program, const TcFilter& place) {
  WEIR_CHECK(ensure_clsact(place));
  // A filter that is there, named in full, is replaced; else one more is made.
  const bool named = place.priority != 0 && place.handle != 0;
  Message message(RTM_NEWTFILTER, static_cast<std::uint16_t>(NLM_F_CREATE | NLM_F_ECHO |
                                                             (named ? NLM_F_REPLACE : NLM_F_EXCL)));
  const tcmsg header = header_of(place);
  message.append(&header, sizeof header);
  message.attribute(TCA_KIND, "bpf");
  const auto options = message.open(TCA_OPTIONS);
  message.attribute(TCA_BPF_FD, static_cast<std::uint32_t>(program.get()));
  message.attribute(TCA_BPF_NAME, "weir");
  message.attribute(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  message.close(options);
  WEIR_TRY(answer, ask(message, "attaching", place));
  if (answer.payload.size() < sizeof(tcmsg)) {
    return system_error("the kernel did not say where it put a " + describe(place));
  }
  tcmsg made{};
  std::memcpy(&made, answer.payload.data(), sizeof made);
  TcFilter filter = place;
  filter.handle = made.tcm_handle;
  filter.priority = static_cast<std::uint16_t>(made.tcm_info >> 16);
  return filter;
}

Status detach_tc_filter(const TcFilter& filter) {
  invariant(filter.priority != 0 && filter.handle != 0, "a TC filter that is not named in full");
  Message message(RTM_DELTFILTER, 0);
  const tcmsg header = header_of(filter);
  message.append(&header, sizeof header);
  message.attribute(TCA_KIND, "bpf");
  WEIR_CHECK(ask(message, "taking off", filter));
  return {};
}

Result<std::uint32_t> tc_filter_program(const TcFilter& filter) {
  invariant(filter.priority != 0 && filter.handle != 0, "a TC filter that is not named in full");
  Message message(RTM_GETTFILTER, 0);
  const tcmsg header = header_of(filter);
  message.append(&header, sizeof header);
  message.attribute(TCA_KIND, "bpf");
  WEIR_TRY(answer, ask(message, "reading", filter));
  ByteView id;
  if (answer.payload.size() > sizeof(tcmsg)) {
    const ByteView options =
        find_attribute(ByteView(answer.payload).subspan(sizeof(tcmsg)), TCA_OPTIONS);
    id = find_attribute(options, TCA_BPF_ID);
  }
  if (id.size() != 4)
    return system_error("the kernel did not tell the program of a " + describe(filter));
  return static_cast<std::uint32_t>(load_native(id));
}

}  // namespace weir::kernel
