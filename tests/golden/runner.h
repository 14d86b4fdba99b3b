// SPDX-License-Identifier: BSD-2-Clause
//
// Golden tests: readable files of cases, each a text before and the text that a transformation
// makes of it. A file tests/golden/DIRECTORY/NAME.txt or NAME.TOPIC.txt is for the transformation
// NAME and holds
//
//   lines that say what the case shows      (each starts with #; optional)
//   the text before
//   ----
//   the text after
//   ====
//   the next case ...
//
// With WEIR_UPDATE_GOLDEN=1 in the environment, the texts after are rewritten instead of compared.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weir::test {

// May throw; what() then becomes "error: ..." in the text after.
using Transform = std::function<std::string(const std::string& before)>;
using Transforms = std::map<std::string, Transform>;

// The files of a directory below tests/golden whose name starts with `prefix`, as "passes/x.txt".
[[nodiscard]] std::vector<std::string> golden_files(const std::string& directory,
                                                    const std::string& prefix);

// Runs every case of a file as an expectation of the current test.
void check_golden(const std::string& file, const Transforms& transforms);

}  // namespace weir::test
