// SPDX-License-Identifier: BSD-2-Clause
//
// Changes of sets while programs use them: before the change of version the old set answers,
// behind it the new one, for every form and kind of set.
#include "backend/set_update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "packet/builder.h"
#include "unit/backend/support.h"

namespace weir::test {
namespace {

struct Kind {
  const char* name;
  std::size_t key_size;
  const char* declaration;  // behind the key size
  bool interval;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

// Elements `from` to `to`, of which every third is there.
std::string elements(const Kind& kind, unsigned from, unsigned to, const std::string& value) {
  std::string out;
  for (unsigned i = from; i < to; ++i) {
    Bytes first = big_endian_bytes(3 * i, 2);
    Bytes last = big_endian_bytes(3 * i + (kind.interval ? 1 : 0), 2);
    first.resize(kind.key_size);
    last.resize(kind.key_size);
    out += (out.empty() ? "" : ", ") + to_hex(first) + (first == last ? "" : "-" + to_hex(last));
    if (value == "verdict") out += i % 3 == 0 ? " : accept" : i % 3 == 1 ? " : drop" : " : return";
    if (value == "data") out += " : " + to_hex(big_endian_bytes(i * 7 % 256, 1));
  }
  return out;
}

std::string unit_of(const Kind& kind, const std::string& value, unsigned from, unsigned to) {
  const std::string size = std::to_string(kind.key_size);
  const std::string load = "payload network 20 " + size;
  std::string text = "unit netfilter:forward ipv4 roots ip t c\ntable ip t\n" +
                     std::string(value.empty() ? "set" : "map") + " ip t s type " + size +
                     kind.declaration + (value == "data" ? " to type 1" : "") +
                     (kind.interval ? " interval" : "") + " { " + elements(kind, from, to, value) +
                     " }\nchain ip t c hook forward priority 0 policy drop\nrule ";
  if (value.empty()) return text + "match " + load + " in @s\n";
  if (value == "verdict") return text + "vmap " + load + " @s\nrule accept\n";
  return text + "match lookup(" + load + ", @s) < 0x40\n";
}

class SetUpdates : public testing::TestWithParam<Kind> {
 protected:
  void expect_same(Compiled& program, const imr::Unit& unit) {
    for (unsigned value = 0; value < 200; ++value) {
      Bytes key = big_endian_bytes(value, 2);
      key.resize(GetParam().key_size);
      const packet::Packet packet = packet::build({.network = packet::Ipv4{}, .payload = key});
      ASSERT_EQ(told(program, packet), meant(unit, packet)) << to_hex(key);
    }
  }

