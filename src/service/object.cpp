// SPDX-License-Identifier: BSD-2-Clause
#include "service/object.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "kernel/elf.h"
#include "object/elf.h"
#include "service/attach.h"
#include "service/netns.h"
#include "service/object_note.h"
#include "service/store.h"

namespace weir::service {
namespace {

std::string now() {
  const std::time_t seconds = ::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text = {};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

isa::ProgramType program_type(Hook::Kind kind) {
  switch (kind) {
    case Hook::Kind::xdp:
      return isa::ProgramType::xdp;
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      return isa::ProgramType::sched_cls;
    case Hook::Kind::netfilter:
      return isa::ProgramType::netfilter;
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      return isa::ProgramType::cgroup_skb;
    case Hook::Kind::socket:
      return isa::ProgramType::socket_filter;
  }
  throw InvariantError("hook out of range");
}

// Programs know devices by the indices that they had where the object was compiled.
Status check_interfaces(const std::vector<imr::Interface>& interfaces) {
  for (const imr::Interface& interface : interfaces) {
    const unsigned index = if_nametoindex(interface.name.c_str());
    if (index == interface.index) continue;
    return input_error("the rules name interface '" + interface.name +
                       "' by iif or oif, as index " + std::to_string(interface.index) +
                       "; in this network namespace " +
                       (index == 0 ? "there is none" : "it has index " + std::to_string(index)) +
                       ". iifname and oifname match by name");
  }
  return {};
}

Status choose_hook(const std::optional<Hook>& wanted, PolicyState& policy) {
  if (!wanted) return {};
  for (AttachmentState& attachment : policy.attachments) {
    if (attachment.hook.kind != wanted->kind || attachment.hook.nf_hook != wanted->nf_hook) {
      return input_error("the ELF object was compiled for hook " + to_string(attachment.hook) +
                         ", not for " + to_string(*wanted));
    }
    attachment.hook.device = wanted->device;
  }
  return {};
}

Result<PolicyState> prepare(const ObjectRequest& request, const Paths& paths) {
  WEIR_CHECK(check_policy_name(request.name));
  WEIR_TRY(text, object::read_note(request.file));
  WEIR_TRY(note, parse_object_note(text));
  PolicyState policy = std::move(note.policy);
  policy.name = request.name;
  policy.since = now();
  WEIR_TRY(here, current_namespace());
  policy.namespace_id = here;
  WEIR_CHECK(choose_hook(request.hook, policy));
  for (const AttachmentState& attachment : policy.attachments) {
    WEIR_CHECK(check_hook(attachment.hook));
    WEIR_CHECK(check_target(attachment.hook));
  }
  WEIR_CHECK(check_interfaces(note.interfaces));
  const std::vector<std::string> names = standing_names(paths);
  if (!request.foreground && std::ranges::find(names, request.name) != names.end()) {
    return input_error("a policy '" + request.name +
                       "' is applied already: release it first, or choose another --name");
  }
  return policy;
}

Status load_all(const ObjectRequest& request, Installed& installed) {
  std::vector<kernel::ElfProgram> programs;
  for (const AttachmentState& attachment : installed.state.attachments) {
    const Hook::Kind kind = attachment.hook.kind;
    programs.push_back({.name = attachment.program_name,
                        .type = program_type(kind),
                        .direction = kind == Hook::Kind::cgroup_egress ? isa::Direction::egress
                                                                       : isa::Direction::ingress});
  }
  WEIR_TRY(elf, kernel::load_elf(request.file, programs));
  installed.loaded = std::move(elf.loaded);
  for (std::size_t i = 0; i < elf.map_names.size(); ++i) {
    WEIR_TRY(id, kernel::map_id(installed.loaded.maps[i]));
    installed.state.maps.push_back({.name = elf.map_names[i], .id = id});
  }
  return {};
}

Status pin_all(const Installed& installed, const std::string& directory) {
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    WEIR_CHECK(
        kernel::pin(installed.loaded.maps[i], directory + "/map_" + installed.state.maps[i].name));
  }
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    const std::string number = std::to_string(i);
    WEIR_CHECK(kernel::pin(installed.loaded.programs[i], directory + "/program_" + number));
    if (!installed.links[i].valid()) continue;
    WEIR_CHECK(kernel::pin(installed.links[i], directory + "/link_" + number));
  }
  return {};
}

Status put_in_force(Installed& installed, const ObjectRequest& request, const Paths& paths) {
  for (std::size_t i = 0; i < installed.state.attachments.size(); ++i) {
    WEIR_TRY(link, attach(installed.loaded.programs[i], installed.state.attachments[i],
                          request.tc_mode, paths));
    installed.links.push_back(std::move(link));
  }
  if (request.foreground) return {};
  WEIR_TRY(staging, Staging::create(request.name, paths));
  WEIR_CHECK(pin_all(installed, staging.directory()));
  installed.state.settled = false;
  WEIR_CHECK(save(installed.state, paths));
  return settle(installed, staging, paths, {});
}

}  // namespace

Result<Installed> apply_object(const ObjectRequest& request, const Paths& paths) {
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  tidy(paths);
  WEIR_TRY(policy, prepare(request, paths));
  if (!request.foreground) WEIR_CHECK(ensure_pins(paths));
  Installed installed;
  installed.state = std::move(policy);
  WEIR_CHECK(load_all(request, installed));
  if (installed.state.keeps_connections) {
    WEIR_TRY(table, OwnedTable::create(request.name));
    installed.tracking = std::move(table);
  }
  if (const Status status = put_in_force(installed, request, paths); !status) {
    abandon(installed);
    if (!request.foreground) remove_traces(installed.state, paths);
    return std::unexpected(status.error());
  }
  return installed;
}

Result<PolicyState> dry_run_object(const ObjectRequest& request, const Paths& paths) {
  WEIR_TRY(policy, prepare(request, paths));
  Installed installed;
  installed.state = std::move(policy);
  WEIR_CHECK(load_all(request, installed));
  return std::move(installed.state);
}

}  // namespace weir::service
