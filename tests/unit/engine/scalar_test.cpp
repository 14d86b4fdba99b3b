// SPDX-License-Identifier: BSD-2-Clause
//
// The abstract domain against the numbers it stands for: whatever numbers go in, the result of the
// operation on them must fit the abstract result. Random bounds around the interesting places; the
// seed is fixed, so that a failure comes back.
#include "engine/scalar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "engine/arithmetic.h"

namespace weir::engine {
namespace {

using Random = std::mt19937_64;

// Numbers near the ends of 8, 16, 32 and 64 bits, signed and unsigned, and any others.
std::uint64_t number(Random& random) {
  const std::uint64_t near = random() % 5 - 2;
  switch (random() % 4) {
    case 0:
      return near + 2;
    case 1:
      return (std::uint64_t{1} << random() % 64) + near;
    case 2:
      return random() >> random() % 64;
    default:
      return 0 - (random() >> random() % 64);
  }
}

struct Sample {
  Scalar abstract;
  std::uint64_t member = 0;
};

// A number, and some abstract value that it fits.
Sample sample(Random& random) {
  const std::uint64_t member = number(random);
  Scalar abstract;
  const auto fits = [&](Scalar next) { abstract.meet(next); };
  if (random() % 4 == 0) fits(Scalar::constant(member));
  if (random() % 2 == 0) {
    const std::uint64_t other = number(random);
    fits(Scalar::range(std::min(member, other), std::max(member, other)));
  }
  if (random() % 2 == 0) {
    const auto other = static_cast<std::int64_t>(number(random));
    const auto own = static_cast<std::int64_t>(member);
    abstract.signed_at_least(std::min(own, other));
    if (random() % 2 == 0) abstract.signed_at_most(std::max(own, other));
  }
  if (random() % 2 == 0) abstract.with_bits_clear(~member & number(random));
  return {abstract, member};
}

bool fits(const Scalar& abstract, std::uint64_t number) {
  return !abstract.impossible() && abstract.covers(Scalar::constant(number));
}

struct Operation {
  const char* name;
  Scalar (*abstract)(const Scalar&, const Scalar&);
  std::uint64_t (*concrete)(std::uint64_t, std::uint64_t);
};

const std::array operations = {
    Operation{"add", add, arithmetic::add<std::uint64_t>},
    Operation{"sub", sub, arithmetic::sub<std::uint64_t>},
    Operation{"mul", mul, arithmetic::mul<std::uint64_t>},
    Operation{"div", div, arithmetic::div<std::uint64_t>},
    Operation{"mod", mod, arithmetic::mod<std::uint64_t>},
    Operation{"and", bit_and, arithmetic::bit_and<std::uint64_t>},
    Operation{"or", bit_or, arithmetic::bit_or<std::uint64_t>},
    Operation{"xor", bit_xor, arithmetic::bit_xor<std::uint64_t>},
    Operation{"lsh", lsh, arithmetic::lsh<std::uint64_t>},
    Operation{"rsh", rsh, arithmetic::rsh<std::uint64_t>},
    Operation{"arsh", arsh, arithmetic::arsh<std::uint64_t>},
};

constexpr int rounds = 20'000;

TEST(Scalar, OperationsCoverTheirNumbers) {
  Random random(1);
  for (int round = 0; round < rounds; ++round) {
    const Sample a = sample(random);
    const Sample b = sample(random);
    ASSERT_TRUE(fits(a.abstract, a.member)) << a.member << " in " << a.abstract.text();
    for (const Operation& operation : operations) {
      const Scalar result = operation.abstract(a.abstract, b.abstract);
      const std::uint64_t expected = operation.concrete(a.member, b.member);
      ASSERT_TRUE(fits(result, expected))
          << operation.name << " of " << a.member << " (" << a.abstract.text() << ") and "
          << b.member << " (" << b.abstract.text() << "): expected " << expected << " in "
          << result.text();
    }
  }
}

TEST(Scalar, CutsAndExtensionsCoverTheirNumbers) {
  Random random(2);
  for (int round = 0; round < rounds; ++round) {
    const Sample a = sample(random);
    for (const unsigned bits : {8U, 16U, 32U, 64U}) {
      const unsigned spare = 64 - bits;
      const std::uint64_t cut = a.member << spare >> spare;
      const auto extended =
          static_cast<std::uint64_t>(static_cast<std::int64_t>(a.member << spare) >> spare);
      ASSERT_TRUE(fits(truncate(a.abstract, bits), cut))
          << bits << " bits of " << a.member << " (" << a.abstract.text() << ")";
      ASSERT_TRUE(fits(sign_extend(a.abstract, bits), extended))
          << bits << " extended bits of " << a.member << " (" << a.abstract.text() << ")";
    }
  }
}

bool holds(std::uint64_t a, Comparison comparison, std::uint64_t b) {
  switch (comparison) {
    using enum Comparison;
    case eq:
      return a == b;
    case ne:
      return a != b;
    case gt:
      return a > b;
    case ge:
      return a >= b;
    case lt:
      return a < b;
    case le:
      return a <= b;
    case sgt:
      return arithmetic::jsgt(a, b);
    case sge:
      return arithmetic::jsge(a, b);
    case slt:
      return arithmetic::jslt(a, b);
    case sle:
      return arithmetic::jsle(a, b);
    case set:
      return (a & b) != 0;
    case clear:
      return (a & b) == 0;
  }
  return false;
}

TEST(Scalar, ComparisonsKeepTheNumbersForWhichTheyHold) {
  Random random(3);
  for (int round = 0; round < rounds; ++round) {
    const Sample a = sample(random);
    Sample b = sample(random);
    if (random() % 4 == 0) b = a;
    for (int i = 0; i <= static_cast<int>(Comparison::clear); ++i) {
      const auto comparison = static_cast<Comparison>(i);
      const bool truth = holds(a.member, comparison, b.member);
      const auto decided = decide(a.abstract, comparison, b.abstract);
      ASSERT_TRUE(!decided || *decided == truth)
          << "comparison " << i << " of " << a.member << " (" << a.abstract.text() << ") and "
          << b.member << " (" << b.abstract.text() << ") is " << truth;
      Scalar left = a.abstract;
      Scalar right = b.abstract;
      assume(left, truth ? comparison : opposite(comparison), right);
      ASSERT_TRUE(fits(left, a.member) && fits(right, b.member))
          << "comparison " << i << " of " << a.member << " (" << a.abstract.text() << ") and "
          << b.member << " (" << b.abstract.text() << ") lost one of them";
    }
  }
}

TEST(Scalar, KnowsWhatItShould) {
  const Scalar byte = Scalar::of_size(1);
  EXPECT_EQ(bit_and(Scalar(), Scalar::constant(0xf)).umax(), 15U);
  EXPECT_EQ(lsh(bit_and(byte, Scalar::constant(0xf)), Scalar::constant(2)),
            bit_and(Scalar::range(0, 60), Scalar::constant(0x3c)));
  EXPECT_EQ(add(byte, Scalar::constant(20)), Scalar::range(20, 275));
  EXPECT_EQ(sub(Scalar::range(20, 30), Scalar::constant(20)), Scalar::range(0, 10));
  EXPECT_EQ(rsh(byte, Scalar::constant(4)).umax(), 15U);
  EXPECT_EQ(decide(byte, Comparison::gt, Scalar::constant(255)), false);
  EXPECT_EQ(decide(byte, Comparison::le, Scalar::constant(255)), true);
  EXPECT_EQ(decide(byte, Comparison::eq, Scalar::constant(7)), std::nullopt);
  Scalar narrowed = byte;
  Scalar seven = Scalar::constant(7);
  assume(narrowed, Comparison::lt, seven);
  EXPECT_EQ(narrowed, Scalar::range(0, 6));
}

}  // namespace
}  // namespace weir::engine
