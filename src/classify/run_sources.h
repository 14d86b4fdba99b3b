// SPDX-License-Identifier: BSD-2-Clause
//
// The values that a run (classify/runs.h) looks at, and what its key has of them.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "classify/runs.h"
#include "classify/tests.h"

namespace weir::classify {

using Ranges = std::vector<Range>;

// Whether the test can be told by fields of a key, whatever else is tested.
[[nodiscard]] bool is_told(const imr::Unit& unit, const Test& test);

// The values that a run looks at, and the fields of its key.
class Sources {
 public:
  explicit Sources(const imr::Unit& unit) : unit_(unit) {}
  // Those of another run.
  Sources(const imr::Unit& unit, const Run& other)
      : unit_(unit), sources_(other.sources), fields_(other.fields) {}

  void add(const Test& test);
  // False where there are too many, or one is too wide to say that it is absent.
  [[nodiscard]] bool make_fields();
  [[nodiscard]] const std::vector<RunField>& fields() const { return fields_; }
  [[nodiscard]] const std::vector<RunSource>& sources() const { return sources_; }
  // The ranges that the interval of the value is in the fields. Nothing of a value that the key
  // does not tell, or of an interval that is no range in each of its fields.
  struct FieldRange {
    std::size_t field = 0;
    Range range;
  };
  [[nodiscard]] std::optional<std::vector<FieldRange>> ranges(const TestedValue& value,
                                                              const Interval& interval) const;

 private:
  [[nodiscard]] std::optional<std::size_t> network_offset(imr::ExprId expr) const;
  [[nodiscard]] bool holds(const RunSource& source, const TestedValue& value) const;
  // Nothing where it is no value of the run, or longer than what the key has of it.
  [[nodiscard]] const RunSource* find(const TestedValue& value) const;
  [[nodiscard]] std::vector<std::size_t> parts_of(std::size_t source) const;
  [[nodiscard]] bool append_ranges(const RunSource& source, const Interval& interval,
                                   std::vector<FieldRange>& out) const;

  const imr::Unit& unit_;
  std::vector<RunSource> sources_;
  std::vector<RunField> fields_;
};

}  // namespace weir::classify
