// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/missing_links.h"

#include <net/if.h>

#include <algorithm>
#include <optional>

#include "frontend/nft/interface_index.h"
#include "frontend/nft/links.h"
#include "frontend/nft/named_interfaces.h"

namespace weir::frontend::nft {
namespace {

constexpr std::uint32_t first_made_up_index = 1000000;

std::optional<std::uint32_t> own_index(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return std::nullopt;
  return index;
}

// The link to make for an interface that the script names, beside those `known` already.
Result<imr::Interface> choose_link(const std::string& name, const Options& options,
                                   const std::vector<imr::Interface>& known) {
  const auto taken = [&known](std::uint32_t index) {
    return std::ranges::any_of(known,
                               [index](const imr::Interface& i) { return i.index == index; });
  };
  std::optional<std::uint32_t> index =
      options.interface_index ? options.interface_index(name) : own_index(name);
  if (!index) {
    index = first_made_up_index;
    while (taken(*index)) ++*index;
  }
  if (name.size() >= IFNAMSIZ) {
    return input_error("interface name '" + name + "' is longer than 15 characters");
  }
  if (*index <= loopback_index || *index >= first_peer_index) {
    return input_error("interface '" + name + "' cannot have the index " + std::to_string(*index));
  }
  if (taken(*index)) {
    return input_error("two interfaces with the index " + std::to_string(*index) +
                       ", one of them '" + name + "'");
  }
  return imr::Interface{name, *index};
}

}  // namespace

Result<std::vector<imr::Interface>> missing_links(const std::vector<NftError>& errors,
                                                  const Request& request, const Options& options) {
  const auto says = [&errors](std::string_view text) {
    return std::ranges::any_of(errors, [text](const NftError& e) { return e.text == text; });
  };
  std::vector<std::string> names = missing_interfaces(errors);
  const auto append = [&names](std::vector<std::string> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  if (request.json && says(no_interface)) append(interfaces_in_json(request.script));
  if (says(no_device)) append(named_devices(request.script, request.json));

  std::vector<imr::Interface> known = request.links;
  for (const std::string& name : names) {
    const bool made = std::ranges::any_of(
        known, [&name](const imr::Interface& link) { return link.name == name; });
    if (made) continue;
    WEIR_TRY(link, choose_link(name, options, known));
    known.push_back(link);
  }
  known.erase(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(request.links.size()));
  return known;
}

}  // namespace weir::frontend::nft
