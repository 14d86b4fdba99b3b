// SPDX-License-Identifier: BSD-2-Clause
//
// probe_features(): one row a feature, each tried on the kernel at hand. Settings and versions are
// never asked, since distributions backport, and lockdown and capabilities take away.
#include <linux/bpf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "isa/helpers.h"
#include "isa/isa.h"
#include "kernel/btf.h"
#include "kernel/probe_programs.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/scratch_net.h"
#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

using isa::Opcode;
using isa::ProgramType;

constexpr std::uint32_t loopback_ifindex =
    1;  // LOOPBACK_IFINDEX of net/core: so in every namespace

constexpr std::int32_t passing(ProgramType type) {
  switch (type) {
    case ProgramType::xdp:
      return XDP_PASS;
    case ProgramType::netfilter:  // NF_ACCEPT
    case ProgramType::cgroup_skb:
      return 1;
    case ProgramType::socket_filter:
    case ProgramType::sched_cls:
      return 0;
  }
  std::unreachable();
}

// A small program under construction; ends by letting the packet pass.
class Trial {
 public:
  explicit Trial(ProgramType type) {
    object_.programs.push_back({.name = "weir_probe", .type = type});
  }

  Trial& insn(Opcode opcode, std::uint8_t dst = 0, std::uint8_t src = 0, std::int16_t off = 0,
              std::int32_t imm = 0) {
    return raw(isa::make(opcode, dst, src, off, imm));
  }
  Trial& raw(isa::Insn insn) {
    program().insns.push_back(insn);
    return *this;
  }
  // dst = src->structure.member
  Trial& member(std::uint8_t dst, std::uint8_t src, const char* structure, const char* name) {
    relocate(isa::FieldOffset{.structure = structure, .member = name});
    return insn(Opcode::ldx64, dst, src);
  }
  Trial& kfunc(const char* name) {
    relocate(isa::KfuncReference{.name = name});
    return insn(Opcode::call_kfunc);
  }
  Trial& map_value(isa::MapSpec map) {
    relocate(isa::MapValueReference{.map = isa::MapIndex(object_.maps.size()), .offset = 8});
    object_.maps.push_back(std::move(map));
    for (const auto& slot : isa::make_wide(Opcode::ld_map_value, 1)) raw(slot);
    return *this;
  }

  [[nodiscard]] Result<Fd> load() {
    insn(Opcode::mov64_imm, 0, 0, 0, passing(program().type)).insn(Opcode::exit);
    WEIR_TRY(loaded, kernel::load(object_));
    return std::move(loaded.programs.front());
  }
  [[nodiscard]] Status loads() {
    WEIR_CHECK(load());
    return {};
  }

 private:
  isa::Program& program() { return object_.programs.front(); }
  template <typename What>
  void relocate(What what) {
    const auto at = static_cast<std::uint32_t>(program().insns.size());
    program().relocations.push_back({.insn = at, .what = std::move(what)});
  }

  isa::Object object_;
};

template <ProgramType type>
Status try_program() {
  return Trial(type).loads();
}

// r1 = skb, of a netfilter program
Trial& skb_of(Trial& trial) {
  return trial.member(1, 1, "bpf_nf_ctx", "skb");
}

// A dynptr of the packet in the 16 bytes below the frame pointer.
Trial& packet_dynptr(Trial& trial, ProgramType type) {
  if (type == ProgramType::netfilter) skb_of(trial);
  return trial.insn(Opcode::mov64_imm, 2)
      .insn(Opcode::mov64_reg, 3, 10)
      .insn(Opcode::add64_imm, 3, 0, 0, -16)
      .kfunc(type == ProgramType::xdp ? "bpf_dynptr_from_xdp" : "bpf_dynptr_from_skb");
}

template <ProgramType type>
Status try_dynptr() {
  Trial trial(type);
  return packet_dynptr(trial, type).loads();
}

