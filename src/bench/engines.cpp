// SPDX-License-Identifier: BSD-2-Clause
#include "bench/engines.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <utility>

#include "bench/clock.h"
#include "driver/around.h"
#include "driver/compile.h"
#include "driver/stages.h"
#include "frontend/nft/nft.h"
#include "isa/isa.h"
#include "kernel/netns.h"

namespace weir::bench {
namespace {

// Around a program at XDP: counts what it says, and drops.
constexpr const char* taking_text = R"(
  call program
  r0 &= 7
  r0 <<= 3
  r1 = map[counts][0]+0
  r1 += r0
  r2 = *(u64 *)(r1 + 0)
  r2 += 1
  *(u64 *)(r1 + 0) = r2
  r0 = 1
  exit
program:
)";

// For the iptables that has a table of its own in the kernel, and is no other way to nf_tables.
constexpr const char* iptables = "iptables-legacy";
constexpr const char* iptables_restore = "iptables-legacy-restore";

Status run(const std::vector<std::string>& arguments, std::string_view input = {}) {
  WEIR_TRY(output, kernel::run_command(arguments, input));
  static_cast<void>(output);
  return {};
}

class Stopwatch {
 public:
  // Seconds since it was made, or since the last part.
  double part() {
    const double now = wall_time();
    return (now - std::exchange(before_, now)) / 1e9;
  }

 private:
  double before_ = wall_time();
};

isa::Program taken(const isa::Program& program, const isa::Object& object) {
  return driver::around(program, taking_text, object.maps);
}

// Attaches programs behind one another, and keeps them there.
Status attach(Wire& wire, const kernel::LoadedObject& loaded,
              const std::vector<driver::Attachment>& attachments) {
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  for (std::size_t i = 0; i < attachments.size(); ++i) {
    const driver::Attachment& attachment = attachments[i];
    const kernel::Fd& program = loaded.programs.at(i);
    if (attachment.hook.kind == Hook::Kind::netfilter) {
      WEIR_TRY(link, kernel::attach_netfilter(program, attachment.nfproto, attachment.hook.nf_hook,
                                              attachment.priority, attachment.defragments));
      wire.keep(std::move(link));
    } else {
      WEIR_TRY(link, kernel::attach_tcx(program, wire.output(), isa::Direction::ingress));
      wire.keep(std::move(link));
    }
  }
  return {};
}

Result<std::uint64_t> memory_of(const kernel::LoadedObject& loaded) {
  std::uint64_t sum = 0;
  for (const auto* objects : {&loaded.maps, &loaded.programs}) {
    for (const kernel::Fd& object : *objects) {
      WEIR_TRY(bytes, kernel::memory_use(object));
      sum += bytes;
    }
  }
  return sum;
}

// Where the time of a compilation goes.
struct StageTimes {
  double rules = 0;
  double code = 0;
  driver::Observer observer() {
    return [this](const driver::StageReport& report) {
      (report.unit != nullptr ? rules : code) += report.milliseconds / 1e3;
    };
  }
};

isa::Object returning(isa::ProgramType type, std::int32_t verdict) {
  isa::Object object;
  object.programs.push_back({.name = "verdict",
                             .type = type,
                             .insns = {isa::make(isa::Opcode::mov64_imm, 0, 0, 0, verdict),
                                       isa::make(isa::Opcode::exit)}});
  return object;
}

// With the map of counts, the programs around it, or as it is.
Result<kernel::LoadedObject> load_taken(isa::Object object) {
  object.maps.push_back(counts_map());
  for (isa::Program& program : object.programs) program = taken(program, object);
  return kernel::load(object);
}

// What a program at this site returns.
std::int32_t verdict_at(Site site, bool accept) {
  if (site == Site::driver) return accept ? XDP_PASS : XDP_DROP;
  if (site == Site::tc) return accept ? TC_ACT_UNSPEC : TC_ACT_SHOT;
  return accept ? 1 : 0;  // NF_ACCEPT, NF_DROP
}

Result<Wire> put_program_floor(Site site, bool accept) {
  const std::int32_t verdict = verdict_at(site, accept);
  if (site == Site::driver) {
    WEIR_TRY(loaded, load_taken(returning(isa::ProgramType::xdp, verdict)));
    kernel::Fd counts = std::move(loaded.maps.back());
    return Wire::to_driver(loaded.programs.front(), std::move(counts));
  }
  const bool at_tc = site == Site::tc;
  WEIR_TRY(wire, Wire::to_stack());
  WEIR_TRY(loaded,
           kernel::load(returning(at_tc ? isa::ProgramType::sched_cls : isa::ProgramType::netfilter,
                                  verdict)));
  driver::Attachment attachment{.hook = {}, .priority = -300, .roots = {}};
  attachment.hook.kind = at_tc ? Hook::Kind::tc_ingress : Hook::Kind::netfilter;
  attachment.hook.nf_hook = NfHook::prerouting;
  WEIR_CHECK(attach(wire, loaded, {attachment}));
  return std::move(wire);
}

}  // namespace

std::string_view to_string(Engine engine) {
  switch (engine) {
    case Engine::weir:
      return "weir";
    case Engine::nft:
      return "nft";
    case Engine::nft_sets:
      return "nft-sets";
    case Engine::iptables:
      return "iptables";
  }
  throw InvariantError("engine out of range");
}

