// SPDX-License-Identifier: BSD-2-Clause
#include "classify/run_sources.h"

#include <algorithm>
#include <variant>

#include "base/bytes.h"
#include "imr/identity.h"

namespace weir::classify {
namespace {

constexpr std::size_t most_fields = 12;

// Whether a field can say that a packet has no such value: it has one bit more for that.
bool has_room(const imr::Unit& unit, imr::ExprId expr, std::size_t size) {
  return size <= 7 || always_there(unit, expr);
}

// Nothing of an interval of more than 8 bytes that is no range in each of its fields.
std::optional<Ranges> ranges_of(const Interval& interval, std::size_t size) {
  const Bytes from = filled(interval.first, size, 0);
  const Bytes to = filled(interval.last, size, 0xff);
  Ranges out;
  bool open = false;  // a field before has more than one value: this one has to have all
  for (std::size_t at = 0; at < size; at += 8) {
    const std::size_t part = std::min<std::size_t>(8, size - at);
    const Range range{load_big_endian(ByteView(from).subspan(at, part)),
                      load_big_endian(ByteView(to).subspan(at, part))};
    const auto bits = static_cast<unsigned>(8 * part);
    const Range all{0, prefix_mask(bits, bits)};
    if (open && range != all) return std::nullopt;
    open = open || range.first != range.last;
    out.push_back(range);
  }
  return out;
}

// The interval of some bytes of a value, where it is one of these bytes and one of the others.
Interval part_of(const Interval& interval, std::size_t offset, std::size_t size) {
  const auto cut = [&](const Bytes& bytes) {
    const auto at = [&](std::size_t place) {
      return bytes.begin() + static_cast<std::ptrdiff_t>(std::min(place, bytes.size()));
    };
    return Bytes(at(offset), at(offset + size));
  };
  return {cut(interval.first), cut(interval.last)};
}

// Whether the interval is one of the bytes before `at` and one of those from there on.
bool can_be_cut(const Interval& interval, std::size_t at) {
  const Interval front = part_of(interval, 0, at);
  if (front.first == front.last) return true;
  const Interval back = part_of(interval, at, interval.first.size());
  return std::ranges::all_of(back.first, [](std::uint8_t byte) { return byte == 0; }) &&
         std::ranges::all_of(back.last, [](std::uint8_t byte) { return byte == 0xff; });
}

}  // namespace

// Where in the network header a value begins that every packet has.
std::optional<std::size_t> Sources::network_offset(imr::ExprId expr) const {
  if (const auto* payload = std::get_if<imr::Payload>(&unit_.ruleset[expr])) {
    if (payload->base != imr::HeaderBase::network || !always_there(unit_, expr)) return {};
    return payload->offset;
  }
  const auto* meta = std::get_if<imr::Meta>(&unit_.ruleset[expr]);
  const bool protocol = meta != nullptr && meta->key == imr::MetaKey::l4proto;
  if (!protocol || unit_.nfproto != Nfproto::ipv4) return std::nullopt;
  return 9;  // the header's protocol (nft_set_pktinfo_ipv4())
}

// Bytes of the network header that are always there are the beginning of longer ones at the same
// place: nft loads three bytes of an address to test a prefix of 24 bits.
bool Sources::holds(const RunSource& source, const TestedValue& value) const {
  if (source.set != value.set) return false;
  if (imr::same_expr(unit_.ruleset, source.expr, value.expr)) return true;
  if (source.set.valid()) return false;
  const auto have = network_offset(source.expr);
  return have && have == network_offset(value.expr);
}

const RunSource* Sources::find(const TestedValue& value) const {
  const auto found =
      std::ranges::find_if(sources_, [&](const RunSource& source) { return holds(source, value); });
  return found == sources_.end() || found->size < value.size ? nullptr : &*found;
}

void Sources::add(const Test& test) {
  for (std::size_t i = 0; i < test.values.size(); ++i) {
    const TestedValue& value = test.values[i];
    if (sources_.size() > most_fields) return;
    auto source =
        std::ranges::find_if(sources_, [&](const RunSource& one) { return holds(one, value); });
    if (source == sources_.end()) {
      source = sources_.insert(source, {.expr = value.expr, .size = value.size, .set = value.set});
    } else if (source->size < value.size) {
      source->expr = value.expr;
      source->size = value.size;
    }
    if (value.set.valid() || !std::holds_alternative<imr::Payload>(unit_.ruleset[value.expr])) {
      continue;
    }
    for (std::size_t at = 1; at < value.size; ++at) {
      if ((source->cuts >> at & 1U) == 0) continue;
      const bool can =
          std::ranges::all_of(test.boxes, [&](const Box& box) { return can_be_cut(box[i], at); });
      if (!can) source->cuts &= ~(1U << at);
    }
  }
}

// nft makes one value of bytes that stand side by side and are asked for by one rule ("tcp sport 1
// tcp dport 2"), where others ask for each by itself. Whoever has the last byte has all.
std::vector<std::size_t> Sources::parts_of(std::size_t source) const {
  const RunSource& whole = sources_[source];
  const auto* bytes = std::get_if<imr::Payload>(&unit_.ruleset[whole.expr]);
  if (bytes == nullptr || whole.set.valid()) return {};
  std::vector<std::size_t> out;
  const std::size_t end = bytes->offset + bytes->length;
  for (std::size_t at = bytes->offset; at < end;) {
    const bool can = at == bytes->offset || (whole.cuts >> (at - bytes->offset) & 1U) != 0;
    const auto part = std::ranges::find_if(sources_, [&](const RunSource& other) {
      const auto* there = std::get_if<imr::Payload>(&unit_.ruleset[other.expr]);
      return other.size < whole.size && there != nullptr && !other.set.valid() &&
             there->base == bytes->base && there->in_later_fragments == bytes->in_later_fragments &&
             there->offset == at && at + there->length <= end && other.parts.empty();
    });
    if (!can || part == sources_.end()) return {};
    out.push_back(static_cast<std::size_t>(part - sources_.begin()));
    at += part->size;
  }
  return out;
}

bool Sources::make_fields() {
  if (sources_.size() > most_fields) return false;
  // Wide ones first: tables are told by them, and they fill words.
  std::ranges::stable_sort(sources_, std::ranges::greater{}, &RunSource::size);
  for (std::size_t i = sources_.size(); i-- > 0;) sources_[i].parts = parts_of(i);
  for (RunSource& source : sources_) {
    if (!source.parts.empty()) continue;
    if (!has_room(unit_, source.expr, source.size)) return false;
    const bool may_be_absent = !always_there(unit_, source.expr);
    source.first_field = fields_.size();
    for (std::size_t offset = 0; offset < source.size; offset += 8) {
      fields_.push_back(
          {.expr = source.expr,
           .offset = static_cast<std::uint8_t>(offset),
           .size = static_cast<std::uint8_t>(std::min<std::size_t>(8, source.size - offset)),
           .may_be_absent = may_be_absent,
           .set = source.set});
    }
  }
  return !fields_.empty() && fields_.size() <= most_fields;
}

bool Sources::append_ranges(const RunSource& source, const Interval& interval,
                            std::vector<FieldRange>& out) const {
  std::size_t offset = 0;
  for (const std::size_t part : source.parts) {
    if (!append_ranges(sources_[part], part_of(interval, offset, sources_[part].size), out)) {
      return false;
    }
    offset += sources_[part].size;
  }
  if (!source.parts.empty()) return true;
  const auto ranges = ranges_of(interval, source.size);
  if (!ranges) return false;
  for (std::size_t i = 0; i < ranges->size(); ++i) {
    out.push_back({source.first_field + i, (*ranges)[i]});
  }
  return true;
}

std::optional<std::vector<Sources::FieldRange>> Sources::ranges(const TestedValue& value,
                                                                const Interval& interval) const {
  std::vector<FieldRange> out;
  const RunSource* const source = find(value);
  if (source == nullptr || !append_ranges(*source, interval, out)) return std::nullopt;
  return out;
}

bool is_told(const imr::Unit& unit, const Test& test) {
  return std::ranges::all_of(
             test.values,
             [&](const TestedValue& value) { return has_room(unit, value.expr, value.size); }) &&
         std::ranges::all_of(test.boxes, [](const Box& box) {
           return std::ranges::all_of(box, [](const Interval& interval) {
             return ranges_of(interval, interval.first.size()).has_value();
           });
         });
}

}  // namespace weir::classify
