// SPDX-License-Identifier: BSD-2-Clause
//
// Values as words: tiny functions that cut, swap and compare them, run on the flow interpreter.
#include "backend/words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <compare>

#include "unit/passes/flow_machine.h"
#include "unit/passes/unit_generator.h"

namespace weir::test {
namespace {

using backend::Word;
using backend::Words;
using flow::Reg;

constexpr isa::MapIndex counters{std::size_t{0}};

// A function that begins with the words of a packet's first bytes; its results are what it counts.
class Lab {
 public:
  explicit Lab(const Bytes& value) : value_(value), out_(function_) {
    function_.name = "lab";
    function_.maps.push_back({.name = "counters",
                              .type = isa::MapType::percpu_array,
                              .value_size = 16,
                              .max_entries = 64});
    out_.at(out_.block());
    absent_ = out_.block();
    std::size_t at = 0;
    for (const std::uint8_t size : backend::cut_sizes(value.size())) {
      words_.push_back({out_.load(out_.window({}, at, size, absent_), 0, size), size});
      at += size;
    }
  }

  [[nodiscard]] backend::Builder& out() { return out_; }
  [[nodiscard]] const Words& words() const { return words_; }
  void result(Reg reg) { out_.append({.op = flow::Op::count, .a = reg, .map = counters}); }

  // Ends the block where the cursor is, and runs the function.
  Outcome run() {
    out_.ret(true);
    return finish();
  }
  // Whether a branch of `make`, given the two ways, goes to `yes`.
  template <typename Make>
  bool takes(const Make& make) {
    const flow::BlockId yes = out_.block();
    const flow::BlockId no = out_.block();
    make(yes, no);
    out_.at(yes);
    out_.ret(true);
    out_.at(no);
    out_.ret(false);
    return finish().accepted;
  }
  std::vector<std::uint64_t> results() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [counter, number] : run().counts) numbers.push_back(number);
    return numbers;
  }

 private:
  Outcome finish() {
    out_.at(absent_);
    out_.ret(false);
    flow::verify(function_);
    return test::run(function_, World{.packet = value_});
  }

  Bytes value_;
  flow::Function function_;
  backend::Builder out_;
  flow::BlockId absent_;
  Words words_;
};

Bytes random_bytes(std::size_t size, Random& random) {
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

TEST(Words, AreAsLongAsTheyCanBe) {
  using Sizes = std::vector<std::uint8_t>;
  EXPECT_EQ(backend::cut_sizes(1), (Sizes{1}));
  EXPECT_EQ(backend::cut_sizes(7), (Sizes{4, 2, 1}));
  EXPECT_EQ(backend::cut_sizes(8), (Sizes{8}));
  EXPECT_EQ(backend::cut_sizes(16), (Sizes{8, 8}));
  EXPECT_EQ(backend::cut_sizes(31), (Sizes{8, 8, 8, 4, 2, 1}));
}

// Any cut of any value holds the same bytes, and zeros behind its end.
TEST(Words, HoldTheSameBytesHoweverTheyAreCut) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const Bytes value = random_bytes(1 + random() % 40, random);
    std::vector<std::uint8_t> sizes;
    for (std::size_t n = 1 + random() % 8; n > 0; --n) {
      sizes.push_back(static_cast<std::uint8_t>(1 + random() % 8));
    }
    Lab lab(value);
    for (const Word& word : backend::recut(lab.out(), lab.words(), sizes)) lab.result(word.reg);

    Bytes padded = value;
    padded.resize(value.size() + 64);
    std::vector<std::uint64_t> expected;
    std::size_t at = 0;
    for (const std::uint8_t size : sizes) {
      expected.push_back(load_native(ByteView(padded).subspan(at, size)));
      at += size;
    }
    ASSERT_EQ(lab.results(), expected) << to_hex(value) << testing::PrintToString(sizes);
  }
}

TEST(Words, AreChunksInTheOrderOfMemory) {
  Random random(2);
  for (std::size_t size = 1; size <= 40; ++size) {
    const Bytes value = random_bytes(size, random);
    Lab lab(value);
    for (const Reg chunk : backend::big_endian_chunks(lab.out(), lab.words())) lab.result(chunk);
    EXPECT_EQ(lab.results(), backend::big_endian_chunks(ByteView(value))) << to_hex(value);
  }
}

TEST(Words, ChunksOfConstantsAreEightBytesAndARest) {
  EXPECT_EQ(backend::big_endian_chunks(ByteView(Bytes{1, 2})),
            (std::vector<std::uint64_t>{0x0102}));
  EXPECT_EQ(backend::big_endian_chunks(ByteView(Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})),
            (std::vector<std::uint64_t>{0x0102030405060708, 0x090a0b}));
}

TEST(Words, DifferInAnyByte) {
  Random random(3);
  for (std::size_t size = 1; size <= 20; ++size) {
    const Bytes value = random_bytes(size, random);
    for (std::size_t changed = 0; changed <= size; ++changed) {
      Bytes other = value;
      if (changed < size) other[changed] ^= static_cast<std::uint8_t>(1U << random() % 8);
      Lab lab(value);
      lab.result(backend::difference(lab.out(), lab.words(), other));
      EXPECT_EQ(lab.results().front() == 0, changed == size)
          << to_hex(value) << " and " << to_hex(other);
    }
  }
}

TEST(Words, CompareLikeMemory) {
  Random random(4);
  for (int round = 0; round < 400; ++round) {
    const Bytes value = random_bytes(1 + random() % 24, random);
    Bytes bound = value;
    if (round % 3 != 0) bound[random() % bound.size()] = static_cast<std::uint8_t>(random());
    const bool or_equal = round % 2 == 0;
    Lab lab(value);
    const std::vector<Reg> chunks = backend::big_endian_chunks(lab.out(), lab.words());
    const bool less = lab.takes([&](flow::BlockId yes, flow::BlockId no) {
      backend::branch_less(lab.out(), chunks, backend::big_endian_chunks(ByteView(bound)), or_equal,
                           yes, no);
    });
    EXPECT_EQ(less, or_equal ? value <= bound : value < bound)
        << to_hex(value) << (or_equal ? " <= " : " < ") << to_hex(bound);
  }
}

}  // namespace
}  // namespace weir::test
