// SPDX-License-Identifier: BSD-2-Clause
//
// Value classes and bit vectors: the values of each field fall into classes, all of one class in
// the same rules' ranges. Each class has a bit for every rule. A search finds the class of each
// field and the first bit that all of them have (T. V. Lakshman, D. Stiliadis, "High-speed policy-
// based packet forwarding using efficient multi-dimensional range matching", SIGCOMM 1998).
#pragma once

#include <memory>

#include "classify/structure.h"

namespace weir::classify {

// Nothing where the vectors would take more than 16 MiB.
[[nodiscard]] std::unique_ptr<Structure> build_bit_vectors(const RuleList& rules);

}  // namespace weir::classify
