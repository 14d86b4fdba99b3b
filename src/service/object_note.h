// SPDX-License-Identifier: BSD-2-Clause
//
// The note that an ELF object carries, so that whoever applies it can list the rules as they were
// written and say what carries them: the state of a policy that is not installed yet, and the
// interfaces that its programs know by number. JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "driver/compile.h"
#include "imr/imr.h"
#include "service/state.h"

namespace weir::service {

struct ObjectNote {
  // Attachments name the programs by the file's symbols, `maps` those that a loader of the file
  // makes. In place of ids, rules have indices among attachments and maps.
  PolicyState policy;
  std::vector<imr::Interface> interfaces;
  bool sends = false;  // packets, copies of them, or answers
};

// Of the file that object::to_elf() makes of the compilation's object. Refuses what that refuses of
// maps.
[[nodiscard]] Result<std::string> object_note(const imr::Ruleset& ruleset,
                                              const driver::Compilation& compilation,
                                              const std::string& source);
// The inverse; an input error for what object_note() did not write.
[[nodiscard]] Result<ObjectNote> parse_object_note(std::string_view text);
// The note of an ELF file; an input error for a file that weir did not make.
[[nodiscard]] Result<ObjectNote> read_object_note(ByteView file);

}  // namespace weir::service
