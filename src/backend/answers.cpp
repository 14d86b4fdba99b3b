// SPDX-License-Identifier: BSD-2-Clause
//
// The functions are written for the Emitter, since no operation of the flow level does what they
// do. Bytes of packets are copied by helpers, so that it is all the same where they stand.
#include "backend/answers.h"

#include <array>

#include "backend/emitter.h"
#include "imr/answer.h"
#include "imr/reading.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;
using isa::Opcode;

namespace {

constexpr std::uint8_t r0 = 0;
constexpr std::uint8_t r1 = 1;
constexpr std::uint8_t r2 = 2;
constexpr std::uint8_t r3 = 3;
constexpr std::uint8_t r4 = 4;
constexpr std::uint8_t r5 = 5;
constexpr std::uint8_t r6 = 6;
constexpr std::uint8_t r7 = 7;
constexpr std::uint8_t r8 = 8;
constexpr std::uint8_t r9 = 9;
constexpr std::uint8_t frame_pointer = 10;

// The value of the map. The frame that is made ends its link header at `network`.
constexpr std::int16_t network = 24;
constexpr std::int16_t heard = 1360;   // the network header of the packet
constexpr std::int16_t looked = 1408;  // a header behind that
constexpr std::int16_t field = 1432;   // a checksum
constexpr std::int16_t chunk = 1440;   // that are summed up
constexpr std::int32_t chunk_size = 512;
constexpr std::uint32_t scratch_size = chunk + chunk_size + 16;

// Slots of 8 bytes. On the stack, where the context is at -8, is what a checker has to know bounds
// of; the rest is in the map, since of stack there is little.
constexpr std::int16_t network_slot = -16;  // where the network header begins in the frame
constexpr std::int16_t quoted_slot = -24;   // bytes of the packet that are quoted
constexpr std::int16_t link_slot = -32;     // bytes of the answer's link header
constexpr std::int16_t round_slot = -40;    // of the walk through IPv6 headers
constexpr std::int16_t key_slot = -48;
constexpr std::int16_t length_slot = 1304;    // bytes from the network header on
constexpr std::int16_t checked_slot = 1312;   // of them, that a checksum is of
constexpr std::int16_t protocol_slot = 1320;  // of the transport header
constexpr std::int16_t header_slot = 1328;    // bytes of the IP headers, to the transport header
constexpr std::int16_t fragment_slot = 1336;  // whether a fragment header says anything
constexpr std::int16_t sum_slot = 1352;       // of the first checked bytes

// Slots of the function that sums up.
constexpr std::int16_t summing_key_slot = -16;

constexpr std::int32_t tcp = 6;
constexpr std::int32_t udp = 17;
constexpr std::int32_t tcp_header = 20;

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
constexpr Version ipv4;
constexpr Version ipv6 = {.is_ipv6 = true,
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

void AnswerCode::load(int to) {
  read_slot(r1, network_slot);
  out_.op(Opcode::add64_reg, r2, r1);
  move(r3, r6);
  imm(Opcode::add64_imm, r3, to);
  out_.load_context_pointer(r1);
  out_.call_helper(profile_.load_helper);
}

void AnswerCode::sum_packet() {
  read_slot(r1, network_slot);
  out_.op(Opcode::add64_reg, r2, r1);
  out_.load_context_pointer(r1);
  out_.call_function(summing_name);
  imm(Opcode::lsh64_imm, r0, 32);
  imm(Opcode::rsh64_imm, r0, 32);
}

void AnswerCode::fold(std::uint8_t reg) {
  constexpr int rounds = 4;
  for (int round = 0; round < rounds; ++round) {
    move(r4, reg);
    imm(Opcode::rsh64_imm, r4, 16);
    imm(Opcode::and64_imm, reg, 0xffff);
    out_.op(Opcode::add64_reg, reg, r4);
  }
}

void AnswerCode::add_words(std::uint8_t to, int at, int words) {
  for (int i = 0; i < words; ++i) {
    get(r3, Opcode::ldx32, at + 4 * i);
    out_.op(Opcode::add64_reg, to, r3);
  }
}

// Sums are of words as they stand in memory, whatever their order is.
void AnswerCode::pseudo_header(const Version& version) {
  move(r8, r1);
  out_.op(Opcode::be16, r8);
  imm(Opcode::lsh64_imm, r2, 8);
  out_.op(Opcode::add64_reg, r8, r2);
  add_words(r8, heard + version.source, version.is_ipv6 ? 8 : 2);
}

void AnswerCode::find_scratch(isa::MapIndex scratch) {
  out_.op(Opcode::st32, frame_pointer, 0, key_slot, 0);
  out_.map_pointer(r1, scratch);
  move(r2, frame_pointer);
  imm(Opcode::add64_imm, r2, key_slot);
  out_.call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  fail_if(Opcode::jeq64_imm, r0, 0);
  move(r6, r0);
}

// Where the network header stands, and how much from there on. A packet with a tag in its bytes is
// no IP packet to bpf_skb_adjust_room().
void AnswerCode::find_length() {
  constexpr std::int32_t shortest_link = 14;
  const std::int32_t longest_link = profile_.start == Profile::Start::skb ? shortest_link : 22;
  constexpr std::int32_t longest = 0xffff;
  profile_.emit_context(out_, ContextKey::length);
  read_slot(r1, network_slot);
  fail_if(Opcode::jlt64_imm, r1, shortest_link);
  fail_if(Opcode::jgt64_imm, r1, longest_link);
  slot(network_slot, r1);
  set(r2, 0);
  slot(whole_slot, r2);
  out_.jump_reg(Opcode::jle64_reg, r0, r1, fail_);
  out_.op(Opcode::sub64_reg, r0, r1);
  fail_if(Opcode::jgt64_imm, r0, longest);
  slot(length_slot, r0);
}

// Addresses of one card each, changed about; and what stands behind them, without tags but in
// routed answers.
void AnswerCode::link_header() {
  constexpr std::int32_t untagged = 14;
  constexpr std::int32_t addresses = 12;
  constexpr std::int16_t address = 6;
  const Label known = out_.label();
  read_slot(r2, network_slot);
  out_.jump_imm(Opcode::jset64_imm, r7, answer_routed, known);
  set(r2, untagged);
  out_.bind(known);
  slot(link_slot, r2);
  frame_at(r9);
  out_.load_context_pointer(r1);
  set(r2, 0);
  move(r3, r9);
  set(r4, addresses);
  out_.call_helper(profile_.load_helper);
  fail_if(Opcode::jne64_imm, r0, 0);
  out_.op(Opcode::ldx8, r1, r9, 0);
  fail_if(Opcode::jset64_imm, r1, 1);
  for (std::int16_t at = 0; at < address; at = static_cast<std::int16_t>(at + 2)) {
    const auto other = static_cast<std::int16_t>(at + address);
    out_.op(Opcode::ldx16, r1, r9, at);
    out_.op(Opcode::ldx16, r2, r9, other);
    out_.op(Opcode::stx16, r9, r2, at);
    out_.op(Opcode::stx16, r9, r1, other);
  }
  read_slot(r4, link_slot);
  imm(Opcode::sub64_imm, r4, addresses);
  read_slot(r2, network_slot);
  out_.op(Opcode::sub64_reg, r2, r4);
  move(r3, r9);
  imm(Opcode::add64_imm, r3, addresses);
  out_.load_context_pointer(r1);
  out_.call_helper(profile_.load_helper);
  fail_if(Opcode::jne64_imm, r0, 0);
}

// nf_reject_iphdr_validate()
void AnswerCode::hear_ipv4() {
  set(r2, 0);
  set(r4, ipv4.header);
  require(heard);
  get(r1, Opcode::ldx8, heard);
  move(r2, r1);
  imm(Opcode::rsh64_imm, r2, 4);
  fail_if(Opcode::jne64_imm, r2, 4);
  imm(Opcode::and64_imm, r1, 15);
  imm(Opcode::lsh64_imm, r1, 2);
  fail_if(Opcode::jlt64_imm, r1, ipv4.header);
  slot(header_slot, r1);
  get(r2, Opcode::ldx16, heard + 2);
  out_.op(Opcode::be16, r2);
  read_slot(r3, length_slot);
  out_.jump_reg(Opcode::jgt64_reg, r2, r3, fail_);
  out_.jump_reg(Opcode::jlt64_reg, r2, r1, fail_);
  slot(checked_slot, r2);
  get(r3, Opcode::ldx16, heard + 6);
  out_.op(Opcode::be16, r3);
  fail_if(Opcode::jset64_imm, r3, 0x1fff);
  get(r3, Opcode::ldx8, heard + 9);
  slot(protocol_slot, r3);
  if_routed([&] {
    constexpr std::int32_t multicast = 224;
    slot(length_slot, r2);
    for (const std::int16_t address : {ipv4.source, ipv4.destination}) {
      get(r1, Opcode::ldx8, heard + address);
      fail_if(Opcode::jeq64_imm, r1, 0);
      fail_if(Opcode::jge64_imm, r1, multicast);
    }
  });
}

// nf_reject_ip6hdr_validate()
void AnswerCode::hear_ipv6() {
  const Label jumbo = out_.label();
  set(r2, 0);
  set(r4, ipv6.header);
  require(heard);
  get(r1, Opcode::ldx8, heard);
  imm(Opcode::rsh64_imm, r1, 4);
  fail_if(Opcode::jne64_imm, r1, 6);
  read_slot(r2, length_slot);
  slot(checked_slot, r2);
  get(r1, Opcode::ldx16, heard + 4);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, jumbo);
  out_.op(Opcode::be16, r1);
  imm(Opcode::add64_imm, r1, ipv6.header);
  out_.jump_reg(Opcode::jgt64_reg, r1, r2, fail_);
  slot(checked_slot, r1);
  out_.bind(jumbo);
  if_routed([&] {
    constexpr std::int32_t multicast = 0xff;
    read_slot(r1, checked_slot);
    slot(length_slot, r1);
    for (const std::int16_t address : {ipv6.source, ipv6.destination}) {
      get(r1, Opcode::ldx8, heard + address);
      fail_if(Opcode::jeq64_imm, r1, multicast);
    }
    get(r1, Opcode::ldx64, heard + ipv6.source);
    get(r2, Opcode::ldx64, heard + ipv6.source + 8);
    out_.op(Opcode::or64_reg, r1, r2);
    fail_if(Opcode::jeq64_imm, r1, 0);
  });
  walk_headers();
}

// ipv6_skip_exthdr() in net/ipv6/exthdrs_core.c, of so many headers at most: r8 is the protocol of
// the one at r9. What kind it is makes no ways of its own, which a checker would walk each in each
// round. A header has 8 bytes at least: where not even 4 are there, the packet ends within it.
void AnswerCode::walk_headers() {
  constexpr std::int32_t most_headers = 200;  // as walk_ipv6() goes
  constexpr std::int32_t fragment = 44;
  constexpr std::int32_t authentication = 51;
  constexpr std::int32_t none = 59;
  constexpr std::uint64_t one = 1;
  constexpr std::uint64_t known =
      one << 0 | one << 43 | one << fragment | one << authentication | one << 60;
  const Label top = out_.label();
  const Label done = out_.label();
  get(r8, Opcode::ldx8, heard + 6);
  set(r9, ipv6.header);
  set(r1, 0);
  slot(fragment_slot, r1);
  slot(round_slot, r1);
  out_.bind(top);
  move(r1, r8);
  imm(Opcode::rsh64_imm, r1, 6);
  out_.jump_imm(Opcode::jne64_imm, r1, 0, done);
  out_.constant(r1, known);
  out_.op(Opcode::rsh64_reg, r1, r8);
  imm(Opcode::and64_imm, r1, 1);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, done);
  move(r2, r9);
  set(r4, 4);
  require(looked);
  get(r1, Opcode::ldx8, looked + 1);
  // r1 = (r1 + 1) * 8; of authentication (r1 + 2) * 4, of a fragment header 8. What that says is
  // looked at.
  is_equal(r2, r8, fragment);
  move(r5, r2);
  imm(Opcode::xor64_imm, r5, 1);
  out_.op(Opcode::mul64_reg, r1, r5);
  get(r3, Opcode::ldx16, looked + 2);
  out_.op(Opcode::mul64_reg, r3, r2);
  read_slot(r4, fragment_slot);
  out_.op(Opcode::mul64_reg, r4, r5);
  out_.op(Opcode::or64_reg, r4, r3);
  slot(fragment_slot, r4);
  out_.op(Opcode::be16, r3);
  fail_if(Opcode::jset64_imm, r3, 0xfff8);
  is_equal(r2, r8, authentication);
  out_.op(Opcode::add64_reg, r1, r2);
  imm(Opcode::add64_imm, r1, 1);
  imm(Opcode::lsh64_imm, r1, 3);
  out_.op(Opcode::rsh64_reg, r1, r2);
  out_.op(Opcode::add64_reg, r9, r1);
  get(r8, Opcode::ldx8, looked);
  read_slot(r1, round_slot);
  imm(Opcode::add64_imm, r1, 1);
  slot(round_slot, r1);
  out_.jump_imm(Opcode::jlt64_imm, r1, most_headers, top);
  out_.jump(fail_);
  out_.bind(done);
  fail_if(Opcode::jeq64_imm, r8, none);
  slot(protocol_slot, r8);
  slot(header_slot, r9);
}

