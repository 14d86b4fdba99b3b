// SPDX-License-Identifier: BSD-2-Clause
//
// docs/hooks.md is what the profiles say. With WEIR_UPDATE_GOLDEN=1 in the environment it is
// written anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "backend/servable.h"

namespace weir::test {
namespace {

constexpr const char* page = WEIR_SOURCE_DIR "/docs/hooks.md";

TEST(HooksPage, IsWhatTheProfilesSay) {
  if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(page) << backend::hooks_document();
  }
  std::ifstream in(page);
  const std::string committed{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(committed, backend::hooks_document())
      << "weir generate hooks prints what docs/hooks.md has to be";
}

}  // namespace
}  // namespace weir::test
