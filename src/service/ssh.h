// SPDX-License-Identifier: BSD-2-Clause
//
// Whether rules would cut the SSH session that applies them: the session's packets, as of a
// connection that is known, put before the reference evaluator at each hook that they would pass.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "packet/address.h"
#include "packet/packet.h"

namespace weir::service {

using Address = std::variant<packet::Ipv4Address, packet::Ipv6Address>;

struct SshSession {
  Address client;
  std::uint16_t client_port = 0;
  Address server;
  std::uint16_t server_port = 0;
  friend bool operator==(const SshSession&, const SshSession&) = default;
};
// SSH_CONNECTION, as sshd(8) sets it: "10.0.0.2 50514 10.0.0.1 22".
[[nodiscard]] Result<SshSession> parse_ssh_connection(std::string_view text);

// The device by which packets to the client leave, in the calling thread's network namespace. None
// when the server's address is not of this namespace: its rules do not meet the session then.
[[nodiscard]] std::optional<packet::Device> session_device(const SshSession& session);

// For each hook that drops packets of the session, where and why: "netfilter:input, from the
// client: rule inet filter input handle 4 'tcp dport 22 drop'". The session's packets come in and
// leave by `device`.
[[nodiscard]] std::vector<std::string> cuts(const imr::Ruleset& ruleset,
                                            const std::vector<driver::Attachment>& attachments,
                                            const SshSession& session,
                                            const packet::Device& device);

// Whether a packet of the session matches the rule somewhere: what becomes of the session has
// nothing to do with other rules. In time that hardly grows with the ruleset.
[[nodiscard]] bool meets(const imr::Ruleset& ruleset, imr::RuleId rule,
                         const std::vector<driver::Attachment>& attachments,
                         const SshSession& session, const packet::Device& device);

}  // namespace weir::service
