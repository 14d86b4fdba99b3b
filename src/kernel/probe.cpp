// SPDX-License-Identifier: BSD-2-Clause
//
// probe_features(): one row a feature, each tried on the kernel at hand. Settings and versions are
// never asked, since distributions backport, and lockdown and capabilities take away.
#include <linux/bpf.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "isa/isa.h"
#include "kernel/btf.h"
#include "kernel/probe_programs.h"
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
    case ProgramType::netfilter:
      return 1;  // NF_ACCEPT
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
      .kfunc(type == ProgramType::netfilter ? "bpf_dynptr_from_skb" : "bpf_dynptr_from_xdp");
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
    LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                        .attach_type = attach_netfilter_type,
                        .pf = static_cast<std::uint32_t>(Nfproto::ipv4),
                        .hook = static_cast<std::uint32_t>(NfHook::forward),
                        .netfilter_flags = 1};  // BPF_F_NETFILTER_IP_DEFRAG
    const Fd link(bpf(Command::link_create, attr));
    if (!link.valid()) return system_error("asking for defragmentation", -link.get());
    return {};
  });
}

Status try_tcx_link() {
  return in_scratch_network([]() -> Status {
    WEIR_TRY(program, Trial(ProgramType::sched_cls).load());
    LinkCreateAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()),
                        .target = loopback_ifindex,
                        .attach_type = attach_tcx_ingress_type};
    const Fd link(bpf(Command::link_create, attr));
    if (!link.valid()) return system_error("attaching to TC ingress", -link.get());
    return {};
  });
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
    Probe{"tcx link", "attaching at TC", try_tcx_link},
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

bool has_untrusted_memory() {
  static const bool present = try_untrusted_memory().has_value();
  return present;
}

}  // namespace weir::kernel
