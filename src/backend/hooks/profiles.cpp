// SPDX-License-Identifier: BSD-2-Clause
//
// profile_for(): which profile serves a hook, and what limits make of it.
#include "backend/hooks/facts.h"
#include "backend/profile.h"

namespace weir::backend {
namespace {

const Profile& plain_profile(const Hook& hook, const ProfileOptions& options) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
      return options.limits.contains(Limit::helper_access) ? xdp_helper_profile : xdp_profile;
    case Hook::Kind::netfilter:
      if (options.limits.contains(Limit::helper_access)) return netfilter_copies_profile;
      return options.untrusted_memory ? netfilter_profile : netfilter_slices_profile;
    case Hook::Kind::tc_ingress:
      return tc_ingress_profile;
    case Hook::Kind::tc_egress:
      return tc_egress_profile;
    case Hook::Kind::cgroup_ingress:
      return cgroup_ingress_profile;
    case Hook::Kind::cgroup_egress:
      return cgroup_egress_profile;
    case Hook::Kind::socket:
      return socket_profile;
  }
  throw InvariantError("hook kind out of range");
}

void restrict(Profile& profile, Limit limit) {
  const bool at_netfilter = profile.program_type == isa::ProgramType::netfilter;
  switch (limit) {
    case Limit::no_calls:
      profile.local_calls = false;
      return;
    case Limit::helper_access:
      if (profile.emit_window == facts::direct_window) profile.emit_window = facts::helper_window;
      return;
    case Limit::read_only:
      profile.writes_mark = false;
      profile.writes_priority = false;
      profile.writes_pkttype = false;
      profile.writes_packets = false;
      profile.emit_answer = nullptr;
      profile.forwards = false;
      profile.duplicates = false;
      return;
    case Limit::no_kfuncs:
      profile.kernel_functions = false;
      // Every way from a struct sk_buff pointer to the packet's bytes begins with one.
      if (at_netfilter) profile.reads_packets = false;
      return;
    case Limit::offload:
      // nfp_bpf_check_helper_call() and nfp_bpf_map_alloc() in drivers/net/ethernet/netronome/nfp:
      // lookups in hash and array maps. Copies by helper are not among what a card can do.
      profile.local_calls = false;
      profile.kernel_functions = false;
      profile.per_cpu_maps = false;
      profile.map_values = false;
      profile.writes_packets = false;
      profile.forwards = false;
      if (profile.limits.contains(Limit::helper_access)) profile.reads_packets = false;
      return;
  }
  throw InvariantError("limit out of range");
}

}  // namespace

Profile profile_for(const Hook& hook, const ProfileOptions& options) {
  Profile profile = plain_profile(hook, options);
  profile.limits = options.limits;
  profile.untrusted_memory = options.untrusted_memory;
  for (const Limit limit : all_limits) {
    if (options.limits.contains(limit)) restrict(profile, limit);
  }
  return profile;
}

std::vector<Hook> all_hooks() {
  std::vector<Hook> hooks;
  for (const Hook::Kind kind :
       {Hook::Kind::xdp, Hook::Kind::tc_ingress, Hook::Kind::tc_egress, Hook::Kind::netfilter,
        Hook::Kind::cgroup_ingress, Hook::Kind::cgroup_egress, Hook::Kind::socket}) {
    if (kind != Hook::Kind::netfilter) {
      hooks.push_back({.kind = kind, .device = {}});
      continue;
    }
    for (const NfHook nf : {NfHook::prerouting, NfHook::input, NfHook::forward, NfHook::output,
                            NfHook::postrouting}) {
      hooks.push_back({.kind = kind, .nf_hook = nf, .device = {}});
    }
  }
  return hooks;
}

}  // namespace weir::backend