// nf_skb_is_icmp_unreach(), nf_skb_is_icmp6_unreach(); icmp_send(), is_ineligible().
void AnswerCode::refuse_errors(const Version& version) {
  constexpr std::int32_t last_type = 18;
  constexpr std::int32_t first_query = 128;  // of ICMPv6
  const Label none = out_.label();
  read_slot(r1, protocol_slot);
  out_.jump_imm(Opcode::jne64_imm, r1, version.icmp, none);
  read_slot(r2, header_slot);
  read_slot(r1, length_slot);
  out_.jump_reg(Opcode::jge64_reg, r2, r1, none);
  set(r4, 1);
  load(looked);
  out_.jump_imm(Opcode::jne64_imm, r0, 0, none);
  get(r1, Opcode::ldx8, looked);
  if_routed([&] {
    if (version.is_ipv6) return fail_if(Opcode::jlt64_imm, r1, first_query);
    for (const std::int32_t error : {4, 5, 11, 12}) fail_if(Opcode::jeq64_imm, r1, error);
    fail_if(Opcode::jgt64_imm, r1, last_type);
  });
  out_.jump_imm(Opcode::jne64_imm, r1, version.unreachable, none);
  if (version.is_ipv6) {
    read_slot(r1, fragment_slot);
    out_.jump_imm(Opcode::jne64_imm, r1, 0, none);
  }
  out_.jump(fail_);
  out_.bind(none);
}

