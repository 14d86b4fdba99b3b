// SPDX-License-Identifier: BSD-2-Clause
//
// For test programs that can do nothing without root: all of their tests are skipped, and say so.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

namespace weir::test {

class RootOnly : public testing::Environment {
 public:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes namespaces and loads BPF programs";
  }
};

// In one source file of the program, at namespace scope.
#define WEIR_ROOT_ONLY()                              \
  [[maybe_unused]] const auto* const weir_root_only = \
      testing::AddGlobalTestEnvironment(new weir::test::RootOnly)

}  // namespace weir::test
