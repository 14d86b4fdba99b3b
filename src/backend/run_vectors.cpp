// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_vectors.h"

#include <algorithm>

namespace weir::backend {

using classify::BitVectors;
using classify::Run;

VectorLayout vector_layout(const Run& run, const BitVectors& vectors) {
  VectorLayout out;
  for (const BitVectors::Field& field : vectors.fields) {
    VectorLayout::Field place;
    place.starts = run_table(out.size, field.starts.size(), 8);
    place.vectors = run_table(out.size, field.starts.size(), 8 * vectors.words);
    out.fields.push_back(place);
  }
  out.bits = run_table(out.size, 64, 1);
  out.extras = extras_of(run);
  out.actions =
      run_table(out.size, run.action.size(), VectorLayout::action_extras + out.extras.size());
  return out;
}

Bytes vector_bytes(const imr::Ruleset& ruleset, const Run& run, const BitVectors& vectors,
                   const VectorLayout& layout) {
  Bytes value(layout.size, 0);
  for (std::size_t i = 0; i < vectors.fields.size(); ++i) {
    const BitVectors::Field& field = vectors.fields[i];
    const VectorLayout::Field& place = layout.fields[i];
    // Behind the last class come rows like it, in which the highest number of 64 bits ends up.
    for (std::size_t row = 0; row < place.starts.rows; ++row) {
      const std::size_t last = field.starts.size() - 1;
      RunWriter(value, place.starts.at(row)).put(row <= last ? field.starts[row] : ~0ULL, 8);
      RunWriter vector(value, place.vectors.at(row));
      for (std::size_t word = 0; word < vectors.words; ++word) {
        vector.put(field.vectors[std::min(row, last) * vectors.words + word], 8);
      }
    }
  }
  for (std::uint64_t bit = 0; bit < 64; ++bit) {
    const std::uint64_t row = (VectorLayout::factor << bit) >> VectorLayout::factor_shift;
    RunWriter(value, layout.bits.at(row)).put(bit, 1);
  }
  for (std::size_t i = 0; i < run.action.size(); ++i) {
    const classify::RunAction& action = run.actions[run.action[i]];
    RunWriter out(value, layout.actions.at(i));
    out.put(counter_number(action), 4);
    out.put(static_cast<std::uint32_t>(end_of(run, action)), 4);
    out.put(trace_entry(ruleset, action), 4);
    out.put(action.resume, 4);
    TailNumbers tail = tail_numbers(ruleset, action);
    if (tail.otherwise >= run.list.size()) tail.otherwise = 0;
    write_extras(layout.extras, action, tail, out);
  }
  return value;
}

}  // namespace weir::backend
