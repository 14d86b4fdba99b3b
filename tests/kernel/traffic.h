// SPDX-License-Identifier: BSD-2-Clause
//
// What the judges that attach send: packets directed at a ruleset's constants, packets whose bytes
// lie mostly outside of the linear part, and flows that connection tracking knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::test {

struct Sent {
  Bytes bytes;               // from the network header on
  std::uint16_t linear = 0;  // as in Tun::write()
  bool back = false;         // from the second device to the first
};

[[nodiscard]] std::vector<Sent> directed_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                                 std::mt19937_64& random);
// The same, made too long for one page, and with few bytes in the linear part.
[[nodiscard]] std::vector<Sent> nonlinear_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                                  std::mt19937_64& random);
// At least `count` packets of whole flows, out of step with one another: handshakes, teardowns and
// resets, queries and answers, fragments, errors about known and unknown flows, and packets that
// belong to none.
[[nodiscard]] std::vector<Sent> flow_traffic(std::size_t count, std::mt19937_64& random);

// Appends bytes to an IP packet and to the length in its header. False, and nothing done, where the
// length is not that of the bytes, or they are as many already.
[[nodiscard]] bool lengthen(Bytes& packet, std::size_t size);

// Whether the packet is a fragment: by the IPv4 header, or by a fragment header (of atomic
// fragments too) in the IPv6 chain.
[[nodiscard]] bool is_fragment(ByteView packet);

}  // namespace weir::test
