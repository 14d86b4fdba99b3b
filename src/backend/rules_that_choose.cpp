// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that choose a counter or a meter of a list by its place.
#include <vector>

#include "backend/rules.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

template <typename Stretch, typename Id, typename Alike>
std::vector<Stretch> stretches(const SharedList<Id>& list, const Alike& alike) {
  std::vector<Stretch> out;
  for (std::uint32_t i = 0; i < list.size(); ++i) {
    const bool goes_on =
        !out.empty() && list[i].value == list[i - 1].value + 1 && alike(list[i - 1], list[i]);
    if (!goes_on) out.push_back({.first = i, .number = list[i].value});
  }
  return out;
}

// Of a quota the bytes that are used stand in its word alone.
bool same_code(imr::MeterState a, const imr::MeterState& b) {
  a.used = b.used;
  return a == b;
}

}  // namespace

void RootLowering::choose(const imr::Choice& choice, BlockId fail) {
  const Words told = recut(out_, values_.evaluate(choice.place, fail), {4});
  const Reg place = told.front().reg;
  const Reg length = values_.length();
  out_.leave_if(Condition::ge, place, choice.counters.size() + choice.meters.size(), fail);
  const BlockId done = out_.block();
  const auto count = [&](const Stretch&, Reg number) {
    out_.append({.op = Op::count, .a = length, .b = number, .map = maps_.counters});
    out_.jump(done);
  };
  const auto take_from = [&](const Stretch& stretch, Reg number) {
    const imr::MeterId first = choice.meters[stretch.first];
    take(out_, place_of(out_, maps_.meters, number, ruleset_.meters),
         ruleset_.meters.at(first.index()), length, fail);
    out_.jump(done);
  };
  if (choice.meters.empty()) {
    const auto any = [](imr::CounterId, imr::CounterId) { return true; };
    in_stretch(place, stretches<Stretch>(choice.counters, any), count);
  } else {
    const auto alike = [&](imr::MeterId a, imr::MeterId b) {
      return same_code(ruleset_.meters.at(a.index()), ruleset_.meters.at(b.index()));
    };
    in_stretch(place, stretches<Stretch>(choice.meters, alike), take_from);
  }
  out_.at(done);
}

void RootLowering::in_stretch(Reg place, std::span<const Stretch> all,
                              const std::function<void(const Stretch&, Reg number)>& emit) {
  if (all.size() > 1) {
    const std::size_t half = all.size() / 2;
    const BlockId before = out_.block();
    const BlockId behind = out_.block();
    out_.branch(Condition::lt, place, all[half].first, before, behind);
    out_.at(before);
    in_stretch(place, all.first(half), emit);
    out_.at(behind);
    in_stretch(place, all.subspan(half), emit);
    return;
  }
  const Stretch& one = all.front();
  if (one.number >= one.first) {
    emit(one, out_.binary(Op::add, place, one.number - one.first));
  } else {
    emit(one, out_.binary(Op::sub, place, one.first - one.number));
  }
}

}  // namespace weir::backend
