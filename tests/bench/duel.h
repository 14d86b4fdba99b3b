// SPDX-License-Identifier: BSD-2-Clause
//
// The same rules at one hook as nf_tables and as a weir program, each beside its floor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/sites.h"

namespace weir::bench {

// As in netfilter_bench; a system call each takes longer, and has no pages to make.
constexpr std::uint32_t duel_packets = 8192;

// What is measured at one hook, each in a place of its own. All packets have to be dropped.
class Duel {
 public:
  // `empty` is the script without its rules; `label` and `count` say in the table what they are.
  Duel(const Site& site, const std::string& script, const std::string& empty, std::string label,
       std::uint32_t count);

  // An engine and its floor stand side by side, in one order and in the other, so that what drifts
  // (clock, cache, neighbours) meets both.
  void one_round(bool forth);
  [[nodiscard]] HookCase& result() { return result_; }

 private:
  std::optional<Place> chain_;  // where nf_tables has such a hook
  std::optional<Place> nft_;
  Place weir_;
  Place program_;
  HookCase result_;
};

// The results of so many rounds, as a table or in JSON.
[[nodiscard]] std::string run_duels(std::vector<Duel> duels, int rounds, bool json);

}  // namespace weir::bench
