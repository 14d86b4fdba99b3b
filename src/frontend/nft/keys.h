// SPDX-License-Identifier: BSD-2-Clause
//
// The keys of nf_tables' expressions meta and ct, as the IMR has them, and why it lacks others.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/hook.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// By enum nft_meta_keys of linux/netfilter/nf_tables.h.
[[nodiscard]] std::optional<imr::MetaKey> meta_key(std::uint32_t key);
// By enum nft_ct_keys; the family is the table's.
[[nodiscard]] std::optional<imr::CtKey> ct_key(std::uint32_t key, Family family);

// Why no program can know the key; nothing of those that are merely not known yet.
[[nodiscard]] std::string_view never_known(std::uint32_t key);
// The same of what `meta KEY set` does.
[[nodiscard]] std::string_view never_written(std::uint32_t key);
[[nodiscard]] std::string_view never_known_of_connection(std::uint32_t key);

}  // namespace weir::frontend::nft
