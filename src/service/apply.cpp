// SPDX-License-Identifier: BSD-2-Clause
#include "service/apply.h"
#include "service/dynamic_sets.h"

#include <net/if.h>

#include <filesystem>
#include <utility>

#include "driver/reads.h"
#include "kernel/forward.h"
#include "service/attach.h"
#include "service/carriers.h"
#include "service/exchange.h"
#include "service/fingerprint.h"
#include "service/guard.h"
#include "service/send_targets.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

AttachmentState describe(const imr::Ruleset& ruleset, const driver::Attachment& attachment,
                         const isa::Program& program) {
  AttachmentState out;
  out.hook = attachment.hook;
  out.nfproto = attachment.nfproto;
  out.priority = attachment.priority;
  out.defragments = attachment.defragments;
  for (const imr::ChainId root : attachment.roots) {
    out.chains.push_back(imr::qualified_name(ruleset, root));
  }
  out.program_name = program.name;
  return out;
}

Result<Plan> plan(const Request& request) {
  if (request.compilation.programs.empty()) {
    return input_error("the ruleset has no base chain to attach");
  }
  WEIR_CHECK(check_interfaces(request.ruleset));
  std::vector<driver::Attachment> attachments;
  for (const driver::CompiledProgram& program : request.compilation.programs) {
    attachments.push_back(program.attachment);
  }
  WEIR_CHECK(check_owners(driver::scan_reads(request.ruleset, attachments)));
  WEIR_CHECK(check_send_targets(request.ruleset, attachments));
  PolicyState state = describe_policy(request.ruleset, request.compilation, request.source);
  state.classifier = request.classifier;
  return Plan{.state = std::move(state),
              .load =
                  [&request](Installed& installed) {
                    const isa::Object& object = request.compilation.object;
                    return load_programs(object, std::vector<kernel::Fd>(object.maps.size()),
                                         installed);
                  },
              .check_attached =
                  [&request](const PolicyState& policy) {
                    return check_xdp_targets(request.ruleset, policy);
                  }};
}

}  // namespace

Status check_interfaces(const imr::Ruleset& ruleset) {
  // nft refuses them too: an index that no device has would match nothing, in silence.
  for (const imr::Interface& interface : ruleset.interfaces) {
    if (if_nametoindex(interface.name.c_str()) != 0) continue;
    return input_error("the rules name interface '" + interface.name +
                       "' by its index (iif, oif, fwd, dup), and there is none in this network "
                       "namespace; iifname and oifname match by name");
  }
  return {};
}

Status load_programs(const isa::Object& object, std::vector<kernel::Fd> given,
                     Installed& installed) {
  WEIR_TRY(loaded, kernel::load(object, std::move(given)));
  installed.loaded = std::move(loaded);
  Ids ids;
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    WEIR_TRY(id, kernel::map_id(installed.loaded.maps[i]));
    installed.state.maps.push_back(
        {.name = object.maps[i].name, .id = id, .value_size = object.maps[i].value_size});
    ids.maps.push_back(id);
  }
  for (const kernel::Fd& program : installed.loaded.programs) {
    WEIR_TRY(id, kernel::program_id(program));
    ids.programs.push_back(id);
  }
  name_carriers(object, ids, installed.state.chains);
  installed.state.fingerprint = fingerprint(object);
  return {};
}

PolicyState describe_policy(const imr::Ruleset& ruleset, const driver::Compilation& compilation,
                            const std::string& source) {
  PolicyState state;
  state.source = source;
  std::vector<driver::Attachment> attachments;
  for (std::size_t i = 0; i < compilation.programs.size(); ++i) {
    attachments.push_back(compilation.programs[i].attachment);
    state.attachments.push_back(
        describe(ruleset, attachments.back(), compilation.object.programs.at(i)));
  }
  state.chains = describe_chains(ruleset, attachments);
  state.unreached = describe_unreached(ruleset, attachments);
  if (compilation.sets) {
    for (backend::UpdatableSet& set : compilation.sets->updatable()) {
      const imr::Table& table = ruleset[set.table];
      state.sets.push_back({.family = table.family, .table = table.name, .set = std::move(set)});
    }
  }
  state.dynamic_sets = describe_dynamic_sets(ruleset, compilation);
  state.has_counters = compilation.counters.valid();
  if (state.has_counters) {
    state.counter_room = compilation.object.maps.at(compilation.counters.index()).max_entries;
  }
  // At XDP the rules cannot read connections; the compiler has refused those that do.
  const driver::Reads reads = driver::scan_reads(ruleset, attachments);
  state.keeps_connections = reads.connection;
  state.counts_connections = reads.connection_counts;
  return state;
}

Result<Installed> apply(const Request& request, const Paths& paths) {
  WEIR_TRY(planned, plan(request));
  return install(std::move(planned), request.terms, paths);
}

Result<PolicyState> dry_run(const Request& request, const Paths& paths) {
  WEIR_TRY(planned, plan(request));
  return try_out(std::move(planned), request.terms, paths);
}

Status release(Installed& installed) {
  abandon(installed);
  return {};
}

Status release(const std::string& name, const Paths& paths, bool force) {
  WEIR_CHECK(check_policy_name(name));
  if (const auto policy = load_policy(name, paths); policy && policy->locked && !force) {
    return input_error("policy '" + name + "' is locked: weir release --force removes it");
  }
  WEIR_TRY(dismissed, dismiss(name, paths));
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  auto policy = load_policy(name, paths);
  if (policy) {
    // One side of it, whose filters are known then; whether that works or not, all of it goes.
    [[maybe_unused]] const Status settled = settle_exchange(*policy, paths);
  }
  std::error_code error;
  const bool pinned = fs::exists(paths.pins(name), error);
  if (error) return system_error("looking at " + paths.pins(name), error.value());
  if (!policy && !pinned) {
    if (dismissed) return {};
    return std::unexpected(policy.error());
  }
  WEIR_CHECK(remove_pins(paths.pins(name)));
  if (policy) {
    detach_filters(*policy);
    const bool exchanged = !policy->next.empty() && policy->next.front().keeps_connections;
    if (policy->keeps_connections || exchanged) {
      WEIR_CHECK(drop_connections(name, policy->namespace_id));
    }
  }
  fs::remove(paths.guard_socket(name), error);
  fs::remove(paths.journal(name), error);
  fs::remove(paths.state_file(name), error);
  if (error) return system_error("removing " + paths.state_file(name), error.value());
  return {};
}

}  // namespace weir::service
