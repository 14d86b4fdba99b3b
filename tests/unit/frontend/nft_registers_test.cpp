// SPDX-License-Identifier: BSD-2-Clause
//
// Register contents that nft seldom or never makes, in rules built by hand.
#include "frontend/nft/registers.h"

#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "frontend/nft/rule.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

class Builder {
 public:
  nftnl_expr* add(const char* name) {
    nftnl_expr* expr = nftnl_expr_alloc(name);
    nftnl_rule_add_expr(rule_.get(), expr);
    return expr;
  }

  Builder& payload(std::uint32_t reg, std::uint32_t offset, std::uint32_t length) {
    nftnl_expr* expr = add("payload");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, length);
    return *this;
  }

  Builder& cmp(std::uint32_t reg, const Bytes& data, std::uint32_t op = NFT_CMP_EQ) {
    nftnl_expr* expr = add("cmp");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, reg);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
    nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, data.data(), static_cast<std::uint32_t>(data.size()));
    return *this;
  }

  Builder& mask(std::uint32_t from, std::uint32_t to, const Bytes& mask, const Bytes& flip) {
    nftnl_expr* expr = bitwise(from, to, mask.size(), NFT_BITWISE_BOOL);
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, mask.data(),
                   static_cast<std::uint32_t>(mask.size()));
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, flip.data(),
                   static_cast<std::uint32_t>(flip.size()));
    return *this;
  }

  Builder& shift(std::uint32_t reg, std::size_t length, std::uint32_t op, std::uint32_t bits) {
    nftnl_expr* expr = bitwise(reg, reg, length, op);
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_DATA, &bits, sizeof bits);
    return *this;
  }

  Builder& byteorder(std::uint32_t reg, std::uint32_t length, std::uint32_t size) {
    nftnl_expr* expr = add("byteorder");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SREG, reg);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_DREG, reg);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_LEN, length);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SIZE, size);
    return *this;
  }

  Builder& counter() {
    nftnl_expr* expr = add("counter");
    nftnl_expr_set_u64(expr, NFTNL_EXPR_CTR_PACKETS, 0);
    nftnl_expr_set_u64(expr, NFTNL_EXPR_CTR_BYTES, 0);
    return *this;
  }

  // The statements that it becomes.
  [[nodiscard]] std::string text() const {
    imr::Ruleset ruleset;
    ruleset.add(imr::Table{Family::ip, "t", false});
    imr::Chain chain;
    chain.table = imr::TableId(0);
    chain.name = "c";
    ruleset.add(std::move(chain));
    imr::Rule rule;
    rule.chain = imr::ChainId(0);
    ExpressionPool expressions;
    const RuleScope scope{&ruleset, &expressions, [](const std::string&) { return imr::ChainId(); },
                          [](const std::string&) { return imr::SetId(); }, ""};
    translate_expressions(rule_.get(), scope, imr::RuleId(0), rule);
    ruleset.add(std::move(rule));
    return statements(ruleset);
  }

  // The reason of the native statement that it ends in, or the statements.
  [[nodiscard]] std::string reason() const {
    const std::string all = text();
    const std::size_t because = all.find("because \"");
    return because == std::string::npos ? all : all.substr(because);
  }

 private:
  nftnl_expr* bitwise(std::uint32_t from, std::uint32_t to, std::size_t length, std::uint32_t op) {
    nftnl_expr* expr = add("bitwise");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, from);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, to);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, static_cast<std::uint32_t>(length));
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_OP, op);
    return expr;
  }

  NlRule rule_{nftnl_rule_alloc()};
};

TEST(RegisterFile, CutsValuesThatAreOverwritten) {
  Registers registers;
  registers.store(NFT_REG_1, {imr::ExprId(0), 16, 16, imr::ExprId(0)});
  registers.store(NFT_REG32_02, {imr::ExprId(1), 2, 4, imr::ExprId(1)});
  ASSERT_TRUE(registers.load(NFT_REG32_00).has_value());
  EXPECT_EQ(registers.load(NFT_REG32_00)->size, 8U);
  EXPECT_EQ(registers.load(NFT_REG32_02)->expr, imr::ExprId(1));
  EXPECT_FALSE(registers.load(NFT_REG32_01).has_value());
  registers.store(NFT_REG_1, {imr::ExprId(2), 16, 16, imr::ExprId(2)});
  EXPECT_FALSE(registers.load(NFT_REG32_02).has_value());
}

TEST(RegisterFile, NumbersLongAndShortRegistersAlike) {
  Registers registers;
  registers.store(NFT_REG_2, {imr::ExprId(0), 4, 4, imr::ExprId(0)});
  EXPECT_TRUE(registers.load(NFT_REG32_04).has_value());
  registers.store(NFT_REG_VERDICT, {imr::ExprId(1), 4, 4, imr::ExprId(1)});
  EXPECT_FALSE(registers.load(NFT_REG_VERDICT).has_value());
}

