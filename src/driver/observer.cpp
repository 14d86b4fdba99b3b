// SPDX-License-Identifier: BSD-2-Clause
//
// The observers are a few dozen instructions a type of program, as text. What a program is told by
// its context the observer reads from the kernel's own structures where it can, so that it says
// what is, and not what a profile takes it for.
#include "driver/observer.h"

#include <algorithm>
#include <string>

#include "backend/profile.h"
#include "driver/around.h"

namespace weir::driver {
namespace {

// The element: the members of Observation at these offsets, then as many bytes as fit.
constexpr std::size_t capacity = 65536;
constexpr std::size_t bytes_at = 64;

// r6 = the context, r7 = the element. `runs` is counted.
constexpr const char* begin = R"(
  r6 = r1
  r7 = map[observation][0]+0
  r1 = *(u32 *)(r7 + 0)
  r1 += 1
  *(u32 *)(r7 + 0) = r1
)";

// r8 = the struct sk_buff.
constexpr const char* facts_of_skb = R"(
  r1 = *(u32 *)(r8 + sk_buff.mark)
  *(u32 *)(r7 + 12) = r1
  r1 = *(u8 *)(r8 + sk_buff.pkt_type)
  r1 &= 7
  *(u32 *)(r7 + 16) = r1
  r1 = *(u64 *)(r8 + sk_buff._nfct)
  *(u64 *)(r7 + 40) = r1
)";

constexpr const char* netfilter = R"(
  r8 = *(u64 *)(r6 + bpf_nf_ctx.skb)
  r1 = *(u32 *)(r8 + sk_buff.len)
  *(u32 *)(r7 + 8) = r1
  r9 = *(u64 *)(r6 + bpf_nf_ctx.state)
  r1 = *(u64 *)(r9 + nf_hook_state.in)
  if r1 == 0 goto no_input
  r1 = *(u32 *)(r1 + net_device.ifindex)
  *(u32 *)(r7 + 20) = r1
no_input:
  r1 = *(u64 *)(r9 + nf_hook_state.out)
  if r1 == 0 goto no_output
  r1 = *(u32 *)(r1 + net_device.ifindex)
  *(u32 *)(r7 + 24) = r1
no_output:
  r1 = r8
  r2 = 0
  r3 = r10
  r3 += -16
  call kfunc bpf_dynptr_from_skb
  if r0 != 0 goto judge
  r2 = *(u32 *)(r7 + 8)
  if r2 > 65536 goto judge
  r1 = r7
  r1 += 64
  r3 = r10
  r3 += -16
  r4 = 0
  r5 = 0
  call dynptr_read
)";

// struct __sk_buff. The device is skb->dev: the output device at egress.
constexpr const char* skb_view = R"(
  r1 = *(u32 *)(r6 + 0)
  *(u32 *)(r7 + 8) = r1
  r1 = *(u32 *)(r6 + 40)
  *(u32 *)(r7 + DEVICE) = r1
  r1 = *(u32 *)(r6 + 20)
  *(u32 *)(r7 + 28) = r1
  r1 = *(u32 *)(r6 + 24)
  *(u32 *)(r7 + 32) = r1
  r1 = *(u32 *)(r6 + 28)
  *(u32 *)(r7 + 36) = r1
  r1 = r6
  call kfunc bpf_cast_to_kern_ctx
  r8 = r0
)";

constexpr const char* skb_bytes = R"(
  r4 = *(u32 *)(r7 + 8)
  if r4 == 0 goto judge
  if r4 > 65536 goto judge
  r1 = r6
  r2 = 0
  r3 = r7
  r3 += 64
  call skb_load_bytes
)";

// struct xdp_md
constexpr const char* frame = R"(
  r1 = *(u32 *)(r6 + 12)
  *(u32 *)(r7 + 20) = r1
  r1 = r6
  call xdp_get_buff_len
  *(u32 *)(r7 + 8) = r0
  if r0 == 0 goto judge
  if r0 > 65536 goto judge
  r4 = r0
  r1 = r6
  r2 = 0
  r3 = r7
  r3 += 64
  call xdp_load_bytes
)";

// The mark that the program left, of struct __sk_buff.
constexpr const char* left_mark = R"(
  r1 = *(u32 *)(r6 + 8)
  *(u32 *)(r7 + 48) = r1
)";

std::string end(int drop, std::string_view afterwards = "") {
  return R"(
judge:
  r1 = r6
  call program
  *(u32 *)(r7 + 4) = r0
)" + std::string(afterwards) +
         "  r0 = " + std::to_string(drop) + R"(
  exit
program:
)";
}

bool leaves(const Hook& hook) {
  return hook.kind == Hook::Kind::tc_egress || hook.kind == Hook::Kind::cgroup_egress;
}

std::string skb_text(const Hook& hook, int drop) {
  std::string view = skb_view;
  constexpr std::string_view place = "DEVICE";
  view.replace(view.find(place), place.size(), leaves(hook) ? "24" : "20");
  return begin + view + facts_of_skb + skb_bytes + end(drop, left_mark);
}

std::string text_for(const Hook& hook) {
  const int drop = backend::profile_for(hook, {}).drop;
  switch (hook.kind) {
    case Hook::Kind::netfilter:
      return std::string(begin) + netfilter + facts_of_skb + end(drop);
    case Hook::Kind::xdp:
      return std::string(begin) + frame + end(drop);
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
    case Hook::Kind::socket:
      return skb_text(hook, drop);
  }
  throw InvariantError("hook kind out of range");
}

}  // namespace

Observed observed(const Compilation& compilation) {
  Observed out{.object = compilation.object,
               .observation = isa::MapIndex(compilation.object.maps.size())};
  out.object.maps.push_back({.name = "observation",
                             .type = isa::MapType::array,
                             .key_size = 4,
                             .value_size = static_cast<std::uint32_t>(observation_size()),
                             .max_entries = 1,
                             .flags = 0,
                             .entries = {}});
  for (std::size_t i = 0; i < out.object.programs.size(); ++i) {
    isa::Program& program = out.object.programs[i];
    program =
        around(program, text_for(compilation.programs.at(i).attachment.hook), out.object.maps);
  }
  return out;
}

std::size_t observation_size() {
  return bytes_at + capacity;
}

Observation read_observation(ByteView element) {
  invariant(element.size() == observation_size(), "an observation of another size");
  const auto word = [&](std::size_t at) {
    return static_cast<std::uint32_t>(load_native(element.subspan(at, 4)));
  };
  Observation out{.runs = word(0),
                  .verdict = word(4),
                  .length = word(8),
                  .mark = word(12),
                  .pkttype = word(16),
                  .iif = word(20),
                  .oif = word(24),
                  .vlan_present = word(28) != 0,
                  .vlan_tci = word(32),
                  .vlan_protocol = word(36),
                  .connection = load_native(element.subspan(40, 8)),
                  .left_mark = word(48),
                  .bytes = {}};
  const ByteView bytes = element.subspan(bytes_at, std::min<std::size_t>(out.length, capacity));
  out.bytes.assign(bytes.begin(), bytes.end());
  return out;
}

}  // namespace weir::driver
