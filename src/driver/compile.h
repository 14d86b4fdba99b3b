// SPDX-License-Identifier: BSD-2-Clause
//
// The whole compiler as a short ordered list of stages: IMR, passes, flow, passes, eBPF.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/dynamic_sets.h"
#include "backend/limits.h"
#include "backend/run_maps.h"
#include "backend/set_maps.h"
#include "base/error.h"
#include "classify/structure.h"
#include "flow/flow.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::driver {

// One program to be made, and where it belongs.
struct Attachment {
  Hook hook;
  Nfproto nfproto = Nfproto::ipv4;  // of netfilter hooks; an XDP program serves both
  std::int32_t priority = 0;        // of netfilter hooks
  bool defragments = false;         // the link has packets reassembled: see driver/reassembly.h
  // They decide one after another, and read packets alike (imr/reading.h). At netfilter hooks they
  // have one priority.
  std::vector<imr::ChainId> roots;
};

// "inet/filter/forward"
struct ChainName {
  Family family = Family::inet;
  std::string table;
  std::string chain;
};
[[nodiscard]] Result<ChainName> parse_chain_name(std::string_view text);

// What to compile for `hook`, or, without one, for the hook that each base chain names, in priority
// order: netdev and inet chains of the hooks ingress and egress run at tc of each of their devices.
// `chains` selects at hooks other than netfilter; see the command line's contract. Dormant tables
// have no hooks. Chains that cannot run where they are wanted are an input error that names the
// hooks that can serve them.
[[nodiscard]] Result<std::vector<Attachment>> plan(const imr::Ruleset& ruleset,
                                                   const std::optional<Hook>& hook,
                                                   const std::vector<ChainName>& chains);

struct StageReport;  // see driver/stages.h
using Observer = std::function<void(const StageReport&)>;

struct Options {
  std::vector<std::string> disabled_passes;
  bool trace = false;            // record the rules that matched; for `test`
  bool drop_unparsable = true;   // at XDP, under a drop policy
  bool untrusted_memory = true;  // netfilter: kernels from 6.17 on; else dynptr slices
  bool updatable_sets = false;   // elements of named sets may change later: backend/set_update.h
  bool updatable_rules = false;  // and rules of long lists: driver/in_place.h
  bool self_contained = false;   // nothing but data sections is filled by who loads the programs
  bool small_parts = false;      // tests only: every program is split, into parts of a few rules
  // Instructions that the kernel's verifier follows over all paths (BPF_COMPLEXITY_LIMIT_INSNS, of
  // which 1,000,000 since 5.2). Programs that surely need more are refused.
  std::uint64_t verifier_limit = 1'000'000;
  // Long lists of rules are searched with this structure, not the one that takes least.
  std::optional<classify::Kind> classifier = {};
  bool all_runs = false;      // tests only: short runs of rules are searched, not tried, too
  backend::Limits limits;     // what programs must do without
  bool break_a_pass = false;  // tests only: one pass goes wrong, and every judge must notice
  Observer observer = {};     // told of each stage and pass when it is over
};

struct CompiledProgram {
  Attachment attachment;
  std::vector<imr::Unit> units;      // as the front end made them: what the evaluator judges by
  std::vector<imr::Unit> optimized;  // after the IMR passes
  flow::Function function;           // after the flow passes
};

// A trace is a 4-byte count and then that many (at most trace_capacity) 4-byte entries: a RuleId of
// the source ruleset, with trace_decided set when its verdict ended a base chain; trace_policy when
// a policy did. All native-endian, in the one element of the array map `trace`.
constexpr std::uint32_t trace_capacity = 4096;
using backend::trace_decided;
using backend::trace_policy;

// Rules of a unit that are searched together.
struct SearchedRun {
  std::size_t program = 0;  // of the object
  Nfproto nfproto = Nfproto::ipv4;
  std::uint32_t number = 0;        // imr::Rule::run
  std::vector<imr::RuleId> rules;  // of the source ruleset
  std::size_t list = 0;            // rules that they come to when each tests one range a value
  classify::Kind structure = classify::Kind::tuples;
  std::vector<classify::Estimate> estimates;  // of all structures
};

struct Compilation {
  std::vector<CompiledProgram> programs;  // program i of `object` comes from programs[i]
  isa::Object object;
  // Per-CPU array: element i is {u64 packets, u64 bytes} of CounterId i of the source ruleset.
  // Not valid when no program counts.
  isa::MapIndex counters;
  // Array of one element: word i of 8 bytes is that of MeterId i (backend/meters.h). Not valid when
  // no rule takes from one.
  isa::MapIndex meters;
  isa::MapIndex log;  // the ring of backend/records.h; not valid when no rule logs
  isa::MapIndex trace;
  std::vector<SearchedRun> runs;
  std::shared_ptr<const backend::SetMaps> sets;  // where the sets are among the maps of `object`
  std::shared_ptr<const backend::DynamicMaps> dynamic_sets;  // the same of dynamic ones
  std::shared_ptr<const backend::RunMaps> run_maps;  // and where the runs are, of `programs`' units
};

// One unit for each network protocol that a root of the attachment sees.
[[nodiscard]] std::vector<imr::Unit> units_of(const imr::Ruleset& ruleset,
                                              const Attachment& attachment);

// Refuses rules that stay with the kernel (ErrorKind::partial, one note a rule) and expressions
// that the hook cannot serve (input error that names them).
[[nodiscard]] Result<Compilation> compile(const imr::Ruleset& ruleset,
                                          const std::vector<Attachment>& attachments,
                                          const Options& options = {});

}  // namespace weir::driver
