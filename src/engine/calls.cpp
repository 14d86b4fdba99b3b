// SPDX-License-Identifier: BSD-2-Clause
#include "engine/calls.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/ring_buffer.h"

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

// bpf_skb_store_bytes() and bpf_xdp_store_bytes() in net/core/filter.c: all bytes, or none.
std::uint64_t store_bytes(Machine& machine, const Arguments& arguments) {
  const auto offset = static_cast<std::uint32_t>(arguments[1]);
  const auto size = static_cast<std::uint32_t>(arguments[3]);
  machine.require(arguments[2], size, false);
  if (offset > 0xffff) return failure(EFAULT);
  const ByteView value(pointer_to(arguments[2]), size);
  return machine.write_packet(offset, value) ? 0 : failure(EFAULT);
}

// bpf_l4_csum_replace() by a difference, of a packet whose checksums are whole; the pseudo header
// counts like any bytes then.
std::uint64_t l4_csum_replace(Machine& machine, const Arguments& arguments) {
  constexpr std::uint64_t pseudo_header = 1 << 4;
  constexpr std::uint64_t no_zero = 1 << 5;
  constexpr std::uint64_t even_of_zero = 1 << 6;
  const auto offset = static_cast<std::uint32_t>(arguments[1]);
  const std::uint64_t flags = arguments[4];
  if ((flags & ~(pseudo_header | no_zero | even_of_zero)) != 0 || arguments[2] != 0) {
    return failure(EINVAL);
  }
  std::uint16_t sum = 0;
  std::array<std::uint8_t, sizeof sum> bytes = {};
  if (offset > 0xffff || offset % 2 != 0 ||
      !machine.read_packet(offset, bytes.data(), bytes.size())) {
    return failure(EFAULT);
  }
  std::memcpy(&sum, bytes.data(), sizeof sum);
  if ((flags & no_zero) != 0 && (flags & even_of_zero) == 0 && sum == 0) return 0;
  // ~csum_unfold(): no sum of this is 0.
  std::uint64_t whole = std::uint64_t{~std::uint32_t{sum}} + (arguments[3] & 0xffffffff);
  while (whole > 0xffff) whole = (whole & 0xffff) + (whole >> 16);
  sum = static_cast<std::uint16_t>(~whole);
  if ((flags & no_zero) != 0 && sum == 0) sum = 0xffff;
  std::memcpy(bytes.data(), &sum, sizeof sum);
  invariant(machine.write_packet(offset, bytes), "engine: a checksum that can only be read");
  return 0;
}

// bpf_dynptr_read() of the packet: all bytes, or none.
std::uint64_t dynptr_read(Machine& machine, const Arguments& arguments) {
  const auto [target, size, source, offset, flags] = arguments;
  const Dynptr dynptr = load_dynptr(machine, source);
  const auto length = static_cast<std::uint32_t>(size);
  const auto start = static_cast<std::uint32_t>(offset);
  machine.require(target, length, true);
  if (dynptr.data == 0 || flags != 0) return failure(EINVAL);
  if (start > dynptr.size || length > dynptr.size - start) return failure(E2BIG);
  return machine.read_packet(start, pointer_to(target), length) ? 0 : failure(EFAULT);
}

// bpf_xdp_load_bytes(): all bytes, or none.
std::uint64_t xdp_load_bytes(Machine& machine, const Arguments& arguments) {
  const auto offset = static_cast<std::uint32_t>(arguments[1]);
  const auto size = static_cast<std::uint32_t>(arguments[3]);
  machine.require(arguments[2], size, true);
  if (offset > 0xffff || size > 0xffff) return failure(EFAULT);
  return machine.read_packet(offset, pointer_to(arguments[2]), size) ? 0 : failure(EINVAL);
}

RingBuffer& ring_at(Machine& machine, std::uint64_t address) {
  auto* ring = dynamic_cast<RingBuffer*>(&machine.map_at(address));
  invariant(ring != nullptr, "engine: a record in what is no ring buffer");
  return *ring;
}

