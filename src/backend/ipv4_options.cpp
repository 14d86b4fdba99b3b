// SPDX-License-Identifier: BSD-2-Clause
//
// IPv4 options, as __ip_options_compile() in net/ipv4/ip_options.c reads them for
// ipv4_find_option() in net/netfilter/nft_exthdr.c: one that is broken makes all of them count as
// not there.
#include "backend/extensions.h"
#include "backend/values.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t end_of_options = 0;
constexpr std::uint64_t no_operation = 1;
constexpr std::uint64_t record_route = 7;
constexpr std::uint64_t timestamp = 68;
constexpr std::uint64_t loose_source_route = 131;
constexpr std::uint64_t security_label = 134;
constexpr std::uint64_t strict_source_route = 137;
constexpr std::uint64_t router_alert = 148;

// From the 20th byte on to the 60th.
constexpr std::uint64_t most_options = 40;

class OptionLoop {
 public:
  explicit OptionLoop(const ItemLoop& loop)
      : loop_(loop),
        out_(loop.out),
        at_(reg()),
        stop_(reg()),
        route_(reg()),
        route_type_(reg()),
        record_(reg()),
        stamp_(reg()),
        alert_(reg()),
        step_(out_.block()),
        broken_(out_.block()),
        done_(out_.block()) {}

  std::vector<Item> run(Reg header, Reg extent);

 private:
  Reg reg() { return out_.function().new_register(); }
  void forget_all();
  void option(Reg type);
  void source_route(Reg type, Reg size);
  void record(Reg size);
  void stamp(Reg size);
  void alert(Reg size);
  void expect_room(Reg pointer, std::uint64_t bytes, Reg size);
  // A byte of the option at hand.
  Reg byte(std::uint64_t offset) { return out_.load(out_.window(at_, offset, 1, broken_), 0, 1); }
  [[nodiscard]] Item item(std::uint8_t type);

  const ItemLoop& loop_;
  Builder& out_;
  Reg at_;    // of the option at hand
  Reg stop_;  // where it ends
  // Places of those found, 0 for none; and which source route it is.
  Reg route_;
  Reg route_type_;
  Reg record_;
  Reg stamp_;
  Reg alert_;
  BlockId step_;
  BlockId broken_;
  BlockId done_;
};

void OptionLoop::forget_all() {
  for (const Reg found : {route_, route_type_, record_, stamp_, alert_}) {
    out_.assign_opaque(found, loop_.opaque);
  }
}

std::vector<Item> OptionLoop::run(Reg header, Reg extent) {
  const BlockId head = out_.block();
  const Reg end = reg();
  const Reg count = reg();
  forget_all();
  const Reg first = out_.load(out_.window(header, 0, 20, done_), 0, 1);
  const Reg size = out_.binary(Op::shl, out_.binary(Op::and_, first, 15), 2);
  out_.leave_if(Condition::le, size, 20, done_);
  Reg have = extent;
  if (header.valid()) have = out_.binary(Op::sub, extent, header);
  leave_if(out_, Condition::lt, blurred(loop_, have), size, done_);
  assign_blurred(loop_, end, size);
  out_.assign_opaque(at_, loop_.opaque, 20);
  if (header.valid()) {
    out_.accumulate(end, Op::add, header);
    out_.accumulate(at_, Op::add, header);
  }
  out_.assign_opaque(count, loop_.opaque);
  out_.jump(head);

  out_.at(head);
  leave_if(out_, Condition::ge, at_, end, done_);
  out_.leave_if(Condition::ge, count, most_options, broken_);
  out_.assign(count, Op::add, count, 1);
  const Reg type = byte(0);
  assign_blurred(loop_, stop_, out_.binary(Op::add, at_, 1));
  leave_if_same(loop_, type, end_of_options, done_);
  leave_if_same(loop_, type, no_operation, step_);
  const Reg bytes = blurred(loop_, byte(1));
  out_.leave_if(Condition::lt, blurred(loop_, bytes), 2, broken_);
  assign_blurred(loop_, stop_, out_.binary(Op::add, at_, bytes));
  leave_if(out_, Condition::gt, stop_, end, broken_);
  const BlockId is_route = out_.block();
  const BlockId is_record = out_.block();
  const BlockId is_stamp = out_.block();
  const BlockId is_alert = out_.block();
  leave_if_same(loop_, type, loose_source_route, is_route);
  leave_if_same(loop_, type, strict_source_route, is_route);
  leave_if_same(loop_, type, record_route, is_record);
  leave_if_same(loop_, type, timestamp, is_stamp);
  leave_if_same(loop_, type, router_alert, is_alert);
  leave_if_same(loop_, type, security_label, broken_);
  out_.jump(step_);
  out_.at(is_route);
  source_route(type, bytes);
  out_.at(is_record);
  record(bytes);
  out_.at(is_stamp);
  stamp(bytes);
  out_.at(is_alert);
  alert(bytes);

  out_.at(step_);
  assign_blurred(loop_, at_, stop_);
  out_.jump(head);
  out_.at(broken_);
  forget_all();
  out_.jump(done_);
  out_.at(done_);
  for (const Reg found : {route_, route_type_, record_, alert_}) {
    out_.accumulate(found, Op::add, loop_.opaque);
  }
  std::vector<Item> items;
  for (const std::uint8_t wanted : loop_.types) items.push_back(item(wanted));
  return items;
}

