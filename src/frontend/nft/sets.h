// SPDX-License-Identifier: BSD-2-Clause
//
// nf_tables sets and maps to imr::Set.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "frontend/nft/netlink.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// Finds a chain of the set's table by name.
using FindChain = std::function<imr::ChainId(const std::string&)>;

// Finds the place of a named object (enum nft_object) among those of its type and table that rules
// may choose from (imr::Choice); no value where it is none of them. Not there: it finds none.
using FindObject =
    std::function<std::optional<std::uint32_t>(std::uint32_t type, const std::string& name)>;

// The type of the objects (enum nft_object) that a map holds places of; no value where it is no map
// to objects.
[[nodiscard]] std::optional<std::uint32_t> object_type(const imr::Set& set);

// The set without its elements; native_reason is filled in where its kind is not translated yet.
[[nodiscard]] imr::Set describe_set(const nftnl_set* set, imr::TableId table);

// An element as the kernel lists it: of an interval, each end is one; of a concatenation with
// intervals, both ends stand in one.
struct RawElement {
  Bytes key;
  Bytes last;                 // of concatenations with intervals
  bool interval_end = false;  // the first key behind an interval
  std::optional<imr::Verdict> verdict;
  Bytes data;
  std::uint64_t expires = 0;        // as imr::Element
  std::uint64_t timeout = 0;        // the same
  std::vector<std::uint64_t> held;  // the same
};

// Reads the elements of one message into `raw` and set.catch_all; what cannot be translated becomes
// set.native_reason.
void read_elements(nftnl_set* message, const FindChain& find_chain, const FindObject& find_object,
                   imr::Set& set, std::vector<RawElement>& raw);

// The elements of the set: ordered, the ends of intervals joined. Those of a concatenation with
// intervals keep their order, which is that of the kernel's search.
[[nodiscard]] std::vector<imr::Element> join_elements(std::vector<RawElement> raw,
                                                      const imr::Set& set);

// Of a dynamic set that does not say how many elements it may have, and gets no other ones from
// rules: room for twice as many as it has.
void make_room(imr::Set& set);

// The verdict of an nf_tables verdict code (enum nft_verdicts, NF_DROP, NF_ACCEPT, NF_QUEUE); no
// value for codes that rules cannot hold.
[[nodiscard]] std::optional<imr::Verdict> to_verdict(std::uint32_t code, const char* chain,
                                                     const FindChain& find_chain);

}  // namespace weir::frontend::nft
