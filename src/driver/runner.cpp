// SPDX-License-Identifier: BSD-2-Clause
#include "driver/runner.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "backend/profile.h"
#include "driver/reads.h"
#include "driver/seen.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "kernel/kernel.h"

namespace weir::driver {
namespace {

constexpr std::array<std::pair<EngineKind, std::string_view>, 3> engine_names = {{
    {EngineKind::evaluator, "evaluator"},
    {EngineKind::interpreter, "interpreter"},
    {EngineKind::kernel, "kernel"},
}};

// What BPF_PROG_TEST_RUN takes at most: a page less its head and tail room (net/bpf/test_run.c).
constexpr std::size_t largest_test_packet = 3712;

using Verdict = imr::Outcome::Verdict;

// What the profile of the hook makes of the two verdicts: XDP_PASS and XDP_DROP, and so on.
Verdict decode_verdict(const Hook& hook, std::uint64_t result) {
  const backend::Profile& profile = backend::profile_for(hook, {});
  const auto returned = static_cast<std::int32_t>(result);
  invariant(returned == profile.accept || returned == profile.drop,
            "a program at " + to_string(hook) + " returned neither of its verdicts");
  return returned == profile.accept ? Verdict::accept : Verdict::drop;
}

std::optional<Nfproto> nfproto_of(const packet::Packet& packet) {
  if (packet.ethertype == 0x0800) return Nfproto::ipv4;
  if (packet.ethertype == 0x86dd) return Nfproto::ipv6;
  return std::nullopt;
}

// Whether a program at the hook starts at the link header.
bool sees_frames(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
    case Hook::Kind::socket:
      return true;
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      return false;
  }
  throw InvariantError("hook kind out of range");
}

// Frames at TC hold a network header if they are to be IP packets.
std::size_t smallest_test_packet(const Hook& hook, const packet::Packet& packet) {
  if (hook.kind == Hook::Kind::xdp) return 14;
  const std::size_t link = sees_frames(hook) ? 14 : 0;
  if (packet.ethertype == 0x86dd) return link + 40;
  return link + (packet.ethertype == 0x0800 ? 20 : 1);
}

void append(imr::Outcome& whole, const imr::Outcome& part) {
  whole.verdict = part.verdict;
  whole.decided_by = part.decided_by;
  whole.matched.insert(whole.matched.end(), part.matched.begin(), part.matched.end());
  whole.counted.insert(whole.counted.end(), part.counted.begin(), part.counted.end());
  whole.counted_bytes = std::max(whole.counted_bytes, part.counted_bytes);
}

// Reads the trace format of driver/compile.h into matched and decided_by. A deciding rule that has
// something native in it decided by its stand-in.
void read_trace(const imr::Ruleset& ruleset, ByteView trace, imr::Outcome& outcome) {
  const auto word = [&](std::size_t index) {
    return static_cast<std::uint32_t>(load_native(trace.subspan(index * 4, 4)));
  };
  const std::uint32_t count = std::min(word(0), trace_capacity);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t entry = word(i + 1);
    if (entry == trace_policy) {
      outcome.decided_by.reset();
      continue;
    }
    const imr::RuleId rule(std::size_t{entry & ~trace_decided});
    if ((entry & trace_decided) == 0) {
      outcome.matched.push_back(rule);
      continue;
    }
    outcome.decided_by = rule;
    if (imr::translation(ruleset[rule]) == imr::Translation::full) {
      outcome.matched.push_back(rule);
    } else {
      outcome.verdict = Verdict::native;
    }
  }
}

// What the rules read and BPF_PROG_TEST_RUN cannot supply to any packet; names, for people.
std::string unknown_to_test_run(const Reads& reads) {
  std::string names = reads.connection ? "ct state" : "";
  for (const imr::MetaKey key :
       {imr::MetaKey::iif, imr::MetaKey::oif, imr::MetaKey::iifname, imr::MetaKey::oifname}) {
    if (!reads.meta.contains(key)) continue;
    if (!names.empty()) names += ", ";
    names += imr::to_string(key);
  }
  return names;
}

// ---- The engines
// ---------------------------------------------------------------------------------

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) = 0;
  virtual Result<std::vector<CounterTotal>> counters() = 0;
};

