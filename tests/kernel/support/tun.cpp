// SPDX-License-Identifier: BSD-2-Clause
//
// TUN devices (Documentation/networking/tuntap.rst).
#include "kernel/support/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "kernel/support/netns.h"

namespace weir::test {
namespace {

// struct virtio_net_hdr; its header is no C++ (it has a member called `class`).
struct PacketHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(PacketHeader) == 10);

}  // namespace

Tun::Tun(const std::string& name)
    : fd_(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)),
      buffer_(65536 + sizeof(PacketHeader)) {
  if (!fd_.valid()) give_up("/dev/net/tun", errno);
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(fd_.get(), TUNSETIFF, &request) != 0) give_up("creating TUN " + name, errno);
}

bool Tun::write(ByteView packet, std::uint16_t linear) {
  // tun_get_user() takes header_length for the length of the linear part, unless all fits into one
  // page.
  PacketHeader header{.header_length = linear};
  const std::array<iovec, 2> parts = {
      iovec{&header, sizeof(header)},
      iovec{const_cast<std::uint8_t*>(packet.data()), packet.size()}};
  const auto written = ::writev(fd_.get(), parts.data(), parts.size());
  if (written < 0 && errno != EINVAL && errno != EMSGSIZE) give_up("writing to a TUN", errno);
  return written == static_cast<ssize_t>(sizeof(header) + packet.size()) && !packet.empty();
}

std::optional<ByteView> Tun::read() {
  constexpr std::size_t skipped = sizeof(PacketHeader);
  const auto size = ::read(fd_.get(), buffer_.data(), buffer_.size());
  if (size >= static_cast<ssize_t>(skipped)) {
    return ByteView(buffer_).subspan(skipped, static_cast<std::size_t>(size) - skipped);
  }
  if (size >= 0 || errno != EAGAIN) give_up("reading from a TUN", errno);
  return std::nullopt;
}

}  // namespace weir::test
