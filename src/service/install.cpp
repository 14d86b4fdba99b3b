// SPDX-License-Identifier: BSD-2-Clause
#include "service/install.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "backend/records.h"
#include "kernel/forward.h"
#include "service/attach.h"
#include "service/exchange.h"
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

// No number that a journal had which was left behind.
std::uint64_t new_edition() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

Status pin_all(const Installed& installed, const std::string& directory) {
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    const std::string& name = installed.state.maps.at(i).pin;
    WEIR_CHECK(kernel::pin(installed.loaded.maps[i], directory + "/" + name));
  }
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    const std::string name = program_pin(installed.state, i);
    WEIR_CHECK(kernel::pin(installed.loaded.programs[i], directory + "/" + name));
  }
  for (std::size_t i = 0; i < installed.links.size(); ++i) {
    const AttachmentState& state = installed.state.attachments.at(i);
    if (installed.links[i].valid()) {
      WEIR_CHECK(kernel::pin(installed.links[i], directory + "/" + link_pin(state)));
    }
    if (installed.places.at(i).valid()) {
      WEIR_CHECK(kernel::pin(installed.places[i], directory + "/" + place_pin(state)));
    }
  }
  return {};
}

// Other links than netfilter's take another program themselves.
Status attach_forwarded(Installed& installed, std::size_t index, const Terms& terms,
                        const Paths& paths) {
  AttachmentState& state = installed.state.attachments[index];
  const kernel::Fd& program = installed.loaded.programs.at(index);
  WEIR_TRY(place, kernel::make_places("weir_place", 1));
  WEIR_CHECK(kernel::put_program(place, 0, program));
  WEIR_TRY(forwarder, kernel::load_forwarder(program_for(state.hook.kind), place));
  WEIR_TRY(link, attach(forwarder, state, terms.tc_mode, paths));
  WEIR_TRY(id, kernel::program_id(program));
  state.program_id = id;
  state.forwarded = true;
  installed.links.push_back(std::move(link));
  installed.places.push_back(std::move(place));
  return {};
}

Status attach_all(Installed& installed, const Terms& terms, const Paths& paths) {
  // What is never exchanged needs no place for another.
  const bool for_good = terms.lock || terms.foreground;
  for (std::size_t i = 0; i < installed.state.attachments.size(); ++i) {
    AttachmentState& state = installed.state.attachments[i];
    state.place = static_cast<std::uint32_t>(i);
    if (state.hook.kind == Hook::Kind::netfilter && !for_good) {
      WEIR_CHECK(attach_forwarded(installed, i, terms, paths));
    } else {
      WEIR_TRY(link, attach(installed.loaded.programs.at(i), state, terms.tc_mode, paths));
      installed.links.push_back(std::move(link));
      installed.places.emplace_back();
    }
    if (state.filter && terms.confirm != 0) {
      return input_error("hook " + to_string(state.hook) +
                         ": this kernel has no TCX links, and a TC filter would outlive a guard "
                         "that is killed: --confirm cannot be kept there");
    }
    reach(terms.at_step, "apply: attached " + std::to_string(i));
  }
  return {};
}

Status check_name_is_free(const std::string& name, const Paths& paths) {
  const auto names = standing_names(paths);
  if (std::ranges::find(names, name) == names.end()) return {};
  const auto policy = load_policy(name, paths);
  if (policy && policy->locked) {
    return input_error("policy '" + name +
                       "' is locked: weir release --force removes it, if that is meant");
  }
  if (policy && standing(*policy, paths) == Standing::waiting) {
    return input_error("a policy '" + name +
                       "' waits for confirmation: confirm or release it first");
  }
  return input_error("a policy '" + name +
                     "' is applied already: release it first, or choose another --name");
}

Result<std::optional<PolicyState>> find_standing(const std::string& name, const Paths& paths) {
  const auto names = standing_names(paths);
  if (std::ranges::find(names, name) == names.end()) return std::optional<PolicyState>();
  WEIR_TRY(policy, load_policy(name, paths));
  return std::optional(std::move(policy));
}

