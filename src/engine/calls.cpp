// SPDX-License-Identifier: BSD-2-Clause
#include "engine/calls.h"

#include <time.h>

#include <cerrno>
#include <cstring>

namespace weir::engine {
namespace {

using Arguments = std::array<std::uint64_t, 5>;

// struct bpf_dynptr_kern: opaque to programs.
struct Dynptr {
  std::uint64_t data = 0;
  std::uint64_t size = 0;
};

std::uint64_t failure(int error) {
  return static_cast<std::uint64_t>(-std::int64_t{error});
}

std::uint64_t map_lookup(Machine& machine, const Arguments& arguments) {
  Map& map = machine.map_at(arguments[0]);
  machine.require(arguments[1], map.spec().key_size, false);
  std::uint8_t* value = map.lookup(pointer_to(arguments[1]));
  if (value == nullptr) return 0;
  machine.memory().add(value, map.spec().value_size, true);
  return address_of(value);
}

std::uint64_t map_update(Machine& machine, const Arguments& arguments) {
  Map& map = machine.map_at(arguments[0]);
  machine.require(arguments[1], map.spec().key_size, false);
  machine.require(arguments[2], map.spec().value_size, false);
  const std::uint64_t flags = arguments[3];
  if (flags > static_cast<std::uint64_t>(UpdateMode::existing_only)) return failure(EINVAL);
  return failure(map.store(pointer_to(arguments[1]), pointer_to(arguments[2]),
                           static_cast<UpdateMode>(flags)));
}

std::uint64_t map_delete(Machine& machine, const Arguments& arguments) {
  Map& map = machine.map_at(arguments[0]);
  machine.require(arguments[1], map.spec().key_size, false);
  return failure(map.erase(pointer_to(arguments[1])));
}

std::uint64_t monotonic_nanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// bpf_probe_read_kernel(): a bad source gives -EFAULT, and zeros.
std::uint64_t probe_read(Machine& machine, const Arguments& arguments) {
  const auto [target, size, source, unused4, unused5] = arguments;
  machine.require(target, size, true);
  if (!machine.memory().contains(source, size, false)) {
    std::memset(pointer_to(target), 0, size);
    return failure(EFAULT);
  }
  std::memmove(pointer_to(target), pointer_to(source), size);
  return 0;
}

std::uint64_t dynptr_from_skb(Machine& machine, const Arguments& arguments) {
  invariant(arguments[0] == address_of(&machine.skb()), "engine: a dynptr of something else");
  machine.require(arguments[2], sizeof(Dynptr), true);
  Dynptr dynptr;
  std::uint64_t answer = failure(EINVAL);  // and a null dynptr, when flags are given
  if (arguments[1] == 0) {
    dynptr = {.data = arguments[0], .size = machine.packet().size()};
    answer = 0;
  }
  std::memcpy(pointer_to(arguments[2]), &dynptr, sizeof dynptr);
  return answer;
}

Dynptr load_dynptr(const Machine& machine, std::uint64_t address) {
  machine.require(address, sizeof(Dynptr), false);
  Dynptr dynptr;
  std::memcpy(&dynptr, pointer_to(address), sizeof dynptr);
  return dynptr;
}

// bpf_dynptr_slice(): straight into the linear part, else through the buffer
// (skb_header_pointer()), else not at all.
std::uint64_t dynptr_slice(Machine& machine, const Arguments& arguments) {
  const Dynptr dynptr = load_dynptr(machine, arguments[0]);
  if (dynptr.data == 0) return 0;
  invariant(dynptr.data == address_of(&machine.skb()), "engine: a slice of what is no dynptr");
  const std::uint64_t offset = static_cast<std::uint32_t>(arguments[1]);
  const std::uint64_t size = static_cast<std::uint32_t>(arguments[3]);
  const ByteView packet = machine.packet();
  if (offset > packet.size() || size > packet.size() - offset) return 0;
  const std::size_t linear = packet.size() - machine.skb().data_len;
  if (offset + size <= linear) return address_of(machine.skb().data + offset);
  if (arguments[2] == 0) return 0;
  machine.require(arguments[2], size, true);
  std::memcpy(pointer_to(arguments[2]), packet.data() + offset, size);
  return arguments[2];
}

}  // namespace

std::uint64_t call(Machine& machine, FunctionId function, const Arguments& arguments) {
  switch (function) {
    case FunctionId::map_lookup_elem:
      return map_lookup(machine, arguments);
    case FunctionId::map_update_elem:
      return map_update(machine, arguments);
    case FunctionId::map_delete_elem:
      return map_delete(machine, arguments);
    case FunctionId::ktime_get_ns:
      return monotonic_nanoseconds();
    case FunctionId::get_prandom_u32:
      return static_cast<std::uint32_t>(machine.random());
    case FunctionId::get_smp_processor_id:
      return 0;
    case FunctionId::probe_read_kernel:
      return probe_read(machine, arguments);
    case FunctionId::dynptr_from_skb:
      return dynptr_from_skb(machine, arguments);
    case FunctionId::dynptr_slice:
      return dynptr_slice(machine, arguments);
    case FunctionId::dynptr_size:
      return load_dynptr(machine, arguments[0]).size;
    case FunctionId::rdonly_cast:
      return arguments[0];
  }
  throw InvariantError("engine: a function that cannot be called");
}

}  // namespace weir::engine
