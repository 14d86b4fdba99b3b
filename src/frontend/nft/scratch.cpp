// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/scratch.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <optional>
#include <utility>

#include "frontend/nft/divided.h"
#include "frontend/nft/missing_links.h"
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/ruleset.h"
#include "frontend/nft/script_tokens.h"
#include "frontend/nft/wire.h"
#include "frontend/nft/worker.h"

namespace weir::frontend::nft {
namespace {

[[noreturn]] void run_child(int socket) {
  // Inherited descriptors would keep other scratch namespaces (and what else the parent has open)
  // alive for as long as this process lives.
  if (socket > 3) close_range(3, static_cast<unsigned>(socket) - 1, 0);
  close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
  try {
    serve(socket);
  } catch (const std::exception&) {
    _exit(1);  // the parent sees a closed socket
  }
  _exit(0);
}

std::unexpected<Diagnostic> lost_child() {
  return system_error(
      "libnftables ended the process that was to load the script (a bug of its own)");
}

}  // namespace

Result<ScratchNamespace> ScratchNamespace::create() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return system_error("cannot make a socket pair", errno);
  }
  const pid_t child = fork();
  if (child == 0) run_child(sockets[1]);
  const int error = errno;
  close(sockets[1]);
  if (child < 0) {
    close(sockets[0]);
    return system_error("cannot fork", error);
  }
  ScratchNamespace scratch(sockets[0], child);
  const std::optional<Answer> greeting = scratch.receive();
  if (!greeting) return lost_child();
  if (greeting->outcome != Answer::Outcome::loaded) return system_error(greeting->text);
  return scratch;
}

bool ScratchNamespace::send(const Request& request) {
  return send_frame(socket_, encode(request));
}

std::optional<Answer> ScratchNamespace::receive() {
  Bytes frame;
  if (!receive_frame(socket_, frame)) return std::nullopt;
  return decode_answer(frame);
}

ScratchNamespace::ScratchNamespace(ScratchNamespace&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), child_(std::exchange(other.child_, -1)) {}

ScratchNamespace& ScratchNamespace::operator=(ScratchNamespace&& other) noexcept {
  if (this != &other) {
    stop();
    socket_ = std::exchange(other.socket_, -1);
    child_ = std::exchange(other.child_, -1);
  }
  return *this;
}

ScratchNamespace::~ScratchNamespace() {
  stop();
}

void ScratchNamespace::stop() noexcept {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (child_ > 0) {
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
  }
}

Result<imr::Ruleset> ScratchNamespace::read(const std::string& script, const std::string& file,
                                            const Options& options) {
  if (const std::size_t nul = script.find('\0'); nul != std::string::npos) {
    const auto line = std::count(script.begin(), script.begin() + static_cast<long>(nul), '\n') + 1;
    return input_error("found a NUL byte, expected nft text",
                       {file, static_cast<std::uint32_t>(line), 0});
  }
  if (socket_ < 0) {
    WEIR_TRY(fresh, create());
    *this = std::move(fresh);
  }
  const bool json = is_json(script);
  ScannedScript scanned = json ? ScannedScript() : scan_script(script);
  if (const Division division(script, scanned.extents); division.parts() > 1) {
    if (auto ruleset = read_divided(division, scanned, file, options)) return std::move(*ruleset);
  }
  Request request{script, json, {}, options.commands};
  for (;;) {
    const std::optional<Answer> answer = send(request) ? receive() : std::nullopt;
    if (!answer) {
      // nft's assertions do fail on some scripts; the next one gets another process.
      stop();
      return lost_child();
    }
    switch (answer->outcome) {
      case Answer::Outcome::loaded:
        return translate(answer->dump, answer->listing, std::move(scanned.places), file,
                         request.links);
      case Answer::Outcome::failed:
        return system_error(answer->text);
      case Answer::Outcome::refused:
        break;
    }
    const std::vector<NftError> errors = parse_errors(answer->text, file);
    WEIR_TRY(more, missing_links(errors, request, options));
    if (more.empty()) return std::unexpected(to_diagnostic(errors, answer->text, file));
    request.links.insert(request.links.end(), more.begin(), more.end());
  }
}

}  // namespace weir::frontend::nft