Status check(const Plan& plan, const Terms& terms, const Paths& paths) {
  WEIR_CHECK(check_policy_name(terms.name));
  for (const AttachmentState& attachment : plan.state.attachments) {
    WEIR_CHECK(check_hook(attachment.hook));
    WEIR_CHECK(check_target(attachment.hook));
  }
  if (terms.foreground || terms.replace) return {};
  if (terms.confirm != 0 && in_own_mount_namespace()) {
    return system_error(
        "--confirm needs the machine's own mount namespace: pins cannot come into being all at "
        "once in another one");
  }
  return check_name_is_free(terms.name, paths);
}

// All that is permanent, but with one step between it and being in force for good. With a guard,
// that step is the guard's.
Status make_permanent(Installed& installed, const Terms& terms, kernel::Fd& held,
                      const Paths& paths) {
  WEIR_TRY(staging, Staging::create(terms.name, paths));
  WEIR_CHECK(pin_all(installed, staging.directory()));
  reach(terms.at_step, "apply: staged");
  installed.state.settled = false;
  if (terms.confirm != 0) installed.state.confirm_by = boot_milliseconds() + 1000 * terms.confirm;
  WEIR_CHECK(save(installed.state, paths));
  reach(terms.at_step, "apply: saved");
  if (terms.confirm == 0) return settle(installed, staging, paths, terms.at_step);
  WEIR_CHECK(start_guard(installed, staging, held, paths, terms.at_step));
  return {};
}

}  // namespace

Result<Installed> load(Plan plan, const Terms& terms) {
  Installed installed;
  installed.state = std::move(plan.state);
  installed.state.name = terms.name;
  installed.state.since = now();
  installed.state.locked = terms.lock;
  installed.state.edition = new_edition();
  WEIR_TRY(here, current_namespace());
  installed.state.namespace_id = here;
  WEIR_CHECK(plan.load(installed));
  for (MapState& map : installed.state.maps) {
    map.pin = pin_name(installed.state, "map_" + map.name);
  }
  if (!terms.lock) return installed;
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    // Who reads the ring moves its position, which is all that can be written to it.
    if (installed.state.maps.at(i).name == backend::record_ring_name) continue;
    if (const Status frozen = kernel::freeze(installed.loaded.maps[i]); !frozen) {
      Diagnostic error = frozen.error();
      error.message = "map " + installed.state.maps.at(i).name + ": " + error.message;
      return std::unexpected(error);
    }
  }
  return installed;
}

Result<Installed> install(Plan plan, const Terms& terms, const Paths& paths) {
  auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  tidy(paths);
  WEIR_CHECK(check(plan, terms, paths));
  if (!terms.foreground) WEIR_CHECK(ensure_pins(paths));
  if (terms.replace) {
    WEIR_TRY(there, find_standing(terms.name, paths));
    if (there) {
      WEIR_CHECK(check_changeable(*there, paths));
      WEIR_TRY(state, exchange(std::move(*there), std::move(plan), paths, terms.at_step));
      return Installed{.state = std::move(state), .loaded = {}, .links = {}, .places = {}};
    }
  }
  const auto check_attached = plan.check_attached;
  auto installed = load(std::move(plan), terms);
  if (!installed) return installed;
  reach(terms.at_step, "apply: loaded");
  if (installed->state.keeps_connections) {
    WEIR_TRY(table, OwnedTable::create(terms.name));
    installed->tracking = std::move(table);
  }
  if (installed->state.counts_connections) WEIR_CHECK(count_connections());
  Status status = attach_all(*installed, terms, paths);
  if (status) status = check_attached(installed->state);
  if (status && !terms.foreground) status = make_permanent(*installed, terms, *held, paths);
  if (!status) {
    abandon(*installed);
    if (!terms.foreground) remove_traces(installed->state, paths);
    return std::unexpected(status.error());
  }
  return installed;
}

Result<PolicyState> try_out(Plan plan, const Terms& terms, const Paths& paths) {
  WEIR_CHECK(check(plan, terms, paths));
  WEIR_TRY(installed, load(std::move(plan), terms));
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
  installed.places.clear();
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
  fs::remove(paths.journal(policy.name), error);
  fs::remove(paths.state_file(policy.name), error);
}

}  // namespace weir::service