class EvaluatorBackend final : public Backend {
 public:
  EvaluatorBackend(const imr::Ruleset& ruleset, const Compilation& compilation)
      : totals_(ruleset.counters.size()) {
    for (const CompiledProgram& program : compilation.programs) {
      units_.push_back(program.units);
      // The units may hold stand-ins; the evaluator judges what was written.
      for (imr::Unit& unit : units_.back()) unit.ruleset = ruleset;
    }
  }

  // Elsewhere than at netfilter hooks a program has a unit for each protocol, and each accepts the
  // packets of the others.
  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    imr::Outcome outcome;
    for (const imr::Unit& unit : units_.at(program)) {
      const imr::Outcome part = imr::evaluate(unit, packet);
      const bool silent = part.verdict == Verdict::accept && part.matched.empty() &&
                          part.counted.empty() && !part.decided_by;
      if (!silent) append(outcome, part);
    }
    for (const imr::CounterId id : outcome.counted) {
      totals_.at(id.index()).packets += 1;
      totals_.at(id.index()).bytes += outcome.counted_bytes;
    }
    return outcome;
  }
  Result<std::vector<CounterTotal>> counters() override { return totals_; }

 private:
  std::vector<std::vector<imr::Unit>> units_;
  std::vector<CounterTotal> totals_;
};

class InterpreterBackend final : public Backend {
 public:
  InterpreterBackend(const imr::Ruleset& ruleset, const Compilation& compilation,
                     engine::Engine engine)
      : ruleset_(ruleset), compilation_(compilation), engine_(std::move(engine)) {}

  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    const Hook& hook = compilation_.programs.at(program).attachment.hook;
    std::uint8_t* trace = nullptr;
    if (compilation_.trace.valid()) {
      trace = value(compilation_.trace, 0);
      std::fill_n(trace, 4, std::uint8_t{0});
    }
    imr::Outcome outcome;
    outcome.verdict = decode_verdict(hook, engine_.run(program, input(hook, packet)));
    if (trace != nullptr) read_trace(ruleset_, ByteView(trace, (trace_capacity + 1) * 4), outcome);
    return outcome;
  }

  Result<std::vector<CounterTotal>> counters() override {
    std::vector<CounterTotal> totals(ruleset_.counters.size());
    if (!compilation_.counters.valid()) return totals;
    for (std::uint32_t i = 0; i < totals.size(); ++i) {
      const std::uint8_t* at = value(compilation_.counters, i);
      totals[i] = {load_native(ByteView(at, 8)), load_native(ByteView(at + 8, 8))};
    }
    return totals;
  }

 private:
  std::uint8_t* value(isa::MapIndex map, std::uint32_t index) {
    std::uint8_t* found = engine_.map(map).lookup(native_bytes(index, 4).data());
    invariant(found != nullptr, "an array of the compilation is too short");
    return found;
  }

  static engine::Input input(const Hook& hook, const packet::Packet& packet) {
    engine::Input in;
    in.bytes = sees_frames(hook) ? ByteView(packet.bytes) : packet.network();
    in.network_offset = sees_frames(hook) ? packet.network_offset : 0;
    if (packet.vlan) {
      in.vlan_present = true;
      in.vlan_protocol = packet.vlan->protocol;
      in.vlan_tci = packet.vlan->tci;
    }
    in.mark = packet.mark;
    in.iif = packet.in.index;
    in.oif = packet.out.index;
    in.iifname = packet.in.name;
    in.oifname = packet.out.name;
    in.pkttype = static_cast<std::uint8_t>(packet.type);
    in.protocol = static_cast<std::uint16_t>((packet.ethertype << 8) | (packet.ethertype >> 8));
    in.ct_info = static_cast<std::uint64_t>(packet.ct_info);
    in.has_connection = packet.has_connection;
    return in;
  }

  const imr::Ruleset& ruleset_;
  const Compilation& compilation_;
  engine::Engine engine_;
};