std::uint64_t ringbuf_reserve(Machine& machine, const Arguments& arguments) {
  if (arguments[2] != 0) return 0;
  std::uint8_t* record = ring_at(machine, arguments[0]).reserve(arguments[1]);
  if (record == nullptr) return 0;
  machine.memory().add(record, arguments[1], true);
  return address_of(record);
}

std::uint64_t ringbuf_submit(Machine& machine, const Arguments& arguments) {
  invariant(machine.submit(pointer_to(arguments[0])), "engine: a record that was not reserved");
  return 0;
}

// skb_pkt_type_ok()
std::uint64_t skb_change_type(Machine& machine, const Arguments& arguments) {
  constexpr std::uint32_t last = 3;  // PACKET_OTHERHOST
  const auto type = static_cast<std::uint32_t>(arguments[1]);
  if (type > last || machine.packet_type() > last) return failure(EINVAL);
  machine.set_packet_type(static_cast<std::uint8_t>(type));
  return 0;
}

// bpf_csum_diff() of what is added alone; words stand as they do in memory.
std::uint64_t csum_diff(Machine& machine, const Arguments& arguments) {
  const auto size = static_cast<std::uint32_t>(arguments[3]);
  if (size % 4 != 0 || size > 512) return failure(EINVAL);
  machine.require(arguments[2], size, false);
  std::uint64_t sum = arguments[4] & 0xffffffff;
  for (std::uint32_t at = 0; at < size; at += 4) {
    sum += load_native(ByteView(pointer_to(arguments[2]) + at, 4));
  }
  while (sum >> 32 != 0) sum = (sum & 0xffffffff) + (sum >> 32);
  return sum;
}

std::int32_t signed_number(std::uint64_t argument) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(argument));
}

// bpf_xdp_adjust_head(), bpf_xdp_adjust_tail(): a frame has a link-layer header at least.
std::uint64_t adjust_head(Machine& machine, const Arguments& arguments) {
  constexpr std::int64_t link_header = 14;
  const std::int64_t gone = signed_number(arguments[1]);
  if (gone > static_cast<std::int64_t>(machine.packet().size()) - link_header) {
    return failure(EINVAL);
  }
  const std::size_t size = static_cast<std::size_t>(std::abs(gone));
  return machine.splice(0, gone > 0 ? size : 0, gone < 0 ? size : 0) ? 0 : failure(EINVAL);
}

std::uint64_t adjust_tail(Machine& machine, const Arguments& arguments) {
  constexpr std::int64_t link_header = 14;
  const std::int64_t more = signed_number(arguments[1]);
  const auto length = static_cast<std::int64_t>(machine.packet().size());
  if (length + more < link_header) return failure(EINVAL);
  const bool done = more < 0 ? machine.splice(static_cast<std::size_t>(length + more),
                                              static_cast<std::size_t>(-more), 0)
                             : machine.splice(static_cast<std::size_t>(length), 0,
                                              static_cast<std::size_t>(more));
  return done ? 0 : failure(EINVAL);
}

// __bpf_skb_change_tail(); headers stay whole.
std::uint64_t change_tail(Machine& machine, const Arguments& arguments) {
  const std::uint64_t wanted = static_cast<std::uint32_t>(arguments[1]);
  const std::size_t length = machine.packet().size();
  if (arguments[2] != 0 || wanted < machine.network_offset()) return failure(EINVAL);
  const bool done = wanted < length ? machine.splice(wanted, length - wanted, 0)
                                    : machine.splice(length, 0, wanted - length);
  return done ? 0 : failure(ENOMEM);
}

