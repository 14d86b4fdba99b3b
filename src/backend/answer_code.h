// SPDX-License-Identifier: BSD-2-Clause
//
// The function that answers packets (backend/answers.h), as the Emitter writes it: no operation of
// the flow level does what it does. Bytes of packets are copied by helpers, so that it is all the
// same where they stand. What a packet is (answer_headers.cpp), whether its checksum is right
// (answer_sums.cpp), and the answer to it (answer_code.cpp).
#pragma once

#include <cstdint>

#include "backend/answers.h"
#include "backend/emitter.h"
#include "backend/registers.h"

namespace weir::backend::answers {

using isa::Opcode;

// The value of the map. The frame that is made ends its link header at `network`.
inline constexpr std::int16_t network = 24;
inline constexpr std::int16_t heard = 1360;   // the network header of the packet
inline constexpr std::int16_t looked = 1408;  // a header behind that
inline constexpr std::int16_t field = 1432;   // a checksum
inline constexpr std::int16_t chunk = 1440;   // that are summed up
inline constexpr std::int32_t chunk_size = 512;
inline constexpr std::uint32_t scratch_size = chunk + chunk_size + 16;

// Slots of 8 bytes. On the stack, where the context is at -8, is what a checker has to know bounds
// of; the rest is in the map, since of stack there is little.
inline constexpr std::int16_t network_slot = -16;  // where the network header begins in the frame
inline constexpr std::int16_t quoted_slot = -24;   // bytes of the packet that are quoted
inline constexpr std::int16_t link_slot = -32;     // bytes of the answer's link header
inline constexpr std::int16_t round_slot = -40;    // of the walk through IPv6 headers
inline constexpr std::int16_t key_slot = -48;
inline constexpr std::int16_t length_slot = 1304;    // bytes from the network header on
inline constexpr std::int16_t checked_slot = 1312;   // of them, that a checksum is of
inline constexpr std::int16_t protocol_slot = 1320;  // of the transport header
inline constexpr std::int16_t header_slot = 1328;    // bytes up to the transport header
inline constexpr std::int16_t fragment_slot = 1336;  // whether a fragment header says anything
inline constexpr std::int16_t sum_slot = 1352;       // of the first checked bytes

inline constexpr std::int32_t tcp = 6;
inline constexpr std::int32_t udp = 17;
inline constexpr std::int32_t tcp_header = 20;

// One version of IP, and what differs between the two.
struct Version {
  bool is_ipv6 = false;
  std::int16_t header = 20;  // bytes
  std::int32_t icmp = 1;     // protocol
  std::int32_t unreachable = 3;
  std::int32_t quoted = 536;  // bytes at most
  std::int16_t source = 12;   // in the header
  std::int16_t destination = 16;

  [[nodiscard]] std::int16_t transport() const {
    return static_cast<std::int16_t>(network + header);
  }
};
inline constexpr Version ipv4;
inline constexpr Version ipv6 = {.is_ipv6 = true,
                                 .header = 40,
                                 .icmp = 58,
                                 .unreachable = 1,
                                 .quoted = 1220,
                                 .source = 8,
                                 .destination = 24};

class AnswerCode {
 public:
  AnswerCode(Emitter& out, const Profile& profile)
      : out_(out), profile_(profile), fail_(out.label()) {}

  void write(isa::MapIndex scratch);

 private:
  // ---- r6 is the scratch, r7 what Op::answer was told. The rest is shorter code. ----
  static std::uint8_t base_of(std::int16_t slot) { return slot < 0 ? frame_pointer : r6; }
  void slot(std::int16_t at, std::uint8_t from) { out_.op(Opcode::stx64, base_of(at), from, at); }
  void read_slot(std::uint8_t to, std::int16_t at) { out_.op(Opcode::ldx64, to, base_of(at), at); }
  void move(std::uint8_t to, std::uint8_t from) { out_.op(Opcode::mov64_reg, to, from); }
  void set(std::uint8_t to, std::int32_t number) { out_.op(Opcode::mov64_imm, to, 0, 0, number); }
  void imm(Opcode code, std::uint8_t to, std::int32_t number) { out_.op(code, to, 0, 0, number); }
  void get(std::uint8_t to, Opcode load, int at) {
    out_.op(load, to, r6, static_cast<std::int16_t>(at));
  }
  void put(std::uint8_t from, Opcode store, int at) {
    out_.op(store, r6, from, static_cast<std::int16_t>(at));
  }
  void put_number(std::int32_t number, int at) {
    out_.op(Opcode::st32, r6, 0, static_cast<std::int16_t>(at), number);
  }
  void fail_if(Opcode condition, std::uint8_t reg, std::int32_t number) {
    out_.jump_imm(condition, reg, number, fail_);
  }
  template <typename Code>
  void if_routed(const Code& code) {
    const Label routed = out_.label();
    const Label done = out_.label();
    out_.jump_imm(Opcode::jset64_imm, r7, answer_routed, routed);
    out_.jump(done);
    out_.bind(routed);
    code();
    out_.bind(done);
  }
  // Where the answer's link header begins; r1 is lost. A number that is not below 0 is added, which
  // all checkers follow.
  void frame_at(std::uint8_t to) {
    read_slot(r1, link_slot);
    set(to, network);
    out_.op(Opcode::sub64_reg, to, r1);
    out_.op(Opcode::add64_reg, to, r6);
  }
  // r0 = 0 when the r4 bytes at r2 from the network header on are copied to `to`.
  void load(int to);
  void require(int to) {
    load(to);
    fail_if(Opcode::jne64_imm, r0, 0);
  }
  // r0 = the sum of r3 bytes at r2 from the network header on, in 32 bits.
  void sum_packet();
  // `to` = whether `reg`, a number below 2^63, is `number`.
  void is_equal(std::uint8_t to, std::uint8_t reg, std::int32_t number) {
    move(to, reg);
    imm(Opcode::xor64_imm, to, number);
    imm(Opcode::sub64_imm, to, 1);
    imm(Opcode::rsh64_imm, to, 63);
  }
  // `reg`, of up to 40 bits, becomes a sum of 16; r4 is lost.
  void fold(std::uint8_t reg);
  void finish_sum(std::uint8_t reg) {
    fold(reg);
    imm(Opcode::xor64_imm, reg, 0xffff);
  }
  // `to` += words of 4 bytes.
  void add_words(std::uint8_t to, int at, int words);
  // r8 = the sum of the pseudo header of r1 bytes of protocol r2.
  void pseudo_header(const Version& version);

  void find_scratch(isa::MapIndex scratch);
  void find_length();
  void link_header();
  void hear_ipv4();
  void hear_ipv6();
  void walk_headers();
  void answer(const Version& version);
  void refuse_errors(const Version& version);
  void go_without_checksum(Label right);
  // Of as many bytes as checked_slot says.
  void check_sum(const Version& version, Label right);
  void first_of_ipv4();
  void sum_all_of_ipv4();
  void unreachable(const Version& version);
  void sum_quoted(const Version& version);
  void reset(const Version& version);
  void sequence_numbers(const Version& version);
  // In front of r9 bytes, which become those of both.
  void ip_header(const Version& version, std::int32_t protocol);
  void send();

  Emitter& out_;
  const Profile& profile_;
  Label fail_;
};

}  // namespace weir::backend::answers
