// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's side of eBPF: loading objects, running programs on test packets, attaching them,
// pinning. A thin layer of system calls of our own, since distribution libraries know neither
// netfilter links nor the newest flags.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hook.h"
#include "isa/program.h"

namespace weir::kernel {

// A file descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept;
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

struct LoadedObject {
  std::vector<Fd> maps;      // in the order of Object::maps
  std::vector<Fd> programs;  // in the order of Object::programs
};

// Creates the maps and fills them, resolves relocations against the BTF of the running kernel,
// loads the programs. A refused program is a system error whose notes are the lines of the
// verifier's log that tell why, with the rule that the instruction came from.
[[nodiscard]] Result<LoadedObject> load(const isa::Object& object);

// Instructions that the verifier processed for a loaded program (bpf_prog_info.verified_insns).
[[nodiscard]] Result<std::uint32_t> verified_instructions(const Fd& program);

struct TestRun {
  std::uint32_t result = 0;       // r0
  std::uint32_t duration_ns = 0;  // mean of a run, as the kernel measured it
};
// BPF_PROG_TEST_RUN. `hook` and `nfproto` matter to netfilter programs only.
//
// `packet` of an XDP program is the frame, of a netfilter program the bytes from the network header
// on: an Ethernet header is put before them where bpf_prog_test_run_nf() (net/bpf/test_run.c) takes
// one off, which is everywhere but at the output hook. Other sizes than these are a system error:
//   netfilter, output     20 to 3,712 bytes, of either family
//   netfilter, elsewhere  20 (IPv4) or 40 (IPv6) to 3,698 bytes
//   XDP                   14 bytes and more
// A netfilter program sees mark 0, no connection, no input device and the loopback device as output
// device at every hook, PACKET_HOST, and all bytes in the linear part; skb->network_header is not
// set at the output hook.
[[nodiscard]] Result<TestRun> test_run(const Fd& program, isa::ProgramType type, ByteView packet,
                                       NfHook hook, Nfproto nfproto, std::uint32_t repeat = 1);

// BPF_LINK_CREATE in the network namespace of the calling process.
[[nodiscard]] Result<Fd> attach_netfilter(const Fd& program, Nfproto nfproto, NfHook hook,
                                          std::int32_t priority);
enum class XdpMode : std::uint8_t { automatic, native, generic };
[[nodiscard]] Result<Fd> attach_xdp(const Fd& program, std::uint32_t ifindex, XdpMode mode);

struct NetfilterPlace {
  Nfproto nfproto = Nfproto::ipv4;
  NfHook hook = NfHook::forward;
  std::int32_t priority = 0;

  friend bool operator==(const NetfilterPlace&, const NetfilterPlace&) = default;
};
struct LinkInfo {
  std::uint32_t id = 0;
  std::uint32_t program_id = 0;
  // XDP: interface index; 0 when the device is gone.
  std::uint32_t ifindex = 0;
  std::optional<NetfilterPlace> netfilter = {};  // of netfilter links
};
[[nodiscard]] Result<LinkInfo> link_info(const Fd& link);
// Takes a link off its hook at once, whatever pins and descriptors of it remain.
[[nodiscard]] Status detach(const Fd& link);
[[nodiscard]] Result<std::uint32_t> program_id(const Fd& program);
[[nodiscard]] Result<std::uint32_t> map_id(const Fd& map);

// Objects in the BPF file system, which ensure_bpffs() mounts where it is not (in the mount
// namespace of the calling process).
constexpr const char* bpffs_path = "/sys/fs/bpf";
[[nodiscard]] Status ensure_bpffs();
[[nodiscard]] Status pin(const Fd& object, const std::string& path);
[[nodiscard]] Result<Fd> open_pinned(const std::string& path);

// Map elements. A value of a per-CPU map is one value per possible CPU, each padded to 8 bytes.
[[nodiscard]] Result<Bytes> read_element(const Fd& map, ByteView key, std::size_t value_size,
                                         bool per_cpu);
[[nodiscard]] Status write_element(const Fd& map, ByteView key, ByteView value);
[[nodiscard]] Result<std::uint32_t> possible_cpus();

// What this kernel can do, found out by trying (never by reading settings).
struct Feature {
  std::string name;  // "netfilter link"
  bool present = false;
  std::string detail;  // the kernel's word when it is absent, or what it is needed for
};
[[nodiscard]] std::vector<Feature> probe_features();
// Whether bpf_rdonly_cast() yields memory that any load may read (6.17 and newer). Probed once.
[[nodiscard]] bool has_untrusted_memory();

}  // namespace weir::kernel
