// SPDX-License-Identifier: BSD-2-Clause
#include "backend/set_encoding.h"

#include <algorithm>
#include <bit>

namespace weir::backend {
namespace {

constexpr std::uint64_t no_element = 0xffffffff;

void put(Bytes& out, std::uint64_t value, std::size_t size) {
  const Bytes bytes = native_bytes(value, size);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void pad(Bytes& out, std::size_t size) {
  if (out.size() < size) out.resize(size, 0);
}

// `used` rows, filled up to a power of two of at least `room`: `fill` writes
// row i, which for i of `used` and above stands in for none.
template <typename Fill>
Rows make_rows(std::size_t used, std::size_t room, std::size_t row_bytes, const Fill& fill) {
  const std::size_t wanted = std::max<std::size_t>({used, room, 1});
  Rows rows{.count = static_cast<std::uint32_t>(std::bit_ceil(wanted)),
            .size = static_cast<std::uint32_t>(std::bit_ceil(row_bytes)),
            .bytes = {}};
  rows.bytes.reserve(std::size_t{rows.count} * rows.size);
  for (std::size_t row = 0; row < rows.count; ++row) {
    fill(rows.bytes, row);
    pad(rows.bytes, (row + 1) * rows.size);
  }
  return rows;
}

// Behind the last element stand copies of it; a set of none has rows that no
// key is in.
Rows sorted_rows(const imr::Set& set, const Answers& answers, std::size_t room) {
  const std::size_t used = set.elements.size();
  return make_rows(used, room, 32, [&](Bytes& out, std::size_t row) {
    const std::size_t i = used == 0 ? 0 : std::min(row, used - 1);
    put(out, used == 0 ? ~std::uint64_t{0} : load_big_endian(set.elements[i].key), 8);
    put(out, used == 0 ? 0 : load_big_endian(set.elements[i].last), 8);
    put(out, used == 0 ? 0 : answers.of(i), 8);
  });
}

Rows class_rows(const std::vector<Wide>& starts, std::size_t field_size, std::size_t room) {
  const bool is_wide = field_size > 8;
  return make_rows(starts.size(), room, is_wide ? 32 : 16, [&](Bytes& out, std::size_t row) {
    const std::size_t i = std::min(row, starts.size() - 1);
    put(out, starts[i][0], 8);
    if (is_wide) put(out, starts[i][1], 8);
    put(out, i, 8);
  });
}

// The search ends at the first row that can bring no better element, a row of
// none at the latest.
Rows tuple_rows(const std::vector<FieldClasses::Tuple>& tuples, std::size_t room) {
  constexpr std::size_t row_size = 4 + imr::max_value_size / 4;
  return make_rows(tuples.size(), room, row_size, [&](Bytes& out, std::size_t row) {
    put(out, row < tuples.size() ? tuples[row].first_element : no_element, 4);
    if (row >= tuples.size()) return;
    for (const std::uint8_t shift : tuples[row].shifts) put(out, shift, 1);
  });
}

Rows data_rows(const std::vector<Bytes>& data, std::size_t size, std::size_t room) {
  return make_rows(data.size(), room, size, [&](Bytes& out, std::size_t row) {
    if (row < data.size()) out.insert(out.end(), data[row].begin(), data[row].end());
  });
}

Bytes key_bytes(const SetPlace& place, std::uint32_t number, ByteView key) {
  Bytes out;
  if (place.numbered) put(out, number, 4);
  out.insert(out.end(), key.begin(), key.end());
  pad(out, place.key_size);
  return out;
}

std::vector<isa::MapEntry> hash_entries(const imr::Set& set, const Answers& answers,
                                        const SetPlace& place, std::uint32_t number) {
  const std::size_t value_size = entry_value_size(set, SetForm::hash);
  std::vector<isa::MapEntry> entries;
  entries.reserve(set.elements.size());
  for (std::size_t i = 0; i < set.elements.size(); ++i) {
    Bytes value =
        set.is_data_map() ? set.elements[i].data : native_bytes(answers.of(i), value_size);
    pad(value, value_size);
    entries.push_back({key_bytes(place, number, set.elements[i].key), std::move(value)});
  }
  return entries;
}

std::vector<isa::MapEntry> trie_entries(const imr::Set& set, const Answers& answers,
                                        const SetPlace& place, std::uint32_t number) {
  const std::uint32_t number_bits = place.numbered ? 32 : 0;
  std::vector<isa::MapEntry> entries;
  for (std::size_t i = 0; i < set.elements.size(); ++i) {
    for (const Prefix& prefix : prefixes_of(set.elements[i].key, set.elements[i].last)) {
      Bytes key = native_bytes(prefix.length + number_bits, 4);
      const Bytes rest = key_bytes(place, number, prefix.data);
      key.insert(key.end(), rest.begin(), rest.end());
      entries.push_back({std::move(key), native_bytes(answers.of(i), 4)});
    }
  }
  return entries;
}

}  // namespace

std::uint32_t entry_value_size(const imr::Set& set, SetForm form) {
  if (form == SetForm::classes) return 8;
  const bool data = form == SetForm::hash && set.is_data_map();
  return data ? static_cast<std::uint32_t>(imr::padded_size(set.data_size)) : 4;
}

std::uint16_t plain_key_size(const imr::Set& set, SetForm form) {
  if (form != SetForm::classes) return set.key_size;
  return static_cast<std::uint16_t>(4 * (1 + set.field_sizes.size()));
}

Result<SetBytes> encode(const imr::Set& set, const Answers& answers, const SetPlace& place,
                        std::uint32_t number, const SetRoom& room) {
  SetBytes out;
  if (set.is_data_map() && place.form != SetForm::hash && place.form != SetForm::code) {
    out.data = data_rows(answers.data, set.data_size, room.elements);
  }
  switch (place.form) {
    case SetForm::code:
      return out;
    case SetForm::hash:
      out.entries = hash_entries(set, answers, place, number);
      return out;
    case SetForm::sorted_array:
      out.sorted = sorted_rows(set, answers, room.elements);
      return out;
    case SetForm::lpm_trie:
      out.entries = trie_entries(set, answers, place, number);
      return out;
    case SetForm::classes:
      break;
  }
  WEIR_TRY(divided, divide(set));
  for (std::size_t i = 0; i < divided.starts.size(); ++i) {
    out.fields.push_back(class_rows(divided.starts[i], set.field_sizes[i], room.field_rows));
  }
  out.tuples = tuple_rows(divided.tuples, room.tuples);
  out.entries.reserve(divided.entries.size());
  for (const FieldClasses::Entry& entry : divided.entries) {
    Bytes key = native_bytes(entry.tuple, 4);
    for (const std::uint32_t one : entry.classes) put(key, one, 4);
    Bytes value = native_bytes(entry.element, 4);
    put(value, answers.of(entry.element), 4);
    out.entries.push_back({key_bytes(place, number, key), std::move(value)});
  }
  return out;
}

}  // namespace weir::backend
