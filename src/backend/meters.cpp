// SPDX-License-Identifier: BSD-2-Clause
#include "backend/meters.h"

#include <bit>

#include "imr/meters.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;
using imr::MeterState;

namespace {

constexpr std::uint64_t word_size = 8;
constexpr std::uint64_t epoch = std::uint64_t{1} << 62;  // nanoseconds before the clock's zero

class MeterCode {
 public:
  MeterCode(Builder& out, const MeterPlace& place, const MeterState& meter)
      : out_(out), place_(place), meter_(meter) {}

  void take_tokens(Reg length, BlockId within, BlockId beyond) {
    const std::uint64_t most = imr::scale_of(meter_).most;
    const Reg cost = cost_of(length);
    const Reg word = read();
    const Reg clock = out_.function().new_register();
    out_.append({.op = Op::clock, .dst = clock});
    const Reg now = out_.binary(Op::add, clock, out_.constant(epoch));
    const Reg full = out_.binary(Op::sub, now, out_.constant(most));
    const BlockId is_full = out_.block();
    const BlockId is_not = out_.block();
    out_.branch(Condition::lt, word, full, is_full, is_not);

    out_.at(is_full);
    out_.leave_if(Condition::gt, cost, most, beyond);
    const Reg seen = exchange(word, out_.binary(Op::add, full, cost));
    const BlockId failed = out_.block();
    out_.branch(Condition::eq, seen, word, within, failed);
    out_.at(failed);
    out_.assign_copy(word, seen);
    out_.jump(is_not);

    // Packets that are beyond the limit leave the word alone.
    out_.at(is_not);
    leave_without(word, now, cost, beyond);
    const BlockId too_late = out_.block();
    leave_without(fetch_add(cost), now, cost, too_late);
    out_.jump(within);
    out_.at(too_late);
    static_cast<void>(fetch_add(out_.binary(Op::sub, out_.constant(0), cost)));
    out_.jump(beyond);
  }

  void take_bytes(Reg length, BlockId within, BlockId beyond) {
    const Reg used = out_.binary(Op::add, fetch_add(length), length);
    out_.branch(Condition::le, used, meter_.amount, within, beyond);
  }

  Reg next_number() {
    const Reg count = fetch_add(out_.constant(1));
    const Reg rounds = out_.binary(Op::div, count, meter_.amount);
    return out_.binary(Op::sub, count, out_.binary(Op::mul, rounds, meter_.amount));
  }

 private:
  Reg cost_of(Reg length) {
    const imr::LimitScale scale = imr::scale_of(meter_);
    if (meter_.kind == MeterState::Kind::packet_rate) return out_.constant(scale.packet_cost);
    return out_.binary(Op::div, out_.binary(Op::mul, length, scale.unit), meter_.amount);
  }

  // What has flowed into the bucket since it was empty. A clock that another processor has read
  // later than this one counts as no time.
  void leave_without(Reg empty, Reg now, Reg cost, BlockId beyond) {
    const Reg tokens = out_.function().new_register();
    const BlockId known = out_.block();
    const BlockId some = out_.block();
    out_.assign_constant(tokens, 0);
    out_.branch(Condition::ge, now, empty, some, known);
    out_.at(some);
    out_.append({.op = Op::sub, .dst = tokens, .a = now, .b = empty});
    out_.jump(known);
    out_.at(known);
    const BlockId enough = out_.block();
    out_.branch(Condition::ge, tokens, cost, enough, beyond);
    out_.at(enough);
  }

  Reg read() {
    const Reg word = out_.function().new_register();
    if (place_.map.valid()) {
      out_.append({.op = Op::word, .dst = word, .imm = place_.offset, .map = place_.map});
    } else {
      out_.append({.op = Op::word_at, .dst = word, .a = place_.address, .imm = place_.offset});
    }
    return word;
  }

  // What the word was before.
  Reg exchange(Reg expected, Reg wanted) {
    const Reg before = out_.function().new_register();
    if (place_.map.valid()) {
      out_.append({.op = Op::exchange,
                   .dst = before,
                   .a = expected,
                   .b = wanted,
                   .imm = place_.offset,
                   .map = place_.map});
    } else {
      out_.append({.op = Op::exchange_at,
                   .dst = before,
                   .a = place_.address,
                   .b = expected,
                   .imm = place_.offset,
                   .args = {wanted}});
    }
    return before;
  }

  // The same.
  Reg fetch_add(Reg added) {
    const Reg before = out_.function().new_register();
    if (place_.map.valid()) {
      out_.append({.op = Op::fetch_add,
                   .dst = before,
                   .a = added,
                   .imm = place_.offset,
                   .map = place_.map});
    } else {
      out_.append({.op = Op::fetch_add_at,
                   .dst = before,
                   .a = place_.address,
                   .b = added,
                   .imm = place_.offset});
    }
    return before;
  }

  Builder& out_;
  MeterPlace place_;
  const MeterState& meter_;
};

}  // namespace

isa::MapSpec meter_words(const SharedList<MeterState>& meters) {
  Bytes value;
  for (const MeterState& meter : meters) {
    const bool counts = meter.kind == MeterState::Kind::quota;
    const Bytes bytes = native_bytes(counts ? meter.used : 0, word_size);
    value.insert(value.end(), bytes.begin(), bytes.end());
  }
  value.resize(word_size * std::bit_ceil(meters.size()), 0);
  isa::MapSpec out{.name = "meters",
                   .type = isa::MapType::array,
                   .key_size = 4,
                   .value_size = static_cast<std::uint32_t>(value.size()),
                   .max_entries = 1,
                   .flags = 0,
                   .entries = {}};
  out.written_in_place = true;
  out.entries.push_back({.key = native_bytes(0, 4), .value = std::move(value)});
  return out;
}

MeterPlace place_of(isa::MapIndex words, imr::MeterId id) {
  return {.map = words, .address = {}, .offset = word_size * id.value};
}

MeterPlace place_of(Builder& out, isa::MapIndex words, Reg number,
                    const SharedList<MeterState>& meters) {
  // In bounds as the verifier sees it.
  const Reg known = out.binary(Op::and_, number, std::bit_ceil(meters.size()) - 1);
  const Reg offset = out.binary(Op::shl, known, std::uint64_t{std::countr_zero(word_size)});
  return {.map = {}, .address = out.binary(Op::add, out.map_value(words), offset), .offset = 0};
}

void take(Builder& out, const MeterPlace& place, const MeterState& meter, Reg length,
          BlockId fail) {
  const BlockId on = out.block();
  const BlockId within = meter.over ? fail : on;
  const BlockId beyond = meter.over ? on : fail;
  MeterCode code(out, place, meter);
  if (meter.kind == MeterState::Kind::quota) {
    code.take_bytes(length, within, beyond);
  } else {
    code.take_tokens(length, within, beyond);
  }
  out.at(on);
}

Reg next_number(Builder& out, const MeterPlace& place, const MeterState& meter) {
  return MeterCode(out, place, meter).next_number();
}

}  // namespace weir::backend