Result<Engine> parse_peer(std::string_view name) {
  for (const Engine engine : {Engine::nft, Engine::nft_sets, Engine::iptables}) {
    if (to_string(engine) == name) return engine;
  }
  return input_error("'" + std::string(name) +
                     "' is nothing to measure against, expected nft, nft-sets or iptables");
}

std::string_view to_string(Site site) {
  switch (site) {
    case Site::driver:
      return "xdp";
    case Site::tc:
      return "tc ingress";
    case Site::netdev:
      return "netdev ingress";
    case Site::prerouting:
      return "prerouting";
    case Site::iptables_raw:
      return "raw PREROUTING";
  }
  throw InvariantError("site out of range");
}

Result<Site> site_of(Engine engine, const Hook& hook) {
  const bool at_driver = hook.kind == Hook::Kind::xdp;
  const bool at_device = at_driver || hook.kind == Hook::Kind::tc_ingress;
  if (!at_device && !(hook.kind == Hook::Kind::netfilter && hook.nf_hook == NfHook::prerouting)) {
    return input_error(
        "packets are brought to xdp, tc:ingress and netfilter:prerouting only, not to " +
        to_string(hook));
  }
  switch (engine) {
    case Engine::weir:
      return at_driver ? Site::driver : at_device ? Site::tc : Site::prerouting;
    case Engine::nft:
    case Engine::nft_sets:
      return at_device ? Site::netdev : Site::prerouting;
    case Engine::iptables:
      return Site::iptables_raw;
  }
  throw InvariantError("engine out of range");
}

ChainPlace chain_place(Site site) {
  if (site == Site::prerouting) return {"ip", "hook prerouting priority -300"};
  return {"netdev", "hook ingress device wire1 priority 0"};
}

Result<InForce> put_weir(const Script& script, const Hook& hook, bool wrong) {
  Stopwatch watch;
  WEIR_TRY(ruleset, frontend::nft::read_script(script.text, script.file));
  const double front_end = watch.part();
  WEIR_TRY(attachments, driver::plan(ruleset, hook, script.chains));
  StageTimes stages;
  // As weir apply compiles them.
  const driver::Options options{.untrusted_memory = kernel::has_untrusted_memory(),
                                .updatable_sets = true,
                                .updatable_rules = true,
                                .break_a_pass = wrong,
                                .observer = stages.observer()};
  WEIR_TRY(compilation, driver::compile(ruleset, attachments, options));
  const double compiling = watch.part();
  const bool at_driver = hook.kind == Hook::Kind::xdp;
  WEIR_TRY(loaded, at_driver ? load_taken(std::move(compilation.object))
                             : kernel::load(compilation.object));
  const double loading = watch.part();
  // Who is at XDP takes its place on the wire as it is laid.
  kernel::Fd counts;
  if (at_driver) counts = std::move(loaded.maps.back());
  if (at_driver) loaded.maps.pop_back();
  WEIR_TRY(wire, at_driver
                     ? Wire::to_driver(loaded.programs.front(), std::move(counts), hook.device)
                     : Wire::to_stack(hook.device));
  watch.part();
  if (!at_driver) WEIR_CHECK(attach(wire, loaded, attachments));
  const double attaching = watch.part();
  WEIR_TRY(memory, memory_of(loaded));
  return InForce{.wire = std::move(wire),
                 .loading = {.seconds = front_end + compiling + loading + attaching,
                             .parts = {{"front end", front_end},
                                       {"passes over rules", stages.rules},
                                       {"lowering and code", stages.code},
                                       {"tables and rest", compiling - stages.rules - stages.code},
                                       {"kernel", loading + attaching}}},
                 .memory = memory};
}

Result<InForce> put_nft(const std::string& text, const std::string& device) {
  WEIR_TRY(wire, Wire::to_stack(device));
  WEIR_TRY(seconds, run_nft(wire, text));
  return InForce{.wire = std::move(wire), .loading = {.seconds = seconds}, .memory = {}};
}

Result<InForce> put_iptables(const std::string& text) {
  WEIR_TRY(wire, Wire::to_stack());
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  Stopwatch watch;
  WEIR_CHECK(run({iptables_restore}, text));
  const double seconds = watch.part();
  return InForce{.wire = std::move(wire), .loading = {.seconds = seconds}, .memory = {}};
}

Result<Wire> put_floor(Site site, Engine engine, bool accept) {
  if (engine == Engine::weir) return put_program_floor(site, accept);
  WEIR_TRY(in_force, engine == Engine::iptables
                         ? put_iptables(iptables_floor_text(accept))
                         : put_nft(nft_floor_text(chain_place(site), accept), {}));
  return std::move(in_force.wire);
}

Result<double> run_nft(const Wire& wire, const std::string& script) {
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  Stopwatch watch;
  WEIR_CHECK(run({"nft", "-f", "-"}, script));
  return watch.part();
}

Result<double> run_iptables(const Wire& wire, const std::vector<std::string>& words) {
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  std::vector<std::string> command = {iptables};
  command.insert(command.end(), words.begin(), words.end());
  Stopwatch watch;
  WEIR_CHECK(run(command));
  return watch.part();
}

}  // namespace weir::bench
