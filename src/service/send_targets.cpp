// SPDX-License-Identifier: BSD-2-Clause
#include "service/send_targets.h"

// Before linux/if_arp.h, which leaves out what this has.
#include <net/if.h>

#include <linux/if_arp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "driver/reads.h"
#include "frontend/nft/nft.h"
#include "kernel/device_info.h"
#include "kernel/kernel.h"
#include "kernel/xdp_features.h"

namespace weir::service {
namespace {

// Devices that take packets without a link header: bpf_redirect() takes it off for them
// (dev_is_mac_header_xmit()), and nf_tables leaves it.
constexpr std::array<std::uint16_t, 9> types_without_header = {
    ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_SIT,   ARPHRD_IPGRE, ARPHRD_IP6GRE,
    ARPHRD_VOID,   ARPHRD_NONE,    ARPHRD_RAWIP, ARPHRD_PPP};

std::unexpected<Diagnostic> refused(const std::string& device, const std::string& why) {
  return input_error("rules send packets out by device '" + device + "', " + why);
}

Status check_kind(const kernel::DeviceInfo& device) {
  if (std::ranges::find(types_without_header, device.type) != types_without_header.end()) {
    return refused(device.name,
                   "which takes packets without a link header: nf_tables would send "
                   "them with it, programs cannot");
  }
  if (device.kind == "ifb") {
    return refused(device.name,
                   "an ifb device, which hands packets from programs to the device "
                   "that received them, and those from nf_tables to its own rules");
  }
  return {};
}

std::set<std::uint32_t> all_devices() {
  std::set<std::uint32_t> out;
  struct if_nameindex* all = ::if_nameindex();
  if (all == nullptr) return out;
  for (const struct if_nameindex* one = all; one->if_index != 0; ++one) out.insert(one->if_index);
  ::if_freenameindex(all);
  return out;
}

// The indexes of the devices that rules at the hook send packets out by, or may.
std::set<std::uint32_t> targets_of(const driver::Reads& reads, const Hook& hook) {
  const bool received_here = hook.kind == Hook::Kind::xdp || hook.kind == Hook::Kind::tc_ingress;
  if (reads.sends_anywhere || (reads.sends_back && !received_here)) return all_devices();
  std::set<std::uint32_t> out = reads.sends_to;
  const unsigned own = ::if_nametoindex(hook.device.c_str());
  if ((reads.sends_back || reads.answers) && own != 0) out.insert(own);
  return out;
}

// What XDP sends passes by programs at tc:egress, too, which what nf_tables sends comes to.
Status check_unseen(const Hook& hook, const kernel::DeviceInfo& device, std::uint32_t index) {
  if (hook.kind != Hook::Kind::xdp) return {};
  WEIR_TRY(programs, kernel::count_tcx(index, isa::Direction::egress));
  if (programs == 0) return {};
  return refused(device.name,
                 "which has programs at tc:egress: what XDP sends passes them by. Use "
                 "tc:ingress for these rules");
}

// Names of the devices that what the attachments' rules send, or answer, leaves by. Of such an
// index that no device has any more there is none.
Result<std::set<std::string>> send_targets(const imr::Ruleset& ruleset,
                                           const std::vector<driver::Attachment>& attachments) {
  std::set<std::string> out;
  for (const driver::Attachment& attachment : attachments) {
    const driver::Reads reads = driver::scan_reads(ruleset, {attachment});
    for (const std::uint32_t index : targets_of(reads, attachment.hook)) {
      WEIR_TRY(device, kernel::device_info(index));
      if (!device) continue;
      const bool answers_only = !reads.forwards && !reads.duplicates;
      if (!answers_only) WEIR_CHECK(check_kind(*device));
      WEIR_CHECK(check_unseen(attachment.hook, *device, index));
      out.insert(device->name);
    }
  }
  return out;
}

}  // namespace

Status check_send_targets(const imr::Ruleset& ruleset,
                          const std::vector<driver::Attachment>& attachments) {
  WEIR_TRY(targets, send_targets(ruleset, attachments));
  if (targets.empty()) return {};
  WEIR_TRY(live, frontend::nft::read_live_chains());
  for (const imr::Chain& chain : live.chains) {
    if (!chain.base || chain.base->hook != NfHook::egress || live[chain.table].dormant) continue;
    for (const std::string& device : chain.base->devices) {
      if (!targets.contains(device)) continue;
      return refused(device, "which has chain netdev " + live[chain.table].name + " " + chain.name +
                                 " of nf_tables at its egress: what programs send passes it by. "
                                 "Apply that chain with weir, too, and these rules at tc:ingress");
    }
  }
  return {};
}

Status check_xdp_targets(const imr::Ruleset& ruleset, const PolicyState& policy) {
  std::vector<driver::Attachment> native = attachments_of(policy, ruleset);
  for (std::size_t i = native.size(); i-- > 0;) {
    const AttachmentState& state = policy.attachments[i];
    if (state.hook.kind == Hook::Kind::xdp && state.mode == "native") continue;
    native.erase(native.begin() + static_cast<std::ptrdiff_t>(i));
  }
  const driver::Reads reads = driver::scan_reads(ruleset, native);
  if (reads.sends_anywhere) {
    return input_error(
        "rules send packets out by devices that only packets tell, and few take any from XDP "
        "programs: use tc:ingress");
  }
  for (const std::uint32_t index : reads.sends_to) {
    WEIR_TRY(takes, kernel::takes_xdp_frames(index));
    if (takes.value_or(true)) continue;
    WEIR_TRY(device, kernel::device_info(index));
    return refused(
        device ? device->name : std::to_string(index),
        "which takes none from XDP programs now. Many drivers do once the device has "
        "an XDP program of its own (of a veth pair, the other end); else use tc:ingress");
  }
  return {};
}

Status check_targets(const imr::Ruleset& ruleset, const PolicyState& policy) {
  WEIR_CHECK(check_send_targets(ruleset, attachments_of(policy, ruleset)));
  return check_xdp_targets(ruleset, policy);
}

}  // namespace weir::service