// bpf_skb_adjust_room() behind the link-layer header, without flags.
std::uint64_t adjust_room(Machine& machine, const Arguments& arguments) {
  constexpr std::uint64_t behind_link_header = 1;
  constexpr std::int64_t most = 0xfff;
  const std::int64_t more = signed_number(arguments[1]);
  const std::size_t at = machine.network_offset();
  const std::int64_t packet = static_cast<std::int64_t>(machine.packet().size() - at);
  const bool is_ipv6 = machine.skb().protocol == 0xdd86;  // 0x86dd as it stands in memory
  const bool is_ip = is_ipv6 || machine.skb().protocol == 0x0008;
  if (arguments[3] != 0) return failure(EINVAL);
  if (std::abs(more) > most) return failure(EFAULT);
  if (!is_ip || arguments[2] != behind_link_header) return failure(ENOTSUP);
  if (more < 0 && packet + more < (is_ipv6 ? 40 : 20)) return failure(ENOTSUP);
  const std::size_t size = static_cast<std::size_t>(std::abs(more));
  return machine.splice(at, more < 0 ? size : 0, more > 0 ? size : 0) ? 0 : failure(ENOMEM);
}

constexpr std::uint64_t into_device = 1;  // BPF_F_INGRESS

// bpf_redirect() and bpf_xdp_redirect(): what the program has to return for the packet to go out by
// the device.
std::uint64_t redirect(Machine& machine, const Arguments& arguments) {
  constexpr std::uint64_t tc_act_redirect = 7;
  constexpr std::uint64_t tc_act_shot = 2;
  constexpr std::uint64_t xdp_redirect = 4;
  constexpr std::uint64_t xdp_aborted = 0;
  const bool at_xdp = machine.type() == isa::ProgramType::xdp;
  const std::uint64_t known_flags = at_xdp ? 0 : into_device;
  if ((arguments[1] & ~known_flags) != 0) return at_xdp ? xdp_aborted : tc_act_shot;
  machine.redirect(static_cast<std::uint32_t>(arguments[0]));
  return at_xdp ? xdp_redirect : tc_act_redirect;
}

// bpf_clone_redirect(); every device is one that is there.
std::uint64_t clone_redirect(Machine& machine, const Arguments& arguments) {
  if ((arguments[2] & ~into_device) != 0) return failure(EINVAL);
  machine.duplicate(static_cast<std::uint32_t>(arguments[1]));
  return 0;
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
    case FunctionId::ktime_get_coarse_ns:
      return machine.now();
    case FunctionId::get_prandom_u32:
      return machine.random();
    case FunctionId::get_smp_processor_id:
      return machine.cpu();
    case FunctionId::get_current_task_btf:
      return machine.task();
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
    case FunctionId::for_each_map_elem:
      break;  // calls back, which is for who runs the program
    case FunctionId::skb_load_bytes:
      return skb_load_bytes(machine, arguments);
    case FunctionId::skb_load_bytes_relative:
      return skb_load_bytes_relative(machine, arguments);
    case FunctionId::skb_pull_data:
      return skb_pull_data(machine, arguments);
    case FunctionId::skb_store_bytes:
    case FunctionId::xdp_store_bytes:
      return store_bytes(machine, arguments);
    case FunctionId::l4_csum_replace:
      return l4_csum_replace(machine, arguments);
    case FunctionId::skb_change_type:
      return skb_change_type(machine, arguments);
    case FunctionId::csum_diff:
      return csum_diff(machine, arguments);
    case FunctionId::xdp_adjust_head:
      return adjust_head(machine, arguments);
    case FunctionId::xdp_adjust_tail:
      return adjust_tail(machine, arguments);
    case FunctionId::skb_change_tail:
      return change_tail(machine, arguments);
    case FunctionId::skb_adjust_room:
      return adjust_room(machine, arguments);
    case FunctionId::skb_vlan_pop:
      machine.forget_tag();
      return 0;
    case FunctionId::redirect:
      return redirect(machine, arguments);
    case FunctionId::clone_redirect:
      return clone_redirect(machine, arguments);
    case FunctionId::dynptr_read:
      return dynptr_read(machine, arguments);
    case FunctionId::xdp_load_bytes:
      return xdp_load_bytes(machine, arguments);
    case FunctionId::ringbuf_reserve:
      return ringbuf_reserve(machine, arguments);
    case FunctionId::ringbuf_submit:
      return ringbuf_submit(machine, arguments);
  }
  throw InvariantError("engine: a function that cannot be called");
}

}  // namespace weir::engine
