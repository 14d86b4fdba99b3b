// SPDX-License-Identifier: BSD-2-Clause
//
// Which form a set takes, and that each form answers for its members, their neighbours, the ends
// and the middles of its intervals, and the ends of the key space.
#include "backend/sets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <set>

#include "packet/builder.h"
#include "unit/backend/support.h"
#include "unit/passes/unit_generator.h"

namespace weir::test {
namespace {

using backend::SetForm;

struct Shape {
  std::size_t key_size;
  std::size_t elements;
  bool interval;
  SetForm form;
};

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.elements << (shape.interval ? " intervals of " : " values of ") << shape.key_size
       << " bytes";
}

imr::Set set_of(const Shape& shape) {
  imr::Set set{.name = "s", .key_size = static_cast<std::uint16_t>(shape.key_size)};
  set.interval = shape.interval;
  for (std::size_t i = 0; i < shape.elements; ++i) {
    Bytes key(shape.key_size);
    const Bytes tail = big_endian_bytes(2 * i, std::min<std::size_t>(shape.key_size, 8));
    std::ranges::copy_backward(tail, key.end());
    Bytes last = key;
    if (shape.interval) ++last.back();
    set.elements.push_back({.key = key, .last = last, .verdict = {}});
  }
  return set;
}

// The bounds between the forms.
TEST(SetForms, GoByNumberKindAndSize) {
  for (const Shape& shape : {Shape{4, 0, false, SetForm::code},
                             {8, 64, true, SetForm::code},
                             {8, 65, true, SetForm::sorted_array},
                             {8, 65, false, SetForm::hash},
                             {9, 16, true, SetForm::code},
                             {9, 17, true, SetForm::lpm_trie},
                             {9, 17, false, SetForm::hash},
                             {1, 65, true, SetForm::sorted_array},
                             {64, 17, false, SetForm::hash}}) {
    EXPECT_EQ(backend::set_form(set_of(shape)), shape.form) << testing::PrintToString(shape);
  }
}

// An interval set whose elements are all single values needs no search for intervals.
TEST(SetForms, SingleValuesAreHashedEvenInIntervalSets) {
  imr::Set set = set_of({4, 100, false, SetForm::hash});
  set.interval = true;
  EXPECT_EQ(backend::set_form(set), SetForm::hash);
}

// ---- Answers ------------------------------------------------------------------------------------

struct Range {
  Bytes first;
  Bytes last;
};

Bytes step(Bytes key, bool up) {
  for (std::size_t i = key.size(); i-- > 0;) {
    if (up ? ++key[i] != 0 : key[i]-- != 0) break;
  }
  return key;  // of the first key, and of the last one, the other end of the space
}

// Ranges that ascend and never touch, the ends of the key space among them.
std::vector<Range> random_ranges(const Shape& shape, Random& random) {
  std::set<Bytes> bounds = {Bytes(shape.key_size, 0), Bytes(shape.key_size, 0xff)};
  const std::size_t wanted = shape.interval ? 2 * shape.elements : shape.elements;
  while (bounds.size() < wanted) {
    // Keys that share bytes, so that prefixes of all lengths occur.
    Bytes key = *std::next(bounds.begin(), static_cast<std::ptrdiff_t>(random() % bounds.size()));
    for (std::size_t i = random() % shape.key_size; i < shape.key_size; ++i) {
      key[i] = static_cast<std::uint8_t>(random() % 4 == 0 ? random() % 4 * 85 : random());
    }
    bounds.insert(key);
  }
  std::vector<Range> ranges;
  for (auto at = bounds.begin(); at != bounds.end(); ++at) {
    const Bytes first = *at;
    if (shape.interval) ++at;
    ranges.push_back({first, *at});
  }
  return ranges;
}

std::string element_text(const Range& range) {
  if (range.first == range.last) return to_hex(range.first);
  return to_hex(range.first) + "-" + to_hex(range.last);
}

packet::Packet with_key(const Bytes& key) {
  return packet::build({.network = packet::Ipv4{}, .payload = key});
}

// The chain, with one rule in which $ stands for the load of the key.
std::string rest_of_unit(std::size_t key_size, const std::string& rule) {
  const std::size_t place = rule.find('$');
  return "chain ip t c hook forward priority 0 policy drop\nrule " + rule.substr(0, place) +
         "payload network 20 " + std::to_string(key_size) + rule.substr(place + 1) + "\n";
}

std::string set_text(const Shape& shape, const std::string& elements, bool map) {
  return std::string("unit netfilter:forward ipv4 roots ip t c\ntable ip t\n") +
         (map ? "map" : "set") + " ip t s type " + std::to_string(shape.key_size) +
         (shape.interval ? " interval" : "") + " { " + elements + " }\n";
}

class Sets : public testing::TestWithParam<Shape> {
 protected:
  // All keys that are worth asking for.
  static std::vector<Bytes> questions(const std::vector<Range>& ranges) {
    std::vector<Bytes> keys;
    for (const Range& range : ranges) {
      for (const Bytes& key : {range.first, range.last}) {
        keys.insert(keys.end(), {key, step(key, true), step(key, false)});
      }
    }
    return keys;
  }
};

TEST_P(Sets, KnowTheirMembers) {
  Random random(1);
  const std::vector<Range> ranges = random_ranges(GetParam(), random);
  std::string elements;
  for (const Range& range : ranges)
    elements += (elements.empty() ? "" : ", ") + element_text(range);
  const std::string start = set_text(GetParam(), elements, false);
  Compiled program = compile(start + rest_of_unit(GetParam().key_size, "match $ in @s accept"));
  Compiled inverted =
      compile(start + rest_of_unit(GetParam().key_size, "match $ not in @s accept"));
  for (const Bytes& key : questions(ranges)) {
    const bool member = std::ranges::any_of(
        ranges, [&](const Range& range) { return range.first <= key && key <= range.last; });
    EXPECT_EQ(told(program, with_key(key)), member ? "accept by #0, matched #0" : "drop by policy")
        << to_hex(key);
    EXPECT_EQ(told(inverted, with_key(key)), member ? "drop by policy" : "accept by #0, matched #0")
        << to_hex(key);
  }
  const Bytes short_of_one(GetParam().key_size - 1);
  EXPECT_EQ(told(inverted, with_key(short_of_one)), "drop by policy") << "no key, no answer";
}

TEST_P(Sets, AnswerAsMaps) {
  Random random(2);
  const std::vector<Range> ranges = random_ranges(GetParam(), random);
  static constexpr std::array verdicts = {"accept", "continue", "drop", "return"};
  for (const bool catch_all : {false, true}) {
    std::string elements;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      elements += (i == 0 ? "" : ", ") + element_text(ranges[i]) + " : " + verdicts[i % 4];
    }
    if (catch_all) elements += ", * : accept";
    const std::string text = set_text(GetParam(), elements, true) +
                             rest_of_unit(GetParam().key_size, "vmap $ @s accept") +
                             "rule accept\n";
    const imr::Unit unit = parse_unit(text);
    Compiled program = compile(text);
    for (const Bytes& key : questions(ranges)) {
      EXPECT_EQ(told(program, with_key(key)), meant(unit, with_key(key))) << to_hex(key);
    }
  }
}

