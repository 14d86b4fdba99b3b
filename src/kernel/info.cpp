// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel tells of loaded objects: machine code with the lines it came from, memory.
#include <linux/bpf.h>
#include <linux/btf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "isa/isa.h"
#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

// The string section of the BTF object `id`.
Result<std::string> btf_strings(std::uint32_t id) {
  FdByIdAttr by_id{.id = id};
  const Fd btf(bpf(Command::btf_fd_by_id, by_id));
  if (!btf.valid()) return system_error("opening type information", -btf.get());
  bpf_btf_info info{};
  WEIR_CHECK(object_info(btf, &info, sizeof info));
  Bytes bytes(info.btf_size);
  info = {};
  info.btf = user_pointer(bytes.data());
  info.btf_size = static_cast<std::uint32_t>(bytes.size());
  WEIR_CHECK(object_info(btf, &info, sizeof info));
  btf_header header{};
  if (bytes.size() < sizeof header) return system_error("type information cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t begin = std::size_t{header.hdr_len} + header.str_off;
  if (begin > bytes.size() || header.str_len > bytes.size() - begin) {
    return system_error("type information cut short");
  }
  const auto* const text = reinterpret_cast<const char*>(bytes.data() + begin);
  return std::string(text, header.str_len);
}

std::string string_at(const std::string& strings, std::uint32_t offset) {
  return offset < strings.size() ? std::string(strings.c_str() + offset) : std::string();
}

// What bpf_prog_get_info_by_fd() fills in.
struct Parts {
  Bytes code;
  Bytes translated;
  std::vector<std::uint64_t> functions;  // their addresses
  std::vector<std::uint32_t> lengths;    // their bytes in `code`
  std::vector<bpf_line_info> lines;
  std::vector<std::uint64_t> addresses;  // of the lines
  std::uint32_t btf_id = 0;
};

Result<Parts> parts_of(const Fd& program) {
  bpf_prog_info sizes{};
  WEIR_CHECK(object_info(program, &sizes, sizeof sizes));
  Parts parts;
  parts.code.resize(sizes.jited_prog_len);
  parts.translated.resize(sizes.xlated_prog_len);
  parts.functions.resize(sizes.nr_jited_ksyms);
  parts.lengths.resize(sizes.nr_jited_func_lens);
  parts.lines.resize(sizes.nr_line_info);
  parts.addresses.resize(sizes.nr_jited_line_info);
  parts.btf_id = sizes.btf_id;

  bpf_prog_info info{};
  info.jited_prog_len = sizes.jited_prog_len;
  info.jited_prog_insns = user_pointer(parts.code.data());
  info.xlated_prog_len = sizes.xlated_prog_len;
  info.xlated_prog_insns = user_pointer(parts.translated.data());
  info.nr_jited_ksyms = sizes.nr_jited_ksyms;
  info.jited_ksyms = user_pointer(parts.functions.data());
  info.nr_jited_func_lens = sizes.nr_jited_func_lens;
  info.jited_func_lens = user_pointer(parts.lengths.data());
  info.nr_line_info = sizes.nr_line_info;
  info.line_info = user_pointer(parts.lines.data());
  info.line_info_rec_size = sizeof(bpf_line_info);
  info.nr_jited_line_info = sizes.nr_jited_line_info;
  info.jited_line_info = user_pointer(parts.addresses.data());
  info.jited_line_info_rec_size = sizeof(std::uint64_t);
  WEIR_CHECK(object_info(program, &info, sizeof info));
  // Addresses are hidden from those without the right to see them.
  if (info.jited_prog_insns == 0) parts.code.clear();
  if (info.xlated_prog_insns == 0) parts.translated.clear();
  if (info.jited_ksyms == 0) parts.functions.clear();
  if (info.jited_line_info == 0) parts.addresses.clear();
  return parts;
}

}  // namespace

Result<MachineCode> machine_code(const Fd& program) {
  WEIR_TRY(parts, parts_of(program));
  MachineCode out{.bytes = std::move(parts.code), .translated = {}};
  // The kernel has instructions of its own among them (address spaces, per-CPU addresses).
  for (std::size_t at = 0; at + 8 <= parts.translated.size(); at += 8) {
    out.translated.push_back(isa::decode_slot(ByteView(parts.translated).subspan(at, 8)));
  }
  const std::size_t functions = std::min(parts.functions.size(), parts.lengths.size());
  const std::size_t lines = std::min(parts.lines.size(), parts.addresses.size());
  if (out.bytes.empty() || functions == 0 || lines == 0) return out;
  WEIR_TRY(strings, btf_strings(parts.btf_id));
  for (std::size_t i = 0; i < lines; ++i) {
    const bpf_line_info& line = parts.lines[i];
    std::uint64_t before = 0;
    for (std::size_t f = 0; f < functions; before += parts.lengths[f], ++f) {
      const std::uint64_t within = parts.addresses[i] - parts.functions[f];
      if (within >= parts.lengths[f]) continue;
      out.rows.push_back({.begin = static_cast<std::uint32_t>(before + within),
                          .insn = line.insn_off,
                          .file = string_at(strings, line.file_name_off),
                          .line = BPF_LINE_INFO_LINE_NUM(line.line_col),
                          .text = string_at(strings, line.line_off)});
    }
  }
  return out;
}

Result<std::uint64_t> memory_use(const Fd& object) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(object.get());
  std::ifstream file(path);
  std::string key;
  while (file >> key) {
    std::uint64_t bytes = 0;
    if (key == "memlock:" && file >> bytes) return bytes;
    file.ignore(4096, '\n');
  }
  return system_error(path + " does not tell how much memory the object takes");
}

}  // namespace weir::kernel