// nf_reject_verify_csum()
void AnswerCode::go_without_checksum(Label right) {
  constexpr std::array<std::int32_t, 5> others = {47, 51, 50, 132, 136};
  constexpr std::int32_t udp_header = 8;
  constexpr std::int32_t checksum = 6;
  read_slot(r1, protocol_slot);
  for (const std::int32_t other : others) {
    out_.jump_imm(Opcode::jeq64_imm, r1, other, right);
  }
  const Label check = out_.label();
  out_.jump_imm(Opcode::jne64_imm, r1, udp, check);
  read_slot(r2, header_slot);
  read_slot(r1, checked_slot);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, udp_header);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, check);
  imm(Opcode::add64_imm, r2, checksum);
  set(r4, 2);
  require(field);
  get(r1, Opcode::ldx16, field);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, right);
  out_.bind(check);
}

// r3 = as many of the checked bytes as an answer quotes.
void AnswerCode::first_of_ipv4() {
  const Label all = out_.label();
  read_slot(r3, checked_slot);
  out_.jump_imm(Opcode::jle64_imm, r3, ipv4.quoted, all);
  set(r3, ipv4.quoted);
  out_.bind(all);
}

// r0 = the sum of all checked bytes; that of the first ones, of an even number where more follow,
// stays in sum_slot.
void AnswerCode::sum_all_of_ipv4() {
  const Label done = out_.label();
  first_of_ipv4();
  set(r2, 0);
  sum_packet();
  slot(sum_slot, r0);
  read_slot(r3, checked_slot);
  out_.jump_imm(Opcode::jle64_imm, r3, ipv4.quoted, done);
  set(r2, ipv4.quoted);
  out_.op(Opcode::sub64_reg, r3, r2);
  sum_packet();
  read_slot(r1, sum_slot);
  out_.op(Opcode::add64_reg, r0, r1);
  out_.bind(done);
}

