// SPDX-License-Identifier: BSD-2-Clause
//
// bpf(2), with attributes of our own: linux/bpf.h of a distribution may be older than the kernel
// that runs (netfilter links are not in 6.1's). Layouts and numbers are those of
// include/uapi/linux/bpf.h in Linux 6.18; the kernel takes a shorter attribute as if zeros
// followed.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "kernel/kernel.h"

namespace weir::kernel {

enum class Command : std::uint32_t {
  map_create = 0,
  map_lookup = 1,
  map_update = 2,
  map_delete = 3,
  map_next_key = 4,
  prog_load = 5,
  obj_pin = 6,
  obj_get = 7,
  prog_test_run = 10,
  prog_fd_by_id = 13,
  map_fd_by_id = 14,
  obj_get_info = 15,
  prog_query = 16,
  btf_load = 18,
  btf_fd_by_id = 19,
  map_freeze = 22,
  map_update_batch = 26,
  link_create = 28,
  link_update = 29,
  link_fd_by_id = 30,
  link_detach = 34,
};

enum AttachType : std::uint32_t {
  attach_cgroup_ingress_type = 0,
  attach_cgroup_egress_type = 1,
  attach_xdp_type = 37,
  attach_netfilter_type = 45,
  attach_tcx_ingress_type = 46,
  attach_tcx_egress_type = 47,
};

enum LinkType : std::uint32_t {
  link_type_cgroup = 3,
  link_type_xdp = 6,
  link_type_netfilter = 10,
  link_type_tcx = 11,
};

struct MapCreateAttr {
  std::uint32_t map_type = 0;
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
  std::uint32_t map_flags = 0;
  std::uint32_t inner_map_fd = 0;
  std::uint32_t numa_node = 0;
  char map_name[16] = {};
};

struct MapElementAttr {
  std::uint32_t map_fd = 0;
  std::uint32_t pad = 0;
  std::uint64_t key = 0;
  std::uint64_t value = 0;
  std::uint64_t flags = 0;
};

struct MapBatchAttr {
  std::uint64_t in_batch = 0;
  std::uint64_t out_batch = 0;
  std::uint64_t keys = 0;
  std::uint64_t values = 0;
  std::uint32_t count = 0;
  std::uint32_t map_fd = 0;
  std::uint64_t element_flags = 0;
  std::uint64_t flags = 0;
};

struct ProgLoadAttr {
  std::uint32_t prog_type = 0;
  std::uint32_t insn_cnt = 0;
  std::uint64_t insns = 0;
  std::uint64_t license = 0;
  std::uint32_t log_level = 0;
  std::uint32_t log_size = 0;
  std::uint64_t log_buf = 0;
  std::uint32_t kern_version = 0;
  std::uint32_t prog_flags = 0;
  char prog_name[16] = {};
  std::uint32_t prog_ifindex = 0;
  std::uint32_t expected_attach_type = 0;
  std::uint32_t prog_btf_fd = 0;
  std::uint32_t func_info_rec_size = 0;
  std::uint64_t func_info = 0;
  std::uint32_t func_info_cnt = 0;
  std::uint32_t line_info_rec_size = 0;
  std::uint64_t line_info = 0;
  std::uint32_t line_info_cnt = 0;
  std::uint32_t attach_btf_id = 0;
  std::uint32_t attach_prog_fd = 0;
  std::uint32_t pad = 0;
};

struct BtfLoadAttr {
  std::uint64_t btf = 0;
  std::uint64_t log_buf = 0;
  std::uint32_t btf_size = 0;
  std::uint32_t log_size = 0;
  std::uint32_t log_level = 0;
  std::uint32_t pad = 0;
};

struct ObjectAttr {
  std::uint64_t pathname = 0;
  std::uint32_t bpf_fd = 0;
  std::uint32_t file_flags = 0;
};

struct TestRunAttr {
  std::uint32_t prog_fd = 0;
  std::uint32_t retval = 0;
  std::uint32_t data_size_in = 0;
  std::uint32_t data_size_out = 0;
  std::uint64_t data_in = 0;
  std::uint64_t data_out = 0;
  std::uint32_t repeat = 0;
  std::uint32_t duration = 0;
  std::uint32_t ctx_size_in = 0;
  std::uint32_t ctx_size_out = 0;
  std::uint64_t ctx_in = 0;
  std::uint64_t ctx_out = 0;
};

struct InfoAttr {
  std::uint32_t bpf_fd = 0;
  std::uint32_t info_len = 0;
  std::uint64_t info = 0;
};

// The union behind `flags` is that of the attach type: netfilter's members here, zero for others.
struct LinkCreateAttr {
  std::uint32_t prog_fd = 0;
  std::uint32_t target = 0;  // an interface index for XDP and TCX, a descriptor for cgroups
  std::uint32_t attach_type = 0;
  std::uint32_t flags = 0;
  std::uint32_t pf = 0;
  std::uint32_t hook = 0;
  std::int32_t priority = 0;
  std::uint32_t netfilter_flags = 0;
};

struct ProgQueryAttr {
  std::uint32_t target = 0;  // an interface index for TCX
  std::uint32_t attach_type = 0;
  std::uint32_t query_flags = 0;
  std::uint32_t attach_flags = 0;
  std::uint64_t prog_ids = 0;
  std::uint32_t count = 0;  // the kernel's answer
  std::uint32_t pad = 0;
  std::uint64_t prog_attach_flags = 0;
  std::uint64_t link_ids = 0;
  std::uint64_t link_attach_flags = 0;
  std::uint64_t revision = 0;
};

struct LinkUpdateAttr {
  std::uint32_t link_fd = 0;
  std::uint32_t new_prog_fd = 0;
  std::uint32_t flags = 0;
  std::uint32_t old_prog_fd = 0;
};

struct FdByIdAttr {
  std::uint32_t id = 0;
};

struct MapFreezeAttr {
  std::uint32_t map_fd = 0;
};

struct LinkDetachAttr {
  std::uint32_t link_fd = 0;
};

static_assert(sizeof(MapCreateAttr) == 44 && sizeof(MapElementAttr) == 32);
static_assert(sizeof(MapBatchAttr) == 56 && sizeof(ProgLoadAttr) == 120);
static_assert(sizeof(BtfLoadAttr) == 32 && sizeof(ObjectAttr) == 16);
static_assert(sizeof(TestRunAttr) == 64);
static_assert(sizeof(InfoAttr) == 16 && sizeof(LinkCreateAttr) == 32);

// The attribute holds user pointers as 64-bit integers.
[[nodiscard]] inline std::uint64_t user_pointer(const void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

// The kernel functions that weir uses ask for a licence that license_is_gpl_compatible() of the
// kernel knows; this one is true as well.
constexpr const char* program_license = "Dual BSD/GPL";

// What bpf(2) returns: a file descriptor or 0, or minus errno.
[[nodiscard]] int bpf_call(Command command, void* attribute, std::size_t size);

template <typename Attr>
[[nodiscard]] int bpf(Command command, Attr& attribute) {
  return bpf_call(command, &attribute, sizeof(Attr));
}

// At most 15 characters of `name`, those that the kernel does not take (bpf_obj_name_cpy())
// replaced by '_', into the zeroed `out`.
void copy_object_name(const std::string& name, char (&out)[16]);

// BPF_OBJ_GET_INFO_BY_FD into the first `size` bytes at `info`.
[[nodiscard]] Status object_info(const Fd& object, void* info, std::uint32_t size);

}  // namespace weir::kernel