template <ProgramType type>
Status try_slice() {
  Trial trial(type);
  return packet_dynptr(trial, type)
      .insn(Opcode::mov64_reg, 1, 10)
      .insn(Opcode::add64_imm, 1, 0, 0, -16)
      .insn(Opcode::mov64_imm, 2)
      .insn(Opcode::mov64_reg, 3, 10)
      .insn(Opcode::add64_imm, 3, 0, 0, -24)
      .insn(Opcode::mov64_imm, 4, 0, 0, 8)
      .kfunc("bpf_dynptr_slice")
      .loads();
}

// A cast of the context pointer to a kernel structure. XDP has no kernel pointer at hand, but the
// call takes any scalar.
template <ProgramType type>
Status try_cast() {
  WEIR_TRY(btf, KernelBtf::get());
  WEIR_TRY(sk_buff, btf->structure_id("sk_buff"));
  Trial trial(type);
  return trial.insn(Opcode::ldx32, 1, 1, 0)
      .insn(Opcode::mov64_imm, 2, 0, 0, sk_buff)
      .kfunc("bpf_rdonly_cast")
      .member(1, 0, "sk_buff", "data")
      .loads();
}

template <>
Status try_cast<ProgramType::netfilter>() {
  WEIR_TRY(btf, KernelBtf::get());
  WEIR_TRY(sk_buff, btf->structure_id("sk_buff"));
  Trial trial(ProgramType::netfilter);
  return skb_of(trial)
      .insn(Opcode::mov64_imm, 2, 0, 0, sk_buff)
      .kfunc("bpf_rdonly_cast")
      .member(1, 0, "sk_buff", "data")
      .loads();
}

Status try_untrusted_memory() {
  Trial trial(ProgramType::netfilter);
  return skb_of(trial)
      .member(1, 1, "sk_buff", "data")
      .insn(Opcode::mov64_imm, 2)
      .kfunc("bpf_rdonly_cast")
      .insn(Opcode::ldx8, 1, 0)
      .loads();
}

Status try_long_jump() {
  return Trial(ProgramType::xdp).insn(Opcode::gotol).loads();
}

Status try_may_goto() {
  // BPF_JMP | BPF_JCOND: leaves the loop when the verifier's budget for it is used up.
  const isa::Insn may_goto{.code = BPF_JMP | 0xe0, .off = 1};
  return Trial(ProgramType::xdp).raw(may_goto).insn(Opcode::ja, 0, 0, -2).loads();
}

template <isa::MapType type>
Status try_map() {
  const isa::MapSpec spec{.name = "weir_probe",
                          .type = type,
                          .key_size = type == isa::MapType::lpm_trie ? 8u : 4u,
                          .value_size = 8,
                          .max_entries = 4};
  WEIR_CHECK(load({.maps = {spec}}));
  return {};
}

Status try_batch() {
  const Bytes key(8);
  Bytes other(8);
  other[0] = 1;
  const isa::MapSpec spec{.name = "weir_probe",
                          .type = isa::MapType::hash,
                          .key_size = 8,
                          .value_size = 8,
                          .max_entries = 4};
  WEIR_TRY(loaded, load({.maps = {spec}}));
  Bytes keys = key;
  keys.insert(keys.end(), other.begin(), other.end());
  const Bytes values(16);
  MapBatchAttr attr{.keys = user_pointer(keys.data()),
                    .values = user_pointer(values.data()),
                    .count = 2,
                    .map_fd = static_cast<std::uint32_t>(loaded.maps.front().get())};
  const int result = bpf(Command::map_update_batch, attr);
  if (result < 0) return system_error("writing two elements at once", -result);
  return {};
}

Status try_map_value() {
  return Trial(ProgramType::xdp)
      .map_value({.name = "weir_probe", .value_size = 16, .max_entries = 1})
      .insn(Opcode::ldx64, 2, 1)
      .loads();
}

Status try_netfilter_test_run() {
  WEIR_TRY(program, Trial(ProgramType::netfilter).load());
  Bytes packet(20);
  packet[0] = 0x45;
  WEIR_TRY(run, test_run(program, ProgramType::netfilter, packet, NfHook::forward, Nfproto::ipv4));
  if (run.result != 1)
    return system_error("a program that accepts gave " + std::to_string(run.result));
  return {};
}

