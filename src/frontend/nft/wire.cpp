// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/wire.h"

#include <sys/socket.h>

#include <cerrno>

namespace weir::frontend::nft {
namespace {

void put_u64(Bytes& out, std::uint64_t value) {
  const Bytes bytes = native_bytes(value, 8);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <typename Container>
void put(Bytes& out, const Container& bytes) {
  put_u64(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

class Reader {
 public:
  explicit Reader(ByteView frame) : rest_(frame) {}

  std::uint64_t u64() { return load_native(take(8)); }

  template <typename Container>
  Container container() {
    const ByteView bytes = take(u64());
    return Container(bytes.begin(), bytes.end());
  }

 private:
  ByteView take(std::uint64_t size) {
    invariant(size <= rest_.size(), "a frame of the scratch namespace is too short");
    const ByteView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  ByteView rest_;
};

}  // namespace

Bytes encode(const Request& request) {
  Bytes out;
  put(out, request.script);
  put_u64(out, request.json ? 1 : 0);
  put_u64(out, request.links.size());
  for (const imr::Interface& link : request.links) {
    put(out, link.name);
    put_u64(out, link.index);
  }
  put_u64(out, request.commands.size());
  for (const std::string& command : request.commands) put(out, command);
  put_u64(out, static_cast<std::uint64_t>(request.kind));
  put(out, request.chain);
  return out;
}

Request decode_request(ByteView frame) {
  Reader reader(frame);
  Request request;
  request.script = reader.container<std::string>();
  request.json = reader.u64() != 0;
  const std::uint64_t links = reader.u64();
  for (std::uint64_t i = 0; i < links; ++i) {
    imr::Interface link;
    link.name = reader.container<std::string>();
    link.index = static_cast<std::uint32_t>(reader.u64());
    request.links.push_back(std::move(link));
  }
  const std::uint64_t commands = reader.u64();
  for (std::uint64_t i = 0; i < commands; ++i) {
    request.commands.push_back(reader.container<std::string>());
  }
  request.kind = static_cast<Request::Kind>(reader.u64());
  request.chain = reader.container<std::string>();
  return request;
}

Bytes encode(const Answer& answer) {
  Bytes out;
  put_u64(out, static_cast<std::uint64_t>(answer.outcome));
  put(out, answer.text);
  put(out, answer.listing);
  put(out, answer.dump);
  return out;
}

Answer decode_answer(ByteView frame) {
  Reader reader(frame);
  Answer answer;
  answer.outcome = static_cast<Answer::Outcome>(reader.u64());
  answer.text = reader.container<std::string>();
  answer.listing = reader.container<std::string>();
  answer.dump = reader.container<Bytes>();
  return answer;
}

bool send_frame(int socket, ByteView frame) {
  Bytes whole;
  whole.reserve(frame.size() + 8);
  put(whole, frame);
  ByteView rest = whole;
  while (!rest.empty()) {
    const ssize_t sent = send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    rest = rest.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool receive_frame(int socket, Bytes& frame) {
  const auto receive = [socket](std::uint8_t* to, std::size_t size) {
    while (size > 0) {
      const ssize_t got = recv(socket, to, size, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      to += got;
      size -= static_cast<std::size_t>(got);
    }
    return true;
  };
  std::uint8_t header[8];
  if (!receive(header, sizeof header)) return false;
  frame.resize(load_native(header));
  return receive(frame.data(), frame.size());
}

}  // namespace weir::frontend::nft
