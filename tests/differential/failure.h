// SPDX-License-Identifier: BSD-2-Clause
//
// What is left behind of a mismatch: the ruleset, the same made as small as it will go, the packet,
// and all forms of the program between.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "differential/judge.h"
#include "differential/script.h"

namespace weir::differential {

// The smallest script that `fails` still holds for, as far as dropping runs of rules leads.
[[nodiscard]] Script minimise(const Script& script,
                              const std::function<bool(const Script&)>& fails);

// Writes everything into `directory`, which is made; the text to print.
std::string record_failure(const std::filesystem::path& directory, const Script& script,
                           const RulesetAtHook& subject, std::span<const packet::Packet> packets,
                           const Mismatch& mismatch, const JudgeOptions& options);

}  // namespace weir::differential
