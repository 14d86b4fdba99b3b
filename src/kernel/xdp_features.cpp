// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/xdp_features.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "base/bytes.h"
#include "kernel/netlink.h"

namespace weir::kernel {
namespace {

// Of linux/netdev.h (Documentation/netlink/specs/netdev.yaml), which is younger than the headers
// that weir is built with.
constexpr std::uint8_t get_device = 1;           // NETDEV_CMD_DEV_GET
constexpr std::uint16_t device_index = 1;        // NETDEV_A_DEV_IFINDEX
constexpr std::uint16_t device_features = 3;     // NETDEV_A_DEV_XDP_FEATURES, 64 bits
constexpr std::uint64_t takes_frames = 1U << 2;  // NETDEV_XDP_ACT_NDO_XMIT

Message request_of(std::uint16_t family, std::uint8_t command) {
  Message message(family, 0);
  const genlmsghdr header{.cmd = command, .version = 1, .reserved = 0};
  message.append(&header, sizeof header);
  return message;
}

// The attributes of what was answered; none where the kernel refuses.
Result<Bytes> attributes_of(const Message& request) {
  WEIR_TRY(answer, ask(request, NETLINK_GENERIC));
  if (answer.error != 0 || answer.payload.size() < GENL_HDRLEN) return Bytes();
  const ByteView attributes = ByteView(answer.payload).subspan(GENL_HDRLEN);
  return Bytes(attributes.begin(), attributes.end());
}

}  // namespace

Result<std::optional<bool>> takes_xdp_frames(std::uint32_t ifindex) {
  Message family = request_of(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
  family.attribute(CTRL_ATTR_FAMILY_NAME, "netdev");
  WEIR_TRY(about_family, attributes_of(family));
  const ByteView id = find_attribute(about_family, CTRL_ATTR_FAMILY_ID);
  if (id.size() != 2) return std::nullopt;
  Message device = request_of(static_cast<std::uint16_t>(load_native(id)), get_device);
  device.attribute(device_index, ifindex);
  WEIR_TRY(about_device, attributes_of(device));
  const ByteView features = find_attribute(about_device, device_features);
  if (features.size() != 8) return std::nullopt;
  return (load_native(features) & takes_frames) != 0;
}

}  // namespace weir::kernel
