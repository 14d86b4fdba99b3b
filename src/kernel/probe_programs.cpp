// SPDX-License-Identifier: BSD-2-Clause
//
// Programs of two functions: the verifier wants BTF that names them before it takes a callback or
// lets one be replaced.
#include "kernel/probe_programs.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/bpf.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "isa/helpers.h"
#include "isa/isa.h"
#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

using isa::Opcode;

struct FreeBtf {
  void operator()(::btf* btf) const { btf__free(btf); }
};
using OwnBtf = std::unique_ptr<::btf, FreeBtf>;

struct Types {
  Fd fd;
  std::uint32_t main = 0;
  std::uint32_t second = 0;
};

// "int main(struct xdp_md *)", global, and "int second(...)": with the same parameter and global,
// or with bpf_loop()'s callback's parameters and static.
Result<Types> make_types(bool callback) {
  const OwnBtf btf(btf__new_empty());
  if (btf == nullptr) return system_error("creating BTF", errno);
  const int number = btf__add_int(btf.get(), "int", 4, BTF_INT_SIGNED);
  const int context = btf__add_struct(btf.get(), "xdp_md", 0);
  const int pointer = btf__add_ptr(btf.get(), context);
  const int wide = btf__add_int(btf.get(), "long", 8, BTF_INT_SIGNED);
  const int opaque = btf__add_ptr(btf.get(), 0);

  const int main_type = btf__add_func_proto(btf.get(), number);
  btf__add_func_param(btf.get(), "ctx", pointer);
  const int callback_type = btf__add_func_proto(btf.get(), number);
  btf__add_func_param(btf.get(), "index", wide);
  btf__add_func_param(btf.get(), "ctx", opaque);

  Types types;
  types.main =
      static_cast<std::uint32_t>(btf__add_func(btf.get(), "main", BTF_FUNC_GLOBAL, main_type));
  types.second = static_cast<std::uint32_t>(
      callback ? btf__add_func(btf.get(), "second", BTF_FUNC_STATIC, callback_type)
               : btf__add_func(btf.get(), "second", BTF_FUNC_GLOBAL, main_type));
  if (const int error = btf__load_into_kernel(btf.get()); error < 0) {
    return system_error("loading BTF", -error);
  }
  types.fd = Fd(::fcntl(btf__fd(btf.get()), F_DUPFD_CLOEXEC, 0));
  return types;
}

struct Load {
  std::uint32_t type = BPF_PROG_TYPE_XDP;
  const std::vector<isa::Insn>& insns;
  const Types& types;
  std::vector<bpf_func_info> functions;
  const Fd* replaced_program = nullptr;
  std::uint32_t replaced_function = 0;
};

Result<Fd> load(const Load& what) {
  const Bytes code = isa::encode(what.insns);
  std::string log(std::size_t{64} << 10, '\0');
  ProgLoadAttr attr{.prog_type = what.type,
                    .insn_cnt = static_cast<std::uint32_t>(what.insns.size()),
                    .insns = user_pointer(code.data()),
                    .license = user_pointer(program_license),
                    .log_level = 1,
                    .log_size = static_cast<std::uint32_t>(log.size()),
                    .log_buf = user_pointer(log.data()),
                    .prog_btf_fd = static_cast<std::uint32_t>(what.types.fd.get()),
                    .func_info_rec_size = sizeof(bpf_func_info),
                    .func_info = user_pointer(what.functions.data()),
                    .func_info_cnt = static_cast<std::uint32_t>(what.functions.size())};
  if (what.replaced_program != nullptr) {
    attr.attach_prog_fd = static_cast<std::uint32_t>(what.replaced_program->get());
    attr.attach_btf_id = what.replaced_function;
  }
  Fd program(bpf(Command::prog_load, attr));
  if (program.valid()) return program;
  const std::string said = log.substr(0, log.find_first_of(std::string_view("\n\0", 2)));
  return system_error(said.empty() ? "loading it" : said, -program.get());
}

}  // namespace

Status try_bpf_loop() {
  WEIR_TRY(types, make_types(true));
  std::vector<isa::Insn> insns = {
      isa::make(Opcode::mov64_imm, 1, 0, 0, 4),
      // The address of the function that begins six slots on from the next one.
      isa::Insn{.code = BPF_LD | BPF_IMM | BPF_DW, .dst = 2, .src = BPF_PSEUDO_FUNC, .imm = 6},
      isa::Insn{},
      isa::make(Opcode::mov64_imm, 3),
      isa::make(Opcode::mov64_imm, 4),
      isa::make(Opcode::call_helper, 0, 0, 0, static_cast<std::int32_t>(isa::Helper::loop)),
      isa::make(Opcode::mov64_imm, 0, 0, 0, XDP_PASS),
      isa::make(Opcode::exit),
      isa::make(Opcode::mov64_imm, 0),
      isa::make(Opcode::exit),
  };
  WEIR_TRY(program, load({.insns = insns,
                          .types = types,
                          .functions = {{.insn_off = 0, .type_id = types.main},
                                        {.insn_off = 8, .type_id = types.second}}}));
  invariant(program.valid(), "a loaded program without a descriptor");
  return {};
}

Status try_function_replacement() {
  WEIR_TRY(types, make_types(false));
  const std::vector<isa::Insn> pass = {isa::make(Opcode::mov64_imm, 0, 0, 0, XDP_PASS),
                                       isa::make(Opcode::exit)};
  std::vector<isa::Insn> caller = {isa::make(Opcode::call_local, 0, 0, 0, 1),
                                   isa::make(Opcode::exit)};
  caller.insert(caller.end(), pass.begin(), pass.end());
  WEIR_TRY(target, load({.insns = caller,
                         .types = types,
                         .functions = {{.insn_off = 0, .type_id = types.main},
                                       {.insn_off = 2, .type_id = types.second}}}));
  WEIR_TRY(replacement, load({.type = BPF_PROG_TYPE_EXT,
                              .insns = pass,
                              .types = types,
                              .functions = {{.insn_off = 0, .type_id = types.main}},
                              .replaced_program = &target,
                              .replaced_function = types.second}));
  invariant(replacement.valid(), "a loaded program without a descriptor");
  return {};
}

}  // namespace weir::kernel
