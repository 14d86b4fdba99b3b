// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/kernel.h"

namespace weir::kernel {
namespace {

constexpr std::size_t aligned(std::size_t size) {
  return (size + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO;
}

// A structure at the start of `bytes`, or zeros where they are too few.
template <typename T>
T read(ByteView bytes) {
  T value{};
  if (bytes.size() >= sizeof(T)) std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Extended acknowledgements: NLMSGERR_ATTR_MSG. The request is not repeated (NETLINK_CAP_ACK).
std::string words_of(ByteView payload, const nlmsghdr& header) {
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0 || payload.size() <= sizeof(nlmsgerr)) return {};
  const ByteView words = find_attribute(payload.subspan(sizeof(nlmsgerr)), NLMSGERR_ATTR_MSG);
  const auto* const begin = reinterpret_cast<const char*>(words.data());
  return words.empty() ? std::string() : std::string(begin, ::strnlen(begin, words.size()));
}

}  // namespace

Message::Message(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST | NLM_F_ACK);
  append(&header, sizeof(header));
}

void Message::append(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  bytes_.insert(bytes_.end(), bytes, bytes + size);
  bytes_.resize(aligned(bytes_.size()));
}

void Message::attribute(std::uint16_t type, std::string_view text) {
  const auto start = open(type);
  const std::string terminated(text);
  append(terminated.c_str(), terminated.size() + 1);
  close(start, RTA_LENGTH(terminated.size() + 1));
}

void Message::attribute(std::uint16_t type, std::uint32_t number) {
  const auto start = open(type);
  append(&number, sizeof(number));
  close(start);
}

void Message::attribute_of(std::uint16_t type, ByteView bytes) {
  const auto start = open(type);
  append(bytes.data(), bytes.size());
  close(start, RTA_LENGTH(bytes.size()));
}

std::size_t Message::open(std::uint16_t type) {
  const auto start = bytes_.size();
  rtattr header{};
  header.rta_type = type;
  append(&header, sizeof(header));
  return start;
}

void Message::close(std::size_t start) {
  close(start, bytes_.size() - start);
}

void Message::close(std::size_t start, std::size_t length) {
  const auto size = static_cast<std::uint16_t>(length);
  std::memcpy(bytes_.data() + start, &size, sizeof(size));
}

Bytes Message::finish() const {
  Bytes bytes = bytes_;
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &size, sizeof(size));
  return bytes;
}

ByteView find_attribute(ByteView attributes, std::uint16_t type) {
  while (attributes.size() >= sizeof(rtattr)) {
    const auto header = read<rtattr>(attributes);
    if (header.rta_len < sizeof(rtattr) || header.rta_len > attributes.size()) return {};
    if ((header.rta_type & NLA_TYPE_MASK) == type) {
      return attributes.subspan(sizeof(rtattr), header.rta_len - sizeof(rtattr));
    }
    attributes = attributes.subspan(std::min(aligned(header.rta_len), attributes.size()));
  }
  return {};
}

Result<Answer> ask(const Message& message, int protocol) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket.valid()) return system_error("opening a netlink socket", errno);
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK}) {
    if (::setsockopt(socket.get(), SOL_NETLINK, option, &on, sizeof on) != 0) {
      return system_error("preparing a netlink socket", errno);
    }
  }
  const Bytes request = message.finish();
  if (::send(socket.get(), request.data(), request.size(), 0) < 0) {
    return system_error("sending to netlink", errno);
  }
  Answer answer;
  for (;;) {
    Bytes buffer(std::size_t{32} << 10);
    const auto size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return system_error("receiving from netlink", errno);
    ByteView rest = ByteView(buffer).first(static_cast<std::size_t>(size));
    while (rest.size() >= sizeof(nlmsghdr)) {
      const auto header = read<nlmsghdr>(rest);
      if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > rest.size()) {
        return system_error("netlink answered with a message cut short");
      }
      const ByteView payload = rest.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
      rest = rest.subspan(std::min(aligned(header.nlmsg_len), rest.size()));
      if (header.nlmsg_type != NLMSG_ERROR) {
        if (answer.payload.empty()) answer.payload.assign(payload.begin(), payload.end());
        continue;
      }
      answer.error = -read<nlmsgerr>(payload).error;
      answer.words = words_of(payload, header);
      return answer;
    }
  }
}

Status Answer::status() const {
  if (error == 0) return {};
  return system_error(words.empty() ? "netlink" : "netlink: " + words, error);
}

}  // namespace weir::kernel
