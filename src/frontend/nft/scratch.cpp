// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/scratch.h"

#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "frontend/nft/links.h"
#include "frontend/nft/named_interfaces.h"
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/ruleset.h"
#include "frontend/nft/wire.h"
#include "frontend/nft/worker.h"

namespace weir::frontend::nft {
namespace {

constexpr std::uint32_t loopback_index = 1;
constexpr std::uint32_t first_made_up_index = 1000000;

// Whether nft's JSON syntax is meant: an object with the member "nftables".
bool is_json(std::string_view script) {
  const auto skip_space = [&script] {
    constexpr std::string_view space = " \t\r\n";
    script.remove_prefix(std::min(script.find_first_not_of(space), script.size()));
  };
  skip_space();
  if (!script.starts_with('{')) return false;
  script.remove_prefix(1);
  skip_space();
  return script.starts_with("\"nftables\"");
}

std::optional<std::uint32_t> own_index(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return std::nullopt;
  return index;
}

// The link to make for an interface that the script names, beside those `known` already.
Result<imr::Interface> choose_link(const std::string& name, const Options& options,
                                   const std::vector<imr::Interface>& known) {
  const auto taken = [&known](std::uint32_t index) {
    return std::ranges::any_of(known,
                               [index](const imr::Interface& i) { return i.index == index; });
  };
  std::optional<std::uint32_t> index =
      options.interface_index ? options.interface_index(name) : own_index(name);
  if (!index) {
    index = first_made_up_index;
    while (taken(*index)) ++*index;
  }
  if (name.size() >= IFNAMSIZ) {
    return input_error("interface name '" + name + "' is longer than 15 characters");
  }
  if (*index <= loopback_index || *index >= first_peer_index) {
    return input_error("interface '" + name + "' cannot have the index " + std::to_string(*index));
  }
  if (taken(*index)) {
    return input_error("two interfaces with the index " + std::to_string(*index) +
                       ", one of them '" + name + "'");
  }
  return imr::Interface{name, *index};
}

// Interfaces whose absence may be why nft refused the request, less those that it had already.
Result<std::vector<imr::Interface>> missing_links(const std::vector<NftError>& errors,
                                                  const Request& request, const Options& options) {
  const auto says = [&errors](std::string_view text) {
    return std::ranges::any_of(errors, [text](const NftError& e) { return e.text == text; });
  };
  std::vector<std::string> names = missing_interfaces(errors);
  const auto append = [&names](std::vector<std::string> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  if (request.json && says(no_interface)) append(interfaces_in_json(request.script));
  if (says(no_device)) append(named_devices(request.script, request.json));

  std::vector<imr::Interface> known = request.links;
  for (const std::string& name : names) {
    const bool made = std::ranges::any_of(
        known, [&name](const imr::Interface& link) { return link.name == name; });
    if (made) continue;
    WEIR_TRY(link, choose_link(name, options, known));
    known.push_back(link);
  }
  known.erase(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(request.links.size()));
  return known;
}

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
  Bytes frame;
  if (!receive_frame(scratch.socket_, frame)) return lost_child();
  const Answer greeting = decode_answer(frame);
  if (greeting.outcome != Answer::Outcome::loaded) return system_error(greeting.text);
  return scratch;
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
  Request request{script, is_json(script), {}, options.commands};
  for (;;) {
    Bytes frame;
    if (!send_frame(socket_, encode(request)) || !receive_frame(socket_, frame)) {
      // nft's assertions do fail on some scripts; the next one gets another process.
      stop();
      return lost_child();
    }
    const Answer answer = decode_answer(frame);
    switch (answer.outcome) {
      case Answer::Outcome::loaded: {
        const ScriptText text{request.json ? std::string_view() : std::string_view(script), file};
        return translate(answer.dump, answer.listing, text, request.links);
      }
      case Answer::Outcome::failed:
        return system_error(answer.text);
      case Answer::Outcome::refused:
        break;
    }
    const std::vector<NftError> errors = parse_errors(answer.text, file);
    WEIR_TRY(more, missing_links(errors, request, options));
    if (more.empty()) return std::unexpected(to_diagnostic(errors, answer.text, file));
    request.links.insert(request.links.end(), more.begin(), more.end());
  }
}

}  // namespace weir::frontend::nft
