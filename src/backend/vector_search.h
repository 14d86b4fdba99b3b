// SPDX-License-Identifier: BSD-2-Clause
//
// The search in bit vectors (backend/run_vectors.h): the class of each field, then word by word the
// bits that the vectors of all classes have.
#pragma once

#include <span>
#include <vector>

#include "backend/run_search.h"

namespace weir::backend {

class VectorSearch final : public RunSearch {
 public:
  VectorSearch(Builder& out, const RunPlace& place, std::span<const flow::Reg> key,
               flow::Reg opaque);

  void first(flow::BlockId miss) override;
  void resume(flow::Reg from) override;
  [[nodiscard]] flow::Reg resume_at() override;
  [[nodiscard]] flow::Reg trace_entry() override;

 private:
  // The number of the class that the value of a field is in.
  [[nodiscard]] flow::Reg class_of(std::size_t field);
  [[nodiscard]] flow::Reg extra(std::uint64_t offset) override;
  // The bits of all fields in the word.
  [[nodiscard]] flow::Reg bits();
  // Rounds that a packet takes at most: one for each word, and one for each rule behind which it
  // goes on.
  [[nodiscard]] std::size_t rounds() const;

  const classify::BitVectors& vectors_;
  const VectorLayout& layout_;
  std::vector<flow::Reg> classes_;
  flow::Reg round_;
  flow::Reg word_;   // its number
  flow::Reg later_;  // its bits that have not been looked at
  flow::BlockId loop_;
};

}  // namespace weir::backend
