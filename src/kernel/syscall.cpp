// SPDX-License-Identifier: BSD-2-Clause
//
// bpf(2) itself, and what every caller of it needs.
#include "kernel/syscall.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>

namespace weir::kernel {

int bpf_call(Command command, void* attribute, std::size_t size) {
  // EAGAIN: the verifier was interrupted by a signal (bpf_check()); libbpf retries a few times too.
  for (int attempt = 0;; ++attempt) {
    const long result = ::syscall(SYS_bpf, static_cast<std::uint32_t>(command), attribute, size);
    if (result >= 0) return static_cast<int>(result);
    const bool again = command == Command::prog_load && errno == EAGAIN && attempt < 5;
    if (!again) return -errno;
  }
}

void copy_object_name(const std::string& name, char (&out)[16]) {
  std::memset(out, 0, sizeof(out));
  for (std::size_t i = 0; i < name.size() && i < sizeof(out) - 1; ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    out[i] = std::isalnum(c) != 0 || c == '_' || c == '.' ? static_cast<char>(c) : '_';
  }
}

Status object_info(const Fd& object, void* info, std::uint32_t size) {
  InfoAttr attr{.bpf_fd = static_cast<std::uint32_t>(object.get()),
                .info_len = size,
                .info = user_pointer(info)};
  const int result = bpf(Command::obj_get_info, attr);
  if (result < 0) return system_error("reading what the kernel knows of a BPF object", -result);
  return {};
}

}  // namespace weir::kernel
