// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/shrink.h"

#include <sstream>
#include <utility>

#include "differential/drop_runs.h"

namespace weir::test {
namespace {

using differential::drop_runs;

std::vector<std::string> lines_of(const std::string& script) {
  std::istringstream in(script);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string join(const std::vector<std::string>& lines) {
  std::string script;
  for (const std::string& line : lines) script += line + "\n";
  return script;
}

// `all` without [from, to).
template <typename T>
std::vector<T> without(const std::vector<T>& all, std::size_t from, std::size_t to) {
  std::vector<T> fewer(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(from));
  fewer.insert(fewer.end(), all.begin() + static_cast<std::ptrdiff_t>(to), all.end());
  return fewer;
}

}  // namespace

Shrunk shrink(std::string script, std::vector<Sent> traffic,
              const std::function<bool(const std::string&, std::span<const Sent>)>& fails) {
  drop_runs([&] { return traffic.size(); },
            [&](std::size_t from, std::size_t to) {
              std::vector<Sent> fewer = without(traffic, from, to);
              if (fewer.empty() || !fails(script, fewer)) return false;
              traffic = std::move(fewer);
              return true;
            });
  std::vector<std::string> lines = lines_of(script);
  drop_runs([&] { return lines.size(); },
            [&](std::size_t from, std::size_t to) {
              std::vector<std::string> fewer = without(lines, from, to);
              if (!fails(join(fewer), traffic)) return false;
              lines = std::move(fewer);
              return true;
            });
  return {.script = join(lines), .traffic = std::move(traffic)};
}

}  // namespace weir::test
