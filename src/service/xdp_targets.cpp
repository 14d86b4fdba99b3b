// SPDX-License-Identifier: BSD-2-Clause
#include "service/xdp_targets.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <string>

#include "driver/reads.h"
#include "kernel/xdp_features.h"

namespace weir::service {

Status check_xdp_targets(const imr::Ruleset& ruleset,
                         const std::vector<driver::Attachment>& attachments) {
  std::vector<driver::Attachment> at_xdp;
  std::ranges::copy_if(attachments, std::back_inserter(at_xdp), [](const driver::Attachment& one) {
    return one.hook.kind == Hook::Kind::xdp;
  });
  for (const std::uint32_t index : driver::scan_reads(ruleset, at_xdp).forwards_to) {
    WEIR_TRY(takes, kernel::takes_xdp_frames(index));
    if (takes.value_or(true)) continue;
    std::array<char, IF_NAMESIZE> name{};
    const bool known = ::if_indextoname(index, name.data()) != nullptr;
    return input_error("rules send packets to device " +
                       (known ? "'" + std::string(name.data()) + "'" : std::to_string(index)) +
                       ", which takes none from XDP programs now (its driver, or, of a veth pair, "
                       "no XDP program at the other end); use tc:ingress");
  }
  return {};
}

}  // namespace weir::service
