// SPDX-License-Identifier: BSD-2-Clause
//
// The note that an ELF object carries, so that whoever applies it can list the rules as they were
// written: the state of a policy that is not installed yet, and the interfaces that its programs
// know by number. JSON.
#pragma once

#include <string>
#include <vector>

#include "driver/compile.h"
#include "imr/imr.h"
#include "service/state.h"

namespace weir::service {

struct ObjectNote {
  PolicyState policy;  // attachments name the programs by the file's symbols
  std::vector<imr::Interface> interfaces;
};

// `program_names` are those of the file's symbols, one a program.
[[nodiscard]] std::string object_note(const imr::Ruleset& ruleset,
                                      const driver::Compilation& compilation,
                                      const std::vector<std::string>& program_names,
                                      const std::string& source);
// The inverse; an input error for what object_note() did not write.
[[nodiscard]] Result<ObjectNote> parse_object_note(const std::string& text);

}  // namespace weir::service
