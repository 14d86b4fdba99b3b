// SPDX-License-Identifier: BSD-2-Clause
//
// A scratch network namespace in which one program is at its hook, and the way by which packets get
// there.
#pragma once

#include <memory>

#include "base/error.h"
#include "driver/compile.h"
#include "kernel/kernel.h"
#include "packet/packet.h"

namespace weir::driver {

class Stage {
 public:
  // Devices with names and indices as in `in` and `out`; where there is none, one that the packets
  // need all the same has a name and an index of its own. `connections`: they are tracked.
  struct Shape {
    packet::Device in;
    packet::Device out;
    bool connections = false;
    friend bool operator==(const Shape&, const Shape&) = default;
  };
  [[nodiscard]] static Result<Stage> create(const Attachment& attachment, const kernel::Fd& program,
                                            const Shape& shape);
  Stage(Stage&&) noexcept;
  Stage& operator=(Stage&&) noexcept;
  ~Stage();

  [[nodiscard]] const Shape& shape() const;
  // Sends the packet so that its bytes at the hook are those that it has, and it is there and gone
  // when this returns. An error says why the stack takes no such packet.
  [[nodiscard]] Status send(const packet::Packet& packet);

 private:
  struct Impl;
  explicit Stage(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::driver
