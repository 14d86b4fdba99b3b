// SPDX-License-Identifier: BSD-2-Clause
//
// Several ruleset files as one script, as nft would see them one after the other, and the way back
// from a line of the script to the file that it stands in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace weir::cli {

class Script {
 public:
  void append(const std::string& file, const std::string& text);

  [[nodiscard]] const std::string& text() const { return text_; }
  // What to call the script in messages: the file, when there is one only.
  [[nodiscard]] std::string name() const;
  // The file and line of a location in the script; other locations (of included files) as they are.
  [[nodiscard]] SourceLocation place(const SourceLocation& location) const;

 private:
  struct Part {
    std::string file;
    std::uint32_t first_line = 1;
  };
  std::vector<Part> parts_;
  std::string text_;
  std::uint32_t lines_ = 0;
};

}  // namespace weir::cli