TEST(Registers, HoldZerosBehindAValue) {
  EXPECT_EQ(Builder().payload(1, 2, 2).cmp(1, {1, 2, 0, 0}).text(),
            "match payload network 2 2 later-fragments == 0x0102\n");
  EXPECT_EQ(Builder().payload(1, 2, 2).cmp(1, {1, 2, 0, 0}, NFT_CMP_LT).text(),
            "match payload network 2 2 later-fragments < 0x0102\n");
  EXPECT_EQ(Builder().payload(1, 2, 2).cmp(1, {1, 2, 3, 0}).reason(),
            "because \"a comparison of more bytes than its value has\"\n");
  EXPECT_EQ(Builder().payload(1, 2, 2).cmp(1, {1, 2, 0, 0, 0}).reason(),
            "because \"a comparison of more bytes than its value has\"\n");
}

TEST(Registers, ComparePrefixes) {
  EXPECT_EQ(Builder().payload(1, 0, 8).cmp(1, {1, 2}).text(),
            "match payload network 0 8 == 0x0102\n");
}

TEST(Registers, AreWrittenInWholeWordsByMasks) {
  // Two bytes of mask over a value of eight: the other half of the word is zero from here on, and
  // the second word is not the mask's.
  EXPECT_EQ(Builder().payload(1, 0, 8).mask(1, 2, {0xff, 0xf0}, {0, 1}).cmp(2, {1, 2, 0, 0}).text(),
            "match (payload network 0 8 & 0xfff0000000000000 ^ 0x0001000000000000)"
            " == 0x01020000\n");
  EXPECT_EQ(Builder().payload(1, 0, 8).mask(1, 2, {0xff}, {0}).cmp(2, {1, 0, 0, 0, 0}).reason(),
            "because \"a comparison of more bytes than its value has\"\n");
  EXPECT_EQ(Builder().payload(1, 0, 2).mask(1, 1, {1, 2, 3, 4}, {5, 6, 0, 0}).cmp(1, {1}).text(),
            "match (payload network 0 2 later-fragments & 0x0102 ^ 0x0506) == 0x01\n");
  EXPECT_EQ(Builder().payload(1, 0, 2).mask(1, 1, {1, 2, 3, 4}, {5, 6, 7, 0}).cmp(1, {1}).reason(),
            "because \"a mask over more bytes than its value has\"\n");
}

TEST(Registers, AreShiftedByWords) {
  EXPECT_EQ(Builder().payload(1, 0, 1).shift(1, 1, NFT_BITWISE_RSHIFT, 2).cmp(1, {1}).text(),
            "match (payload network 0 1 later-fragments >> 2) == 0x01\n");
  EXPECT_EQ(Builder().payload(1, 0, 8).shift(1, 8, NFT_BITWISE_LSHIFT, 31).cmp(1, {1}).text(),
            "match (payload network 0 8 << 31) == 0x01\n");
  EXPECT_EQ(Builder().payload(1, 0, 8).shift(1, 4, NFT_BITWISE_LSHIFT, 1).reason(),
            "because \"a shift of a part of a value is not translated\"\n");
  EXPECT_EQ(Builder().payload(1, 0, 6).shift(1, 6, NFT_BITWISE_LSHIFT, 1).reason(),
            "because \"a shift of a part of a value is not translated\"\n");
  EXPECT_EQ(Builder().payload(1, 0, 4).shift(1, 4, NFT_BITWISE_LSHIFT, 0).reason(),
            "because \"a shift by this many bits is not translated\"\n");
}

TEST(Registers, AreSwappedByUnits) {
  EXPECT_EQ(Builder().payload(1, 0, 8).byteorder(1, 8, 2).cmp(1, {1}).text(),
            "match swap2(payload network 0 8) == 0x01\n");
  // Only the first unit is swapped: what stands behind it is not known.
  EXPECT_EQ(Builder().payload(1, 0, 8).byteorder(1, 2, 2).cmp(1, {1, 2}).text(),
            "match swap2(payload network 0 8) == 0x0102\n");
  EXPECT_EQ(Builder().payload(1, 0, 8).byteorder(1, 2, 2).cmp(1, {1, 2, 3}).reason(),
            "because \"a comparison of more bytes than its value has\"\n");
  EXPECT_EQ(Builder().payload(1, 0, 2).byteorder(1, 2, 2).cmp(1, {1, 2, 0, 0}).text(),
            "match swap2(payload network 0 2 later-fragments) == 0x0102\n");
  EXPECT_EQ(Builder().payload(1, 0, 2).byteorder(1, 4, 4).reason(),
            "because \"a byte swap of a part of a value is not translated\"\n");
}

TEST(Registers, ThatNothingSetAreNotRead) {
  EXPECT_EQ(Builder().payload(1, 0, 4).cmp(2, {1}).reason(),
            "because \"the registers hold no value that is known\"\n");
}

TEST(Loads, MayNotMoveBehindWhatHasAnEffect) {
  EXPECT_EQ(Builder().payload(1, 0, 4).counter().cmp(1, {1}).reason(),
            "because \"a packet load stands before a statement that does not use it\"\n");
  EXPECT_EQ(Builder().payload(1, 0, 4).payload(2, 4, 4).cmp(1, {1}).cmp(2, {2}).counter().text(),
            "match payload network 0 4 later-fragments == 0x01\n"
            "match payload network 4 4 later-fragments == 0x02\n"
            "counter #0 packets 0 bytes 0\n");
}

}  // namespace
}  // namespace weir::frontend::nft::test
