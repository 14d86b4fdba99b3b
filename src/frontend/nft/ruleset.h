// SPDX-License-Identifier: BSD-2-Clause
//
// A netlink dump of nf_tables to IMR: tables, chains and sets first, then the rules that use them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// Where the ruleset was written; the text is empty when it has no lines that could be told apart.
struct ScriptText {
  std::string_view text;
  std::string file;
};

// `dump` holds the messages in the order of dump_ruleset(), `listing` what nft prints of them,
// `links` the interfaces that were made for the script. A dump that cannot be read is a system
// error.
[[nodiscard]] Result<imr::Ruleset> translate(ByteView dump, std::string_view listing,
                                             const ScriptText& script,
                                             const std::vector<imr::Interface>& links);

}  // namespace weir::frontend::nft