void OptionLoop::source_route(Reg type, Reg size) {
  out_.leave_if(Condition::ne, blurred(loop_, route_), 0, broken_);
  out_.leave_if(Condition::lt, blurred(loop_, size), 7, broken_);
  leave_if_other(loop_, byte(2), 4, broken_);
  const Reg rest = out_.binary(Op::and_, out_.binary(Op::sub, size, 3), 3);
  out_.leave_if(Condition::ne, rest, 0, broken_);
  assign_blurred(loop_, route_, at_);
  assign_blurred(loop_, route_type_, type);
  out_.jump(step_);
}

// Goes on where the pointer is beyond the option, or leaves room for so many bytes from there on.
void OptionLoop::expect_room(Reg pointer, std::uint64_t bytes, Reg size) {
  const BlockId room = out_.block();
  leave_if(out_, Condition::gt, pointer, size, room);
  leave_if(out_, Condition::gt, out_.binary(Op::add, pointer, bytes), size, broken_);
  out_.jump(room);
  out_.at(room);
}

void OptionLoop::record(Reg size) {
  out_.leave_if(Condition::ne, blurred(loop_, record_), 0, broken_);
  out_.leave_if(Condition::lt, blurred(loop_, size), 3, broken_);
  const Reg pointer = blurred(loop_, byte(2));
  out_.leave_if(Condition::lt, blurred(loop_, pointer), 4, broken_);
  expect_room(pointer, 3, size);
  assign_blurred(loop_, record_, at_);
  out_.jump(step_);
}

void OptionLoop::stamp(Reg size) {
  constexpr std::uint64_t with_address = 1;
  constexpr std::uint64_t given_addresses = 3;
  out_.leave_if(Condition::ne, blurred(loop_, stamp_), 0, broken_);
  out_.leave_if(Condition::lt, blurred(loop_, size), 4, broken_);
  const Reg pointer = blurred(loop_, byte(2));
  const Reg flags = byte(3);
  const Reg kind = out_.binary(Op::and_, flags, 15);
  assign_blurred(loop_, stamp_, at_);
  out_.leave_if(Condition::lt, blurred(loop_, pointer), 5, broken_);
  const BlockId full = out_.block();
  const BlockId wide = out_.block();
  leave_if(out_, Condition::gt, pointer, size, full);
  expect_room(pointer, 3, size);
  leave_if_same(loop_, kind, with_address, wide);
  leave_if_same(loop_, kind, given_addresses, wide);
  out_.jump(step_);
  out_.at(wide);
  expect_room(pointer, 7, size);
  out_.jump(step_);
  // The count of hosts that found no room may not run over.
  out_.at(full);
  leave_if_same(loop_, kind, given_addresses, step_);
  leave_if_same(loop_, out_.binary(Op::shr, flags, 4), 15, broken_);
  out_.jump(step_);
}

void OptionLoop::alert(Reg size) {
  out_.leave_if(Condition::lt, blurred(loop_, size), 4, broken_);
  const Reg value = out_.load(out_.window(at_, 2, 2, broken_), 0, 2);
  leave_if_other(loop_, value, 0, step_);
  assign_blurred(loop_, alert_, at_);
  out_.jump(step_);
}

Item OptionLoop::item(std::uint8_t type) {
  const Reg place = type == record_route ? record_ : type == router_alert ? alert_ : route_;
  const Item item{place, reg()};
  const BlockId next = out_.block();
  out_.assign_opaque(item.have, loop_.opaque);
  out_.leave_if(Condition::eq, blurred(loop_, place), 0, next);
  if (type == strict_source_route || type == loose_source_route) {
    leave_if_other(loop_, route_type_, type, next);
  }
  out_.assign_opaque(item.have, loop_.opaque, to_the_end);
  out_.jump(next);
  out_.at(next);
  return item;
}

}  // namespace

std::vector<Item> find_ipv4_options(const ItemLoop& loop, Reg header, Reg extent) {
  return OptionLoop(loop).run(header, extent);
}

}  // namespace weir::backend