class KernelBackend final : public Backend {
 public:
  KernelBackend(const imr::Ruleset& ruleset, const Compilation& compilation,
                kernel::LoadedObject loaded, Reads reads)
      : ruleset_(ruleset),
        compilation_(compilation),
        loaded_(std::move(loaded)),
        reads_(std::move(reads)) {}

  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    const Attachment& attachment = compilation_.programs.at(program).attachment;
    const bool frames = sees_frames(attachment.hook);
    const ByteView bytes = frames ? ByteView(packet.bytes) : packet.network();
    WEIR_CHECK(carries(attachment.hook, packet, bytes));
    const Bytes key = native_bytes(0, 4);
    const std::size_t trace_size = (trace_capacity + 1) * 4;
    if (compilation_.trace.valid()) {
      WEIR_CHECK(kernel::write_element(map(compilation_.trace), key, Bytes(trace_size)));
    }
    WEIR_TRY(result, kernel::test_run(loaded_.programs.at(program),
                                      compilation_.object.programs.at(program).type,
                                      kernel::TestInput{.packet = bytes,
                                                        .hook = attachment.hook.nf_hook,
                                                        .nfproto = attachment.nfproto,
                                                        .ethertype = packet.ethertype,
                                                        .mark = packet.mark}));
    imr::Outcome outcome;
    outcome.verdict = decode_verdict(attachment.hook, result.result);
    if (compilation_.trace.valid()) {
      WEIR_TRY(trace, kernel::read_element(map(compilation_.trace), key, trace_size, false));
      read_trace(ruleset_, trace, outcome);
    }
    return outcome;
  }

  Result<std::vector<CounterTotal>> counters() override {
    std::vector<CounterTotal> totals(ruleset_.counters.size());
    if (!compilation_.counters.valid()) return totals;
    for (std::uint32_t i = 0; i < totals.size(); ++i) {
      WEIR_TRY(value,
               kernel::read_element(map(compilation_.counters), native_bytes(i, 4), 16, true));
      for (std::size_t cpu = 0; cpu + 16 <= value.size(); cpu += 16) {
        totals[i].packets += load_native(ByteView(value).subspan(cpu, 8));
        totals[i].bytes += load_native(ByteView(value).subspan(cpu + 8, 8));
      }
    }
    return totals;
  }

 private:
  [[nodiscard]] const kernel::Fd& map(isa::MapIndex index) const {
    return loaded_.maps.at(index.index());
  }

  // All test runs have a shortest and a longest packet, and none a tag in metadata. That of
  // netfilter takes the protocol from the version field, and has no mark to give. Programs of IP
  // packets see the packet type that the stack gave it, frames that of their address.
  [[nodiscard]] Status carries(const Hook& hook, const packet::Packet& packet,
                               ByteView bytes) const {
    const std::string attached = "; running it needs the program attached, which is not built yet";
    const std::size_t shortest = smallest_test_packet(hook, packet);
    if (bytes.size() < shortest || bytes.size() > largest_test_packet) {
      return system_error("the kernel's test run takes packets of " + std::to_string(shortest) +
                          " to " + std::to_string(largest_test_packet) + " bytes, this one has " +
                          std::to_string(bytes.size()) + attached);
    }
    if (packet.vlan) {
      return system_error("the kernel's test run carries no VLAN tag" + attached);
    }
    if (sees_frames(hook)) {
      // eth_type_trans() compares with the address of the device, which is no packet's.
      const bool tells = hook.kind == Hook::Kind::xdp || packet.type != packet::PacketType::host;
      if (tells || !reads_.meta.contains(imr::MetaKey::pkttype)) return {};
      return system_error("the kernel's test run carries no packet type, which the rules read" +
                          attached);
    }
    const std::uint8_t version = packet.ethertype == 0x0800 ? 4 : 6;
    if (bytes[0] >> 4 != version) {
      return system_error("the kernel's test run goes by the version field, and this packet's is " +
                          std::to_string(bytes[0] >> 4) + attached);
    }
    const bool carries_mark = hook.kind != Hook::Kind::netfilter;
    if (!carries_mark && reads_.meta.contains(imr::MetaKey::mark) && packet.mark != 0) {
      return system_error("the kernel's test run carries no mark, which the rules read" + attached);
    }
    if (reads_.meta.contains(imr::MetaKey::pkttype) && packet.type != packet::PacketType::host) {
      return system_error("the kernel's test run carries no packet type, which the rules read" +
                          attached);
    }
    return {};
  }

  const imr::Ruleset& ruleset_;
  const Compilation& compilation_;
  kernel::LoadedObject loaded_;
  Reads reads_;
};

