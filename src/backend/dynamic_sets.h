// SPDX-License-Identifier: BSD-2-Clause
//
// Dynamic sets as hash maps that programs change: net/netfilter/nft_dynset.c and nft_lookup.c.
//
// A key is the set's, a value some words of 8 bytes: when the element expires, in nanoseconds of
// the clock shifted by 2^62, or 0; then one for each limit (backend/meters.h) and quota, two for
// each counter (packets, bytes); then the data of a map; then, of sets with timeouts, the
// milliseconds from the element's beginning to its end, or 0 where it stays. A map never holds more
// than the set may; an element that nobody asks for again gives its room back when a new one finds
// none: all that expired are deleted then, at most once a second.
//
// Who makes an element or makes an expired one anew is decided by the map, or by an exchange of the
// word: another processor that comes at the same time finds it there. What it takes from a limit of
// an expired element in that moment, before it begins anew, is forgotten.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/builder.h"
#include "backend/words.h"
#include "base/error.h"
#include "imr/imr.h"

namespace weir::backend {

// Offsets within a value.
struct ElementLayout {
  std::uint32_t statements = 8;
  std::uint32_t data = 8;
  std::uint32_t timeout = 8;  // of sets with timeouts
  std::uint32_t size = 8;
};
[[nodiscard]] ElementLayout layout_of(const imr::Set& set);
// What the statements of a new element hold.
[[nodiscard]] std::vector<std::uint64_t> first_words(const imr::Dynamics& dynamics);
// The value of an element that a set is written with; `expires` nanoseconds from the start on.
[[nodiscard]] Bytes element_value(const imr::Set& set, const imr::Element& element);

struct DynamicPlace {
  isa::MapIndex map;
  isa::MapIndex sweeps;     // of sets with timeouts: an array whose one value has at
  std::uint64_t swept = 0;  // this offset the time at which expired elements were deleted
};

class DynamicMaps {
 public:
  // Appends a map for each dynamic set that rules of the units use, and one for all of them. An
  // input error where there are too many for one program.
  [[nodiscard]] static Result<std::shared_ptr<const DynamicMaps>> make(
      const std::vector<const imr::Unit*>& units, std::vector<isa::MapSpec>& maps);
  [[nodiscard]] const DynamicPlace& place(const imr::Set& set) const;
  // By table and name.
  [[nodiscard]] const std::map<std::pair<imr::TableId, std::string>, DynamicPlace>& all() const {
    return places_;
  }

 private:
  std::map<std::pair<imr::TableId, std::string>, DynamicPlace> places_;
};

// Code for one set.
class DynamicCode {
 public:
  DynamicCode(Builder& out, const imr::Set& set, const DynamicPlace& place)
      : out_(out), set_(set), place_(place), dynamics_(*set.dynamic) {}

  // The address of the element that has the key and has not expired; goes on in a new block, or
  // leaves to `missing`.
  [[nodiscard]] flow::Reg find(const Words& key, flow::BlockId missing);
  // The data of a map's element.
  [[nodiscard]] Words data_of(flow::Reg element);
  // Runs the statements of the element; leaves to `fail` where one ends the rule. `length` are the
  // packet's bytes.
  void run(flow::Reg element, flow::Reg length, flow::BlockId fail);
  // The element, made where there was none; leaves to `full` where none can be made.
  [[nodiscard]] flow::Reg change(const imr::DynamicSet& change, const Words& key, const Words& data,
                                 flow::BlockId full);
  void remove(const Words& key);

 private:
  struct Times {
    flow::Reg now;
    flow::Reg fresh;    // when a new element expires
    flow::Reg renewed;  // and one whose time begins anew
  };
  [[nodiscard]] std::vector<flow::Reg> chunks(const Words& words, std::size_t size);
  [[nodiscard]] flow::Reg now();
  [[nodiscard]] Times times(std::uint64_t lasts);  // milliseconds; 0: for good
  void look_up(flow::Reg element, const std::vector<flow::Reg>& key);
  [[nodiscard]] flow::Reg insert(const std::vector<flow::Reg>& key,
                                 const std::vector<flow::Reg>& value);
  // Behind an insertion that found no room: goes on where another one may find some.
  void make_room(flow::Reg now, flow::BlockId full);
  // What becomes of an element that was there.
  void revive(flow::Reg element, const Times& times, bool update,
              const std::vector<flow::Reg>& value);
  [[nodiscard]] flow::Reg word_at(flow::Reg element, std::uint64_t offset);
  void put_at(flow::Reg element, std::uint64_t offset, flow::Reg value);

  Builder& out_;
  const imr::Set& set_;
  const DynamicPlace& place_;
  const imr::Dynamics& dynamics_;
};

}  // namespace weir::backend
