// SPDX-License-Identifier: BSD-2-Clause
//
// What the process in the scratch namespace and its parent say to each other: one request, one
// answer, each a frame on a stream socket. Both ends are the same binary, so integers are native.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

struct Request {
  enum class Kind : std::uint8_t {
    script,  // to be loaded and read back
    kept,    // to be loaded, for requests of the next kind
    rule,    // of the one command, into the script that was kept; then it is taken away again
  };
  std::string script;
  bool json = false;
  std::vector<imr::Interface> links;       // to be made before the script is loaded
  std::vector<std::string> commands = {};  // behind the script, each on its own
  Kind kind = Kind::script;
  std::string chain = {};  // of a rule: "inet filter input"
};

struct Answer {
  enum class Outcome : std::uint8_t {
    loaded,   // listing and dump are filled in, unless the script was only to be kept
    refused,  // nft did not take the script: `text` has its messages
    failed,   // the system did not let us: `text` says why
  };
  Outcome outcome = Outcome::failed;
  std::string text;
  std::string listing;  // "nft -a list ruleset", or of the rule's chain alone
  Bytes dump;           // netlink messages, one after another; of a rule, what came with it
};

// The name that nft gives to the script in its messages.
inline constexpr std::string_view script_name = "/proc/self/fd/";

[[nodiscard]] Bytes encode(const Request& request);
[[nodiscard]] Bytes encode(const Answer& answer);
[[nodiscard]] Request decode_request(ByteView frame);
[[nodiscard]] Answer decode_answer(ByteView frame);

// Whole frames over a socket. False when the other end is gone.
[[nodiscard]] bool send_frame(int socket, ByteView frame);
[[nodiscard]] bool receive_frame(int socket, Bytes& frame);

}  // namespace weir::frontend::nft
