// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/objects.h"

#include <linux/netfilter/nf_tables.h>

namespace weir::frontend::nft {

imr::MeterState meter_of(const LimitAttributes& limit) {
  // Where nothing else counts as a burst, five packets do (NFT_LIMIT_PKT_BURST_DEFAULT).
  constexpr std::uint32_t default_burst = 5;
  const bool bytes = limit.type == NFT_LIMIT_PKT_BYTES;
  imr::MeterState out{
      .kind = bytes ? imr::MeterState::Kind::byte_rate : imr::MeterState::Kind::packet_rate,
      .over = (limit.flags & NFT_LIMIT_F_INV) != 0,
      .amount = limit.rate,
      .unit = limit.unit,
      .burst = limit.burst};
  if (!bytes && out.burst == 0) out.burst = default_burst;
  return out;
}

imr::MeterState quota_of(std::uint64_t bytes, std::uint64_t used, std::uint32_t flags) {
  return {.kind = imr::MeterState::Kind::quota,
          .over = (flags & NFT_QUOTA_F_INV) != 0,
          .amount = bytes,
          .used = used};
}

std::optional<imr::MeterState> meter_of(const nftnl_obj* object) {
  // libnftnl takes objects that it only reads as what it may change.
  auto* source = const_cast<nftnl_obj*>(object);
  switch (nftnl_obj_get_u32(source, NFTNL_OBJ_TYPE)) {
    case NFT_OBJECT_LIMIT:
      return meter_of(LimitAttributes{.rate = nftnl_obj_get_u64(source, NFTNL_OBJ_LIMIT_RATE),
                                      .unit = nftnl_obj_get_u64(source, NFTNL_OBJ_LIMIT_UNIT),
                                      .burst = nftnl_obj_get_u32(source, NFTNL_OBJ_LIMIT_BURST),
                                      .type = nftnl_obj_get_u32(source, NFTNL_OBJ_LIMIT_TYPE),
                                      .flags = nftnl_obj_get_u32(source, NFTNL_OBJ_LIMIT_FLAGS)});
    case NFT_OBJECT_QUOTA:
      return quota_of(nftnl_obj_get_u64(source, NFTNL_OBJ_QUOTA_BYTES),
                      nftnl_obj_get_u64(source, NFTNL_OBJ_QUOTA_CONSUMED),
                      nftnl_obj_get_u32(source, NFTNL_OBJ_QUOTA_FLAGS));
    default:
      return std::nullopt;
  }
}

std::optional<imr::CounterState> counter_of(const nftnl_obj* object) {
  auto* source = const_cast<nftnl_obj*>(object);
  if (nftnl_obj_get_u32(source, NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER) return std::nullopt;
  return imr::CounterState{.rule = {},
                           .packets = nftnl_obj_get_u64(source, NFTNL_OBJ_CTR_PKTS),
                           .bytes = nftnl_obj_get_u64(source, NFTNL_OBJ_CTR_BYTES),
                           .name = std::string(nftnl_obj_get_str(source, NFTNL_OBJ_NAME))};
}

}  // namespace weir::frontend::nft
