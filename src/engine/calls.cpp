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

// Of the skb, or of what an XDP program runs on.
std::uint64_t new_dynptr(Machine& machine, const Arguments& arguments) {
  invariant(machine.is_packet(arguments[0]), "engine: a dynptr of something else");
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
  invariant(machine.is_packet(dynptr.data), "engine: a slice of what is no dynptr");
  const std::uint64_t offset = static_cast<std::uint32_t>(arguments[1]);
  const std::uint64_t size = static_cast<std::uint32_t>(arguments[3]);
  const std::size_t total = machine.packet().size();
  if (offset > total || size > total - offset) return 0;
  if (offset + size <= machine.linear().size()) {
    return address_of(machine.linear().data() + offset);
  }
  if (arguments[2] == 0) return 0;
  machine.require(arguments[2], size, true);
  invariant(machine.read_packet(static_cast<std::int64_t>(offset), pointer_to(arguments[2]), size),
            "engine: a slice beyond the packet");
  return arguments[2];
}

// ____bpf_skb_load_bytes() in net/core/filter.c: all bytes, or -EFAULT and zeros.
std::uint64_t load_bytes(Machine& machine, std::int64_t offset, std::uint64_t target,
                         std::uint64_t size) {
  machine.require(target, size, true);
  if (machine.read_packet(offset, pointer_to(target), size)) return 0;
  std::memset(pointer_to(target), 0, size);
  return failure(EFAULT);
}

std::uint64_t skb_load_bytes(Machine& machine, const Arguments& arguments) {
  const auto offset = static_cast<std::uint32_t>(arguments[1]);
  const auto size = static_cast<std::uint32_t>(arguments[3]);
  // Offsets above INT_MAX are refused, so that nothing before the packet can be read.
  if (offset > INT32_MAX) return load_bytes(machine, INT64_MAX, arguments[2], size);
  return load_bytes(machine, offset, arguments[2], size);
}

// bpf_skb_load_bytes_relative(): from the link-layer header (0) or the network header (1).
std::uint64_t skb_load_bytes_relative(Machine& machine, const Arguments& arguments) {
  constexpr std::uint32_t from_mac = 0;
  constexpr std::uint32_t from_network = 1;
  const auto offset = static_cast<std::uint32_t>(arguments[1]);
  const auto size = static_cast<std::uint32_t>(arguments[3]);
  const auto start = static_cast<std::uint32_t>(arguments[4]);
  const auto before = static_cast<std::int64_t>(machine.before());
  const auto network = static_cast<std::int64_t>(machine.network_offset());
  const bool known = start == from_network || (start == from_mac && network != 0);
  if (offset > 0xffff || !known) return load_bytes(machine, INT64_MAX, arguments[2], size);
  return load_bytes(machine, (start == from_network ? network : 0) - before + offset, arguments[2],
                    size);
}

std::uint64_t skb_pull_data(Machine& machine, const Arguments& arguments) {
  const auto length = static_cast<std::uint32_t>(arguments[1]);
  return machine.pull(length) ? 0 : failure(ENOMEM);
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
      return machine.cpu();
    case FunctionId::probe_read_kernel:
      return probe_read(machine, arguments);
    case FunctionId::dynptr_from_skb:
    case FunctionId::dynptr_from_xdp:
      return new_dynptr(machine, arguments);
    case FunctionId::dynptr_slice:
      return dynptr_slice(machine, arguments);
    case FunctionId::dynptr_size:
      return load_dynptr(machine, arguments[0]).size;
    case FunctionId::rdonly_cast:
    case FunctionId::cast_to_kern_ctx:
      return arguments[0];
    case FunctionId::loop:
      break;  // calls back, which is for who runs the program
    case FunctionId::skb_load_bytes:
      return skb_load_bytes(machine, arguments);
    case FunctionId::skb_load_bytes_relative:
      return skb_load_bytes_relative(machine, arguments);
    case FunctionId::skb_pull_data:
      return skb_pull_data(machine, arguments);
  }
  throw InvariantError("engine: a function that cannot be called");
}

}  // namespace weir::engine
