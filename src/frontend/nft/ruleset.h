// SPDX-License-Identifier: BSD-2-Clause
//
// Netlink dumps of nf_tables to IMR: tables, chains and sets first, then the rules that use them.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "frontend/nft/amend.h"
#include "frontend/nft/source_lines.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// A ruleset of one dump, or of those of all parts of a script (frontend/nft/division.h), in order.
class RulesetBuilder {
 public:
  // `places` of the rules in `file`; none where it has no lines that could be told apart.
  RulesetBuilder(std::map<ChainKey, std::vector<RulePlace>> places, std::string file);
  RulesetBuilder(RulesetBuilder&&) noexcept;
  RulesetBuilder& operator=(RulesetBuilder&&) noexcept;
  ~RulesetBuilder();

  // `dump` holds the messages in the order of dump_ruleset(), `listing` what nft prints of them.
  // A dump that cannot be read, or does not go with those before, is a system error.
  [[nodiscard]] Status add(ByteView dump, std::string_view listing);
  [[nodiscard]] std::size_t rules() const;
  // The same of a part that has the rules of commands behind the script, which are carried out.
  // Nothing can be added behind it.
  [[nodiscard]] Status amend(ByteView dump, std::string_view listing,
                             std::span<const RuleCommand> commands);

  // `links` are the interfaces that were made for the script. Nothing can be added behind it. With
  // several dumps, a system error where their rules may mean something else, or be refused, when
  // they are together.
  [[nodiscard]] Result<imr::Ruleset> finish(const std::vector<imr::Interface>& links);

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

// The ruleset of one dump.
[[nodiscard]] Result<imr::Ruleset> translate(ByteView dump, std::string_view listing,
                                             std::map<ChainKey, std::vector<RulePlace>> places,
                                             const std::string& file,
                                             const std::vector<imr::Interface>& links);

}  // namespace weir::frontend::nft
