// SPDX-License-Identifier: BSD-2-Clause
//
// From the optimized units of one attachment to its program: lowered, optimized as flow, cut into
// as many functions as the kernel's verifier needs, emitted.
#pragma once

#include "backend/lower.h"
#include "backend/profile.h"
#include "driver/compile.h"

namespace weir::driver {

[[nodiscard]] bool enabled(const Options& options, std::string_view pass);

[[nodiscard]] backend::Profile profile_of(const Attachment& attachment, const Options& options);

// Of `program.optimized`. The maps it needs beyond those of `result` are behind these in
// `program.function`; `shared` says where they are. What is too large for the stack or for the one
// function that `options.limits` leave is an input error.
[[nodiscard]] Result<isa::Program> make_program(const imr::Ruleset& ruleset,
                                                CompiledProgram& program, const Options& options,
                                                const Compilation& result,
                                                backend::SharedMaps& shared);

}  // namespace weir::driver
