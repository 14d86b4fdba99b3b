// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that come into a run that is searched in hash tables (backend/run_tables.h), or go, while
// packets are searched for there. A change is a row of stores into the map: what comes is linked in
// as not in force at the present turn, what goes is marked as not in force at the next one, and the
// turn is changed by one store for all runs. Packets know one turn from beginning to end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "backend/run_maps.h"
#include "base/bytes.h"
#include "classify/runs.h"

namespace weir::backend {

// Of 4 or 8 bytes, at such a place; to be done at once.
struct RunStore {
  isa::MapIndex map;
  std::uint64_t offset = 0;
  std::uint64_t value = 0;
  std::uint8_t size = 4;
  friend bool operator==(const RunStore&, const RunStore&) = default;
};

struct RunChange {
  std::vector<RunStore> before;  // the turn: they change nothing for the packets of the present one
  std::vector<RunStore> after;   // when no packet of the turn before is left
};

class RunEditor {
 public:
  // Of a run with a layout that is updatable; `value` is that of its map.
  RunEditor(const RunPlace& place, Bytes value);

  // A rule's rows are told by the numbers of their entries, in order.
  using Entries = std::vector<std::uint32_t>;

  // The rows of `rows.list`, between two entries (0: at that end). `turn` is the present one, as
  // RunMaps::turn() has it. Nothing where there is no room or the program knows no such rules: of
  // no use after that.
  [[nodiscard]] std::optional<Entries> insert(const classify::Run& rows, std::uint32_t behind,
                                              std::uint32_t before, std::uint32_t turn,
                                              RunChange& change);
  void remove(std::span<const std::uint32_t> entries, std::uint32_t turn, RunChange& change);
  // When all that comes and goes has been said.
  void finish(RunChange& change);

  // Whether the rule of the entry is asked nothing.
  [[nodiscard]] bool holds_always(std::uint32_t entry) const;

 private:
  using Words = classify::TupleTables::Words;
  struct Spot {
    std::size_t table = 0;
    std::uint32_t slot = 0;
    std::uint8_t mark = 0;     // that the slot has to have
    std::uint32_t before = 0;  // the entry that links to the one in question; 0: the slot does
    std::size_t length = 0;    // of the slot's chain
  };

  [[nodiscard]] std::uint64_t get(std::uint64_t offset, std::uint8_t size) const;
  void store(std::vector<RunStore>& to, std::uint64_t offset, std::uint64_t value,
             std::uint8_t size);
  // A row that no packet sees yet; its size is a multiple of 4.
  void store_row(std::vector<RunStore>& to, std::uint64_t offset, const Bytes& row);
  [[nodiscard]] std::uint32_t rank_of(std::uint32_t entry) const;
  // The entry that links to the one; 0: its slot does.
  [[nodiscard]] std::uint32_t before(std::uint32_t entry) const;
  [[nodiscard]] std::uint32_t first_in(std::uint32_t slot) const;
  [[nodiscard]] std::uint32_t next_of(std::uint32_t entry) const;
  [[nodiscard]] Spot place_for(std::size_t table, const Words& value, std::uint32_t rank) const;
  [[nodiscard]] std::optional<Spot> choose(const Words& value,
                                           const classify::TupleTables::Shape& shape,
                                           std::uint32_t rank) const;
  [[nodiscard]] std::optional<std::uint32_t> shape_number(const classify::TupleTables::Shape& shape,
                                                          std::vector<RunStore>& to);
  [[nodiscard]] bool known_to_program(const classify::Run& rows) const;
  [[nodiscard]] bool put(std::uint32_t entry, const classify::Run& rows, std::size_t row,
                         std::uint32_t rank, std::uint32_t turn, RunChange& change);
  void link(const Spot& spot, std::uint32_t entry, std::uint32_t rank, std::vector<RunStore>& to);
  void unlink(std::uint32_t entry, std::vector<RunStore>& to);
  void raise_first(std::size_t table, std::uint32_t rank, std::vector<RunStore>& to);

  const RunPlace& place_;
  const classify::TupleTables& tables_;
  const TupleLayout& layout_;
  Bytes value_;  // as it will be when the last change is over
  // By entry. Its values do not tell: of ranges that are no prefixes it has none.
  std::vector<std::uint32_t> slot_of_;
  std::map<classify::TupleTables::Shape, std::uint32_t> shapes_;
  std::size_t used_shapes_;
  std::vector<std::uint32_t> free_;      // entries
  std::vector<std::uint32_t> unlinked_;  // of the last change: free when one more is over
  std::vector<std::uint32_t> coming_;    // of the change at hand
  std::vector<std::uint32_t> going_;
  std::size_t stops_ = 0;  // rows behind which packets go on that have come
};

}  // namespace weir::backend
