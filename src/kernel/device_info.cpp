// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/device_info.h"

#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "kernel/netlink.h"

namespace weir::kernel {
namespace {

std::string text_of(ByteView attribute) {
  const auto* const begin = reinterpret_cast<const char*>(attribute.data());
  return attribute.empty() ? std::string() : std::string(begin, ::strnlen(begin, attribute.size()));
}

}  // namespace

Result<std::optional<DeviceInfo>> device_info(std::uint32_t ifindex) {
  Message message(RTM_GETLINK, 0);
  ifinfomsg wanted{};
  wanted.ifi_index = static_cast<int>(ifindex);
  message.append(&wanted, sizeof wanted);
  WEIR_TRY(answer, ask(message));
  if (answer.error == ENODEV) return std::nullopt;
  WEIR_CHECK(answer.status());
  ifinfomsg header{};
  if (answer.payload.size() < sizeof header) return system_error("netlink tells no device");
  std::memcpy(&header, answer.payload.data(), sizeof header);
  const ByteView attributes = ByteView(answer.payload).subspan(sizeof header);
  return DeviceInfo{
      .name = text_of(find_attribute(attributes, IFLA_IFNAME)),
      .type = header.ifi_type,
      .kind = text_of(find_attribute(find_attribute(attributes, IFLA_LINKINFO), IFLA_INFO_KIND))};
}

}  // namespace weir::kernel
