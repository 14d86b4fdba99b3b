// SPDX-License-Identifier: BSD-2-Clause
//
// nft's messages: "file:line:column-column: Error: text", the source line, and a line of carets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace weir::frontend::nft {

struct NftError {
  SourceLocation location;                 // line and column 0 when nft named no place
  std::string text;                        // without "Error: "
  std::vector<std::string> included_from;  // "file:line", innermost last
  std::string source_line;                 // with tabs as they are; empty when there is none
  std::string carets;
  std::string marked;  // what the carets stand under

  friend bool operator==(const NftError&, const NftError&) = default;
};

// `file` is the user's name of what nft knows as script_name followed by digits.
[[nodiscard]] std::vector<NftError> parse_errors(std::string_view messages,
                                                 const std::string& file);

// The interfaces that nft looked for in vain, as far as it names them, each once.
[[nodiscard]] std::vector<std::string> missing_interfaces(const std::vector<NftError>& errors);

// Texts of errors that a missing interface leads to: of "iif", and of the devices of chains.
inline constexpr std::string_view no_interface = "Interface does not exist";
inline constexpr std::string_view no_device = "Could not process rule: No such file or directory";

// One diagnostic for all: the first error, with its source line and the other errors as notes.
// `messages` stands in when there are no errors in it.
[[nodiscard]] Diagnostic to_diagnostic(const std::vector<NftError>& errors,
                                       std::string_view messages, const std::string& file);

}  // namespace weir::frontend::nft
