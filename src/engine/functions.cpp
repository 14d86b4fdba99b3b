// SPDX-License-Identifier: BSD-2-Clause
#include "engine/functions.h"

#include <algorithm>

#include "engine/layout.h"

namespace weir::engine {
namespace {

using enum Argument;
using Id = FunctionId;
using enum ReturnKind;

constexpr std::uint32_t of_tc = bit_of(isa::ProgramType::sched_cls);
constexpr std::uint32_t of_xdp = bit_of(isa::ProgramType::xdp);
constexpr std::uint32_t of_views =
    of_tc | bit_of(isa::ProgramType::cgroup_skb) | bit_of(isa::ProgramType::socket_filter);
constexpr std::uint32_t of_skb = of_views | bit_of(isa::ProgramType::netfilter);

// Prototypes: kernel/bpf/{helpers,core}.c, kernel/trace/bpf_trace.c, net/core/filter.c.
constexpr std::array functions = {
    Function{Id::map_lookup_elem, "map_lookup_elem", 1, {map, map_key}, map_value_or_null},
    Function{Id::map_update_elem, "map_update_elem", 2, {map, map_key, map_value, number}},
    Function{Id::map_delete_elem, "map_delete_elem", 3, {map, map_key}},
    Function{Id::ktime_get_ns, "ktime_get_ns", 5},
    Function{Id::ktime_get_coarse_ns, "ktime_get_coarse_ns", 160, {}, scalar, of_views | of_xdp},
    Function{Id::get_prandom_u32, "get_prandom_u32", 7},
    Function{Id::get_smp_processor_id, "get_smp_processor_id", 8},
    Function{Id::get_current_task_btf, "get_current_task_btf", 158, {}, task},
    Function{Id::probe_read_kernel, "probe_read_kernel", 113, {output, output_size, anything}},
    Function{
        Id::dynptr_from_skb, "bpf_dynptr_from_skb", 0, {skb, number, new_dynptr}, scalar, of_skb},
    Function{Id::dynptr_from_xdp,
             "bpf_dynptr_from_xdp",
             0,
             {context, number, new_dynptr},
             scalar,
             of_xdp},
    Function{Id::dynptr_slice,
             "bpf_dynptr_slice",
             0,
             {dynptr, number, buffer_or_null, buffer_size},
             read_only_or_null},
    Function{Id::dynptr_size, "bpf_dynptr_size", 0, {dynptr}},
    Function{Id::loop, "loop", 181, {number, callback, callback_memory, number}},
    Function{
        Id::for_each_map_elem, "for_each_map_elem", 164, {map, callback, callback_memory, number}},
    Function{Id::rdonly_cast, "bpf_rdonly_cast", 0, {anything, zero}, untrusted},
    Function{Id::cast_to_kern_ctx,
             "bpf_cast_to_kern_ctx",
             0,
             {context},
             kernel_context,
             of_views | of_xdp},
    Function{Id::dynptr_read, "dynptr_read", 201, {output, output_size, dynptr, number, number}},
    Function{
        Id::ringbuf_reserve, "ringbuf_reserve", 131, {ring, record_size, number}, record_or_null},
    Function{Id::ringbuf_submit, "ringbuf_submit", 132, {record, number}},
    Function{Id::xdp_load_bytes,
             "xdp_load_bytes",
             189,
             {context, number, output, output_size},
             scalar,
             of_xdp},
    Function{Id::skb_load_bytes,
             "skb_load_bytes",
             26,
             {context, number, output, output_size},
             scalar,
             of_views},
    Function{Id::skb_load_bytes_relative,
             "skb_load_bytes_relative",
             68,
             {context, number, output, output_size, number},
             scalar,
             of_views},
    Function{Id::skb_pull_data, "skb_pull_data", 39, {context, number}, scalar, of_tc, true},
    Function{Id::skb_store_bytes,
             "skb_store_bytes",
             9,
             {context, number, input, output_size, number},
             scalar,
             of_tc,
             true},
    Function{Id::xdp_store_bytes,
             "xdp_store_bytes",
             190,
             {context, number, input, output_size},
             scalar,
             of_xdp},
    Function{Id::l4_csum_replace,
             "l4_csum_replace",
             11,
             {context, number, number, number, number},
             scalar,
             of_tc,
             true},
    Function{Id::skb_change_type, "skb_change_type", 32, {context, number}, scalar, of_tc},
    // Of what it subtracts, nothing.
    Function{Id::csum_diff,
             "csum_diff",
             28,
             {zero, zero, input, output_size, number},
             scalar,
             of_views | of_xdp},
    Function{Id::xdp_adjust_head, "xdp_adjust_head", 44, {context, number}, scalar, of_xdp, true},
    Function{Id::xdp_adjust_tail, "xdp_adjust_tail", 65, {context, number}, scalar, of_xdp, true},
    Function{
        Id::skb_change_tail, "skb_change_tail", 38, {context, number, number}, scalar, of_tc, true},
    Function{Id::skb_adjust_room,
             "skb_adjust_room",
             50,
             {context, number, number, number},
             scalar,
             of_tc,
             true},
    Function{Id::skb_vlan_pop, "skb_vlan_pop", 19, {context}, scalar, of_tc, true},
    Function{Id::redirect, "redirect", 23, {number, number}, scalar, of_tc | of_xdp},
    Function{
        Id::clone_redirect, "clone_redirect", 13, {context, number, number}, scalar, of_tc, true},
};

template <typename Predicate>
const Function* find(Predicate predicate) {
  const auto at = std::ranges::find_if(functions, predicate);
  return at == functions.end() ? nullptr : &*at;
}

}  // namespace

const Function* find_helper(std::int64_t number) {
  return find([&](const Function& row) { return row.helper != 0 && row.helper == number; });
}

const Function* find_kfunc(std::string_view name) {
  return find([&](const Function& row) { return row.helper == 0 && row.name == name; });
}

}  // namespace weir::engine
