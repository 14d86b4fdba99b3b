// SPDX-License-Identifier: BSD-2-Clause
#include "golden/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace weir::test {

namespace {

struct Case {
  std::string comment;
  std::string before;
  std::string after;
  std::size_t line = 1;
};

std::filesystem::path root() {
  return std::filesystem::path(WEIR_SOURCE_DIR) / "tests/golden";
}

std::vector<Case> read_cases(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path << " cannot be read";
  std::vector<Case> cases(1);
  bool after = false;
  std::size_t line_number = 0;
  for (std::string line; std::getline(in, line);) {
    ++line_number;
    if (line == "----") {
      after = true;
    } else if (line == "====") {
      after = false;
      cases.emplace_back();
      cases.back().line = line_number + 1;
    } else if (after) {
      cases.back().after += line + "\n";
    } else if (line.starts_with('#') && cases.back().before.empty()) {
      cases.back().comment += line + "\n";
    } else {
      cases.back().before += line + "\n";
    }
  }
  return cases;
}

void write_cases(const std::filesystem::path& path, const std::vector<Case>& cases) {
  std::ofstream out(path);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    out << (i == 0 ? "" : "====\n") << cases[i].comment << cases[i].before << "----\n"
        << cases[i].after;
  }
}

std::string text_after(const Transform& transform, const std::string& before) {
  try {
    return transform(before);
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what() + "\n";
  }
}

}  // namespace

std::vector<std::string> golden_files(const std::string& directory, const std::string& prefix) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(root() / directory)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix)) out.push_back(directory + "/" + name);
  }
  std::ranges::sort(out);
  return out;
}

void check_golden(const std::string& file, const Transforms& transforms) {
  const std::filesystem::path path = root() / file;
  const std::string name = path.filename().string();
  const auto transform = transforms.find(name.substr(0, name.find('.')));
  ASSERT_NE(transform, transforms.end()) << file << ": no transformation has that name";

  const char* wish = std::getenv("WEIR_UPDATE_GOLDEN");
  const bool update = wish != nullptr && std::string(wish) == "1";
  std::vector<Case> cases = read_cases(path);
  for (Case& one : cases) {
    const std::string now = text_after(transform->second, one.before);
    if (update) {
      one.after = now;
      continue;
    }
    EXPECT_EQ(now, one.after) << file << ":" << one.line << ":\n" << one.comment;
  }
  if (update) write_cases(path, cases);
}

}  // namespace weir::test
