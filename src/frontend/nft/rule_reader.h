// SPDX-License-Identifier: BSD-2-Clause
//
// Single rules of a ruleset that is kept, changed by nft's commands. A scratch namespace that has
// the tables, chains and sets of its script, but no rules, reads the rule of a command; where it
// goes and which handle it gets is worked out here, as nf_tables does it among all the others.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "frontend/nft/nft.h"
#include "imr/edit.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

class RuleReader {
 public:
  // For commands behind `script` and `options.commands`, which made `ruleset` (read_script()). Its
  // lists get room to grow, and are shared with no copy of it. No value where the script has to be
  // read as a whole, as read_divided() has it.
  [[nodiscard]] static std::optional<RuleReader> create(const std::string& script,
                                                        const Options& options,
                                                        imr::Ruleset& ruleset);
  RuleReader(RuleReader&&) noexcept;
  RuleReader& operator=(RuleReader&&) noexcept;
  ~RuleReader();

  // Changes the ruleset, which is as create() or the call before left it, by a command such as
  // "insert rule inet filter input tcp dport 22 accept". That takes no longer where there are more
  // rules. Handles, order, texts and statements are those that read_script() comes to with the
  // command behind the others; sets without names have other names, those of rules that went stay
  // behind, and there are no places in files. No value where only reading the whole tells, errors
  // of the command included; the ruleset is then as it was.
  [[nodiscard]] std::optional<imr::RuleEdit> change(imr::Ruleset& ruleset,
                                                    const std::string& command);

 private:
  class Keeper;
  explicit RuleReader(std::unique_ptr<Keeper> keeper);
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace weir::frontend::nft
