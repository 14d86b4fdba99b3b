// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_search.h"

#include <bit>

namespace weir::backend {

using flow::Op;
using flow::Reg;

Reg RunSearch::row(const RunTable& table, Reg index) {
  Reg offset = out_.binary(Op::and_, index, table.rows - 1U);
  const auto shift = static_cast<std::uint64_t>(std::countr_zero(table.row_size));
  if (shift != 0) offset = out_.binary(Op::shl, offset, shift);
  return out_.binary(Op::add, out_.map_value(place_.map, table.offset), offset);
}

Reg RunSearch::row(const RunTable& table, std::uint64_t index) {
  return out_.map_value(place_.map, table.at(index));
}

Reg RunSearch::is_marking() {
  return out_.binary(Op::and_, extra(RunExtras::what), 1);
}

Reg RunSearch::code() {
  return out_.binary(Op::shr, extra(RunExtras::what), std::uint64_t{RunExtras::code_shift});
}

}  // namespace weir::backend
