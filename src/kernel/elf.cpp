// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/elf.h"

#include <bpf/libbpf.h>
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using OwnObject = std::unique_ptr<bpf_object, CloseObject>;

// libbpf says what went wrong through one function of the whole process. While one of these lives,
// warnings are kept instead of printed; there is one at a time.
class Said {
 public:
  Said() : lock_(mutex()) {
    notes() = &lines_;
    before_ = libbpf_set_print(keep);
  }
  ~Said() {
    libbpf_set_print(before_);
    notes() = nullptr;
  }
  Said(const Said&) = delete;
  Said& operator=(const Said&) = delete;

  // An error of the system with what was said.
  std::unexpected<Diagnostic> error(const std::string& doing, int number) {
    auto out = system_error(doing, number);
    constexpr std::size_t most = 12;
    const std::size_t first = lines_.size() > most ? lines_.size() - most : 0;
    out.error().notes.assign(lines_.begin() + static_cast<std::ptrdiff_t>(first), lines_.end());
    return out;
  }

 private:
  static std::mutex& mutex() {
    static std::mutex mutex;
    return mutex;
  }
  static std::vector<std::string>*& notes() {
    static std::vector<std::string>* notes = nullptr;
    return notes;
  }
  static int keep(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN || notes() == nullptr) return 0;
    std::array<char, 4096> text{};
    const int size = std::vsnprintf(text.data(), text.size(), format, arguments);
    // A verifier's log is many lines in one.
    std::string_view rest = text.data();
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      if (end != 0) notes()->emplace_back(rest.substr(0, end));
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
    return size;
  }

  std::lock_guard<std::mutex> lock_;
  std::vector<std::string> lines_;
  libbpf_print_fn_t before_ = nullptr;
};

bpf_attach_type attach_type(const ElfProgram& program) {
  const bool ingress = program.direction == isa::Direction::ingress;
  switch (program.type) {
    case isa::ProgramType::xdp:
      return static_cast<bpf_attach_type>(attach_xdp_type);
    case isa::ProgramType::netfilter:
      return static_cast<bpf_attach_type>(attach_netfilter_type);
    case isa::ProgramType::cgroup_skb:
      return ingress ? BPF_CGROUP_INET_INGRESS : BPF_CGROUP_INET_EGRESS;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
      return static_cast<bpf_attach_type>(0);
  }
  throw InvariantError("program type out of range");
}

Result<Fd> own_descriptor(int fd) {
  Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own.valid()) return system_error("keeping a descriptor of a BPF object", errno);
  return own;
}

// "office.rodata" is "rodata": names of pins have no dots.
std::string map_name(const bpf_map* map) {
  const std::string_view name = bpf_map__name(map);
  const std::size_t dot = name.rfind('.');
  return std::string(dot == name.npos ? name : name.substr(dot + 1));
}

}  // namespace

Result<LoadedElf> load_elf(ByteView file, const std::vector<ElfProgram>& programs) {
  Said said;
  const OwnObject object(bpf_object__open_mem(file.data(), file.size(), nullptr));
  if (object == nullptr) return said.error("opening the ELF object", errno);
  std::vector<const bpf_program*> found;
  for (const ElfProgram& wanted : programs) {
    bpf_program* program = bpf_object__find_program_by_name(object.get(), wanted.name.c_str());
    if (program == nullptr) {
      return input_error("the ELF object has no program " + wanted.name);
    }
    bpf_program__set_type(program, static_cast<bpf_prog_type>(wanted.type));
    bpf_program__set_expected_attach_type(program, attach_type(wanted));
    found.push_back(program);
  }
  if (const int error = bpf_object__load(object.get()); error < 0) {
    return said.error("loading the ELF object", -error);
  }
  LoadedElf out;
  for (const bpf_program* program : found) {
    WEIR_TRY(fd, own_descriptor(bpf_program__fd(program)));
    out.loaded.programs.push_back(std::move(fd));
  }
  for (const bpf_map* map = bpf_object__next_map(object.get(), nullptr); map != nullptr;
       map = bpf_object__next_map(object.get(), map)) {
    WEIR_TRY(fd, own_descriptor(bpf_map__fd(map)));
    out.loaded.maps.push_back(std::move(fd));
    out.map_names.push_back(map_name(map));
    out.value_sizes.push_back(bpf_map__value_size(map));
  }
  return out;
}

}  // namespace weir::kernel
