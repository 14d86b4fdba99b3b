// SPDX-License-Identifier: BSD-2-Clause
//
// Programs that go on in another one: what is attached stays, and what runs can be exchanged, also
// where links take no other program, and at several hooks by one store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "isa/program.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// load(), with maps that are there already: given[i], where valid, stands for Object::maps[i], and
// keeps what it holds. It must be as large as what it stands for.
[[nodiscard]] Result<LoadedObject> load(const isa::Object& object, std::vector<Fd> given);

// Places for programs (BPF_MAP_TYPE_PROG_ARRAY). They are emptied when the last descriptor and pin
// of the array goes, also under a program that uses it (prog_fd_array_map_clear()).
[[nodiscard]] Result<Fd> make_places(const std::string& name, std::uint32_t count);
[[nodiscard]] Status put_program(const Fd& places, std::uint32_t index, const Fd& program);

// A 32-bit word that programs read.
[[nodiscard]] Result<Fd> make_word(const std::string& name);

// A program that goes on in the program at place 0, and lets packets pass where there is none. The
// number is a constant, of which the kernel makes a direct jump (map_poke_run()).
[[nodiscard]] Result<Fd> load_forwarder(const isa::Program& like, const Fd& places);
// One that goes on at the place whose number is in the word when a packet comes.
[[nodiscard]] Result<Fd> load_selector(const isa::Program& like, const Fd& places, const Fd& word);

// Until every program that runs now has ended.
void wait_for_programs();

}  // namespace weir::kernel
