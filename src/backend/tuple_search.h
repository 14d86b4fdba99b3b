// SPDX-License-Identifier: BSD-2-Clause
//
// The search in hash tables (backend/run_tables.h), one table behind another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/run_search.h"

namespace weir::backend {

class TupleSearch final : public RunSearch {
 public:
  // More rounds than `direct_rounds` one after another are not for one piece of a function: it then
  // has to be split.
  // `turn`, where rules may change, is the bit of the entries that are not in force.
  TupleSearch(Builder& out, const RunPlace& place, std::span<const flow::Reg> key, flow::Reg opaque,
              flow::Reg turn, std::size_t direct_rounds);

  void first(flow::BlockId miss) override;
  void resume(flow::Reg from) override;
  [[nodiscard]] flow::Reg resume_at() override;
  [[nodiscard]] flow::Reg trace_entry() override;

 private:
  // Of so many tables the slots are read at the same time.
  static constexpr std::size_t together = 4;
  // Of tables of so many bytes, which caches near the processor do not hold, the first entries too.
  static constexpr std::uint64_t far_memory = 400'000;

  void begin(flow::BlockId miss);
  void pack();
  [[nodiscard]] flow::Reg hash(flow::Reg row);
  // What the slot of the packet in a table says of its first entry.
  struct Candidate {
    flow::Reg rank;
    flow::Reg entry;  // 0: the packet meets none in this slot
    flow::Reg what;   // where it is read ahead: the number that the entry's shape stands in
  };
  [[nodiscard]] Candidate candidate(std::size_t table);
  // Of the tables whose slots are read together, from one on.
  [[nodiscard]] std::vector<Candidate> candidates(std::size_t from);
  // Looks at the entries of a slot, from `entry_` on; goes on at `done`.
  void look(std::size_t longest_chain, flow::BlockId done);
  [[nodiscard]] flow::Reg note();
  [[nodiscard]] flow::Reg extra(std::uint64_t offset) override;

  const classify::TupleTables& tables_;
  const TupleLayout& layout_;
  flow::Reg turn_;
  bool dispatches_;  // searches begin by a dispatch, and are not counted
  std::vector<flow::Reg> words_;
  flow::Reg searches_;    // begun so far
  flow::Reg round_;       // of the entries of a slot
  flow::Reg entry_;       // the next one's number
  flow::Reg what_;        // and the number that its shape stands in
  flow::Reg best_;        // the rank of the rule found so far
  flow::Reg best_entry_;  // its number
  flow::Reg limit_;       // the rank that it may have at most
  flow::BlockId begin_;
};

}  // namespace weir::backend
