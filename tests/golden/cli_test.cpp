// SPDX-License-Identifier: BSD-2-Clause
//
// Goldens of the command line: shell commands, and what they print. The files shell.*.txt run as
// anybody, root.*.txt as root only. Commands run in tests/golden/cli, with `weir` and
// `make_capture` in their path, both outputs together, and the exit code behind them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "golden/runner.h"

namespace weir::test {
namespace {

namespace fs = std::filesystem;

// A directory with a script in it, gone with its owner.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "weir-golden-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch directory");
    path = name;
  }
  ~Scratch() { fs::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  fs::path path;
};

std::string shell(const std::string& commands) {
  const Scratch scratch;
  std::ofstream(scratch.path / "script") << commands;
  const std::string line = "cd '" WEIR_SOURCE_DIR "/tests/golden/cli' && SCRATCH='" +
                           scratch.path.string() + "' PATH='" +
                           fs::path(WEIR_PROGRAM).parent_path().string() + ":" +
                           fs::path(MAKE_CAPTURE).parent_path().string() + "':\"$PATH\" bash \"" +
                           (scratch.path / "script").string() + "\" 2>&1 </dev/null";
  std::FILE* pipe = ::popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("no shell");
  std::string out;
  std::array<char, 4096> buffer = {};
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), size);
  }
  const int status = ::pclose(pipe);
  return out + "[exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1) + "]\n";
}

class Shell : public testing::TestWithParam<std::string> {};
TEST_P(Shell, PrintsWhatItShould) {
  check_golden(GetParam(), {{"shell", shell}});
}
INSTANTIATE_TEST_SUITE_P(Cli, Shell, testing::ValuesIn(golden_files("cli", "shell")));

class Root : public testing::TestWithParam<std::string> {};
TEST_P(Root, PrintsWhatItShould) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  check_golden(GetParam(), {{"root", shell}});
}
INSTANTIATE_TEST_SUITE_P(Cli, Root, testing::ValuesIn(golden_files("cli", "root")));

}  // namespace
}  // namespace weir::test