Status try_netfilter_link() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::netfilter).load());
    WEIR_CHECK(attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0));
    return {};
  });
}

Status try_netfilter_defrag() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::netfilter).load());
    WEIR_CHECK(attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0, true));
    return {};
  });
}

Status try_tcx_link() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::sched_cls).load());
    WEIR_CHECK(attach_tcx(program, loopback_ifindex, isa::Direction::ingress));
    return {};
  });
}

Status try_tc_filter() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::sched_cls).load());
    WEIR_CHECK(attach_tc_filter(program, {.ifindex = loopback_ifindex}));
    return {};
  });
}

Status try_cgroup_link() {
  WEIR_TRY(program, Trial(ProgramType::cgroup_skb).load());
  WEIR_TRY(cgroup, ScratchCgroup::create("weir_probe_" + std::to_string(::gettid())));
  WEIR_CHECK(attach_cgroup(program, cgroup.path(), isa::Direction::ingress));
  return {};
}

Status try_socket_filter() {
  WEIR_TRY(program, Trial(ProgramType::socket_filter).load());
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("opening a socket", errno);
  return attach_socket(program, socket.get());
}

// Whether a mark goes in, and comes out.
Status try_skb_test_run() {
  WEIR_TRY(program, Trial(ProgramType::sched_cls).load());
  WEIR_TRY(run, test_run(program, ProgramType::sched_cls, {.packet = Bytes(60), .mark = 7}));
  if (run.mark != 7) return system_error("a mark of 7 came back as " + std::to_string(run.mark));
  return {};
}

template <ProgramType type>
Status try_kernel_context() {
  return Trial(type)
      .kfunc("bpf_cast_to_kern_ctx")
      .member(1, 0, type == ProgramType::xdp ? "xdp_buff" : "sk_buff", "data")
      .loads();
}

template <ProgramType type>
Status try_load_bytes() {
  return Trial(type)
      .insn(Opcode::mov64_imm, 2)
      .insn(Opcode::mov64_reg, 3, 10)
      .insn(Opcode::add64_imm, 3, 0, 0, -8)
      .insn(Opcode::mov64_imm, 4, 0, 0, 8)
      .insn(Opcode::call_helper, 0, 0, 0, static_cast<std::int32_t>(isa::Helper::skb_load_bytes))
      .loads();
}

template <XdpMode mode>
Status try_xdp_link() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::xdp).load());
    WEIR_TRY(ifindex, create_veth("weir0", "weir1"));
    WEIR_CHECK(attach_xdp(program, ifindex, mode));
    return {};
  });
}

struct Probe {
  std::string_view name;
  std::string_view needed_for;
  Status (*attempt)();
};

constexpr std::string_view for_packets = "reading packets at netfilter hooks";
constexpr std::string_view for_skb_packets = "reading packets that are not in one piece";
constexpr std::string_view for_skb_members = "what struct __sk_buff does not show";

