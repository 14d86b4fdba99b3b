// SPDX-License-Identifier: BSD-2-Clause
#include "backend/set_contents.h"

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <unordered_set>

namespace weir::backend {
namespace {

void set_bits_from(Bytes& bytes, std::size_t index, bool value) {
  for (std::size_t i = index; i < bytes.size() * 8; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> (i % 8));
    bytes[i / 8] = static_cast<std::uint8_t>(value ? bytes[i / 8] | mask : bytes[i / 8] & ~mask);
  }
}

// By halving the space from `prefix` (all of whose keys start with its bits) downwards.
void cover(const Bytes& first, const Bytes& last, Prefix prefix, std::vector<Prefix>& out) {
  Bytes highest = prefix.data;
  set_bits_from(highest, prefix.length, true);
  if (highest < first || last < prefix.data) return;
  if (first <= prefix.data && highest <= last) {
    out.push_back(std::move(prefix));
    return;
  }
  Prefix upper = prefix;
  upper.data[prefix.length / 8] |= static_cast<std::uint8_t>(0x80 >> (prefix.length % 8));
  ++prefix.length;
  ++upper.length;
  cover(first, last, std::move(prefix), out);
  cover(first, last, std::move(upper), out);
}

// The next larger value; false behind the last one of `size` bytes.
bool advance(Wide& value, std::size_t size) {
  const std::size_t low_bytes = size > 8 ? size - 8 : size;
  const std::uint64_t low_max = low_bytes == 8 ? ~std::uint64_t{0} : (1ULL << (8 * low_bytes)) - 1;
  std::uint64_t& low = size > 8 ? value[1] : value[0];
  if (low != low_max) {
    ++low;
    return true;
  }
  low = 0;
  return size > 8 && ++value[0] != 0;
}

struct Block {
  std::uint8_t shift = 0;
  std::uint32_t number = 0;  // of its first class, shifted
};

// Aligned blocks that make up the classes [from, to].
std::vector<Block> blocks_of(std::uint32_t from, std::uint32_t to) {
  std::vector<Block> out;
  for (std::uint64_t at = from; at <= to;) {
    unsigned shift = at == 0 ? 31U : static_cast<unsigned>(std::countr_zero(at));
    while (shift > 0 && at + (1ULL << shift) - 1 > to) --shift;
    out.push_back({static_cast<std::uint8_t>(shift), static_cast<std::uint32_t>(at >> shift)});
    at += 1ULL << shift;
  }
  return out;
}

struct FieldPlace {
  std::size_t offset = 0;
  std::size_t size = 0;
};

std::vector<FieldPlace> fields_of(const imr::Set& set) {
  std::vector<FieldPlace> out;
  std::size_t at = 0;
  for (const std::size_t size : set.field_sizes) {
    out.push_back({at, size});
    at += imr::padded_size(size);
  }
  return out;
}

class Division {
 public:
  explicit Division(const imr::Set& set) : set_(set), fields_(fields_of(set)) {}

