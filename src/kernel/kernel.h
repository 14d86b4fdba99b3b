// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's side of eBPF: loading objects, running programs on test packets, attaching them,
// pinning. A thin layer of system calls of our own, since distribution libraries know neither
// netfilter links nor the newest flags.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
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

// The code that the kernel made of a program's instructions for the processor, all functions one
// behind the other; and the instructions that it made that of, with its own in place of calls and
// context accesses.
struct MachineCode {
  struct Row {
    std::uint32_t begin = 0;  // in `bytes`; good up to the next row
    std::uint32_t insn = 0;   // in `translated`
    std::string file;         // the line information that the instructions were loaded with
    std::uint32_t line = 0;
    std::string text;
  };
  Bytes bytes;
  std::vector<isa::Insn> translated;
  std::vector<Row> rows;  // in order of `begin`; none for programs without line information
};
// No bytes where the kernel interprets programs, no instructions or bytes where it hides them from
// this process.
[[nodiscard]] Result<MachineCode> machine_code(const Fd& program);
// Bytes of memory that a map or a program takes, as the kernel accounts for them (fdinfo).
[[nodiscard]] Result<std::uint64_t> memory_use(const Fd& object);

// What BPF_PROG_TEST_RUN puts before a program.
struct TestInput {
  ByteView packet;
  NfHook hook = NfHook::forward;     // of netfilter programs
  Nfproto nfproto = Nfproto::ipv4;   // of netfilter programs
  std::uint16_t ethertype = 0x0800;  // of cgroup and socket programs, host order
  std::uint32_t mark = 0;            // of programs that run on a struct __sk_buff, as the next one
  std::uint32_t priority = 0;
  // Of XDP programs the device; of those with a struct __sk_buff, skb->dev: it must be there. 0:
  // the loopback device.
  std::uint32_t ifindex = 0;
  std::uint32_t ingress_ifindex = 0;  // skb->skb_iif; any number
  std::uint32_t repeat = 1;
  bool packet_back = false;  // whether TestRun::packet is wanted
};
struct TestRun {
  std::uint32_t result = 0;       // r0
  std::uint32_t duration_ns = 0;  // mean of a run, as the kernel measured it
  std::uint32_t mark = 0;         // behind programs that run on a struct __sk_buff, as the next one
  std::uint32_t priority = 0;
  Bytes packet;  // of XDP and sched_cls: as the program left it
};
// BPF_PROG_TEST_RUN (net/bpf/test_run.c).
//
// `packet` of XDP and sched_cls programs is the frame; of the others the bytes from the network
// header on: an Ethernet header is put before them where the kernel takes one off, which is
// everywhere but at the netfilter output hook. Other sizes than these are a system error:
//   netfilter, output        20 to 3,712 bytes, of either family
//   netfilter, elsewhere     20 (IPv4) or 40 (IPv6) to 3,698 bytes
//   XDP                      14 bytes and more
//   sched_cls                14 to 3,712 bytes, and a whole IP header behind 14 where they say so
//   cgroup_skb, socket_filter  20 (IPv4), 40 (IPv6), 0 (others) to 3,698 bytes
// Nothing of a packet is nonlinear, and none has a VLAN tag beside its bytes, a connection or a
// socket of its own. A netfilter program sees mark 0, no input device and the loopback device as
// output device at every hook, PACKET_HOST; skb->network_header is not set at the output hook. In
// struct __sk_buff, pkt_type and protocol come from the Ethernet header, and `ifindex` is 1 where
// none was asked for. A cgroup or socket program that wants a device other than loopback sees
// PACKET_OTHERHOST. A sched_cls program finds its network header behind 14 bytes, always.
[[nodiscard]] Result<TestRun> test_run(const Fd& program, isa::ProgramType type,
                                       const TestInput& input);
[[nodiscard]] Result<TestRun> test_run(const Fd& program, isa::ProgramType type, ByteView packet,
                                       NfHook hook, Nfproto nfproto, std::uint32_t repeat = 1);

// BPF_LINK_CREATE in the network namespace of the calling process. With `defragment` the program
// sees whole packets only (BPF_F_NETFILTER_IP_DEFRAG, 6.6), for which its priority must be above
// -400 (NF_IP_PRI_CONNTRACK_DEFRAG).
[[nodiscard]] Result<Fd> attach_netfilter(const Fd& program, Nfproto nfproto, NfHook hook,
                                          std::int32_t priority, bool defragment = false);
enum class XdpMode : std::uint8_t { automatic, native, generic };
[[nodiscard]] Result<Fd> attach_xdp(const Fd& program, std::uint32_t ifindex, XdpMode mode);

// TCX (6.6): the program runs behind those that are there already, before legacy filters.
[[nodiscard]] Result<Fd> attach_tcx(const Fd& program, std::uint32_t ifindex,
                                    isa::Direction direction);
