// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/ranges.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "imr/dynamic_sets.h"

namespace weir::frontend::nft {
namespace {

// Each end as a register holds it.
Bytes both_ends(const imr::Element& element) {
  const std::size_t half = imr::padded_size(element.key.size());
  Bytes out = element.key;
  out.resize(half);
  out.insert(out.end(), element.last.begin(), element.last.end());
  out.resize(2 * half);
  return out;
}

// Whether a key is in both.
bool overlap(const imr::Element& a, const imr::Element& b,
             const std::vector<std::uint8_t>& fields) {
  std::size_t at = 0;
  for (const std::uint8_t size : fields) {
    if (std::memcmp(a.last.data() + at, b.key.data() + at, size) < 0 ||
        std::memcmp(b.last.data() + at, a.key.data() + at, size) < 0) {
      return false;
    }
    at += imr::padded_size(size);
  }
  return true;
}

// Elements of one field never do.
bool have_overlaps(const imr::Set& set) {
  if (!set.has_interval_fields()) return false;
  std::vector<const imr::Element*> elements;
  for (const imr::Element& element : set.elements) elements.push_back(&element);
  std::ranges::sort(elements, {}, [](const imr::Element* element) { return element->key; });
  const std::size_t first = set.field_sizes.front();
  for (std::size_t i = 0; i < elements.size(); ++i) {
    for (std::size_t k = i + 1; k < elements.size(); ++k) {
      if (std::memcmp(elements[i]->last.data(), elements[k]->key.data(), first) < 0) break;
      if (overlap(*elements[i], *elements[k], set.field_sizes)) return true;
    }
  }
  return false;
}

}  // namespace

std::string why_not_dynamic(const imr::Set& set) {
  if (!set.dynamic) return {};
  imr::Set plain = set;
  plain.interval = false;
  if (plain.dynamic->size == 0) plain.dynamic->size = imr::default_size;
  if (set.interval && 2 * imr::padded_size(set.key_size) > imr::max_value_size) {
    return "intervals of more than 32 bytes have no time and no state in a program";
  }
  return imr::why_not_dynamic(plain);
}

imr::Set divide(imr::Set& set) {
  imr::Set map;
  map.table = set.table;
  map.name = set.name + " ranges";
  map.anonymous = true;
  map.interval = true;
  map.key_type = set.key_type;
  map.key_size = set.key_size;
  map.field_sizes = set.field_sizes;
  map.data_type = set.key_type + " . " + set.key_type;
  map.data_size = static_cast<std::uint16_t>(2 * imr::padded_size(set.key_size));
  if (have_overlaps(set)) {
    map.native_reason = "elements that overlap have no time and no state in a program";
    set.native_reason = map.native_reason;
    set.dynamic.reset();
    set.elements = {};
    return map;
  }
  std::vector<imr::Element> intervals;
  std::vector<imr::Element> elements;
  for (const imr::Element& element : set.elements) {
    const Bytes ends = both_ends(element);
    intervals.push_back({.key = element.key, .last = element.last, .verdict = {}, .data = ends});
    elements.push_back({.key = ends,
                        .last = ends,
                        .verdict = {},
                        .data = element.data,
                        .expires = element.expires,
                        .held = element.held,
                        .timeout = element.timeout});
  }
  std::ranges::sort(elements, {}, &imr::Element::key);
  map.elements = std::move(intervals);
  set.elements = std::move(elements);
  set.interval = false;
  set.dynamic->ranges = true;
  if (set.field_sizes.empty()) set.field_sizes = {static_cast<std::uint8_t>(set.key_size)};
  const std::vector<std::uint8_t> fields = set.field_sizes;
  set.field_sizes.insert(set.field_sizes.end(), fields.begin(), fields.end());
  set.key_size = map.data_size;
  return map;
}

void add_nowhere(imr::Set& map) {
  // An interval that ends before it begins.
  Bytes ends(map.data_size, 0);
  std::fill_n(ends.begin(), map.key_size, std::uint8_t{0xff});
  map.catch_all = imr::Element{.key = {}, .last = {}, .verdict = {}, .data = std::move(ends)};
}

}  // namespace weir::frontend::nft
