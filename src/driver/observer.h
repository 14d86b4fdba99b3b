// SPDX-License-Identifier: BSD-2-Clause
//
// Programs that run within an observer, which notes what a packet really was at their hook and what
// the program said of it, and lets no packet go on: for `weir test` in a scratch namespace.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "driver/compile.h"
#include "isa/program.h"

namespace weir::driver {

// What the observer noted since its value was zero; of several packets, of the last.
struct Observation {
  std::uint32_t runs = 0;
  std::uint32_t verdict = 0;  // what the program returned
  std::uint32_t length = 0;   // of `bytes` and all that did not fit
  std::uint32_t mark = 0;     // this and what follows: not of XDP, but for the input device
  std::uint32_t pkttype = 0;
  std::uint32_t iif = 0;
  std::uint32_t oif = 0;
  bool vlan_present = false;  // TC and packet sockets
  std::uint32_t vlan_tci = 0;
  std::uint32_t vlan_protocol = 0;  // as the kernel stores it, big-endian
  std::uint64_t connection = 0;     // skb->_nfct: a pointer and enum ip_conntrack_info
  std::uint32_t left_mark = 0;      // by the program; not of netfilter and XDP
  Bytes bytes;                      // from the program's first header on
};

// The object with each program as a function that its observer calls, and one more map, an array
// of one element. The programs return the hook's drop, whatever the function returned.
struct Observed {
  isa::Object object;
  isa::MapIndex observation;
};
[[nodiscard]] Observed observed(const Compilation& compilation);

// Bytes of an element of the map.
[[nodiscard]] std::size_t observation_size();
[[nodiscard]] Observation read_observation(ByteView element);

}  // namespace weir::driver
