// SPDX-License-Identifier: BSD-2-Clause
//
// Probes of what takes programs of several functions, with type information of their own.
#pragma once

#include "base/error.h"

namespace weir::kernel {

// Whether the helper bpf_loop() takes a callback (5.17).
[[nodiscard]] Status try_bpf_loop();
// Whether a function of a loaded XDP program can be replaced (BPF_PROG_TYPE_EXT, 5.6).
[[nodiscard]] Status try_function_replacement();

}  // namespace weir::kernel
