// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/keys.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>

namespace weir::frontend::nft {
namespace {

struct CtKeyRow {
  std::uint32_t key;
  imr::CtKey meant;
};

constexpr std::array ct_keys = {
    CtKeyRow{NFT_CT_STATE, imr::CtKey::state},
    CtKeyRow{NFT_CT_DIRECTION, imr::CtKey::direction},
    CtKeyRow{NFT_CT_STATUS, imr::CtKey::status},
    CtKeyRow{NFT_CT_MARK, imr::CtKey::mark},
    CtKeyRow{NFT_CT_HELPER, imr::CtKey::helper},
    CtKeyRow{NFT_CT_L3PROTOCOL, imr::CtKey::l3proto},
    CtKeyRow{NFT_CT_PROTOCOL, imr::CtKey::protocol},
    CtKeyRow{NFT_CT_SRC_IP, imr::CtKey::src_ip},
    CtKeyRow{NFT_CT_DST_IP, imr::CtKey::dst_ip},
    CtKeyRow{NFT_CT_SRC_IP6, imr::CtKey::src_ip6},
    CtKeyRow{NFT_CT_DST_IP6, imr::CtKey::dst_ip6},
    CtKeyRow{NFT_CT_PROTO_SRC, imr::CtKey::proto_src},
    CtKeyRow{NFT_CT_PROTO_DST, imr::CtKey::proto_dst},
    CtKeyRow{NFT_CT_LABELS, imr::CtKey::labels},
    CtKeyRow{NFT_CT_ZONE, imr::CtKey::zone},
    CtKeyRow{NFT_CT_BYTES, imr::CtKey::bytes},
    CtKeyRow{NFT_CT_PKTS, imr::CtKey::packets},
    CtKeyRow{NFT_CT_AVGPKT, imr::CtKey::avgpkt},
};

}  // namespace

std::optional<imr::MetaKey> meta_key(std::uint32_t key) {
  switch (key) {
    case NFT_META_L4PROTO:
      return imr::MetaKey::l4proto;
    case NFT_META_NFPROTO:
      return imr::MetaKey::nfproto;
    case NFT_META_PROTOCOL:
      return imr::MetaKey::protocol;
    case NFT_META_MARK:
      return imr::MetaKey::mark;
    case NFT_META_IIF:
      return imr::MetaKey::iif;
    case NFT_META_OIF:
      return imr::MetaKey::oif;
    case NFT_META_IIFNAME:
      return imr::MetaKey::iifname;
    case NFT_META_OIFNAME:
      return imr::MetaKey::oifname;
    case NFT_META_LEN:
      return imr::MetaKey::length;
    case NFT_META_PKTTYPE:
      return imr::MetaKey::pkttype;
    case NFT_META_IIFTYPE:
      return imr::MetaKey::iiftype;
    case NFT_META_OIFTYPE:
      return imr::MetaKey::oiftype;
    case NFT_META_IIFGROUP:
      return imr::MetaKey::iifgroup;
    case NFT_META_OIFGROUP:
      return imr::MetaKey::oifgroup;
    case NFT_META_IIFKIND:
      return imr::MetaKey::iifkind;
    case NFT_META_OIFKIND:
      return imr::MetaKey::oifkind;
    case NFT_META_PRIORITY:
      return imr::MetaKey::priority;
    case NFT_META_CPU:
      return imr::MetaKey::cpu;
    case NFT_META_SKUID:
      return imr::MetaKey::skuid;
    case NFT_META_SKGID:
      return imr::MetaKey::skgid;
    case NFT_META_CGROUP:
      return imr::MetaKey::cgroup;
    case NFT_META_RTCLASSID:
      return imr::MetaKey::rtclassid;
    case NFT_META_TIME_NS:
      return imr::MetaKey::time;
    case NFT_META_TIME_HOUR:
      return imr::MetaKey::hour;
    default:
      return std::nullopt;
  }
}

std::string_view never_known(std::uint32_t key) {
  switch (key) {
    case NFT_META_TIME_DAY:
      return "days begin by the time zone of the kernel, which no program can find";
    case NFT_META_SECMARK:
      return "security marks mean something to their security module only";
    case NFT_META_SECPATH:
      return "where a packet keeps its transformations differs from kernel to kernel";
    case NFT_META_SDIF:
    case NFT_META_SDIFNAME:
      return "programs do not see the VRF that a packet came through";
    case NFT_META_BRI_IIFNAME:
    case NFT_META_BRI_OIFNAME:
    case NFT_META_BRI_IIFPVID:
    case NFT_META_BRI_IIFVPROTO:
      return "programs do not see the bridge of a port";
    default:
      return {};
  }
}

std::string_view never_written(std::uint32_t key) {
  if (key == NFT_META_NFTRACE) return "what it switches on is a trace of the kernel's own rules";
  return never_known(key);
}

// Addresses of no family are those of the table's; inet tables have either.
std::optional<imr::CtKey> ct_key(std::uint32_t key, Family family) {
  if (key == NFT_CT_SRC || key == NFT_CT_DST) {
    const bool source = key == NFT_CT_SRC;
    if (family == Family::ip) return source ? imr::CtKey::src_ip : imr::CtKey::dst_ip;
    if (family == Family::ip6) return source ? imr::CtKey::src_ip6 : imr::CtKey::dst_ip6;
    return std::nullopt;
  }
  const auto row = std::ranges::find(ct_keys, key, &CtKeyRow::key);
  if (row == ct_keys.end()) return std::nullopt;
  return row->meant;
}

std::string_view never_known_of_connection(std::uint32_t key) {
  switch (key) {
    case NFT_CT_EXPIRATION:
      return "connections expire by the kernel's own ticks";
    case NFT_CT_ID:
      return "ids of connections are made with a secret of the kernel";
    case NFT_CT_SRC:
    case NFT_CT_DST:
      return "the address may be of IPv4 or IPv6, as the connection is";
    case NFT_CT_SECMARK:
      return "security marks mean something to their security module only";
    default:
      return {};
  }
}

}  // namespace weir::frontend::nft
