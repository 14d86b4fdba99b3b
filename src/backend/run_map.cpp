// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_map.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "imr/identity.h"

namespace weir::backend {
namespace {

using classify::RunAction;

// What is read together then lies in as few cache lines as it can.
constexpr std::uint32_t starts_on_a_page = 1U << 10U;  // BPF_F_MMAPABLE (array_map_alloc())

}  // namespace

RunTable run_table(std::uint64_t& size, std::size_t rows, std::size_t row_size) {
  RunTable out;
  out.row_size = static_cast<std::uint32_t>(std::bit_ceil(row_size));
  out.rows = static_cast<std::uint32_t>(std::bit_ceil(std::max<std::size_t>(rows, 1)));
  out.offset = (size + out.row_size - 1) / out.row_size * out.row_size;
  size = out.offset + std::uint64_t{out.rows} * out.row_size;
  return out;
}

bool writes_marks(const classify::Run& run) {
  return std::ranges::any_of(run.actions,
                             [](const RunAction& action) { return action.mark.has_value(); });
}

RunEnd end_of(const classify::Run& run, const RunAction& action) {
  switch (action.end) {
    case RunAction::End::accept:
      return RunEnd::accept;
    case RunAction::End::drop:
      return RunEnd::drop;
    case RunAction::End::leave:
      return RunEnd::leave;
    case RunAction::End::on:
      return action.resume < run.action.size() ? RunEnd::on : RunEnd::behind;
  }
  throw InvariantError("end of a rule out of range");
}

std::uint32_t trace_entry(const imr::Ruleset& ruleset, const RunAction& action) {
  if (!action.matched) return run_untraced;
  const bool decides = action.end == RunAction::End::accept || action.end == RunAction::End::drop;
  return static_cast<std::uint32_t>(imr::as_written(ruleset, action.rule).value) |
         (decides ? trace_decided : 0);
}

void RunWriter::put(std::uint64_t number, std::size_t size) {
  const Bytes bytes = native_bytes(number, size);
  std::ranges::copy(bytes, value_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ += size;
}

RunExtras extras_of(const classify::Run& run) {
  const bool tails = !run.tails.empty();
  return {.marks = tails || writes_marks(run), .tails = tails};
}

TailNumbers tail_numbers(const imr::Ruleset& ruleset, const RunAction& action) {
  if (!action.tail) return {};
  const imr::MeterId meter = classify::meter_of(ruleset, *action.tail);
  const imr::CounterId counter = classify::counter_of(ruleset, *action.tail);
  return {.otherwise = action.otherwise,
          .rule = imr::as_written(ruleset, action.rule).value,
          .meter = meter.valid() ? meter.value : 0,
          .counter = counter.valid() ? counter.value + 1 : 0};
}

void write_extras(const RunExtras& extras, const RunAction& action, const TailNumbers& numbers,
                  RunWriter& out) {
  if (!extras.marks) return;
  const std::uint32_t code = action.tail ? action.code + 1 : 0;
  out.put((action.mark ? 1U : 0U) | code << RunExtras::code_shift, 4);
  out.put(action.mark.value_or(0), 4);
  if (!extras.tails) return;
  for (const std::uint32_t one :
       {numbers.otherwise, numbers.rule, numbers.meter, numbers.counter}) {
    out.put(one, 4);
  }
}

std::span<const imr::RuleId> run_at(const imr::Ruleset& ruleset,
                                    std::span<const imr::RuleId> rules) {
  const std::uint32_t number = ruleset[rules.front()].run;
  std::size_t size = 1;
  while (number != 0 && size < rules.size() && ruleset[rules[size]].run == number) ++size;
  return rules.first(size);
}

isa::MapSpec run_turn_map() {
  return {.name = "turn",
          .type = isa::MapType::array,
          .key_size = 4,
          .value_size = 4,
          .max_entries = 1,
          .flags = starts_on_a_page,
          .entries = {{Bytes(4, 0), native_bytes(run_turn_one, 4)}}};
}

isa::MapSpec run_map(const imr::Ruleset& ruleset, const classify::Run& run, Bytes value,
                     std::string name) {
  isa::MapSpec map;
  map.name = std::move(name);
  map.type = isa::MapType::array;
  map.key_size = 4;
  map.value_size = static_cast<std::uint32_t>(value.size());
  map.max_entries = 1;
  map.flags = starts_on_a_page;
  map.entries.push_back({Bytes(4, 0), std::move(value)});
  for (const imr::RuleId rule : run.rules) {
    map.rules.push_back(imr::as_written(ruleset, rule).value);
  }
  return map;
}

}  // namespace weir::backend
