// SPDX-License-Identifier: BSD-2-Clause
//
// What rules can ask of a hook, and which hooks can serve it. Refusals and the table of
// docs/hooks.md are made of the same answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/profile.h"
#include "base/error.h"
#include "imr/imr.h"

namespace weir::backend {

struct Need {
  enum class Kind : std::uint8_t {
    link,                // bytes of the link-layer header
    packet,              // bytes of the network and transport headers
    meta,                // `meta`
    next_hop,            // where the packet's route leads
    connection,          // ct state
    connection_details,  // all other ct keys
    write_meta,          // `meta`
    write_packet,        // bytes of the packet, with no checksum but that of the IPv4 header
    write_transport,     // bytes that the checksum of a transport header is of
    move_inner,          // what tells where the transport header ends, where rules look behind it
    move_headers,        // where headers are, or the last protocol, in front of another chain
    mapped_set,          // a set or map that is searched in an eBPF map other than a plain hash map
    meter,               // a word that packets change, all of them the same one
    answer,              // a frame that goes back in the packet's place
    forward,             // the packet goes out by a device
    duplicate,           // a copy of it does
    egress_chain,        // either, where an egress chain of the ruleset may stand
    log,                 // a record of the packet
    dynamic_set,         // a set whose elements come and go, or keep something
  };
  Kind kind = Kind::packet;
  imr::MetaKey meta = imr::MetaKey::l4proto;

  friend bool operator==(const Need&, const Need&) = default;
};

// "meta oifname", as refusals name it.
[[nodiscard]] std::string to_string(const Need& need);
// Every need that there is, in the order of the table.
[[nodiscard]] std::vector<Need> all_needs();
[[nodiscard]] bool serves(const Profile& profile, const Need& need);

// The needs of the rule that the profile cannot serve; `unit` is what it is compiled for.
[[nodiscard]] std::vector<Need> unserved(const imr::Unit& unit, const imr::Rule& rule,
                                         const Profile& profile);
// An input error that names each rule that the hook cannot serve, what it asks for, and the hooks
// that could serve that.
[[nodiscard]] Status check_servable(const imr::Unit& unit, const Profile& profile);

// The table of hooks against what rules can ask for, in Markdown: docs/hooks.md.
[[nodiscard]] std::string hooks_document();

}  // namespace weir::backend
