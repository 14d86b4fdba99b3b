// SPDX-License-Identifier: BSD-2-Clause
#include "unit/backend/support.h"

#include <algorithm>
#include <array>

#include "backend/emitter.h"
#include "backend/lower.h"
#include "driver/facts.h"
#include "engine/map.h"
#include "imr/parse.h"
#include "imr/verify.h"
#include "passes/pipeline.h"

namespace weir::test {
namespace {

constexpr std::uint32_t trace_entries = 4096;
constexpr std::uint32_t trace_decided = 0x80000000;
constexpr std::uint32_t trace_policy = 0xffffffff;
constexpr isa::MapIndex counters{std::size_t{0}};
constexpr isa::MapIndex trace{std::size_t{1}};

std::vector<isa::MapSpec> shared_maps(const imr::Ruleset& ruleset) {
  const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(1, ruleset.counters.size()));
  return {{.name = "counters",
           .type = isa::MapType::percpu_array,
           .key_size = 4,
           .value_size = 16,
           .max_entries = count},
          {.name = "trace",
           .type = isa::MapType::array,
           .key_size = 4,
           .value_size = 4 + 4 * trace_entries,
           .max_entries = 1}};
}

std::uint8_t* value(engine::Engine& engine, isa::MapIndex map, std::size_t index) {
  std::uint8_t* found = engine.map(map).lookup(native_bytes(index, 4).data());
  invariant(found != nullptr, "a shared map is too short");
  return found;
}

}  // namespace

imr::Unit parse_unit(const std::string& text) {
  Result<imr::Unit> unit = imr::parse_unit(text, "test");
  invariant(unit.has_value(), unit ? "" : unit.error().text() + "\n" + text);
  imr::verify(*unit);
  return std::move(*unit);
}

Result<Compiled> Compiled::make(std::vector<imr::Unit> units, const CompileOptions& options) {
  const Hook hook = units.front().hook;
  const backend::Profile profile = backend::profile_for(
      hook, {.untrusted_memory = options.untrusted_memory, .limits = options.limits});
  for (imr::Unit& unit : units) {
    for (const passes::ImrPass& pass : passes::imr_passes()) {
      if (pass.required || options.imr_passes) pass.run(unit);
    }
    imr::verify(unit);
  }
  flow::Function function{.name = "test", .maps = shared_maps(units.front().ruleset)};
  for (std::size_t i = 0; i < units.front().ruleset.rules.size(); ++i) {
    function.rule_names.push_back("#" + std::to_string(i));
  }
  backend::SharedMaps shared{.counters = counters, .trace = trace};
  if (options.updatable_sets) {
    std::vector<const imr::Unit*> all;
    for (const imr::Unit& unit : units) all.push_back(&unit);
    WEIR_TRY(sets, backend::SetMaps::make(all, function.maps, true));
    shared.sets = std::move(sets);
  }
  WEIR_CHECK(
      backend::lower(units, profile,
                     {.drop_unparsable = options.drop_unparsable,
                      .direct_returns = options.small_parts ? 0 : backend::any_direct_returns},
                     shared, function));
  flow::verify(function);
  if (options.flow_passes) {
    for (const passes::FlowPass& pass : passes::flow_passes()) pass.run(function);
    flow::verify(function);
  }
  isa::Program program =
      (options.small_parts ? backend::emit(backend::split(function, {.part_size = 40}), profile)
                           : backend::emit(function, profile))
          .value();
  program.name = function.name;
  isa::Object object{
      .maps = function.maps, .programs = {std::move(program)}, .rule_names = function.rule_names};
  WEIR_TRY(loaded, engine::Engine::load(object));
  return Compiled(std::move(function), profile, std::move(object), std::move(shared.sets),
                  std::move(loaded));
}

void Compiled::write(const backend::MapWrite& write) {
  engine::Map& map = engine_.map(write.map);
  switch (write.kind) {
    case backend::MapWrite::Kind::put:
      invariant(map.update(write.key, write.value).has_value(), "a map refuses an entry");
      return;
    case backend::MapWrite::Kind::remove:
      (void)map.remove(write.key);
      return;
    case backend::MapWrite::Kind::patch:
      std::ranges::copy(write.value, map.lookup(write.key.data()) + write.offset);
      return;
    case backend::MapWrite::Kind::bit: {
      std::uint8_t& byte = map.lookup(write.key.data())[write.offset / 8];
      const auto mask = static_cast<std::uint8_t>(1U << write.offset % 8);
      byte = static_cast<std::uint8_t>(write.value[0] != 0 ? byte | mask : byte & ~mask);
      return;
    }
  }
}

bool Compiled::accepts(const engine::Input& input) {
  const std::uint64_t result = engine_.run(0, input);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(result)) == profile_.accept;
}

imr::Outcome Compiled::run(const packet::Packet& packet, std::uint32_t linear_length) {
  engine::Input in;
  in.bytes = packet.bytes;
  in.network_offset = packet.network_offset;
  if (profile_.start == backend::Profile::Start::network) in.data_offset = packet.network_offset;
  in.linear_length = linear_length;
  driver::give_facts(packet, in);

  std::uint8_t* const entries = value(engine_, trace, 0);
  std::fill_n(entries, 4, std::uint8_t{0});
  const std::uint64_t result = engine_.run(0, in);
  const auto answer = static_cast<std::int32_t>(static_cast<std::uint32_t>(result));
  invariant(answer == profile_.accept || answer == profile_.drop, "a verdict that is none");
  imr::Outcome outcome;
  outcome.verdict =
      answer == profile_.accept ? imr::Outcome::Verdict::accept : imr::Outcome::Verdict::drop;
  const auto word = [&](std::size_t i) {
    return static_cast<std::uint32_t>(load_native(ByteView(entries + 4 * i, 4)));
  };
  for (std::size_t i = 1; i <= word(0); ++i) {
    if (word(i) == trace_policy) {
      outcome.decided_by.reset();
      continue;
    }
    const imr::RuleId rule(std::size_t{word(i) & ~trace_decided});
    outcome.matched.push_back(rule);
    if ((word(i) & trace_decided) != 0) outcome.decided_by = rule;
  }
  return outcome;
}

std::uint64_t Compiled::packets(std::size_t counter) {
  return load_native(ByteView(value(engine_, counters, counter), 8));
}

Compiled compile(const std::string& unit, const CompileOptions& options) {
  Result<Compiled> program = Compiled::make({parse_unit(unit)}, options);
  invariant(program.has_value(), program ? "" : program.error().text());
  return std::move(*program);
}

std::string describe(const imr::Outcome& outcome) {
  static constexpr std::array verdicts = {"accept", "drop", "native"};
  std::string text = verdicts.at(static_cast<std::size_t>(outcome.verdict));
  text += outcome.decided_by ? " by #" + std::to_string(outcome.decided_by->value) : " by policy";
  if (!outcome.matched.empty()) text += ", matched";
  for (const imr::RuleId rule : outcome.matched) text += " #" + std::to_string(rule.value);
  return text;
}

std::string told(Compiled& program, const packet::Packet& packet) {
  return describe(program.run(packet));
}

std::string meant(const imr::Unit& unit, const packet::Packet& packet,
                  const imr::EvaluatorOptions& options) {
  return describe(imr::evaluate(unit, packet, options));
}

}  // namespace weir::test
