// SPDX-License-Identifier: BSD-2-Clause
//
// sets_bench [ELEMENTS...]: what large sets cost. For sets of 1,000, 100,000 and 1,000,000 elements
// of four kinds: seconds to compile and to load, MiB of maps, instructions that the kernel's
// verifier walked, and ns of a lookup that finds, and of one that does not, by BPF_PROG_TEST_RUN
// less the same program without the set.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"
#include "packet/builder.h"

namespace weir::bench {
namespace {

using test::expect;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t repeats = 200'000;
constexpr std::uint32_t spacing = 2000;  // of keys: a million fill the lower half of the addresses

enum class Kind : std::uint8_t { exact, intervals, concatenation, concatenated_intervals };
constexpr Kind kinds[] = {Kind::exact, Kind::intervals, Kind::concatenation,
                          Kind::concatenated_intervals};

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::exact:
      return "addresses";
    case Kind::intervals:
      return "ranges of addresses";
    case Kind::concatenation:
      return "address . port";
    case Kind::concatenated_intervals:
      return "range . range of ports";
  }
  throw InvariantError("kind out of range");
}

Bytes key_of(std::uint32_t address, std::uint32_t port, bool concatenated) {
  Bytes key = big_endian_bytes(address, 4);
  if (!concatenated) return key;
  const Bytes tail = big_endian_bytes(port, 2);
  key.insert(key.end(), tail.begin(), tail.end());
  key.resize(8);
  return key;
}

// Element i is about the addresses from i * spacing on.
imr::Set set_of(Kind kind, std::uint32_t count) {
  const bool concatenated = kind == Kind::concatenation || kind == Kind::concatenated_intervals;
  const bool interval = kind == Kind::intervals || kind == Kind::concatenated_intervals;
  imr::Set set{.table = imr::TableId(std::size_t{0}), .name = "s"};
  set.key_size = concatenated ? 8 : 4;
  set.interval = interval;
  if (concatenated) set.field_sizes = {4, 2};
  std::vector<imr::Element> elements;
  elements.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t first = i * spacing;
    // Every fourth range of ports is wide.
    const std::uint32_t ports = i % 4 == 0 ? 1000 : 0;
    Bytes key = key_of(first, 80, concatenated);
    Bytes last = interval ? key_of(first + 255, 80 + ports, concatenated) : key;
    elements.push_back({.key = std::move(key), .last = std::move(last), .verdict = {}});
  }
  set.elements = std::move(elements);
  return set;
}

imr::Ruleset ruleset_of(Kind kind, imr::Set set, bool with_rule) {
  imr::Ruleset ruleset;
  ruleset.add(imr::Table{.family = Family::ip, .name = "t"});
  const imr::SetId id = ruleset.add(std::move(set));
  const imr::ChainId chain = ruleset.add(imr::Chain{.table = imr::TableId(std::size_t{0}),
                                                    .name = "c",
                                                    .base = imr::BaseChain{.hook = NfHook::forward},
                                                    .rules = {}});
  imr::ExprId key = ruleset.add(
      imr::Expr(imr::Payload{.base = imr::HeaderBase::network, .offset = 12, .length = 4}));
  if (kind == Kind::concatenation || kind == Kind::concatenated_intervals) {
    const imr::ExprId port = ruleset.add(
        imr::Expr(imr::Payload{.base = imr::HeaderBase::network, .offset = 22, .length = 2}));
    key = ruleset.add(imr::Expr(imr::Concat{{key, port}}));
  }
  imr::Rule rule{.chain = chain};
  if (with_rule) {
    rule.statements.emplace_back(imr::MatchSet{.key = key, .set = id});
  } else {
    rule.statements.emplace_back(
        imr::Match{.lhs = key, .op = imr::Relop::eq, .rhs = Bytes(imr::value_size(ruleset, key))});
  }
  rule.statements.emplace_back(imr::VerdictStatement{{imr::Verdict::Kind::drop, {}}});
  ruleset.add(std::move(rule));
  return ruleset;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double run(const kernel::LoadedObject& loaded, std::uint32_t address) {
  const packet::Packet packet =
      packet::build({.network = packet::Ipv4{.source = {static_cast<std::uint8_t>(address >> 24),
                                                        static_cast<std::uint8_t>(address >> 16),
                                                        static_cast<std::uint8_t>(address >> 8),
                                                        static_cast<std::uint8_t>(address)}},
                     .transport = packet::Udp{.destination_port = 80}});
  return expect(kernel::test_run(loaded.programs.front(), isa::ProgramType::netfilter,
                                 {.packet = packet.bytes, .repeat = repeats}))
      .duration_ns;
}

// The mean over addresses all over the set.
double run_all(const kernel::LoadedObject& loaded, std::uint32_t count, std::uint32_t beside) {
  std::mt19937 random(1);
  double sum = 0;
  constexpr unsigned addresses = 4;
  for (unsigned i = 0; i < addresses; ++i) {
    sum += run(loaded, static_cast<std::uint32_t>(random() % count) * spacing + beside);
  }
  return sum / addresses;
}

void measure(Kind kind, std::uint32_t count) {
  const auto compile = [](const imr::Ruleset& ruleset) {
    const std::vector<driver::Attachment> plan = expect(driver::plan(ruleset, std::nullopt, {}));
    return expect(driver::compile(ruleset, plan));
  };
  imr::Set set = set_of(kind, count);
  const imr::Ruleset empty = ruleset_of(kind, set, false);
  const kernel::LoadedObject floor = expect(kernel::load(compile(empty).object));
  const imr::Ruleset ruleset = ruleset_of(kind, std::move(set), true);
  const auto start = Clock::now();
  const driver::Compilation compiled = compile(ruleset);
  const double compiling = seconds_since(start);
  const auto loading = Clock::now();
  const kernel::LoadedObject loaded = expect(kernel::load(compiled.object));
  const double load = seconds_since(loading);
  std::uint64_t memory = 0;
  for (const kernel::Fd& map : loaded.maps) memory += expect(kernel::memory_use(map));
  const double base = run_all(floor, count, 0);
  fmt::print("{:>9} {:24} {:9.2f} {:7.2f} {:8.1f} {:9} {:7.1f} {:7.1f}\n", count, name_of(kind),
             compiling, load, static_cast<double>(memory) / (1 << 20),
             expect(kernel::verified_instructions(loaded.programs.front())),
             run_all(loaded, count, 0) - base, run_all(loaded, count, 1000) - base);
  std::fflush(stdout);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  std::vector<std::uint32_t> counts = {1'000, 100'000, 1'000'000};
  if (argc > 1) counts.clear();
  for (int i = 1; i < argc; ++i) {
    counts.push_back(static_cast<std::uint32_t>(std::stoul(argv[i])));
  }
  fmt::print("{:>9} {:24} {:>9} {:>7} {:>8} {:>9} {:>7} {:>7}\n", "elements", "of", "compile s",
             "load s", "maps MiB", "verified", "hit ns", "miss ns");
  for (const std::uint32_t count : counts) {
    for (const weir::bench::Kind kind : weir::bench::kinds) weir::bench::measure(kind, count);
  }
  return 0;
}