TEST_P(Sets, GiveData) {
  Random random(3);
  const std::vector<Range> ranges = random_ranges(GetParam(), random);
  const std::size_t data_size = 1 + GetParam().elements % 9;
  const auto data = [&](std::size_t i) {
    Bytes bytes = native_bytes(i * 2654435761U, 8);
    bytes.push_back(static_cast<std::uint8_t>(i));
    bytes.resize(data_size);
    return to_hex(bytes);
  };
  for (const bool catch_all : {false, true}) {
    std::string elements;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      elements += (i == 0 ? "" : ", ") + element_text(ranges[i]) + " : " + data(i);
    }
    if (catch_all) elements += ", * : " + data(777);
    std::string text = "unit netfilter:forward ipv4 roots ip t c\ntable ip t\nmap ip t s type " +
                       std::to_string(GetParam().key_size) + " to type " +
                       std::to_string(data_size) + (GetParam().interval ? " interval" : "") +
                       " { " + elements + " }\nchain ip t c hook forward priority 0 policy drop\n";
    const std::string value =
        "lookup(payload network 20 " + std::to_string(GetParam().key_size) + ", @s)";
    for (std::size_t bit = 0; bit < 4; ++bit) {
      Bytes mask(data_size);
      mask[bit % data_size] = static_cast<std::uint8_t>(1U << bit);
      text += "rule match (" + value + " & " + to_hex(mask) + ") == " + to_hex(mask) + "\n";
    }
    text += "rule match " + value + " >= " + data(1) + "\n";
    const imr::Unit unit = parse_unit(text);
    Compiled program = compile(text);
    for (const Bytes& key : questions(ranges)) {
      EXPECT_EQ(told(program, with_key(key)), meant(unit, with_key(key))) << to_hex(key);
    }
  }
}

