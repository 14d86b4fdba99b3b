// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's own ruleset, listed and dumped, and nothing else.
#include <net/if.h>

#include <algorithm>

#include "frontend/nft/interface_index.h"
#include "frontend/nft/kernel_dump.h"
#include "frontend/nft/kernel_listing.h"
#include "frontend/nft/nft.h"
#include "frontend/nft/ruleset.h"
#include "imr/constants.h"

namespace weir::frontend::nft {
namespace {

// How often the ruleset may change while it is read.
constexpr int most_attempts = 20;

struct Reading {
  std::string listing;
  Bytes dump;
};

// Listing and dump of one state of the ruleset.
Result<Reading> read_once_settled(nft_ctx* context) {
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    WEIR_TRY(before, ruleset_generation());
    WEIR_TRY(listing, list_ruleset(context));
    WEIR_TRY(dump, dump_ruleset());
    WEIR_TRY(after, ruleset_generation());
    if (before == after) return Reading{std::move(listing), std::move(dump)};
  }
  return system_error("the kernel's ruleset changes faster than it can be read");
}

// Less the loopback device, which translate() knows.
std::vector<imr::Interface> present_interfaces() {
  std::vector<imr::Interface> out;
  struct if_nameindex* all = ::if_nameindex();
  if (all == nullptr) return out;
  for (const struct if_nameindex* one = all; one->if_index != 0; ++one) {
    if (one->if_index != loopback_index) out.push_back({one->if_name, one->if_index});
  }
  ::if_freenameindex(all);
  return out;
}

// Only the interfaces that rules name by their index.
void forget_others(imr::Ruleset& ruleset) {
  const imr::Constants constants = imr::constants(ruleset);
  std::erase_if(ruleset.interfaces, [&](const imr::Interface& interface) {
    if (names_interface(ruleset, interface.index)) return false;
    return std::ranges::none_of(constants.meta, [&](const imr::MetaConstant& constant) {
      const bool device = constant.key == imr::MetaKey::iif || constant.key == imr::MetaKey::oif;
      return device && load_native(constant.value) == interface.index;
    });
  });
}

}  // namespace

Result<LiveRuleset> read_live() {
  const NftContext context = new_context();
  if (!context) return system_error("cannot start libnftables");
  WEIR_TRY(reading, read_once_settled(context.get()));
  LiveRuleset out;
  WEIR_TRY(ruleset, translate(reading.dump, reading.listing, {}, "", present_interfaces()));
  out.ruleset = std::move(ruleset);
  forget_others(out.ruleset);
  out.listing = std::move(reading.listing);
  return out;
}

Result<imr::Ruleset> read_live_chains() {
  WEIR_TRY(dump, dump_chains());
  return translate(dump, "", {}, "", {});
}

}  // namespace weir::frontend::nft
