// SPDX-License-Identifier: BSD-2-Clause
//
// Random sets over six facts, each beside the table of all 64 packets that there can be.
#include "driver/bdd.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace weir::driver {
namespace {

constexpr unsigned facts = 6;

// Bit p of `table`: whether packet p, whose bit f is fact f, is in the set.
struct Pair {
  Bdd::Set set = Bdd::none;
  std::uint64_t table = 0;
};

Pair having(Bdd& bdd, unsigned fact) {
  Pair out{.set = bdd.having(fact)};
  for (unsigned packet = 0; packet < 64; ++packet) {
    if ((packet >> fact & 1) != 0) out.table |= std::uint64_t{1} << packet;
  }
  return out;
}

std::uint64_t forget(std::uint64_t table, unsigned fact) {
  std::uint64_t out = 0;
  for (unsigned packet = 0; packet < 64; ++packet) {
    const unsigned other = packet ^ 1U << fact;
    if ((table >> packet & 1) != 0 || (table >> other & 1) != 0) out |= std::uint64_t{1} << packet;
  }
  return out;
}

TEST(Bdd, ComputesWhatTheTablesSay) {
  std::mt19937_64 random(1);
  Bdd bdd(100000, 1000000);
  std::vector<Pair> pairs = {{Bdd::none, 0}, {Bdd::all, ~std::uint64_t{0}}};
  for (unsigned fact = 0; fact < facts; ++fact) pairs.push_back(having(bdd, fact));
  for (int round = 0; round < 3000; ++round) {
    const Pair a = pairs[random() % pairs.size()];
    const Pair b = pairs[random() % pairs.size()];
    const Pair c = pairs[random() % pairs.size()];
    pairs.push_back({bdd.choose(a.set, b.set, c.set), (a.table & b.table) | (~a.table & c.table)});
    EXPECT_EQ(bdd.disjoint(a.set, b.set), (a.table & b.table) == 0);
    EXPECT_EQ(bdd.contains(a.set, b.set), (b.table & ~a.table) == 0);
    EXPECT_EQ(bdd.both(a.set, b.set) == bdd.without(a.set, c.set),
              (a.table & b.table) == (a.table & ~c.table))
        << "one set is two numbers, or two sets are one";
    const auto gone = static_cast<unsigned>(random() % facts);
    std::vector<bool> forgotten(facts);
    forgotten[gone] = true;
    pairs.push_back({bdd.forget(a.set, forgotten), forget(a.table, gone)});
  }
  // Equal numbers exactly for equal tables.
  for (std::size_t i = 0; i < 500; ++i) {
    const Pair& a = pairs[random() % pairs.size()];
    const Pair& b = pairs[random() % pairs.size()];
    EXPECT_EQ(a.set == b.set, a.table == b.table);
  }
}

TEST(Bdd, SaysWhenItIsTooMuch) {
  const auto conjunction = [](Bdd& bdd) {
    Bdd::Set out = Bdd::all;
    for (unsigned fact = 0; fact < 1000; ++fact) out = bdd.both(out, bdd.having(fact));
    return out;
  };
  Bdd few_nodes(100, 1000000);
  EXPECT_THROW(static_cast<void>(conjunction(few_nodes)), Bdd::Overflow);
  Bdd few_steps(1000000, 100);
  EXPECT_THROW(static_cast<void>(conjunction(few_steps)), Bdd::Overflow);
}

}  // namespace
}  // namespace weir::driver
