// SPDX-License-Identifier: BSD-2-Clause
//
// A router in a namespace of its own: frames come by either of two devices and are forwarded to the
// other one. What is measured stands at the forward hook, or at a device.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/wire.h"
#include "driver/compile.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"

namespace weir::bench {

class Road {
 public:
  static constexpr const char* first_device = "road0";
  static constexpr const char* second_device = "road1";

  // Tracks connections where `connections`.
  explicit Road(bool connections);

  void load_ruleset(const std::string& text);
  // Puts programs where their attachments belong: at the forward hook, or at the ingress of the
  // first device or the egress of the second.
  void attach(std::span<const kernel::Fd> programs,
              const std::vector<driver::Attachment>& attachments);
  // From now on packets end at the last place of the forward hook; until then they go on, and leave
  // connections behind.
  void end_at_the_hook();

  // `count` packets of a trace by the first device, or by the second: ns of them all.
  [[nodiscard]] double send(const Sender& sender, bool back, std::uint32_t count) const;
  // How many have come to the end so far.
  [[nodiscard]] std::uint64_t accepted() const;

 private:
  test::Netns netns_;
  std::uint32_t far_[2] = {};  // where frames go in: of the first device, of the second
  kernel::Fd counts_;
  std::vector<kernel::Fd> links_;
};

}  // namespace weir::bench
