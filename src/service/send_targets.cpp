// SPDX-License-Identifier: BSD-2-Clause
#include "service/send_targets.h"

#include <linux/if_arp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "driver/reads.h"
#include "frontend/nft/nft.h"
#include "kernel/device_info.h"
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

// Names of the devices that what the attachments' rules send, or answer, leaves by. Of such an
// index that no device has any more there is none.
Result<std::set<std::string>> send_targets(const imr::Ruleset& ruleset,
                                           const std::vector<driver::Attachment>& attachments) {
  std::set<std::string> out;
  for (const driver::Attachment& attachment : attachments) {
    const driver::Reads reads = driver::scan_reads(ruleset, {attachment});
    for (const std::uint32_t index : reads.sends_to) {
      WEIR_TRY(device, kernel::device_info(index));
      if (!device) continue;
      WEIR_CHECK(check_kind(*device));
      out.insert(device->name);
    }
    if (reads.answers) out.insert(attachment.hook.device);
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
                                 "Apply that chain with weir, too");
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
  for (const std::uint32_t index : driver::scan_reads(ruleset, native).sends_to) {
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

}  // namespace weir::service
