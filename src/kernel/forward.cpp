// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/forward.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "isa/helpers.h"
#include "isa/isa.h"
#include "kernel/maps.h"
#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

using isa::Opcode;

constexpr std::uint8_t r0 = 0;
constexpr std::uint8_t r2 = 2;
constexpr std::uint8_t r3 = 3;
constexpr isa::MapIndex places_map(0U);
constexpr isa::MapIndex word_map(1U);

// What each kind of program says of a packet that is to go on.
std::int32_t pass(isa::ProgramType type) {
  switch (type) {
    case isa::ProgramType::xdp:
      return XDP_PASS;
    case isa::ProgramType::sched_cls:
      return -1;  // TC_ACT_UNSPEC and TCX_NEXT
    case isa::ProgramType::netfilter:
    case isa::ProgramType::cgroup_skb:
      return 1;  // NF_ACCEPT
    case isa::ProgramType::socket_filter:
      break;
  }
  throw InvariantError("a program of a type that goes on in no other");
}

Result<Fd> duplicate(const Fd& fd) {
  Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return system_error("duplicating a descriptor", errno);
  return copy;
}

// The context is in r1 as it came; bpf_tail_call() wants the places in r2, the number in r3, and
// comes back where there is no program.
Result<Fd> load_jump(const isa::Program& like, const Fd& places, const Fd* word) {
  isa::Object object;
  object.maps.push_back({.name = "places"});
  isa::Program program = {.name = "weir_forward", .type = like.type, .direction = like.direction};
  const auto add = [&](const isa::Insn& insn) { program.insns.push_back(insn); };
  const auto add_wide = [&](Opcode opcode, std::uint8_t dst) {
    for (const isa::Insn& slot : isa::make_wide(opcode, dst)) add(slot);
    return static_cast<std::uint32_t>(program.insns.size() - 2);
  };
  std::vector<Fd> given;
  WEIR_TRY(own_places, duplicate(places));
  given.push_back(std::move(own_places));
  if (word != nullptr) {
    object.maps.push_back({.name = "word"});
    WEIR_TRY(own_word, duplicate(*word));
    given.push_back(std::move(own_word));
    const std::uint32_t at = add_wide(Opcode::ld_map_value, r3);
    program.relocations.push_back({.insn = at, .what = isa::MapValueReference{.map = word_map}});
    add(isa::make(Opcode::ldx32, r3, r3));
  } else {
    add(isa::make(Opcode::mov64_imm, r3));
  }
  const std::uint32_t at = add_wide(Opcode::ld_map_fd, r2);
  program.relocations.push_back({.insn = at, .what = isa::MapReference{.map = places_map}});
  add(isa::make(Opcode::call_helper, 0, 0, 0, std::to_underlying(isa::Helper::tail_call)));
  add(isa::make(Opcode::mov64_imm, r0, 0, 0, pass(like.type)));
  add(isa::make(Opcode::exit));
  object.programs.push_back(std::move(program));
  WEIR_TRY(loaded, load(object, std::move(given)));
  return std::move(loaded.programs.front());
}

}  // namespace

Result<Fd> make_places(const std::string& name, std::uint32_t count) {
  MapCreateAttr attr{
      .map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = count};
  copy_object_name(name, attr.map_name);
  Fd map(bpf(Command::map_create, attr));
  if (!map.valid()) return system_error("creating a map of programs", -map.get());
  return map;
}

Status put_program(const Fd& places, std::uint32_t index, const Fd& program) {
  const Status put = write_element(places, native_bytes(index, 4),
                                   native_bytes(static_cast<std::uint32_t>(program.get()), 4));
  if (put) return {};
  Diagnostic error = put.error();
  error.message = "putting a program in its place: " + error.message;
  return std::unexpected(error);
}

Result<Fd> make_word(const std::string& name) {
  return create_map({.name = name, .type = isa::MapType::array, .value_size = 4, .max_entries = 1});
}

Result<Fd> load_forwarder(const isa::Program& like, const Fd& places) {
  return load_jump(like, places, nullptr);
}

Result<Fd> load_selector(const isa::Program& like, const Fd& places, const Fd& word) {
  return load_jump(like, places, &word);
}

void wait_for_programs() {
  // MEMBARRIER_CMD_GLOBAL is synchronize_rcu() (kernel/sched/membarrier.c), but on kernels with
  // processors that are free of the tick.
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  std::this_thread::sleep_for(std::chrono::seconds(1));
}

}  // namespace weir::kernel
