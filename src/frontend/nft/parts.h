// SPDX-License-Identifier: BSD-2-Clause
//
// What the dumps of a script's parts (frontend/nft/division.h) have to become that of the whole.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// The numbers that the kernel gives one after another: handles of rules, and what it puts in the
// names of sets that have none. In a table of each part they begin behind those of the same chains
// and sets.
class Numbering {
 public:
  void begin_part();
  // The name that the set without a name of its own has in the whole: "__set7" for "__set2".
  std::string name_of(imr::TableId table, const std::string& name, std::uint64_t handle);
  // Gives the rules of the part the handles that they have in the whole. A system error when the
  // parts do not begin alike.
  [[nodiscard]] Status end_part(std::span<imr::Rule> rules, const imr::Ruleset& ruleset);

 private:
  struct Handles {
    std::optional<std::uint64_t> first;       // of a part, which is the same in all
    std::uint64_t before = 0;                 // how many the parts before have taken
    std::optional<std::uint64_t> least = {};  // of the part at hand
  };
  struct Names {
    std::uint64_t before = 0;
    std::uint64_t here = 0;
  };
  std::map<imr::TableId, Handles> handles_;
  std::map<std::pair<imr::TableId, std::string>, Names> names_;
};

// "__set7", the kernel's name of a set without one, as "__set" and 7.
[[nodiscard]] std::pair<std::string, std::uint64_t> split_name(const std::string& name);

// Whether sets of the user's have names as the kernel gives them.
[[nodiscard]] bool has_reserved_names(const imr::Ruleset& ruleset);

// Whether rules that the kernel took in several parts are sure to be taken, and to mean the same,
// when they are together (frontend/nft/jumps.h).
[[nodiscard]] bool mean_the_same_together(const imr::Ruleset& ruleset);

}  // namespace weir::frontend::nft
