// SPDX-License-Identifier: BSD-2-Clause
#include "service/apply.h"

#include <net/if.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "driver/reads.h"
#include "service/attach.h"
#include "service/carriers.h"
#include "service/guard.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

std::string now() {
  const std::time_t seconds = ::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text = {};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

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

Status pin_all(const Installed& installed, const isa::Object& object,
               const std::string& directory) {
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    WEIR_CHECK(kernel::pin(installed.loaded.maps[i], directory + "/map_" + object.maps[i].name));
  }
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    WEIR_CHECK(
        kernel::pin(installed.loaded.programs[i], directory + "/program_" + std::to_string(i)));
  }
  for (std::size_t i = 0; i < installed.links.size(); ++i) {
    if (!installed.links[i].valid()) continue;
    WEIR_CHECK(kernel::pin(installed.links[i], directory + "/link_" + std::to_string(i)));
  }
  return {};
}

Status attach_all(Installed& installed, const Request& request, const Paths& paths) {
  for (std::size_t i = 0; i < installed.state.attachments.size(); ++i) {
    AttachmentState& state = installed.state.attachments[i];
    WEIR_TRY(link, attach(installed.loaded.programs.at(i), state, request.tc_mode, paths));
    installed.links.push_back(std::move(link));
    if (state.filter && request.confirm != 0) {
      return input_error("hook " + to_string(state.hook) +
                         ": this kernel has no TCX links, and a TC filter would outlive a guard "
                         "that is killed: --confirm cannot be kept there");
    }
    reach(request.at_step, "apply: attached " + std::to_string(i));
  }
  return {};
}

Status check_interfaces(const imr::Ruleset& ruleset) {
  // nft refuses them too: an index that no device has would match nothing, in silence.
  for (const imr::Interface& interface : ruleset.interfaces) {
    if (if_nametoindex(interface.name.c_str()) != 0) continue;
    return input_error("the rules name interface '" + interface.name +
                       "' by iif or oif, and there is none in this network namespace; iifname "
                       "and oifname match by name");
  }
  return {};
}

Status check_name_is_free(const Request& request, const Paths& paths) {
  const auto names = standing_names(paths);
  if (std::ranges::find(names, request.name) == names.end()) return {};
  const auto policy = load_policy(request.name, paths);
  if (policy && policy->locked) {
    return input_error("policy '" + request.name +
                       "' is locked: weir release --force removes it, if that is meant");
  }
  if (policy && standing(*policy, paths) == Standing::waiting) {
    return input_error("a policy '" + request.name +
                       "' waits for confirmation: confirm or release it first");
  }
  return input_error("a policy '" + request.name +
                     "' is applied already: release it first, or choose another --name");
}

Status check_request(const Request& request, const Paths& paths) {
  WEIR_CHECK(check_policy_name(request.name));
  if (request.compilation.programs.empty()) {
    return input_error("the ruleset has no base chain to attach");
  }
  for (const driver::CompiledProgram& program : request.compilation.programs) {
    WEIR_CHECK(check_hook(program.attachment.hook));
    WEIR_CHECK(check_target(program.attachment.hook));
  }
  WEIR_CHECK(check_interfaces(request.ruleset));
  if (request.foreground) return {};
  if (request.confirm != 0 && in_own_mount_namespace()) {
    return system_error(
        "--confirm needs the machine's own mount namespace: pins cannot come into being all at "
        "once in another one");
  }
  return check_name_is_free(request, paths);
}

Result<PolicyState> describe_policy(const Request& request) {
  PolicyState state;
  state.name = request.name;
  state.since = now();
  WEIR_TRY(here, current_namespace());
  state.namespace_id = here;
  state.source = request.source;
  state.locked = request.lock;
  std::vector<driver::Attachment> attachments;
  for (std::size_t i = 0; i < request.compilation.programs.size(); ++i) {
    attachments.push_back(request.compilation.programs[i].attachment);
    state.attachments.push_back(
        describe(request.ruleset, attachments.back(), request.compilation.object.programs.at(i)));
  }
  state.chains = describe_chains(request.ruleset, attachments);
  if (request.compilation.sets) {
    for (backend::UpdatableSet& set : request.compilation.sets->updatable()) {
      const imr::Table& table = request.ruleset[set.table];
      state.sets.push_back({.family = table.family, .table = table.name, .set = std::move(set)});
    }
  }
  state.has_counters = request.compilation.counters.valid();
  // At XDP the rules cannot read connections; the compiler has refused those that do.
  state.keeps_connections = driver::scan_reads(request.ruleset, attachments).connection;
  return state;
}

