// SPDX-License-Identifier: BSD-2-Clause
//
// load(): maps, relocations, programs.
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "isa/isa.h"
#include "kernel/btf.h"
#include "kernel/forward.h"
#include "kernel/log.h"
#include "kernel/maps.h"
#include "kernel/syscall.h"
#include "object/btf.h"

namespace weir::kernel {

namespace {

// Fills in what one relocation stands for.
struct Relocator {
  const std::vector<Fd>& maps;
  std::vector<isa::Insn>& insns;
  std::uint32_t at;

  [[nodiscard]] isa::Insn& insn() const { return insns.at(at); }

  [[nodiscard]] Status point_to_map(isa::MapIndex map, std::uint8_t kind,
                                    std::uint32_t offset) const {
    invariant(insn().code == (BPF_LD | BPF_IMM | BPF_DW) && at + 1 < insns.size(),
              "a map is referred to by something else than a 64-bit immediate");
    insn().src = kind;
    insn().imm = maps.at(map.index()).get();
    insns[at + 1].imm = static_cast<std::int32_t>(offset);
    return {};
  }

  Status operator()(const isa::MapReference& reference) const {
    return point_to_map(reference.map, BPF_PSEUDO_MAP_FD, 0);
  }

  Status operator()(const isa::MapValueReference& reference) const {
    return point_to_map(reference.map, BPF_PSEUDO_MAP_VALUE, reference.offset);
  }

  Status operator()(const isa::KfuncReference& reference) const {
    invariant(insn().code == (BPF_JMP | BPF_CALL),
              "a kernel function in something else than a call");
    WEIR_TRY(btf, KernelBtf::get());
    WEIR_TRY(id, btf->function_id(reference.name));
    insn().src = BPF_PSEUDO_KFUNC_CALL;
    insn().imm = id;
    return {};
  }

