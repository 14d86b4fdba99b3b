// SPDX-License-Identifier: BSD-2-Clause
#include "differential/failure.h"

#include <chrono>
#include <fstream>
#include <string_view>
#include <utility>

#include "differential/drop_runs.h"
#include "flow/flow.h"
#include "imr/print.h"
#include "isa/isa.h"
#include "packet/parse.h"

namespace weir::differential {
namespace {

constexpr std::size_t most_shown = 5;  // packets of a mismatch of counters

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::string describe(const packet::Packet& packet) {
  return packet::summary(packet) + "\n  network offset " + std::to_string(packet.network_offset) +
         ", mark " + std::to_string(packet.mark) + ", in " + std::to_string(packet.in.index) +
         " '" + packet.in.name + "', out " + std::to_string(packet.out.index) + " '" +
         packet.out.name + "', type " + std::to_string(static_cast<int>(packet.type)) +
         (packet.has_connection ? ", connection" : ", no connection") + ", ct info " +
         std::to_string(static_cast<int>(packet.ct_info)) + "\n  " + to_hex(packet.bytes) + "\n";
}

void write_programs(const std::filesystem::path& directory, const RulesetAtHook& subject,
                    const driver::Options& options) {
  const auto compilation = driver::compile(subject.ruleset, subject.attachments, options);
  if (!compilation) return;
  std::string optimized;
  std::string flow;
  std::string bpf;
  for (std::size_t i = 0; i < compilation->programs.size(); ++i) {
    const driver::CompiledProgram& program = compilation->programs[i];
    for (const imr::Unit& unit : program.optimized) optimized += imr::print(unit) + "\n";
    flow += flow::print(program.function) + "\n";
    bpf += isa::disassemble(compilation->object, compilation->object.programs[i], true) + "\n";
  }
  write(directory / "imr-opt.txt", optimized);
  write(directory / "flow.txt", flow);
  write(directory / "bpf.txt", bpf);
}

}  // namespace

Script minimise(const Script& script, const std::function<bool(const Script&)>& fails) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  Script smallest = script;
  drop_runs([&] { return smallest.rules(); },
            [&](std::size_t from, std::size_t to) {
              if (std::chrono::steady_clock::now() > deadline) return false;
              Script candidate = smallest.without(from, to);
              if (!fails(candidate)) return false;
              smallest = std::move(candidate);
              return true;
            });
  return smallest;
}

std::string record_failure(const std::filesystem::path& directory, const Script& script,
                           const RulesetAtHook& subject, std::span<const packet::Packet> packets,
                           const Mismatch& mismatch, const JudgeOptions& options) {
  std::filesystem::create_directories(directory);
  std::string text = mismatch.what + "\n";
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (mismatch.packet ? i != *mismatch.packet : packets.size() > most_shown) continue;
    text += "packet: " + describe(packets[i]);
  }
  std::string all;
  for (const packet::Packet& packet : packets) all += describe(packet);
  write(directory / "packets.txt", all);
  write(directory / "imr.txt", imr::print(subject.ruleset));
  try {
    write_programs(directory, subject, options.compiler);
  } catch (const std::exception&) {
    text += "(no program: the compiler breaks a promise of its own)\n";
  }
  text += "hook " + to_string(subject.hook) + "\n" + script.text();
  write(directory / "ruleset.nft", script.text());
  write(directory / "report.txt", text);
  return text;
}

}  // namespace weir::differential
