// SPDX-License-Identifier: BSD-2-Clause
//
// What a program reads before anything of the packet.
#pragma once

#include <vector>

#include "flow/flow.h"

namespace weir::backend {

struct Start {
  flow::Reg opaque;  // a zero that the verifier must not know
  // Which versions of updatable sets count, 64 bits a register (SetVersion::bit / 64): read once,
  // so that a packet sees one version of each set, however many rules look into it. Not valid where
  // the program has no such set.
  std::vector<flow::Reg> set_versions;
  // The value of RunMaps::turn(), for the same reason. Not valid where no rules change in place.
  flow::Reg turn;
};

}  // namespace weir::backend
