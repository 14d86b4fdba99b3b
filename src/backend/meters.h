// SPDX-License-Identifier: BSD-2-Clause
//
// Limits, quotas and sequences as code over words of 8 bytes, one a meter, that all programs and
// processors share: nft_limit_eval(), nft_overquota() and nft_ng_inc_gen() of the kernel without
// their locks, and without a try that may fail again and again.
//
// A limit's bucket and the time that it was looked at are one number: the time at which a bucket
// that fills on and on would have been empty. A packet that takes from the bucket adds its cost in
// nanoseconds. Where another processor was faster and left too little, the packet takes back what
// it added. That number begins so early that the bucket is full, and is brought up to that by
// compare and exchange: who fails in this has seen another bring it there. Times are shifted by
// 2^62, so that 0 is early enough and no comparison needs a sign.
#pragma once

#include "backend/builder.h"
#include "imr/imr.h"

namespace weir::backend {

// The map of the words, an array of one element, with what they begin with; behind them words that
// nobody uses, so that there are a power of two.
[[nodiscard]] isa::MapSpec meter_words(const SharedList<imr::MeterState>& meters);

// Where a meter's word is: in that map, or at an address.
struct MeterPlace {
  isa::MapIndex map;         // not valid: at the address
  flow::Reg address;         // in a value of a map
  std::uint64_t offset = 0;  // bytes
};
[[nodiscard]] MeterPlace place_of(isa::MapIndex words, imr::MeterId id);
// Of the meter whose number is in the register: `meters` are all.
[[nodiscard]] MeterPlace place_of(Builder& out, isa::MapIndex words, flow::Reg number,
                                  const SharedList<imr::MeterState>& meters);

// Takes from the limit or quota. Goes on in a new block for packets that it lets through; others
// go to `fail`. `length` are the packet's bytes.
void take(Builder& out, const MeterPlace& place, const imr::MeterState& meter, flow::Reg length,
          flow::BlockId fail);

// The next number of the sequence.
[[nodiscard]] flow::Reg next_number(Builder& out, const MeterPlace& place,
                                    const imr::MeterState& meter);

}  // namespace weir::backend
