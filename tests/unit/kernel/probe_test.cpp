// SPDX-License-Identifier: BSD-2-Clause
//
// The probes find what weir cannot do without, and agree with one another.
#include <algorithm>

#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

TEST(Probe, FindsWhatEveryKernelFrom6_6OnHas) {
  const auto features = probe_features();
  for (const auto* name : {"netfilter program",
                           "netfilter link",
                           "netfilter link with defragmentation",
                           "netfilter test run",
                           "netfilter bpf_dynptr_from_skb",
                           "netfilter bpf_dynptr_slice",
                           "netfilter bpf_rdonly_cast",
                           "xdp program",
                           "xdp link, native, on veth",
                           "xdp link, generic",
                           "tc program",
                           "tcx link",
                           "tc filter",
                           "tc test run",
                           "tc bpf_dynptr_slice",
                           "tc bpf_skb_load_bytes",
                           "tc bpf_cast_to_kern_ctx",
                           "cgroup program",
                           "cgroup link",
                           "cgroup bpf_dynptr_slice",
                           "cgroup bpf_skb_load_bytes",
                           "cgroup bpf_cast_to_kern_ctx",
                           "socket filter",
                           "socket bpf_dynptr_slice",
                           "socket bpf_skb_load_bytes",
                           "socket bpf_cast_to_kern_ctx",
                           "xdp bpf_cast_to_kern_ctx",
                           "per-CPU array map",
                           "hash map",
                           "LPM trie map",
                           "map update in batches",
                           "map value address",
                           "gotol",
                           "bpf_loop"}) {
    const auto it = std::ranges::find(features, name, &Feature::name);
    ASSERT_NE(it, features.end()) << name << " is not probed";
    EXPECT_TRUE(it->present) << name << ": " << it->detail;
  }
  for (const auto& feature : features) {
    EXPECT_FALSE(feature.detail.empty()) << feature.name << " has nothing said of it";
  }
  const auto untrusted = std::ranges::find(features, "netfilter untrusted memory", &Feature::name);
  ASSERT_NE(untrusted, features.end());
  EXPECT_EQ(untrusted->present, has_untrusted_memory());
}

}  // namespace
}  // namespace weir::kernel::test