// nf_ip_checksum(), nf_ip6_checksum(). A checksum that is that of the pseudo header alone is left
// to a device, and the packet has never been on a wire.
void AnswerCode::check_sum(const Version& version, Label right) {
  const Label is_tcp = out_.label();
  const Label is_udp = out_.label();
  const Label is_open = out_.label();
  const Label whole = out_.label();
  read_slot(r1, checked_slot);
  read_slot(r2, header_slot);
  out_.op(Opcode::sub64_reg, r1, r2);
  read_slot(r2, protocol_slot);
  pseudo_header(version);
  fold(r8);
  read_slot(r1, protocol_slot);
  read_slot(r2, header_slot);
  out_.jump_imm(Opcode::jeq64_imm, r1, tcp, is_tcp);
  out_.jump_imm(Opcode::jeq64_imm, r1, udp, is_udp);
  if (!version.is_ipv6) set(r8, 0);
  out_.jump(whole);
  out_.bind(is_tcp);
  imm(Opcode::add64_imm, r2, 16);
  out_.jump(is_open);
  out_.bind(is_udp);
  imm(Opcode::add64_imm, r2, 6);
  out_.bind(is_open);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, 2);
  read_slot(r1, checked_slot);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, whole);
  set(r4, 2);
  require(field);
  get(r1, Opcode::ldx16, field);
  out_.jump_reg(Opcode::jeq64_reg, r1, r8, right);
  out_.bind(whole);
  if (version.is_ipv6) {
    read_slot(r2, header_slot);
    read_slot(r3, checked_slot);
    out_.op(Opcode::sub64_reg, r3, r2);
    sum_packet();
  } else {
    sum_all_of_ipv4();
  }
  out_.op(Opcode::add64_reg, r0, r8);
  fold(r0);
  fail_if(Opcode::jne64_imm, r0, 0xffff);
  set(r1, 1);
  slot(whole_slot, r1);
  out_.jump(right);
}

