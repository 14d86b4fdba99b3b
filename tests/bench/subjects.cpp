// SPDX-License-Identifier: BSD-2-Clause
//
// Scripts, and what carries them out.
#include "bench/subjects.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "driver/compile.h"
#include "frontend/nft/nft.h"
#include "isa/isa.h"
#include "kernel/support/nft.h"
#include "packet/builder.h"

namespace weir::bench {
namespace {

using test::expect;
using test::give_up;

const Hook hook{.kind = Hook::Kind::netfilter, .nf_hook = NfHook::prerouting, .device = {}};
constexpr std::uint32_t packet_port = 80;

std::string match(Shape shape, std::uint32_t index, std::uint32_t rules) {
  if (shape == Shape::last_fails)
    return fmt::format("ip saddr 10.0.0.1 tcp dport {}", 1000 + index);
  if (shape == Shape::last_matches && index + 1 == rules) {
    return fmt::format("ip saddr 10.0.0.1 tcp dport {}", packet_port);
  }
  return fmt::format("ip saddr 192.0.{}.{} tcp dport {}", index / 250, index % 250 + 1,
                     1000 + index);
}

std::string raw_script(Shape shape, std::uint32_t rules, std::string_view verdict,
                       std::string_view policy) {
  return script("ip", "hook prerouting", shape, rules, verdict, policy);
}

kernel::Fd attach(const test::Netns& netns, const kernel::Fd& program, std::int32_t priority) {
  const test::Inside inside(netns);
  return expect(kernel::attach_netfilter(program, Nfproto::ipv4, hook.nf_hook, priority));
}

Subject nft_of(const std::string& text) {
  Subject subject{.netns = test::Netns::create()};
  expect(test::Nft(subject.netns).run(text));
  return subject;
}

}  // namespace

std::string_view to_string(Shape shape) {
  switch (shape) {
    case Shape::first_fails:
      return "first comparison fails";
    case Shape::last_fails:
      return "last comparison fails";
    case Shape::last_matches:
      return "last rule matches";
  }
  throw InvariantError("no such shape");
}

// With a maximum segment size and a timestamp.
Bytes test_packet(const packet::Ipv4Address& destination) {
  return packet::build(
             {.network =
                  packet::Ipv4{.source = {10, 0, 0, 1}, .destination = destination, .ttl = 255},
              .transport =
                  packet::Tcp{.destination_port = packet_port,
                              .options = {2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}}})
      .bytes;
}

std::string script(std::string_view family, std::string_view hook, Shape shape, std::uint32_t rules,
                   std::string_view verdict, std::string_view policy) {
  std::string text = fmt::format(
      "table {} bench {{\n"
      "  chain raw {{\n"
      "    type filter {} priority -300; policy {};\n",
      family, hook, policy);
  for (std::uint32_t i = 0; i < rules; ++i) {
    text += fmt::format("    {} {}\n", match(shape, i, rules), verdict);
  }
  return text + "  }\n}\n";
}

Compiled compile(const std::string& text, const Hook& hook) {
  const auto ruleset = expect(frontend::nft::read_script(text, "bench.nft"));
  const auto attachments = expect(driver::plan(ruleset, hook, {}));
  const driver::Options options{.untrusted_memory = kernel::has_untrusted_memory()};
  const auto compilation = expect(driver::compile(ruleset, attachments, options));
  invariant(compilation.object.programs.size() == 1, "one chain makes one program");
  return {
      .loaded = expect(kernel::load(compilation.object)),
      .counters = compilation.counters,
      .priority = attachments.front().priority,
      .instructions = static_cast<std::uint32_t>(compilation.object.programs.front().insns.size())};
}

kernel::Fd returning_program(isa::ProgramType type, isa::Direction direction,
                             std::int32_t verdict) {
  isa::Object object;
  object.programs.push_back({.name = "verdict",
                             .type = type,
                             .direction = direction,
                             .insns = {isa::make(isa::Opcode::mov64_imm, 0, 0, 0, verdict),
                                       isa::make(isa::Opcode::exit)}});
  return std::move(expect(kernel::load(object)).programs.front());
}

void check_counts(const std::string& what, const std::vector<std::uint64_t>& counted,
                  std::size_t which, std::uint64_t packets) {
  for (std::size_t i = 0; i < counted.size(); ++i) {
    const std::uint64_t expected = i == which ? packets : 0;
    if (counted[i] == expected) continue;
    give_up(fmt::format("{}: rule {} counted {} of {} packets, not {}", what, i + 1, counted[i],
                        packets, expected));
  }
}

Subject nft_subject(Shape shape, std::uint32_t rules) {
  return nft_of(raw_script(shape, rules, "drop", "drop"));
}

Subject weir_subject(Shape shape, std::uint32_t rules) {
  auto compiled = compile(raw_script(shape, rules, "drop", "drop"), hook);
  Subject subject{.netns = test::Netns::create(),
                  .program = std::move(compiled.loaded.programs.front()),
                  .instructions = compiled.instructions};
  subject.link = attach(subject.netns, subject.program, compiled.priority);
  return subject;
}

Subject empty_chain() {
  return nft_of(raw_script(Shape::first_fails, 0, "drop", "drop"));
}

Subject empty_program() {
  Subject subject{
      .netns = test::Netns::create(),
      .program = returning_program(isa::ProgramType::netfilter, isa::Direction::ingress, 0),
      .instructions = 2};
  subject.link = attach(subject.netns, subject.program, -300);
  return subject;
}

void check_shape(const LiveFrames& frames, Shape shape, std::uint32_t rules) {
  constexpr std::uint32_t sent = 64;
  const auto what = fmt::format("{} rules, {}", rules, to_string(shape));
  const bool matches = shape == Shape::last_matches;

  // A last rule counts what no other one dropped.
  const Subject nft =
      nft_of(raw_script(shape, rules, "counter drop", "drop") + "add rule ip bench raw counter\n");
  static_cast<void>(frames.send(nft.netns, sent));
  std::vector<std::uint64_t> counted;
  for (const auto& counter : expect(test::Nft(nft.netns).counters())) {
    counted.push_back(counter.packets);
  }
  if (counted.size() != rules + 1) give_up(what + ": nft lists another number of counters");
  check_counts(what + ", nft", counted, matches ? rules - 1 : rules, sent);

  const auto compiled = compile(raw_script(shape, rules, "drop", "accept"), hook);
  const auto run =
      expect(kernel::test_run(compiled.loaded.programs.front(), isa::ProgramType::netfilter,
                              test_packet(), hook.nf_hook, Nfproto::ipv4));
  if (run.result != (matches ? 0u : 1u)) {
    give_up(fmt::format("{}: the weir program returned {}", what, run.result));
  }
}

}  // namespace weir::bench
