// SPDX-License-Identifier: BSD-2-Clause
//
// The checker's rules as rows: a program that keeps the rule or does not.
#pragma once

#include <gtest/gtest.h>

#include <ostream>

#include "unit/engine/programs.h"

namespace weir::engine {

inline constexpr isa::ProgramType xdp = isa::ProgramType::xdp;
inline constexpr isa::ProgramType netfilter = isa::ProgramType::netfilter;
inline constexpr std::string_view accepted;

struct Case {
  std::string_view rule;
  std::string_view text;
  std::string_view expected = accepted;
  isa::ProgramType type = xdp;
};

inline void PrintTo(const Case& one, std::ostream* out) {
  *out << one.rule;
}

// Checks the program, and that the verdict is the expected one.
inline void expect_verdict(const Case& one) {
  const Status status = check(object_of(one.type, one.text), 0);
  if (one.expected == accepted) {
    EXPECT_TRUE(status) << one.rule << one.text << status.error().text();
  } else if (status) {
    ADD_FAILURE() << one.rule << one.text << "was accepted, expected: " << one.expected;
  } else {
    EXPECT_NE(status.error().text().find(one.expected), std::string::npos)
        << one.rule << one.text << status.error().text() << "\nexpected: " << one.expected;
  }
}

}  // namespace weir::engine