// r0 = the sum of what is quoted, which is known where that are the bytes that were checked.
void AnswerCode::sum_quoted(const Version& version) {
  const Label other = out_.label();
  const Label done = out_.label();
  if (!version.is_ipv6) {
    read_slot(r1, whole_slot);
    out_.jump_imm(Opcode::jeq64_imm, r1, 0, other);
    first_of_ipv4();
    read_slot(r1, quoted_slot);
    out_.jump_reg(Opcode::jne64_reg, r1, r3, other);
    read_slot(r0, sum_slot);
    out_.jump(done);
  }
  out_.bind(other);
  set(r2, 0);
  read_slot(r3, quoted_slot);
  sum_packet();
  out_.bind(done);
}

void AnswerCode::unreachable(const Version& version) {
  constexpr std::int32_t icmp_header = 8;
  const Label right = out_.label();
  const Label whole = out_.label();
  refuse_errors(version);
  if (version.is_ipv6) {
    read_slot(r1, header_slot);
    read_slot(r2, checked_slot);
    out_.jump_reg(Opcode::jge64_reg, r1, r2, fail_);
  }
  go_without_checksum(right);
  check_sum(version, right);
  out_.bind(right);
  read_slot(r4, length_slot);
  fail_if(Opcode::jeq64_imm, r4, 0);
  out_.jump_imm(Opcode::jle64_imm, r4, version.quoted, whole);
  set(r4, version.quoted);
  out_.bind(whole);
  slot(quoted_slot, r4);
  set(r2, 0);
  require(version.transport() + icmp_header);
  set(r8, 0);
  if (version.is_ipv6) {
    read_slot(r1, quoted_slot);
    imm(Opcode::add64_imm, r1, icmp_header);
    set(r2, version.icmp);
    pseudo_header(version);
  }
  move(r1, r7);
  imm(Opcode::and64_imm, r1, 0xff);
  imm(Opcode::lsh64_imm, r1, 8);
  imm(Opcode::or64_imm, r1, version.unreachable);
  put(r1, Opcode::stx32, version.transport());
  put_number(0, version.transport() + 4);
  out_.op(Opcode::add64_reg, r8, r1);
  sum_quoted(version);
  out_.op(Opcode::add64_reg, r8, r0);
  finish_sum(r8);
  put(r8, Opcode::stx16, version.transport() + 2);
  read_slot(r9, quoted_slot);
  imm(Opcode::add64_imm, r9, icmp_header);
  ip_header(version, version.icmp);
}