  void judge(const std::string& value) {
    struct Extent {
      unsigned from;
      unsigned to;
    };
    constexpr std::array<Extent, 5> steps = {{{1, 20}, {5, 60}, {0, 0}, {0, 7}, {30, 33}}};
    imr::Unit before = parse_unit(unit_of(GetParam(), value, steps[0].from, steps[0].to));
    Result<Compiled> program = Compiled::make({before}, {.updatable_sets = true});
    ASSERT_TRUE(program) << program.error().text();
    const std::vector<backend::UpdatableSet> sets = program->sets().updatable();
    ASSERT_EQ(sets.size(), 1U);
    expect_same(*program, before);
    for (std::uint32_t version = 0; version + 1 < steps.size(); ++version) {
      const Extent& step = steps[version + 1];
      imr::Unit after = parse_unit(unit_of(GetParam(), value, step.from, step.to));
      const auto update =
          backend::set_update(sets[0], before.ruleset.sets[0], after.ruleset.sets[0], version % 2);
      ASSERT_TRUE(update) << update.error().text();
      for (const backend::MapWrite& write : update->prepare) program->write(write);
      expect_same(*program, before);
      program->write(update->change);
      expect_same(*program, after);
      for (const backend::MapWrite& write : update->clean_up) program->write(write);
      expect_same(*program, after);
      before = std::move(after);
    }
  }
};

TEST_P(SetUpdates, ChangeMembers) {
  judge("");
}
TEST_P(SetUpdates, ChangeVerdicts) {
  judge("verdict");
}
TEST_P(SetUpdates, ChangeData) {
  judge("data");
}

TEST_P(SetUpdates, AreRefusedWhereTheCodeHasNoAnswer) {
  const imr::Unit before = parse_unit(unit_of(GetParam(), "", 0, 4));
  Result<Compiled> program = Compiled::make({before}, {.updatable_sets = true});
  ASSERT_TRUE(program) << program.error().text();
  const backend::UpdatableSet set = program->sets().updatable().front();
  imr::Set after = before.ruleset.sets[0];
  after.catch_all = imr::Element{};
  const auto caught = backend::set_update(set, before.ruleset.sets[0], after, 0);
  ASSERT_FALSE(caught);
  EXPECT_EQ(
      caught.error().message,
      "the catch-all element of set s is part of the code; the rules have to be applied anew");
  const imr::Unit large = parse_unit(unit_of(GetParam(), "", 0, 2000));
  const auto full = backend::set_update(set, before.ruleset.sets[0], large.ruleset.sets[0], 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message,
            "set s has no room for so many elements; the rules have to be applied anew");
}

INSTANTIATE_TEST_SUITE_P(Kinds, SetUpdates,
                         testing::Values(Kind{"hash", 4, "", false},
                                         Kind{"concatenation", 8, " fields 2 3", false},
                                         Kind{"intervals", 4, "", true},
                                         Kind{"wide intervals", 12, "", true},
                                         Kind{"intervals of fields", 8, " fields 2 3", true}));

// ---- Many sets ----------------------------------------------------------------------------------

// 70 sets of one port each, into which two rules look, the second to drop.
std::string unit_of_many(std::size_t changed) {
  std::string sets;
  std::string rules;
  for (std::size_t i = 0; i < 70; ++i) {
    const std::string name = "s" + std::to_string(i);
    sets += "set ip t " + name + " type 2 { " +
            to_hex(big_endian_bytes(i == changed ? 5000 : 1000 + i, 2)) + " }\n";
    rules += "rule match payload network 20 2 in @" + name + "\n";
    rules += "rule match payload network 20 2 in @" + name + " drop\n";
  }
  return "unit netfilter:forward ipv4 roots ip t c\ntable ip t\n" + sets +
         "chain ip t c hook forward priority 0 policy accept\n" + rules;
}

TEST(ManySets, ChangeEachByItsOwnBit) {
  const imr::Unit before = parse_unit(unit_of_many(70));
  Result<Compiled> program = Compiled::make({before}, {.updatable_sets = true});
  ASSERT_TRUE(program) << program.error().text();
  const auto sets = program->sets().updatable();
  ASSERT_EQ(sets.size(), 70U);
  const auto packet = [](std::size_t port) {
    return packet::build({.network = packet::Ipv4{}, .payload = big_endian_bytes(port, 2)});
  };
  for (const std::size_t changed : {0U, 1U, 63U, 64U, 69U}) {
    const imr::Unit after = parse_unit(unit_of_many(changed));
    const auto set =
        std::ranges::find(sets, "s" + std::to_string(changed), &backend::UpdatableSet::name);
    const auto update =
        backend::set_update(*set, before.ruleset.sets[changed], after.ruleset.sets[changed], 0);
    ASSERT_TRUE(update) << update.error().text();
    for (const backend::MapWrite& write : update->prepare) program->write(write);
    program->write(update->change);
    for (std::size_t i = 0; i < 70; ++i) {
      ASSERT_EQ(told(*program, packet(1000 + i)), meant(after, packet(1000 + i))) << i;
    }
    ASSERT_EQ(told(*program, packet(5000)), meant(after, packet(5000)));
    program->write({.kind = backend::MapWrite::Kind::bit,
                    .map = update->change.map,
                    .key = update->change.key,
                    .value = {0},
                    .offset = update->change.offset});
  }
}

TEST(ManySets, SayOnceAProgramWhichVersionsCount) {
  const Compiled program = compile(unit_of_many(70), {.updatable_sets = true});
  const isa::Object& object = program.object();
  std::size_t reads = 0;
  for (const isa::Relocation& relocation : object.programs.at(0).relocations) {
    const auto* value = std::get_if<isa::MapValueReference>(&relocation.what);
    if (value != nullptr && object.maps.at(value->map.index()).name == "set_versions") ++reads;
  }
  EXPECT_EQ(reads, 2U) << "of 64 sets each";
}

// ---- Marks --------------------------------------------------------------------------------------

TEST(Marks, AreWrittenForRulesBehindAndForTheStack) {
  const std::string text =
      "unit tc:egress ipv4 roots ip t c\ntable ip t\n"
      "map ip t m ipv4_addr 4 to mark 4 { 0x0a000001 : 0x05000000, 0x0a000002 : 0x06000000 }\n"
      "chain ip t c hook postrouting priority 0 policy drop\n"
      "rule match meta mark == 0x07000000\n"
      "rule write meta mark lookup(payload network 12 4, @m)\n"
      "rule match meta mark == 0x05000000\n"
      "rule match meta mark == 0x05000000 write meta mark (meta mark ^ 0x00ff0000)\n"
      "rule match meta mark == 0x05ff0000 accept\n";
  const imr::Unit unit = parse_unit(text);
  Compiled program = compile(text, {.imr_passes = true});
  for (std::uint8_t host = 1; host <= 3; ++host) {
    for (const std::uint32_t mark : {0U, 5U, 7U, 0xff05U}) {
      packet::Packet packet = packet::build(
          {.link = packet::Ethernet{}, .network = packet::Ipv4{.source = {10, 0, 0, host}}});
      packet.mark = mark;
      const imr::Outcome expected = imr::evaluate(unit, packet);
      EXPECT_EQ(told(program, packet), describe(expected)) << +host << " " << mark;
      EXPECT_EQ(program.mark(), expected.mark.value_or(mark)) << +host << " " << mark;
    }
  }
}

}  // namespace
}  // namespace weir::test
