// SPDX-License-Identifier: BSD-2-Clause
//
// docs/hooks.md: what rules can ask for, against the hooks and the limits that serve it.
#include <algorithm>

#include "backend/servable.h"

namespace weir::backend {
namespace {

struct Column {
  std::string name;
  Profile profile;
};

// One a profile: the netfilter hooks share theirs.
std::vector<Column> columns(const Limits& limits) {
  std::vector<Column> out;
  for (const Hook& hook : all_hooks()) {
    if (limits.contains(Limit::offload) && hook.kind != Hook::Kind::xdp) continue;
    const Profile profile = profile_for(hook, {.limits = limits});
    const std::string name(profile.name);
    if (std::ranges::find(out, name, &Column::name) == out.end()) out.push_back({name, profile});
  }
  return out;
}

std::string row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

std::string head(const std::string& first, const std::vector<Column>& columns) {
  std::vector<std::string> names = {first};
  for (const Column& column : columns) names.push_back(column.name);
  return row(names) + row(std::vector<std::string>(names.size(), "---"));
}

std::string start_of(const Profile& profile) {
  switch (profile.start) {
    case Profile::Start::network:
      return "network header";
    case Profile::Start::frame:
      return "link header, tags in the bytes";
    case Profile::Start::skb:
      return "link header, one tag in metadata";
  }
  throw InvariantError("start out of range");
}

std::string table_of_hooks() {
  const std::vector<Column> hooks = columns({});
  std::string out = head("", hooks);
  const auto facts = [&](const std::string& name, auto tell) {
    std::vector<std::string> cells = {name};
    for (const Column& column : hooks) cells.push_back(tell(column.profile));
    out += row(cells);
  };
  facts("packets start at", start_of);
  facts("accept", [](const Profile& profile) { return std::to_string(profile.accept); });
  facts("drop", [](const Profile& profile) { return std::to_string(profile.drop); });
  for (const Need& need : all_needs()) {
    facts(to_string(need),
          [&](const Profile& profile) { return std::string(serves(profile, need) ? "yes" : ""); });
  }
  return out;
}

// What a limit takes away: the needs that a hook serves without it, and not with it.
std::string table_of_limits() {
  const std::vector<Column> hooks = columns({});
  std::string out = head("`--limit`", hooks);
  for (const Limit limit : all_limits) {
    Limits limits;
    limits.insert(limit);
    std::vector<std::string> cells = {std::string(to_string(limit))};
    const std::vector<Column> limited = columns(limits);
    for (const Column& column : hooks) {
      const auto same = std::ranges::find(limited, column.name, &Column::name);
      if (same == limited.end()) {
        cells.emplace_back("refused");
        continue;
      }
      std::string lost;
      for (const Need& need : all_needs()) {
        if (!serves(column.profile, need) || serves(same->profile, need)) continue;
        lost += (lost.empty() ? "" : ", ") + to_string(need);
      }
      cells.push_back(lost.empty() ? "" : "without " + lost);
    }
    out += row(cells);
  }
  return out;
}

}  // namespace

std::string hooks_document() {
  return "# Hooks, and what rules can ask of them\n"
         "\n"
         "Printed by `weir generate hooks` from the profiles in `src/backend/hooks`; a test holds\n"
         "this page to them. A rule that asks for what its hook does not serve is refused by "
         "name.\n"
         "\n" +
         table_of_hooks() +
         "\n"
         "* netfilter: one program a base chain and address family; the row is that of all five\n"
         "  hooks. A device that packets do not have at a hook (the output device at input) reads\n"
         "  as none, as in nf_tables; so do those that netdev chains do not have.\n"
         "* tc: accept is TC_ACT_UNSPEC (TCX_NEXT), so that programs and classifiers behind go on\n"
         "  deciding; drop is TC_ACT_SHOT. `meta iif` at egress would be the lowest device that\n"
         "  the packet came by, not the one that rules name, and is refused.\n"
         "* cgroup: packets are past the IP stack, reassembled, and not yet cut. The stack "
         "forgets\n"
         "  the connection of a packet before its socket gets it, so that ct is known at egress\n"
         "  alone.\n"
         "* socket: packet sockets (AF_PACKET, SOCK_RAW), whose packets start at the link header.\n"
         "  Other sockets run their filter at the transport header; packets count as not to be\n"
         "  parsed there.\n"
         "* `meta skuid`, `skgid` and `cgroup` ask for the socket that a packet is of. At\n"
         "  cgroup:ingress a program sees the one that it comes to, which chains know only now "
         "and\n"
         "  then, and a packet socket's copies have none.\n"
         "* Of connections and sockets, routes and kinds of devices, programs read what they need\n"
         "  through bpf_rdonly_cast(), which gives memory of no type from kernel 6.17 on; without\n"
         "  it, and in object files, rules that ask for them are refused.\n"
         "* Writes to packets: what nf_tables does, helpers of tc do too. Whether the stack left "
         "a\n"
         "  transport checksum to the device, an XDP program cannot know, and so mends none; "
         "hooks\n"
         "  of netfilter, cgroups and sockets have no way to write. Where several chains are one\n"
         "  program, what tells where headers are is not written to by any of them.\n"
         "* `meta time` and `hour` are bpf_ktime_get_ns() and what the kernel adds to it for the "
         "wall\n"
         "  clock, to which timers of tasks lead (bpf_ktime_get_tai_ns() is off by leap seconds, "
         "whose\n"
         "  number changes). A second of `hour` begins up to a tick before that of the kernel.\n"
         "* Nowhere: `meta day`, since days begin by the time zone of the kernel, which stands "
         "where\n"
         "  no program finds it; `ct id`, a hash with a secret; `ct expiration`, in ticks; `meta\n"
         "  secmark`, `secpath`, `sdif`, `sdifname`.\n"
         "* A device without a link-layer header has none to match.\n"
         "* Limits go by bpf_ktime_get_ns(), as those of the kernel do, and so do elements of "
         "sets\n"
         "  with timeouts at the netfilter hooks. Elsewhere bpf_ktime_get_coarse_ns() is to be "
         "had,\n"
         "  which goes on with each tick, as the kernel's jiffies do.\n"
         "* `jhash` without a seed stays: the kernel draws one, and tells nobody. So does `rt "
         "mtu`,\n"
         "  which asks for a second route, and `socket`, for which the kernel searches.\n"
         "* What is logged is read by `weir log`; see policies.md.\n"
         "\n"
         "## Limits of a caller\n"
         "\n" +
         table_of_limits() +
         "\n"
         "* no-calls: no functions within the program; counters are counted in place.\n"
         "* helper-access: packet bytes by bpf_skb_load_bytes(), bpf_xdp_load_bytes() or\n"
         "  bpf_dynptr_read() alone.\n"
         "* read-only: nothing is written but maps.\n"
         "* no-kfuncs: no kernel functions. TC and packet sockets then take devices for Ethernet.\n"
         "* offload: no helper but map lookups, no per-CPU maps, no addresses of map values.\n"
         "  Counters are plain and counted atomically.\n";
}

}  // namespace weir::backend