// nf_reject_ip_tcphdr_get() and its sister.
void AnswerCode::reset(const Version& version) {
  constexpr std::int32_t rst = 4;
  const Label right = out_.label();
  read_slot(r1, protocol_slot);
  fail_if(Opcode::jne64_imm, r1, tcp);
  read_slot(r1, length_slot);
  slot(checked_slot, r1);
  read_slot(r2, header_slot);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, tcp_header);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, fail_);
  set(r4, tcp_header);
  require(looked);
  get(r1, Opcode::ldx8, looked + 13);
  fail_if(Opcode::jset64_imm, r1, rst);
  check_sum(version, right);
  out_.bind(right);
  sequence_numbers(version);
  set(r1, tcp_header);
  set(r2, tcp);
  pseudo_header(version);
  add_words(r8, version.transport(), tcp_header / 4);
  finish_sum(r8);
  put(r8, Opcode::stx16, version.transport() + 16);
  set(r9, tcp_header);
  ip_header(version, tcp);
}

// nf_reject_ip_tcphdr_put() and its sister, but for the checksum.
void AnswerCode::sequence_numbers(const Version& version) {
  constexpr std::int32_t ack = 16;
  constexpr std::int32_t length_and_rst = 0x50 | 0x04 << 8;
  const int to = version.transport();
  const Label acknowledged = out_.label();
  const Label known = out_.label();
  get(r1, Opcode::ldx16, looked);
  get(r2, Opcode::ldx16, looked + 2);
  put(r2, Opcode::stx16, to);
  put(r1, Opcode::stx16, to + 2);
  get(r1, Opcode::ldx8, looked + 13);
  out_.jump_imm(Opcode::jset64_imm, r1, ack, acknowledged);
  read_slot(r2, length_slot);
  read_slot(r3, header_slot);
  out_.op(Opcode::sub64_reg, r2, r3);
  get(r3, Opcode::ldx8, looked + 12);
  imm(Opcode::rsh64_imm, r3, 4);
  imm(Opcode::lsh64_imm, r3, 2);
  out_.op(Opcode::sub64_reg, r2, r3);
  get(r3, Opcode::ldx32, looked + 4);
  out_.op(Opcode::be32, r3);
  out_.op(Opcode::add64_reg, r2, r3);
  move(r3, r1);
  imm(Opcode::and64_imm, r1, 1);  // FIN
  out_.op(Opcode::add64_reg, r2, r1);
  imm(Opcode::rsh64_imm, r3, 1);
  imm(Opcode::and64_imm, r3, 1);  // SYN
  out_.op(Opcode::add64_reg, r2, r3);
  out_.op(Opcode::be32, r2);
  put_number(0, to + 4);
  put(r2, Opcode::stx32, to + 8);
  put_number(length_and_rst | ack << 8, to + 12);
  out_.jump(known);
  out_.bind(acknowledged);
  get(r2, Opcode::ldx32, looked + 8);
  put(r2, Opcode::stx32, to + 4);
  put_number(0, to + 8);
  put_number(length_and_rst, to + 12);
  out_.bind(known);
  put_number(0, to + 16);
}