// The map that the form stands for is there.
TEST_P(Sets, BecomeTheMapOfTheirForm) {
  Random random(1);
  std::string elements;
  for (const Range& range : random_ranges(GetParam(), random)) {
    elements += (elements.empty() ? "" : ", ") + element_text(range);
  }
  const std::string text = set_text(GetParam(), elements, false) +
                           rest_of_unit(GetParam().key_size, "match $ in @s accept");
  EXPECT_EQ(backend::set_form(parse_unit(text).ruleset.sets.front()), GetParam().form);
  const Compiled program = compile(text);
  const auto& maps = program.object().maps;
  const auto found = std::ranges::find(maps, "s", &isa::MapSpec::name);
  if (GetParam().form == SetForm::code) {
    EXPECT_EQ(found, maps.end());
    return;
  }
  ASSERT_NE(found, maps.end());
  EXPECT_EQ(found->type, GetParam().form == SetForm::hash           ? isa::MapType::hash
                         : GetParam().form == SetForm::sorted_array ? isa::MapType::array
                                                                    : isa::MapType::lpm_trie);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Sets,
    testing::Values(
        Shape{1, 3, false, SetForm::code}, Shape{2, 64, false, SetForm::code},
        Shape{3, 20, true, SetForm::code}, Shape{8, 64, true, SetForm::code},
        Shape{12, 16, true, SetForm::code}, Shape{16, 16, false, SetForm::code},
        Shape{1, 70, false, SetForm::hash}, Shape{2, 65, false, SetForm::hash},
        Shape{6, 200, false, SetForm::hash}, Shape{8, 100, false, SetForm::hash},
        Shape{9, 17, false, SetForm::hash}, Shape{16, 300, false, SetForm::hash},
        Shape{20, 40, false, SetForm::hash}, Shape{1, 70, true, SetForm::sorted_array},
        Shape{2, 65, true, SetForm::sorted_array}, Shape{4, 128, true, SetForm::sorted_array},
        Shape{7, 129, true, SetForm::sorted_array}, Shape{8, 300, true, SetForm::sorted_array},
        Shape{9, 17, true, SetForm::lpm_trie}, Shape{12, 40, true, SetForm::lpm_trie},
        Shape{16, 100, true, SetForm::lpm_trie}, Shape{20, 30, true, SetForm::lpm_trie}));

// ---- Concatenations with intervals --------------------------------------------------------------

struct Fields {
  std::vector<std::size_t> sizes;
  std::size_t elements;
  SetForm form;
};

void PrintTo(const Fields& fields, std::ostream* out) {
  *out << fields.elements << " elements of fields of";
  for (const std::size_t size : fields.sizes) *out << " " << size;
}

class ConcatenatedSets : public testing::TestWithParam<Fields> {
 protected:
  // Intervals of all kinds that overlap: single values, small ranges, prefixes, everything.
  static std::pair<Bytes, Bytes> interval(std::size_t size, Random& random) {
    Bytes first(size);
    for (std::uint8_t& byte : first) byte = static_cast<std::uint8_t>(random() % 3 * 85);
    first.back() = static_cast<std::uint8_t>(random());
    Bytes last = first;
    switch (random() % 4) {
      case 0:
        return {first, last};
      case 1:
        last.back() = static_cast<std::uint8_t>(last.back() | 7);
        return {first, last};
      case 2: {
        const std::size_t fixed = random() % (size + 1);
        std::fill(first.begin() + static_cast<std::ptrdiff_t>(fixed), first.end(), 0);
        std::fill(last.begin() + static_cast<std::ptrdiff_t>(fixed), last.end(), 0xff);
        return {first, last};
      }
      default:
        last.front() = static_cast<std::uint8_t>(last.front() | 0x1f);
        return {first, last};
    }
  }

