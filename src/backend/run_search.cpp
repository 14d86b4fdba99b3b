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
  if (table.offset != 0) offset = out_.binary(Op::add, offset, table.offset);
  return out_.binary(Op::add, out_.map_value(place_.map), offset);
}

Reg RunSearch::row(const RunTable& table, std::uint64_t index) {
  const std::uint64_t offset = table.offset + index * table.row_size;
  const Reg value = out_.map_value(place_.map);
  return offset == 0 ? value : out_.binary(Op::add, value, offset);
}

}  // namespace weir::backend