// nf_reject_iphdr_put(), nf_reject_ip6hdr_put()
void AnswerCode::ip_header(const Version& version, std::int32_t protocol) {
  move(r2, r7);
  imm(Opcode::rsh64_imm, r2, 8);
  imm(Opcode::and64_imm, r2, 0xff);  // time to live
  if (version.is_ipv6) {
    put_number(0x60, network);
    imm(Opcode::lsh64_imm, r2, 24);
    imm(Opcode::or64_imm, r2, protocol << 16);
    move(r1, r9);
    out_.op(Opcode::be16, r1);
    out_.op(Opcode::or64_reg, r1, r2);
    put(r1, Opcode::stx32, network + 4);
    for (const int half : {0, 8}) {
      get(r1, Opcode::ldx64, heard + version.destination + half);
      put(r1, Opcode::stx64, network + version.source + half);
      get(r1, Opcode::ldx64, heard + version.source + half);
      put(r1, Opcode::stx64, network + version.destination + half);
    }
    imm(Opcode::add64_imm, r9, version.header);
    return;
  }
  constexpr std::int32_t not_fragmented = 0x40 << 16;
  imm(Opcode::add64_imm, r9, version.header);
  move(r1, r9);
  out_.op(Opcode::be16, r1);
  imm(Opcode::lsh64_imm, r1, 16);
  imm(Opcode::or64_imm, r1, 0x45);
  put(r1, Opcode::stx32, network);
  put_number(not_fragmented, network + 4);
  imm(Opcode::or64_imm, r2, protocol << 8);
  put(r2, Opcode::stx32, network + 8);
  get(r1, Opcode::ldx32, heard + version.destination);
  put(r1, Opcode::stx32, network + version.source);
  get(r1, Opcode::ldx32, heard + version.source);
  put(r1, Opcode::stx32, network + version.destination);
  set(r8, 0);
  add_words(r8, network, version.header / 4);
  finish_sum(r8);
  put(r8, Opcode::stx16, network + 10);
}

void AnswerCode::answer(const Version& version) {
  const Label resets = out_.label();
  const Label made = out_.label();
  if (version.is_ipv6) {
    hear_ipv6();
  } else {
    hear_ipv4();
  }
  out_.jump_imm(Opcode::jset64_imm, r7, answer_reset, resets);
  unreachable(version);
  out_.jump(made);
  out_.bind(resets);
  reset(version);
  out_.bind(made);
}

void AnswerCode::send() {
  read_slot(r1, link_slot);
  out_.op(Opcode::add64_reg, r9, r1);
  frame_at(r8);
  profile_.emit_answer(out_);
  fail_if(Opcode::jne64_imm, r0, 0);
}

// r1: context, r2: what Op::answer is told, r3: where the network header is.
void AnswerCode::write(isa::MapIndex scratch) {
  const Label other = out_.label();
  const Label made = out_.label();
  slot(-8, r1);
  slot(network_slot, r3);
  move(r7, r2);
  find_scratch(scratch);
  find_length();
  link_header();
  out_.jump_imm(Opcode::jset64_imm, r7, answer_ipv6, other);
  answer(ipv4);
  out_.jump(made);
  out_.bind(other);
  answer(ipv6);
  out_.bind(made);
  send();
  set(r0, 1);
  out_.op(Opcode::exit);
  out_.bind(fail_);
  set(r0, 0);
  out_.op(Opcode::exit);
}

}  // namespace

isa::MapSpec answering_map() {
  return {.name = "answers",
          .type = isa::MapType::percpu_array,
          .key_size = 4,
          .value_size = scratch_size,
          .max_entries = 1,
          .flags = 0,
          .entries = {}};
}

void answer(Builder& out, isa::MapIndex scratch, const imr::Unit& unit, flow::Reg what,
            flow::Reg network_header) {
  const bool is_ipv6 = unit.nfproto == Nfproto::ipv6;
  const bool routed = imr::reading_of(unit) != imr::Reading::netdev;
  const Reg ttl = out.context(is_ipv6 ? ContextKey::ip6_hop_limit : ContextKey::ip_ttl);
  const std::uint64_t flags = (is_ipv6 ? answer_ipv6 : 0) | (routed ? answer_routed : 0);
  const Reg flagged = out.binary(Op::or_, what, flags);
  const Reg told = out.binary(Op::or_, flagged, out.binary(Op::shl, ttl, 8));
  const Reg made = out.function().new_register();
  out.append({.op = Op::answer, .dst = made, .a = told, .b = network_header, .map = scratch});
  const BlockId none = out.block();
  out.leave_if(Condition::eq, made, 0, none);
  out.ret_answered();
  out.at(none);
  out.ret(false);
}

std::uint64_t told_of(const imr::Answer& answer, Nfproto nfproto) {
  switch (answer.kind) {
    case imr::Answer::Kind::icmp:
      return answer.code;
    case imr::Answer::Kind::icmpx:
      return imr::icmp_code(answer.code, nfproto);
    case imr::Answer::Kind::reset:
      return answer_reset;
  }
  throw InvariantError("kind of answer out of range");
}