// How many programs TCX runs there; none where the kernel has no TCX, or no such device.
[[nodiscard]] Result<std::uint32_t> count_tcx(std::uint32_t ifindex, isa::Direction direction);
// For sockets of processes in the cgroup at `path` (of version 2) and below; programs that are
// there run as well (BPF_F_ALLOW_MULTI).
[[nodiscard]] Result<Fd> attach_cgroup(const Fd& program, const std::string& path,
                                       isa::Direction direction);
// SO_ATTACH_BPF: instead of the filter that the socket has; goes when the socket is closed.
[[nodiscard]] Status attach_socket(const Fd& program, int socket);
[[nodiscard]] Status detach_socket(int socket);

// A filter of the classifier "bpf" (direct action) in the qdisc "clsact", which is made where it is
// not and stays. A filter stays until it is taken off: no descriptor holds it.
struct TcFilter {
  std::uint32_t ifindex = 0;
  isa::Direction direction = isa::Direction::ingress;
  std::uint16_t priority = 0;  // 1 first; 0: the kernel chooses
  std::uint32_t handle = 0;    // 0: the kernel chooses

  friend bool operator==(const TcFilter&, const TcFilter&) = default;
};
// With priority and handle of a filter that is there, its program is replaced. The place, with what
// the kernel chose.
[[nodiscard]] Result<TcFilter> attach_tc_filter(const Fd& program, const TcFilter& place);
[[nodiscard]] Status detach_tc_filter(const TcFilter& filter);
// The id of its program.
[[nodiscard]] Result<std::uint32_t> tc_filter_program(const TcFilter& filter);

// By TCX, or where the kernel has none, by a filter.
enum class TcMode : std::uint8_t { automatic, tcx, filter };
[[nodiscard]] Result<std::variant<Fd, TcFilter>> attach_tc(const Fd& program, std::uint32_t ifindex,
                                                           isa::Direction direction, TcMode mode);

// Puts another program behind a link, at once. Netfilter links do not take one.
[[nodiscard]] Status replace_program(const Fd& link, const Fd& program);

struct NetfilterPlace {
  Nfproto nfproto = Nfproto::ipv4;
  NfHook hook = NfHook::forward;
  std::int32_t priority = 0;
  bool defragment = false;

  friend bool operator==(const NetfilterPlace&, const NetfilterPlace&) = default;
};
enum class LinkKind : std::uint8_t { other, xdp, netfilter, tcx, cgroup };
struct LinkInfo {
  std::uint32_t id = 0;
  std::uint32_t program_id = 0;
  // XDP and TCX: interface index; 0 when the device is gone.
  std::uint32_t ifindex = 0;
  std::optional<NetfilterPlace> netfilter = {};  // of netfilter links
  LinkKind kind = LinkKind::other;
  std::optional<isa::Direction> direction = {};  // of TCX and cgroup links
  std::uint64_t cgroup = 0;                      // its id; 0 when it is gone
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
enum class ObjectKind : std::uint8_t { program, map, link };
// An object that somebody holds, by its number.
[[nodiscard]] Result<Fd> open_by_id(ObjectKind kind, std::uint32_t id);

// Map elements. A value of a per-CPU map is one value per possible CPU, each padded to 8 bytes.
[[nodiscard]] Result<Bytes> read_element(const Fd& map, ByteView key, std::size_t value_size,
                                         bool per_cpu);
[[nodiscard]] Status write_element(const Fd& map, ByteView key, ByteView value);
[[nodiscard]] Status delete_element(const Fd& map, ByteView key);
// The keys of the map, in the kernel's order; of one that changes meanwhile, some, and some twice.
[[nodiscard]] Result<std::vector<Bytes>> keys(const Fd& map, std::size_t key_size);
// From now on no process can write the map's elements (BPF_MAP_FREEZE); programs can, unless it
// was created with BPF_F_RDONLY_PROG. Success where it is so already.
[[nodiscard]] Status freeze(const Fd& map);
[[nodiscard]] Result<std::uint32_t> possible_cpus();
// Nanoseconds of the clock that programs read, bpf_ktime_get_ns().
[[nodiscard]] std::uint64_t clock_now();

// What this kernel can do, found out by trying (never by reading settings).
struct Feature {
  std::string name;  // "netfilter link"
  bool present = false;
  std::string detail;  // the kernel's word when it is absent, or what it is needed for
};
[[nodiscard]] std::vector<Feature> probe_features();
// Whether bpf_rdonly_cast() yields memory that any load may read (6.17 and newer). Probed once.
[[nodiscard]] bool has_untrusted_memory();
// Whether netfilter links have packets reassembled (6.6). Probed once.
[[nodiscard]] bool has_reassembly();
// Whether TCX links attach (6.6). Probed once.
[[nodiscard]] bool has_tcx();

}  // namespace weir::kernel