// Loads everything, and says in the state which programs and maps there are and which rules they
// carry.
Status load_all(const Request& request, Installed& installed) {
  const isa::Object& object = request.compilation.object;
  WEIR_TRY(loaded, kernel::load(object));
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
  if (!request.lock) return {};
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    if (const Status frozen = kernel::freeze(installed.loaded.maps[i]); !frozen) {
      Diagnostic error = frozen.error();
      error.message = "map " + object.maps[i].name + ": " + error.message;
      return std::unexpected(error);
    }
  }
  return {};
}

// All that is permanent, but with one step between it and being in force for good. With a guard,
// that step is the guard's.
Status make_permanent(Installed& installed, const Request& request, kernel::Fd& held,
                      const Paths& paths) {
  WEIR_TRY(staging, Staging::create(request.name, paths));
  WEIR_CHECK(pin_all(installed, request.compilation.object, staging.directory()));
  reach(request.at_step, "apply: staged");
  installed.state.settled = false;
  if (request.confirm != 0)
    installed.state.confirm_by = boot_milliseconds() + 1000 * request.confirm;
  WEIR_CHECK(save(installed.state, paths));
  reach(request.at_step, "apply: saved");
  if (request.confirm == 0) return settle(installed, staging, paths, request.at_step);
  WEIR_CHECK(start_guard(installed, staging, held, paths, request.at_step));
  return {};
}

}  // namespace

Result<Installed> apply(const Request& request, const Paths& paths) {
  auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  tidy(paths);
  WEIR_CHECK(check_request(request, paths));
  if (!request.foreground) WEIR_CHECK(ensure_pins(paths));
  Installed installed;
  WEIR_TRY(state, describe_policy(request));
  installed.state = std::move(state);
  WEIR_CHECK(load_all(request, installed));
  if (installed.state.keeps_connections) {
    WEIR_TRY(table, OwnedTable::create(request.name));
    installed.tracking = std::move(table);
  }
  Status status = attach_all(installed, request, paths);
  if (status && !request.foreground) status = make_permanent(installed, request, *held, paths);
  if (!status) {
    abandon(installed);
    if (!request.foreground) remove_traces(installed.state, paths);
    return std::unexpected(status.error());
  }
  return installed;
}

Result<PolicyState> dry_run(const Request& request, const Paths& paths) {
  WEIR_CHECK(check_request(request, paths));
  Installed installed;
  WEIR_TRY(state, describe_policy(request));
  installed.state = std::move(state);
  WEIR_CHECK(load_all(request, installed));
  return std::move(installed.state);
}

Status settle(Installed& installed, Staging& staging, const Paths& paths, const StepHook& at_step) {
  PolicyState& state = installed.state;
  if (state.keeps_connections) WEIR_CHECK(keep_connections(state.name));
  reach(at_step, "settle: tracking");
  WEIR_CHECK(staging.publish(paths));
  reach(at_step, "settle: published");
  installed.tracking.reset();
  state.settled = true;
  state.confirm_by = 0;
  // Pins that are there say as much as this file does (standing()), so its fate decides nothing.
  [[maybe_unused]] const Status saved = save(state, paths);
  reach(at_step, "settle: saved");
  return {};
}

void abandon(Installed& installed) {
  for (const kernel::Fd& link : installed.links) {
    if (!link.valid()) continue;
    [[maybe_unused]] const Status detached = kernel::detach(link);
  }
  installed.links.clear();
  detach_filters(installed.state);
  installed.tracking.reset();
}

void remove_traces(const PolicyState& policy, const Paths& paths) {
  [[maybe_unused]] const Status removed = remove_pins(paths.pins(policy.name));
  if (policy.keeps_connections) {
    [[maybe_unused]] const Status dropped = drop_connections(policy.name, policy.namespace_id);
  }
  std::error_code error;
  fs::remove(paths.guard_socket(policy.name), error);
  fs::remove(paths.state_file(policy.name), error);
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
  const auto policy = load_policy(name, paths);
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
    if (policy->keeps_connections) WEIR_CHECK(drop_connections(name, policy->namespace_id));
  }
  fs::remove(paths.guard_socket(name), error);
  fs::remove(paths.state_file(name), error);
  if (error) return system_error("removing " + paths.state_file(name), error.value());
  return {};
}

}  // namespace weir::service