  static std::string header(const Fields& fields) {
    std::size_t key_size = 0;
    std::string text;
    for (const std::size_t size : fields.sizes) {
      key_size += imr::padded_size(size);
      text += " " + std::to_string(size);
    }
    return std::to_string(key_size) + " fields" + text;
  }

  // The elements, and keys at their corners and one step beside them in each field.
  void SetUp() override {
    Random random(GetParam().elements);
    for (std::size_t i = 0; i < GetParam().elements; ++i) {
      std::vector<std::pair<Bytes, Bytes>> ends;
      Bytes first;
      Bytes last;
      for (const std::size_t size : GetParam().sizes) {
        ends.push_back(interval(size, random));
        first.insert(first.end(), ends.back().first.begin(), ends.back().first.end());
        last.insert(last.end(), ends.back().second.begin(), ends.back().second.end());
        first.resize(imr::padded_size(first.size()));
        last.resize(imr::padded_size(last.size()));
      }
      elements_.push_back(to_hex(first) + "-" + to_hex(last));
      if (i % (1 + GetParam().elements / 100) != 0) continue;
      for (std::size_t field = 0; field < ends.size(); ++field) {
        for (const bool upper : {false, true}) {
          for (const int steps : {-1, 0, 1}) {
            Bytes key;
            for (std::size_t j = 0; j < ends.size(); ++j) {
              Bytes part = random() % 2 == 0 ? ends[j].first : ends[j].second;
              if (j == field) part = upper ? ends[j].second : ends[j].first;
              if (j == field && steps != 0) part = step(part, steps > 0);
              key.insert(key.end(), part.begin(), part.end());
              // What stands in the padding must not matter.
              while (key.size() % 4 != 0) key.push_back(static_cast<std::uint8_t>(random() % 2));
            }
            keys_.push_back(std::move(key));
          }
        }
      }
    }
  }

  void judge(const std::string& text) {
    const imr::Unit unit = parse_unit(text);
    EXPECT_EQ(backend::set_form(unit.ruleset.sets.front()), GetParam().form);
    Compiled program = compile(text);
    for (const Bytes& key : keys_) {
      EXPECT_EQ(told(program, with_key(key)), meant(unit, with_key(key))) << to_hex(key);
    }
  }

  std::vector<std::string> elements_;
  std::vector<Bytes> keys_;
};

TEST_P(ConcatenatedSets, LookAtEachField) {
  std::string elements;
  for (const std::string& element : elements_) elements += (elements.empty() ? "" : ", ") + element;
  const std::string load = std::to_string(keys_.front().size());
  judge("unit netfilter:forward ipv4 roots ip t c\ntable ip t\nset ip t s type " +
        header(GetParam()) + " interval { " + elements +
        " }\nchain ip t c hook forward priority 0 policy drop\n"
        "rule match payload network 20 " +
        load + " in @s\nrule match payload network 20 " + load + " not in @s\n");
}

TEST_P(ConcatenatedSets, TheFirstElementDecides) {
  static constexpr std::array verdicts = {"accept", "continue", "drop", "return"};
  std::string elements;
  std::string values;
  for (std::size_t i = 0; i < elements_.size(); ++i) {
    const std::string comma = i == 0 ? "" : ", ";
    elements += comma + elements_[i] + " : " + verdicts[i % 4];
    values += comma + elements_[i] + " : " + to_hex(big_endian_bytes(i, 2));
  }
  const std::string load = std::to_string(keys_.front().size());
  judge("unit netfilter:forward ipv4 roots ip t c\ntable ip t\nmap ip t s type " +
        header(GetParam()) + " interval { " + elements + ", * : accept }\nmap ip t d type " +
        header(GetParam()) + " to type 2 interval { " + values +
        " }\nchain ip t c hook forward priority 0 policy drop\n"
        "rule match lookup(payload network 20 " +
        load + ", @d) < 0x0003\nrule match (lookup(payload network 20 " + load +
        ", @d) & 0x0001) == 0x0001\nrule vmap payload network 20 " + load + " @s\n");
}

