// SPDX-License-Identifier: BSD-2-Clause
//
// Classic BPF: every code there and back, and a filter as `tcpdump -d` lists it.
#include "isa/classic.h"

#include <gtest/gtest.h>

namespace weir::isa {
namespace {

TEST(Classic, BytesThereAndBack) {
  for (const ClassicInfo& row : classic_table) {
    const std::vector<ClassicInsn> insns{{row.code, 1, 2, 0x12345678}};
    EXPECT_EQ(opcode(insns[0]), row.opcode) << row.name;
    const auto back = decode_classic(encode(insns));
    ASSERT_TRUE(back.has_value()) << back.error().text();
    EXPECT_EQ(*back, insns) << row.name;
  }
}

TEST(Classic, WhatIsNoCodeIsRefused) {
  EXPECT_EQ(decode_classic(Bytes(7)).error().message,
            "classic BPF code of 7 bytes, expected a multiple of 8");
  EXPECT_EQ(decode_classic(Bytes{0x06, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x01, 0, 0, 0, 0, 0, 0})
                .error()
                .message,
            "instruction 1: 0x1ff is no code of classic BPF");
}

TEST(Classic, Listing) {
  const std::vector<ClassicInsn> filter = {
      {0x28, 0, 0, 12},      {0x15, 0, 7, 0x800},  {0x30, 0, 0, 23}, {0xb1, 0, 0, 14},
      {0x48, 0, 0, 16},      {0x45, 3, 0, 0x1fff}, {0x0c, 0, 0, 0},  {0x05, 0, 0, 1},
      {0x06, 0, 0, 0x40000}, {0x80, 0, 0, 0},      {0x02, 0, 0, 3},  {0x16, 0, 0, 0},
      {0xee, 0, 1, 2},
  };
  EXPECT_EQ(disassemble(filter),
            "(000) ldh      [12]\n"
            "(001) jeq      #0x800           jt 2\tjf 9\n"
            "(002) ldb      [23]\n"
            "(003) ldxb     4*([14]&0xf)\n"
            "(004) ldh      [x + 16]\n"
            "(005) jset     #0x1fff          jt 9\tjf 6\n"
            "(006) add      x\n"
            "(007) ja       9\n"
            "(008) ret      #262144\n"
            "(009) ld       #pktlen\n"
            "(010) st       M[3]\n"
            "(011) ret\n"
            "(012) unimp    0xee,0,1,0x2\n");
}

}  // namespace
}  // namespace weir::isa
