// SPDX-License-Identifier: BSD-2-Clause
//
// The type information of the running kernel: where members of its structures lie and which ids its
// functions have. Parsing it takes tens of milliseconds, so it is read once in a process and every
// answer is kept: thousands of small objects load against it in the differential tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"

namespace weir::kernel {

class KernelBtf {
 public:
  // The kernel's BTF, from /sys/kernel/btf/vmlinux; safe to call from several threads.
  [[nodiscard]] static Result<const KernelBtf*> get();

  // The BTF id of a kernel function, as a call with src = BPF_PSEUDO_KFUNC_CALL wants it.
  [[nodiscard]] Result<std::int32_t> function_id(const std::string& name) const;
  // The BTF id of the struct that is called exactly so (`nf_conn`, never `nf_conn___init`).
  [[nodiscard]] Result<std::int32_t> structure_id(const std::string& name) const;
  // The offset in bytes of `member`, a path with dots ("zone.id"), seen through anonymous structs
  // and unions; of the byte that holds its first bit, for a bit field. Elements of arrays are named
  // by number or by the enumerator of that number ("tuplehash.1.tuple", "offset.NF_CT_EXT_ACCT").
  [[nodiscard]] Result<std::uint32_t> member_offset(const std::string& structure,
                                                    const std::string& member) const;

  ~KernelBtf();
  KernelBtf(const KernelBtf&) = delete;
  KernelBtf& operator=(const KernelBtf&) = delete;

 private:
  struct Impl;
  explicit KernelBtf(std::unique_ptr<Impl> impl);
  [[nodiscard]] static Result<std::unique_ptr<const KernelBtf>> read();
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::kernel