INSTANTIATE_TEST_SUITE_P(
    Forms, ConcatenatedSets,
    testing::Values(Fields{{4, 2}, 16, SetForm::code}, Fields{{16, 1, 2}, 12, SetForm::code},
                    Fields{{4, 2}, 17, SetForm::classes}, Fields{{4, 2}, 300, SetForm::classes},
                    Fields{{4, 4, 2, 1}, 60, SetForm::classes},
                    Fields{{16, 2}, 100, SetForm::classes}, Fields{{6, 12}, 40, SetForm::classes},
                    Fields{{8, 3, 16}, 30, SetForm::classes}));

// Where sets want more maps than a program may have, they stand together.
TEST(SetMaps, AreFewForManySets) {
  std::string sets;
  std::string rules;
  for (int i = 0; i < 60; ++i) {
    const bool interval = i % 3 == 0;
    const bool wide = i % 5 == 0;
    std::string elements;
    for (unsigned j = 0; j < 70; ++j) {
      Bytes key = big_endian_bytes(1000U * static_cast<unsigned>(i % 7) + 3 * j, 2);
      Bytes last = key;
      if (interval) ++last.back();
      key.resize(wide ? 10 : 2);
      last.resize(wide ? 10 : 2, 0xff);
      elements += (j == 0 ? "" : ", ") + to_hex(key) + (key == last ? "" : "-" + to_hex(last)) +
                  " : " + to_hex(big_endian_bytes(static_cast<unsigned>(i) * j % 256, 1));
    }
    const std::string name = "m" + std::to_string(i);
    const std::string size = wide ? "10" : "2";
    sets += "map ip t " + name + " x " + size + " to y 1" + (interval || wide ? " interval" : "") +
            " { " + elements + " }\n";
    rules += "rule match lookup(payload network 20 " + size + ", @" + name + ") == 0x20\n";
  }
  const std::string text = "unit netfilter:forward ipv4 roots ip t c\ntable ip t\n" + sets +
                           "chain ip t c hook forward priority 0 policy drop\n" + rules;
  const imr::Unit unit = parse_unit(text);
  Compiled program = compile(text);
  EXPECT_LE(program.object().maps.size(), 10U);
  for (unsigned value = 0; value < 7000; value += 7) {
    Bytes key = big_endian_bytes(value, 2);
    key.resize(10);
    EXPECT_EQ(told(program, with_key(key)), meant(unit, with_key(key))) << to_hex(key);
  }
}

// Sets of the same contents, whatever their names, share one map.
TEST(SetMaps, AreSharedByEqualSets) {
  std::string elements;
  for (unsigned i = 0; i < 70; ++i) {
    elements += (i == 0 ? "" : ", ") + to_hex(big_endian_bytes(i, 4));
  }
  const Compiled program =
      compile("unit netfilter:forward ipv4 roots ip t c\ntable ip t\nset ip t s ipv4_addr 4 { " +
              elements + " }\nset ip t r ipv4_addr 4 { " + elements +
              " }\nchain ip t c hook forward priority 0 policy drop\n"
              "rule match payload network 12 4 in @s accept\n"
              "rule match payload network 16 4 in @r accept\n");
  EXPECT_EQ(std::ranges::count(program.object().maps, isa::MapType::hash, &isa::MapSpec::type), 1);
}

// Two rules that ask one set share its map.
TEST(SetMaps, AreSharedByTheirRules) {
  std::string elements;
  for (int i = 0; i < 70; ++i) {
    elements += (i == 0 ? "" : ", ") + to_hex(big_endian_bytes(static_cast<unsigned>(i), 4));
  }
  const Compiled program = compile(
      "unit netfilter:forward ipv4 roots ip t c\ntable ip t\nset ip t s ipv4_addr 4 { " + elements +
      " }\nchain ip t c hook forward priority 0 policy drop\n"
      "rule match payload network 12 4 in @s accept\n"
      "rule match payload network 16 4 in @s accept\n");
  EXPECT_EQ(std::ranges::count(program.object().maps, "s", &isa::MapSpec::name), 1);
}

}  // namespace
}  // namespace weir::test