// Through the stack: operands may be in any of r1 to r5.
void Emitter::answer(const flow::Instruction& instruction) {
  invariant(!scratch_map_.valid() || scratch_map_ == instruction.map, "emission: one scratch");
  scratch_map_ = instruction.map;
  op(Opcode::stx64, frame_pointer, in_register(instruction.a, r0), key_);
  const std::uint8_t from = in_register(instruction.b, r0);
  if (from != r3) op(Opcode::mov64_reg, r3, from);
  op(Opcode::ldx64, r2, frame_pointer, key_);
  load_context_pointer(r1);
  call_function(answering_name);
  store(instruction.dst, r0);
}

void Emitter::answering_function(isa::MapIndex scratch) {
  AnswerCode(*this, profile_).write(scratch);
}

// r1: context, r2: offset in the packet, r3: bytes from there on. r0 = their sum in 32 bits; where
// they are not there, it is 0, which the sum of no packet is.
void Emitter::summing_function(isa::MapIndex scratch) {
  constexpr std::int32_t longest = 0xffff;
  const Label top = label();
  const Label rest = label();
  const Label done = label();
  const Label fail = label();
  const auto load = [&] {
    op(Opcode::mov64_reg, r2, r7);
    op(Opcode::mov64_reg, r3, r6);
    op(Opcode::add64_imm, r3, 0, 0, chunk);
    load_context_pointer(r1);
    call_helper(profile_.load_helper);
    jump_imm(Opcode::jne64_imm, r0, 0, fail);
  };
  const auto add = [&] {
    op(Opcode::mov64_imm, r1, 0, 0, 0);
    op(Opcode::mov64_imm, r2, 0, 0, 0);
    op(Opcode::mov64_reg, r3, r6);
    op(Opcode::add64_imm, r3, 0, 0, chunk);
    op(Opcode::mov64_reg, r5, r8);
    call_helper(static_cast<std::int32_t>(isa::Helper::csum_diff));
    op(Opcode::mov64_reg, r8, r0);
  };
  op(Opcode::stx64, frame_pointer, r1, -8);
  op(Opcode::mov64_reg, r7, r2);
  op(Opcode::mov64_reg, r9, r3);
  op(Opcode::st32, frame_pointer, 0, summing_key_slot, 0);
  map_pointer(r1, scratch);
  op(Opcode::mov64_reg, r2, frame_pointer);
  op(Opcode::add64_imm, r2, 0, 0, summing_key_slot);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  jump_imm(Opcode::jeq64_imm, r0, 0, fail);
  op(Opcode::mov64_reg, r6, r0);
  op(Opcode::mov64_imm, r8, 0, 0, 0);
  jump_imm(Opcode::jgt64_imm, r9, longest, fail);
  bind(top);
  jump_imm(Opcode::jlt64_imm, r9, chunk_size, rest);
  op(Opcode::mov64_imm, r4, 0, 0, chunk_size);
  load();
  op(Opcode::mov64_imm, r4, 0, 0, chunk_size);
  add();
  op(Opcode::add64_imm, r7, 0, 0, chunk_size);
  op(Opcode::sub64_imm, r9, 0, 0, chunk_size);
  jump(top);
  // Of fewer bytes, and zeros up to a word of 4.
  bind(rest);
  jump_imm(Opcode::jeq64_imm, r9, 0, done);
  op(Opcode::mov64_reg, r1, r9);
  op(Opcode::and64_imm, r1, 0, 0, chunk_size - 4);
  op(Opcode::add64_reg, r1, r6);
  op(Opcode::st32, r1, 0, chunk, 0);
  op(Opcode::mov64_reg, r4, r9);
  load();
  op(Opcode::mov64_reg, r4, r9);
  op(Opcode::add64_imm, r4, 0, 0, 3);
  op(Opcode::rsh64_imm, r4, 0, 0, 2);
  op(Opcode::lsh64_imm, r4, 0, 0, 2);
  add();
  bind(done);
  op(Opcode::mov64_reg, r0, r8);
  op(Opcode::exit);
  bind(fail);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
}

}  // namespace weir::backend
