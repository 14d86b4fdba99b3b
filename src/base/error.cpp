// SPDX-License-Identifier: BSD-2-Clause
#include "base/error.h"

#include <cstring>

namespace weir {

std::string Diagnostic::text() const {
  std::string out;
  if (!location.file.empty()) {
    out += location.file + ":";
    if (location.line != 0) {
      out += std::to_string(location.line) + ":";
      if (location.column != 0) out += std::to_string(location.column) + ":";
    }
    out += " ";
  }
  if (handle) out += "handle " + std::to_string(*handle) + ": ";
  out += message;
  for (const std::string& note : notes) out += "\n  " + note;
  return out;
}

std::unexpected<Diagnostic> input_error(std::string message, SourceLocation location) {
  return std::unexpected(Diagnostic{
      .kind = ErrorKind::input, .message = std::move(message), .location = std::move(location)});
}

std::unexpected<Diagnostic> system_error(std::string message) {
  return std::unexpected(Diagnostic{.kind = ErrorKind::system, .message = std::move(message)});
}

std::unexpected<Diagnostic> system_error(std::string message, int error_number) {
  return system_error(std::move(message) + ": " + std::strerror(error_number));
}

}  // namespace weir