constexpr std::array probes = {
    Probe{"netfilter program", "rules at netfilter hooks", try_program<ProgramType::netfilter>},
    Probe{"netfilter link", "attaching at netfilter hooks", try_netfilter_link},
    Probe{"netfilter link with defragmentation", "chains behind reassembly", try_netfilter_defrag},
    Probe{"netfilter test run", "weir test --engine kernel", try_netfilter_test_run},
    Probe{"netfilter bpf_dynptr_from_skb", for_packets, try_dynptr<ProgramType::netfilter>},
    Probe{"netfilter bpf_dynptr_slice", for_packets, try_slice<ProgramType::netfilter>},
    Probe{"netfilter bpf_rdonly_cast", "connection state at netfilter hooks",
          try_cast<ProgramType::netfilter>},
    Probe{"netfilter untrusted memory", "fast packet reads at netfilter hooks",
          try_untrusted_memory},
    Probe{"xdp program", "rules at XDP", try_program<ProgramType::xdp>},
    Probe{"xdp link, native, on veth", "attaching at XDP in the driver",
          try_xdp_link<XdpMode::native>},
    Probe{"xdp link, generic", "attaching at XDP on any device", try_xdp_link<XdpMode::generic>},
    Probe{"xdp bpf_dynptr_from_xdp", "reading fragmented frames at XDP",
          try_dynptr<ProgramType::xdp>},
    Probe{"xdp bpf_dynptr_slice", "reading fragmented frames at XDP", try_slice<ProgramType::xdp>},
    Probe{"xdp bpf_rdonly_cast", "kernel structures at XDP", try_cast<ProgramType::xdp>},
    Probe{"xdp bpf_cast_to_kern_ctx", "device names at XDP", try_kernel_context<ProgramType::xdp>},
    Probe{"tc program", "rules at TC", try_program<ProgramType::sched_cls>},
    Probe{"tcx link", "attaching at TC", try_tcx_link},
    Probe{"tc filter", "attaching at TC without TCX", try_tc_filter},
    Probe{"tc test run", "weir test --engine kernel at TC", try_skb_test_run},
    Probe{"tc bpf_dynptr_slice", for_skb_packets, try_slice<ProgramType::sched_cls>},
    Probe{"tc bpf_skb_load_bytes", for_skb_packets, try_load_bytes<ProgramType::sched_cls>},
    Probe{"tc bpf_cast_to_kern_ctx", for_skb_members, try_kernel_context<ProgramType::sched_cls>},
    Probe{"cgroup program", "rules at cgroups", try_program<ProgramType::cgroup_skb>},
    Probe{"cgroup link", "attaching at cgroups", try_cgroup_link},
    Probe{"cgroup bpf_dynptr_slice", for_skb_packets, try_slice<ProgramType::cgroup_skb>},
    Probe{"cgroup bpf_skb_load_bytes", for_skb_packets, try_load_bytes<ProgramType::cgroup_skb>},
    Probe{"cgroup bpf_cast_to_kern_ctx", for_skb_members,
          try_kernel_context<ProgramType::cgroup_skb>},
    Probe{"socket filter", "rules on sockets", try_socket_filter},
    Probe{"socket bpf_dynptr_slice", for_skb_packets, try_slice<ProgramType::socket_filter>},
    Probe{"socket bpf_skb_load_bytes", for_skb_packets, try_load_bytes<ProgramType::socket_filter>},
    Probe{"socket bpf_cast_to_kern_ctx", for_skb_members,
          try_kernel_context<ProgramType::socket_filter>},
    Probe{"per-CPU array map", "rule counters", try_map<isa::MapType::percpu_array>},
    Probe{"hash map", "sets of exact keys", try_map<isa::MapType::hash>},
    Probe{"LPM trie map", "sets of prefixes", try_map<isa::MapType::lpm_trie>},
    Probe{"map update in batches", "filling large sets", try_batch},
    Probe{"map value address", "tables in a program's reach", try_map_value},
    Probe{"gotol", "programs with jumps over 32,767 instructions", try_long_jump},
    Probe{"may_goto", "loops without a bound", try_may_goto},
    Probe{"bpf_loop", "loops that are verified once", try_bpf_loop},
    Probe{"freplace", "several XDP programs on one device", try_function_replacement},
};

Feature attempt(const Probe& probe) {
  Feature feature{.name = std::string(probe.name)};
  const Status status = probe.attempt();
  feature.present = status.has_value();
  if (feature.present) {
    feature.detail = probe.needed_for;
  } else {
    const auto& error = status.error();
    feature.detail = error.notes.empty() ? error.message : error.notes.back();
  }
  return feature;
}

}  // namespace

std::vector<Feature> probe_features() {
  std::vector<Feature> features;
  features.reserve(probes.size());
  for (const auto& probe : probes) features.push_back(attempt(probe));
  return features;
}

bool has_reassembly() {
  static const bool present = try_netfilter_defrag().has_value();
  return present;
}

bool has_tcx() {
  static const bool present = try_tcx_link().has_value();
  return present;
}

bool has_untrusted_memory() {
  static const bool present = try_untrusted_memory().has_value();
  return present;
}

}  // namespace weir::kernel
