// SPDX-License-Identifier: BSD-2-Clause
//
// The verifier's log, boiled down to the lines that tell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/shared_list.h"
#include "isa/program.h"

namespace weir::kernel {

// From the log of a refused program: the rule that the failing instruction came from, the failing
// instruction as the verifier saw it, and its message. The statistics line ("processed N insns") is
// kept only where the program was too complex, since then it is the message.
[[nodiscard]] std::vector<std::string> telling_lines(std::string_view log,
                                                     const isa::Program& program,
                                                     const SharedList<std::string>& rule_names);

}  // namespace weir::kernel
