// SPDX-License-Identifier: BSD-2-Clause
//
// Programs attached at their hooks in scratch network namespaces, for what BPF_PROG_TEST_RUN does
// not carry: devices, marks, packet types, connections, tags in metadata, packets of any size.
//
// A packet is sent so that it comes to the hook as it was asked for, and the observer around the
// program (driver/observer.h) says how it came: whatever differs from what was asked, of its bytes
// or of what the rules read, is a refusal that names it, and never an answer.
#pragma once

#include <memory>

#include "base/error.h"
#include "driver/compile.h"
#include "driver/reads.h"
#include "kernel/kernel.h"
#include "packet/packet.h"

namespace weir::driver {

class Attached {
 public:
  // `compilation` must outlive it.
  [[nodiscard]] static Result<Attached> create(const Compilation& compilation, Reads reads);
  Attached(Attached&&) noexcept;
  Attached& operator=(Attached&&) noexcept;
  ~Attached();

  struct Answer {
    std::uint32_t returned = 0;  // by the program
    std::uint32_t mark = 0;      // that it left; not of netfilter and XDP
    Bytes trace;                 // as in driver/compile.h; empty without one
    // Of test runs alone; the packet where rules write to it.
    std::uint32_t priority = 0;
    Bytes packet = {};
  };
  // For a packet as its hook sees it (driver/seen.h). Nothing goes on behind the hook, whatever the
  // answer is.
  [[nodiscard]] Result<Answer> run(std::size_t program, const packet::Packet& packet);
  // A map of the compilation, as these programs have it.
  [[nodiscard]] const kernel::Fd& map(isa::MapIndex index) const;

 private:
  struct Impl;
  explicit Attached(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::driver