Result<std::unique_ptr<Backend>> create_kernel_backend(const imr::Ruleset& ruleset,
                                                       const Compilation& compilation) {
  std::vector<Attachment> attachments;
  for (const CompiledProgram& program : compilation.programs) {
    attachments.push_back(program.attachment);
    if (program.attachment.hook.kind == Hook::Kind::socket) {
      return system_error(
          "the kernel's test run gives socket programs no link header, which they begin with; "
          "running them there needs the program attached, which is not built yet");
    }
  }
  Reads reads = scan_reads(ruleset, attachments);
  if (const std::string names = unknown_to_test_run(reads); !names.empty()) {
    auto error = system_error("the kernel's test run cannot supply what the rules read: " + names);
    error.error().notes.emplace_back(
        "running them there needs the program attached, which is not built yet; "
        "--engine interpreter and --engine evaluator can");
    return error;
  }
  WEIR_TRY(loaded, kernel::load(compilation.object));
  return std::make_unique<KernelBackend>(ruleset, compilation, std::move(loaded), std::move(reads));
}

Result<std::unique_ptr<Backend>> create_backend(EngineKind kind, const imr::Ruleset& ruleset,
                                                const Compilation& compilation) {
  switch (kind) {
    case EngineKind::evaluator:
      return std::make_unique<EvaluatorBackend>(ruleset, compilation);
    case EngineKind::interpreter: {
      WEIR_TRY(loaded, engine::Engine::load(compilation.object));
      return std::make_unique<InterpreterBackend>(ruleset, compilation, std::move(loaded));
    }
    case EngineKind::kernel:
      return create_kernel_backend(ruleset, compilation);
  }
  throw InvariantError("engine out of range");
}

}  // namespace

std::string_view to_string(EngineKind kind) {
  return engine_names.at(static_cast<std::size_t>(kind)).second;
}

Result<EngineKind> parse_engine(std::string_view name) {
  for (const auto& [kind, known] : engine_names) {
    if (known == name) return kind;
  }
  if (name == "jit") {
    return input_error(
        "engine 'jit' is not built yet; there are evaluator, interpreter and kernel");
  }
  return input_error("unknown engine '" + std::string(name) +
                     "', expected evaluator, interpreter or kernel");
}

imr::Ruleset with_stand_ins(const imr::Ruleset& ruleset) {
  imr::Ruleset out = ruleset;
  for (imr::Rule& rule : out.rules) {
    for (imr::Statement& statement : rule.statements) {
      if (std::holds_alternative<imr::Native>(statement)) {
        statement = imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop, .chain = {}}};
      }
    }
  }
  return out;
}

struct Runner::Impl {
  const Compilation& compilation;
  std::unique_ptr<Backend> backend;
};

Runner::Runner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() = default;

Result<Runner> Runner::create(EngineKind kind, const imr::Ruleset& ruleset,
                              const Compilation& compilation) {
  invariant(compilation.programs.size() == compilation.object.programs.size(),
            "a compilation without its programs");
  WEIR_TRY(backend, create_backend(kind, ruleset, compilation));
  return Runner(std::make_unique<Impl>(compilation, std::move(backend)));
}

Result<imr::Outcome> Runner::run(const packet::Packet& packet) {
  imr::Outcome whole;
  const std::optional<Nfproto> nfproto = nfproto_of(packet);
  for (std::size_t i = 0; i < impl_->compilation.programs.size(); ++i) {
    const Attachment& attachment = impl_->compilation.programs[i].attachment;
    const bool one_protocol = attachment.hook.kind == Hook::Kind::netfilter;
    if (one_protocol && attachment.nfproto != nfproto) continue;
    WEIR_TRY(seen, seen_at(attachment.hook, packet));
    WEIR_TRY(part, impl_->backend->run(i, seen));
    append(whole, part);
    if (whole.verdict != Verdict::accept) break;
  }
  return whole;
}

Result<std::vector<CounterTotal>> Runner::counters() {
  return impl_->backend->counters();
}

}  // namespace weir::driver
