// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of a long script (frontend/nft/divided.h), changed by nft's commands behind it. Where a
// command wants its rule is worked out here, as the kernel does it; the rule itself is read from a
// part that has the script's tables, chains and sets, and nothing but the rules of the commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/hook.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

struct RuleCommand {
  enum class Verb : std::uint8_t { add, insert, replace, remove };
  enum class Place : std::uint8_t { none, handle, index };
  Verb verb = Verb::add;
  Family family = Family::ip;
  std::string table;
  std::string chain;
  Place place = Place::none;
  std::uint64_t number = 0;  // the handle or index
  std::string statements;
  friend bool operator==(const RuleCommand&, const RuleCommand&) = default;
};

// "insert rule inet filter input handle 7 tcp dport 22 accept"; no value for what may be something
// else to nft.
[[nodiscard]] std::optional<RuleCommand> parse_rule_command(std::string_view command);

// The command that adds its rule to the part; empty where it has none.
[[nodiscard]] std::string command_in_part(const RuleCommand& command);

// Where in a chain of so many rules the rule that is added or inserted will stand, or the one
// stands that goes or is replaced; `find` gives the place of a handle, or no value. No value where
// there is no such place.
[[nodiscard]] std::optional<std::size_t> wanted_place(
    const RuleCommand& command, std::size_t rules,
    const std::function<std::optional<std::size_t>(std::uint64_t handle)>& find);

// Moves the rules from number `first_new` on, which are those of the part, where the commands want
// them, and takes away what is deleted or replaced. Those of a chain are in the order of the
// commands, and their handles are what they had if each of them were added. False where a command
// names no rule that there is.
[[nodiscard]] bool amend(imr::Ruleset& ruleset, std::size_t first_new,
                         std::span<const RuleCommand> commands);

}  // namespace weir::frontend::nft