  Result<FieldClasses> run() {
    for (const FieldPlace& field : fields_) {
      if (field.size <= widest_class_field) continue;
      return input_error("set " + set_.name + " has a field of more than 16 bytes with intervals");
    }
    for (const FieldPlace& field : fields_) out_.starts.push_back(starts(field));
    for (std::size_t i = 0; i < set_.elements.size(); ++i) {
      if (!add(static_cast<std::uint32_t>(i))) {
        return input_error("the intervals of set " + set_.name +
                           " overlap too irregularly for a table of their classes");
      }
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::vector<Wide> starts(const FieldPlace& field) const {
    std::vector<Wide> out = {Wide{0, 0}};
    for (const imr::Element& element : set_.elements) {
      out.push_back(wide(ByteView(element.key).subspan(field.offset, field.size)));
      Wide behind = wide(ByteView(element.last).subspan(field.offset, field.size));
      if (advance(behind, field.size)) out.push_back(behind);
    }
    std::ranges::sort(out);
    const auto repeated = std::ranges::unique(out);
    out.erase(repeated.begin(), repeated.end());
    return out;
  }

  // The class of a value of field `i`.
  [[nodiscard]] std::uint32_t class_of(std::size_t i, const Bytes& key) const {
    const Wide value = wide(ByteView(key).subspan(fields_[i].offset, fields_[i].size));
    const std::vector<Wide>& starts = out_.starts[i];
    return static_cast<std::uint32_t>(std::ranges::upper_bound(starts, value) - starts.begin() - 1);
  }

  bool add(std::uint32_t index) {
    const imr::Element& element = set_.elements[index];
    std::vector<std::vector<Block>> blocks;
    std::size_t combinations = 1;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      blocks.push_back(blocks_of(class_of(i, element.key), class_of(i, element.last)));
      combinations *= blocks.back().size();
      if (out_.entries.size() + combinations > most_class_entries) return false;
    }
    std::vector<std::size_t> at(fields_.size(), 0);
    for (std::size_t done = 0; done < combinations; ++done) {
      if (!enter(index, blocks, at)) return false;
      for (std::size_t i = 0; i < at.size() && ++at[i] == blocks[i].size(); ++i) at[i] = 0;
    }
    return true;
  }

  bool enter(std::uint32_t index, const std::vector<std::vector<Block>>& blocks,
             const std::vector<std::size_t>& at) {
    std::vector<std::uint8_t> shifts;
    std::vector<std::uint32_t> classes;
    for (std::size_t i = 0; i < at.size(); ++i) {
      shifts.push_back(blocks[i][at[i]].shift);
      classes.push_back(blocks[i][at[i]].number);
    }
    const auto next = static_cast<std::uint32_t>(out_.tuples.size());
    const auto [tuple, fresh] = tuples_.try_emplace(shifts, next);
    if (fresh) out_.tuples.push_back({std::move(shifts), index});
    if (out_.tuples.size() > most_class_tuples) return false;
    std::string key(reinterpret_cast<const char*>(&tuple->second), sizeof(tuple->second));
    key.append(reinterpret_cast<const char*>(classes.data()), classes.size() * sizeof(classes[0]));
    if (seen_.insert(std::move(key)).second) {
      out_.entries.push_back({tuple->second, std::move(classes), index});
    }
    return true;
  }

  const imr::Set& set_;
  std::vector<FieldPlace> fields_;
  std::map<std::vector<std::uint8_t>, std::uint32_t> tuples_;
  std::unordered_set<std::string> seen_;
  FieldClasses out_;
};

}  // namespace

Answers answers_of(const imr::Set& set, std::vector<imr::Verdict> verdicts) {
  Answers out;
  if (set.is_verdict_map) {
    out.verdicts = std::move(verdicts);
    const auto number = [&](const imr::Element& element) {
      invariant(element.verdict.has_value(), "verdict map: an element without a verdict");
      const auto found = std::ranges::find(out.verdicts, *element.verdict);
      const auto at = static_cast<std::uint32_t>(found - out.verdicts.begin());
      if (found == out.verdicts.end()) out.verdicts.push_back(*element.verdict);
      return at;
    };
    out.numbers.reserve(set.elements.size());
    for (const imr::Element& element : set.elements) out.numbers.push_back(number(element));
    if (set.catch_all) (void)number(*set.catch_all);
  } else if (set.is_data_map()) {
    std::map<Bytes, std::uint32_t> known;
    const auto number = [&](const imr::Element& element) {
      const auto [found, fresh] =
          known.try_emplace(element.data, static_cast<std::uint32_t>(out.data.size()));
      if (fresh) out.data.push_back(element.data);
      return found->second;
    };
    out.numbers.reserve(set.elements.size());
    for (const imr::Element& element : set.elements) out.numbers.push_back(number(element));
    if (set.catch_all) (void)number(*set.catch_all);
  }
  return out;
}

std::vector<Prefix> prefixes_of(const Bytes& first, const Bytes& last) {
  std::vector<Prefix> out;
  cover(first, last, {Bytes(first.size(), 0), 0}, out);
  return out;
}

Wide wide(ByteView bytes) {
  if (bytes.size() <= 8) return {load_big_endian(bytes), 0};
  return {load_big_endian(bytes.first(8)), load_big_endian(bytes.subspan(8))};
}

Result<FieldClasses> divide(const imr::Set& set) {
  return Division(set).run();
}

bool is_single(const imr::Element& element) {
  return element.key == element.last;
}

}  // namespace weir::backend
