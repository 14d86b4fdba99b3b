// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/shrink.h"

#include <algorithm>
#include <sstream>

namespace weir::test {
namespace {

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

}  // namespace

Shrunk shrink(std::string script, std::vector<Sent> traffic,
              const std::function<bool(const std::string&, std::span<const Sent>)>& fails) {
  for (std::size_t size = traffic.size() / 2; size > 0; size /= 2) {
    for (std::size_t at = 0; at < traffic.size();) {
      std::vector<Sent> fewer = traffic;
      const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(at);
      fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(size, fewer.size() - at)));
      if (!fewer.empty() && fails(script, fewer)) {
        traffic = std::move(fewer);
      } else {
        at += size;
      }
    }
  }
  std::vector<std::string> lines = lines_of(script);
  for (std::size_t i = lines.size(); i-- > 0;) {
    std::vector<std::string> fewer = lines;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (fails(join(fewer), traffic)) lines = std::move(fewer);
  }
  return {.script = join(lines), .traffic = std::move(traffic)};
}

}  // namespace weir::test
