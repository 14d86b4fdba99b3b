// SPDX-License-Identifier: BSD-2-Clause
//
// How weir reports that something went wrong. Two kinds, never mixed:
//   Diagnostic      the user's input or the system is at fault; travels in Result<T>.
//   InvariantError  weir itself is at fault; thrown, caught once in main(), exit code 70.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

// Where in the user's input something stands. Line and column count from 1; 0 is "not known".
struct SourceLocation {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  friend bool operator==(const SourceLocation&, const SourceLocation&) = default;
};

// Which of the exit codes of the command line an error leads to.
enum class ErrorKind : std::uint8_t {
  input,    // exit 1: bad input or bad use
  partial,  // exit 2: rules that must stay with the kernel
  system,   // exit 3: the kernel or a permission refused
};

struct Diagnostic {
  ErrorKind kind = ErrorKind::input;
  std::string message;                       // what was found, and what was expected
  SourceLocation location = {};              // empty file when there is none
  std::optional<std::uint64_t> handle = {};  // nf_tables rule handle, when it names the place
  std::vector<std::string> notes = {};       // further lines: the verifier's words, candidates, ...

  // "file:line:column: message" and the notes, each on a line of its own, indented by two.
  [[nodiscard]] std::string text() const;
};

template <typename T>
using Result = std::expected<T, Diagnostic>;
using Status = Result<void>;

[[nodiscard]] std::unexpected<Diagnostic> input_error(std::string message,
                                                      SourceLocation location = {});
[[nodiscard]] std::unexpected<Diagnostic> system_error(std::string message);
// The same with ": " and the text of `error_number` (an errno value) appended.
[[nodiscard]] std::unexpected<Diagnostic> system_error(std::string message, int error_number);

// A broken promise of our own code. Nothing catches it below main().
class InvariantError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Throws InvariantError with `what` unless `holds`.
inline void invariant(bool holds, std::string_view what) {
  if (!holds) throw InvariantError(std::string(what));
}

}  // namespace weir

// Unwraps a Result into `name`, or returns its error from the enclosing function.
#define WEIR_TRY(name, expression)                                   \
  auto name##_result = (expression);                                 \
  if (!name##_result) return std::unexpected(name##_result.error()); \
  auto& name = *name##_result

// The same for a Status, whose value is of no interest.
#define WEIR_CHECK(expression)                                     \
  do {                                                             \
    auto weir_status = (expression);                               \
    if (!weir_status) return std::unexpected(weir_status.error()); \
  } while (false)
