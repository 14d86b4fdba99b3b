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