  Status operator()(const isa::FieldOffset& field) const {
    WEIR_TRY(btf, KernelBtf::get());
    WEIR_TRY(offset, btf->member_offset(field.structure, field.member));
    const std::int64_t value = std::int64_t{offset} + field.addend;
    const auto instruction_class = BPF_CLASS(insn().code);
    if (instruction_class == BPF_ALU || instruction_class == BPF_ALU64) {
      insn().imm = static_cast<std::int32_t>(value);
      return {};
    }
    if (value < INT16_MIN || value > INT16_MAX) {
      return system_error(field.structure + "." + field.member + " lies at offset " +
                          std::to_string(value) + " in this kernel, out of a load's reach");
    }
    insn().off = static_cast<std::int16_t>(value);
    return {};
  }
};

ProgLoadAttr load_attributes(const isa::Program& program, const Bytes& code) {
  ProgLoadAttr attr{.prog_type = static_cast<std::uint32_t>(program.type),
                    .insn_cnt = static_cast<std::uint32_t>(code.size() / 8),
                    .insns = user_pointer(code.data()),
                    .license = user_pointer(program_license)};
  copy_object_name(program.name, attr.prog_name);
  switch (program.type) {
    case isa::ProgramType::xdp:
      attr.expected_attach_type = attach_xdp_type;
      break;
    case isa::ProgramType::netfilter:
      attr.expected_attach_type = attach_netfilter_type;
      break;
    case isa::ProgramType::cgroup_skb:
      // BPF_CGROUP_INET_INGRESS and BPF_CGROUP_INET_EGRESS
      attr.expected_attach_type = program.direction == isa::Direction::ingress ? 0 : 1;
      break;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
      break;
  }
  return attr;
}

// Loads once more, with a log. A log that does not fit gives ENOSPC; since 6.4 its end is kept, and
// the end is what tells, so that growing stops somewhere.
std::string verifier_log(ProgLoadAttr attr) {
  constexpr std::size_t largest = std::size_t{16} << 20;
  for (std::size_t size = std::size_t{64} << 10;; size *= 4) {
    std::string log(size, '\0');
    attr.log_level = 1;
    attr.log_size = static_cast<std::uint32_t>(size);
    attr.log_buf = user_pointer(log.data());
    const Fd loaded(bpf(Command::prog_load, attr));
    if (loaded.get() == -ENOSPC && size < largest) continue;
    log.resize(std::strlen(log.c_str()));
    return log;
  }
}

// Names of functions and rules beside the programs.
struct Description {
  object::Description rows;
  Fd btf;  // not valid: the kernel did not take it
};

// Without it programs run as well, but for functions of global linkage.
Result<Description> load_description(const isa::Object& object) {
  Description out{.rows = object::describe(object), .btf = {}};
  BtfLoadAttr attr{.btf = user_pointer(out.rows.btf.data()),
                   .btf_size = static_cast<std::uint32_t>(out.rows.btf.size())};
  out.btf = Fd(bpf(Command::btf_load, attr));
  const bool needed = std::ranges::any_of(object.programs, [](const isa::Program& program) {
    return std::ranges::any_of(program.subprograms, &isa::Subprogram::global);
  });
  if (out.btf.valid() || !needed) return out;
  return system_error("loading the type information of programs with functions", -out.btf.get());
}

void add_rows(ProgLoadAttr& attr, const Fd& btf, const object::ProgramRows& rows) {
  attr.prog_btf_fd = static_cast<std::uint32_t>(btf.get());
  attr.func_info_rec_size = sizeof(object::FunctionRow);
  attr.func_info = user_pointer(rows.functions.data());
  attr.func_info_cnt = static_cast<std::uint32_t>(rows.functions.size());
  attr.line_info_rec_size = sizeof(object::LineRow);
  attr.line_info = user_pointer(rows.lines.data());
  attr.line_info_cnt = static_cast<std::uint32_t>(rows.lines.size());
}

Result<Fd> load_program(const isa::Object& object, std::size_t index, const std::vector<Fd>& maps,
                        const Description& description) {
  const isa::Program& program = object.programs.at(index);
  auto insns = program.insns;
  for (const auto& relocation : program.relocations) {
    WEIR_CHECK(std::visit(Relocator{.maps = maps, .insns = insns, .at = relocation.insn},
                          relocation.what));
  }
  const Bytes code = isa::encode(insns);
  auto attr = load_attributes(program, code);
  if (description.btf.valid()) add_rows(attr, description.btf, description.rows.programs.at(index));
  Fd loaded(bpf(Command::prog_load, attr));
  if (loaded.valid()) return loaded;

  auto error = system_error("the kernel refused program " + program.name + " (" +
                                std::to_string(insns.size()) + " instructions)",
                            -loaded.get());
  error.error().notes = telling_lines(verifier_log(attr), program, object.rule_names);
  return error;
}

}  // namespace

Result<LoadedObject> load(const isa::Object& object) {
  return load(object, std::vector<Fd>(object.maps.size()));
}

Result<LoadedObject> load(const isa::Object& object, std::vector<Fd> given) {
  invariant(given.size() == object.maps.size(), "maps that are given for no map of the object");
  LoadedObject loaded{.maps = std::move(given), .programs = {}};
  for (std::size_t i = 0; i < object.maps.size(); ++i) {
    if (loaded.maps[i].valid()) continue;
    WEIR_TRY(map, create_map(object.maps[i]));
    loaded.maps[i] = std::move(map);
  }
  WEIR_TRY(description, load_description(object));
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    WEIR_TRY(fd, load_program(object, i, loaded.maps, description));
    loaded.programs.push_back(std::move(fd));
  }
  return loaded;
}

Result<std::uint32_t> verified_instructions(const Fd& program) {
  bpf_prog_info info{};
  WEIR_CHECK(object_info(program, &info, sizeof(info)));
  return info.verified_insns;
}

Result<std::uint32_t> program_id(const Fd& program) {
  bpf_prog_info info{};
  WEIR_CHECK(object_info(program, &info, sizeof(info)));
  return info.id;
}

}  // namespace weir::kernel
