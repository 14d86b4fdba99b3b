// SPDX-License-Identifier: BSD-2-Clause
//
// Numbers and names of the kernel's helper functions (enum bpf_func_id in linux/bpf.h) that weir's
// programs, its engine or its listings know.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace weir::isa {

#define WEIR_HELPERS(row)                                                                         \
  row(map_lookup_elem, 1) row(map_update_elem, 2) row(map_delete_elem, 3) row(probe_read, 4) row( \
      ktime_get_ns, 5) row(trace_printk, 6) row(get_prandom_u32, 7) row(get_smp_processor_id, 8)  \
      row(skb_store_bytes, 9) row(l3_csum_replace, 10) row(l4_csum_replace, 11) row(              \
          tail_call, 12) row(clone_redirect, 13) row(skb_vlan_pop, 19) row(redirect, 23)          \
          row(perf_event_output, 25) row(skb_load_bytes, 26) row(csum_diff, 28) row(              \
              skb_change_type, 32) row(skb_change_tail, 38) row(skb_pull_data, 39)                \
              row(xdp_adjust_head, 44) row(skb_adjust_room, 50) row(redirect_map, 51) row(        \
                  xdp_adjust_tail, 65) row(skb_load_bytes_relative, 68) row(fib_lookup, 69)       \
                  row(probe_read_kernel, 113) row(jiffies64, 118) row(ktime_get_boot_ns, 125)     \
                      row(ringbuf_output, 130) row(ringbuf_reserve, 131) row(ringbuf_submit, 132) \
                          row(ringbuf_discard, 133) row(for_each_map_elem, 164) row(loop, 181)    \
                              row(get_current_task_btf, 158) row(ktime_get_coarse_ns, 160)        \
                                  row(xdp_get_buff_len, 188) row(xdp_load_bytes, 189)             \
                                      row(xdp_store_bytes, 190) row(map_lookup_percpu_elem, 195)  \
                                          row(dynptr_from_mem, 197) row(dynptr_read, 201)         \
                                              row(dynptr_data, 203) row(ktime_get_tai_ns, 208)

enum class Helper : std::int32_t {
#define WEIR_ROW(name, number) name = number,
  WEIR_HELPERS(WEIR_ROW)
#undef WEIR_ROW
};

inline constexpr std::array helper_names = {
#define WEIR_ROW(name, number) std::pair<Helper, std::string_view>{Helper::name, #name},
    WEIR_HELPERS(WEIR_ROW)
#undef WEIR_ROW
};
#undef WEIR_HELPERS

// The name without "bpf_", or an empty string for a number that is not in the table.
[[nodiscard]] constexpr std::string_view helper_name(std::int32_t number) {
  for (const auto& [helper, name] : helper_names) {
    if (static_cast<std::int32_t>(helper) == number) return name;
  }
  return {};
}

[[nodiscard]] constexpr std::optional<Helper> helper_by_name(std::string_view name) {
  for (const auto& [helper, known] : helper_names) {
    if (known == name) return helper;
  }
  return std::nullopt;
}

}  // namespace weir::isa
