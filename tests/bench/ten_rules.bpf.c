// SPDX-License-Identifier: BSD-2-Clause
//
// The rules of ten_rules.def as one writes them in C by hand, for XDP: what weir's program is
// measured against (c_program_bench.cpp). Made by clang -O2.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define WEIR_ADDRESS(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))

SEC("xdp")
int ten_rules(struct xdp_md* context) {
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  struct ethhdr* link = data;
  struct iphdr* ip = (void*)(link + 1);
  struct tcphdr* tcp;

  if ((void*)(ip + 1) > end || link->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1fff)) return XDP_PASS;
  tcp = (void*)ip + ip->ihl * 4;
  if ((void*)(tcp + 1) > end) return XDP_PASS;
#define WEIR_RULE(a, b, c, d, port)                                                     \
  if (ip->saddr == bpf_htonl(WEIR_ADDRESS(a, b, c, d)) && tcp->dest == bpf_htons(port)) \
    return XDP_DROP;
#include "ten_rules.def"
#undef WEIR_RULE
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
