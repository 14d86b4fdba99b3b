// SPDX-License-Identifier: BSD-2-Clause
//
// Which facts beside its IP packet the rules ask of a packet, for whoever has to supply them: an
// engine that cannot, or the service, which has to switch connection tracking on.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::driver {

struct Reads {
  std::set<imr::MetaKey> meta;
  bool connection = false;
  bool link_header = false;
};

// Of the chains that the attachments take, and of those that they reach.
[[nodiscard]] Reads scan_reads(const imr::Ruleset& ruleset,
                               const std::vector<Attachment>& attachments);

}  // namespace weir::driver
