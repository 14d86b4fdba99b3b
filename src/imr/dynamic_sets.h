// SPDX-License-Identifier: BSD-2-Clause
//
// Dynamic sets: elements that come and go with packets, that expire, and that keep a limit, a quota
// or a counter each. What rules do with them is net/netfilter/nft_dynset.c and nft_lookup.c over
// nft_set_hash.c (Linux 6.18), with the kernel's ticks made nanoseconds.
//
// A set is full when it has `size` elements, those that have expired and still take their room
// among them. The kernel frees that room once a second, in the background; here it is what a packet
// does that would make an element and finds the set full, at most once a second.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imr/imr.h"
#include "imr/meters.h"

namespace weir::imr {

constexpr std::uint64_t sweep_interval = 1'000'000'000;  // nanoseconds
// Milliseconds: when an element expires fits a word beside the clock (backend/dynamic_sets.h).
constexpr std::uint64_t longest_timeout = (std::uint64_t{1} << 62) / 1'000'000;
// How many elements a set may have that does not say (nft_dynset_init()).
constexpr std::uint32_t default_size = 0xffff;
constexpr std::uint32_t largest_size = 1U << 24;

// Why programs have no such set; empty where they do.
[[nodiscard]] std::string why_not_dynamic(const Set& set);

// Milliseconds from its beginning to its end; 0: it stays.
[[nodiscard]] std::uint64_t timeout_of(const Element& element);

// The words of 8 bytes in which the statements of an element hold what they have: of a limit one
// that means nothing elsewhere, of a quota the bytes that are used, of a counter packets and bytes.
[[nodiscard]] std::size_t words_of(const ElementStatement& statement);
[[nodiscard]] std::size_t words_of(const Dynamics& dynamics);

// The elements of a ruleset's dynamic sets, from packet to packet: what the evaluator goes by.
class ElementMemory {
 public:
  struct Held {
    std::optional<std::uint64_t> expires;  // nanoseconds
    std::uint64_t timeout = 0;             // milliseconds from its beginning; 0: it stays
    Bytes data;
    std::vector<MeterCell> meters;  // one a statement; of counters not used
    std::vector<ElementCounter> counters;

    // As words_of() says; of limits, 0.
    [[nodiscard]] std::vector<std::uint64_t> words(const Dynamics& dynamics) const;
  };

  ElementMemory() = default;
  // With the elements that the sets are written with, at `now`.
  ElementMemory(const Ruleset& ruleset, std::uint64_t now);

  // The element that has the key and has not expired, or nullptr.
  [[nodiscard]] Held* find(SetId set, ByteView key, std::uint64_t now);
  // What nft_dynset_eval() does, up to the statements: the element, nullptr where there is none.
  Held* change(const Ruleset& ruleset, const DynamicSet& change, ByteView key, ByteView data,
               std::uint64_t now);
  // Runs the statements of the element; false where one ends the rule.
  static bool run(const Dynamics& dynamics, Held& element, std::uint64_t now, std::uint64_t bytes);

  // Those of the set that have not expired, by their keys.
  [[nodiscard]] std::map<Bytes, Held> living(SetId set, std::uint64_t now) const;

 private:
  struct Content {
    std::map<Bytes, Held> elements;
    std::optional<std::uint64_t> swept;
  };
  [[nodiscard]] static bool expired(const Held& element, std::uint64_t now);
  [[nodiscard]] static bool has_room(Content& content, const Dynamics& dynamics, std::uint64_t now);

  std::vector<Content> sets_;  // by their ids
};

}  // namespace weir::imr
