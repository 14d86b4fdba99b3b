// SPDX-License-Identifier: BSD-2-Clause
#include "cli/script.h"

#include <algorithm>

namespace weir::cli {

void Script::append(const std::string& file, const std::string& text) {
  parts_.push_back({.file = file, .first_line = lines_ + 1});
  text_ += text;
  if (!text_.empty() && text_.back() != '\n') text_ += '\n';
  lines_ = static_cast<std::uint32_t>(std::count(text_.begin(), text_.end(), '\n'));
}

std::string Script::name() const {
  std::string out;
  for (const Part& part : parts_) out += (out.empty() ? "" : "+") + part.file;
  return out;
}

SourceLocation Script::place(const SourceLocation& location) const {
  if (parts_.size() < 2 || location.file != name() || location.line == 0) return location;
  const auto behind = std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.first_line > location.line;
  });
  const Part& part = *(behind - 1);
  return {
      .file = part.file, .line = location.line - part.first_line + 1, .column = location.column};
}

}  // namespace weir::cli
