// SPDX-License-Identifier: BSD-2-Clause
//
// The helpers and kernel functions that programs may call, as data: what each argument must be and
// what comes back. The checker judges calls by these rows; engine/calls.h runs them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::engine {

enum class FunctionId : std::uint8_t {
  map_lookup_elem,
  map_update_elem,
  map_delete_elem,
  ktime_get_ns,
  ktime_get_coarse_ns,
  get_prandom_u32,
  get_smp_processor_id,
  probe_read_kernel,
  dynptr_from_skb,
  dynptr_slice,
  dynptr_size,
  rdonly_cast,
  skb_load_bytes,
  skb_load_bytes_relative,
  skb_pull_data,
  dynptr_from_xdp,
  cast_to_kern_ctx,
  loop,
  skb_store_bytes,
  xdp_store_bytes,
  l4_csum_replace,
  skb_change_type,
  csum_diff,
  xdp_adjust_head,
  xdp_adjust_tail,
  skb_change_tail,
  skb_adjust_room,
  skb_vlan_pop,
  redirect,
  clone_redirect,
  get_current_task_btf,
  dynptr_read,
  ringbuf_reserve,
  ringbuf_submit,
  xdp_load_bytes,
  for_each_map_elem,
};

enum class Argument : std::uint8_t {
  none,             // not looked at
  number,           // any number
  zero,             // the number 0, known
  anything,         // any register that was written
  map,              // a map with keys
  ring,             // a map that is a ring buffer
  record_size,      // a known number: the size of what comes back
  record,           // where what ringbuf_reserve() gave begins; it is gone behind the call
  map_key,          // memory with a key of the map before it
  map_value,        // memory with a value of the map before it
  output,           // writable memory of as many bytes as the next argument says
  output_size,      // a known number; for memory other than the stack one in known bounds, not 0
  input,            // memory to read of as many bytes as the next argument says, as output_size
  context,          // what r1 held at the start
  skb,              // a struct sk_buff from the context, or a context that stands for one
  new_dynptr,       // 16 aligned bytes of the stack, which become a dynptr
  dynptr,           // a dynptr on the stack
  buffer_or_null,   // writable memory of as many bytes as the next argument says, or 0
  buffer_size,      // a known number: the size of what comes back
  callback,         // a function of the program
  callback_memory,  // a pointer to the stack for it, or 0
};

enum class ReturnKind : std::uint8_t {
  scalar,
  map_value_or_null,  // of the first argument's map
  read_only_or_null,  // memory of buffer_size bytes
  record_or_null,     // memory of record_size bytes, which has to be submitted
  untrusted,          // memory that may be read anywhere
  kernel_context,     // the structure behind the context
  task,               // struct task_struct, never null
};

struct Function {
  FunctionId id = FunctionId::map_lookup_elem;
  std::string_view name;
  std::int32_t helper = 0;  // number of enum bpf_func_id; 0: a kernel function, called by name
  std::array<Argument, 5> arguments = {};
  ReturnKind result = ReturnKind::scalar;
  std::uint32_t programs = ~std::uint32_t{0};  // types of programs that may call it (bit_of())
  bool moves_packet = false;                   // pointers into the packet are void behind it
};

// Whether it runs the callback that is its second argument, again and again.
[[nodiscard]] constexpr bool calls_back(FunctionId id) {
  return id == FunctionId::loop || id == FunctionId::for_each_map_elem;
}

// nullptr when there is none.
[[nodiscard]] const Function* find_helper(std::int64_t number);
[[nodiscard]] const Function* find_kfunc(std::string_view name);

}  // namespace weir::engine
