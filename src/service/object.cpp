// SPDX-License-Identifier: BSD-2-Clause
#include "service/object.h"

#include <net/if.h>

#include <algorithm>
#include <utility>

#include "frontend/nft/nft.h"
#include "kernel/elf.h"
#include "service/attach.h"
#include "service/object_note.h"
#include "service/send_targets.h"

namespace weir::service {
namespace {

// Programs know devices by the indices that they had where the object was compiled.
Status check_interfaces(const std::vector<imr::Interface>& interfaces) {
  for (const imr::Interface& interface : interfaces) {
    const unsigned index = if_nametoindex(interface.name.c_str());
    if (index == interface.index) continue;
    return input_error("the rules name interface '" + interface.name +
                       "' by its index (iif, oif, fwd, dup), " + std::to_string(interface.index) +
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

Result<imr::Ruleset> rules_of(const PolicyState& policy) {
  return frontend::nft::read_script(policy.source, "rules of the object");
}

// What rules have of a loaded file in place of their indices in the note.
Status name_carriers(const std::vector<MapState>& noted, const std::vector<std::uint32_t>& programs,
                     PolicyState& policy) {
  std::vector<std::uint32_t> maps;
  for (const MapState& map : noted) {
    const auto loaded = std::ranges::find(policy.maps, map.name, &MapState::name);
    if (loaded == policy.maps.end()) {
      return input_error("the ELF object's note speaks of a map " + map.name +
                         ", which the file does not define");
    }
    maps.push_back(loaded->id);
  }
  for (ChainState& chain : policy.chains) {
    for (RuleState& rule : chain.rules) {
      for (std::uint32_t& program : rule.programs) program = programs.at(program);
      for (std::uint32_t& map : rule.maps) map = maps.at(map);
    }
  }
  return {};
}

Status load(ByteView file, Installed& installed) {
  std::vector<kernel::ElfProgram> programs;
  for (const AttachmentState& attachment : installed.state.attachments) {
    const isa::Program like = program_for(attachment.hook.kind);
    programs.push_back(
        {.name = attachment.program_name, .type = like.type, .direction = like.direction});
  }
  WEIR_TRY(elf, kernel::load_elf(file, programs));
  installed.loaded = std::move(elf.loaded);
  const std::vector<MapState> noted = std::exchange(installed.state.maps, {});
  for (std::size_t i = 0; i < elf.map_names.size(); ++i) {
    WEIR_TRY(id, kernel::map_id(installed.loaded.maps[i]));
    installed.state.maps.push_back(
        {.name = elf.map_names[i], .id = id, .value_size = elf.value_sizes[i]});
  }
  std::vector<std::uint32_t> ids;
  for (const kernel::Fd& program : installed.loaded.programs) {
    WEIR_TRY(id, kernel::program_id(program));
    ids.push_back(id);
  }
  return name_carriers(noted, ids, installed.state);
}

Result<Plan> plan(const ObjectRequest& request) {
  WEIR_TRY(note, read_object_note(request.file));
  WEIR_CHECK(choose_hook(request.hook, note.policy));
  WEIR_CHECK(check_interfaces(note.interfaces));
  note.policy.from_object = true;
  imr::Ruleset ruleset;
  if (note.sends) {
    WEIR_TRY(rules, rules_of(note.policy));
    WEIR_CHECK(check_send_targets(rules, attachments_of(note.policy, rules)));
    ruleset = std::move(rules);
  }
  return Plan{.state = std::move(note.policy),
              .load = [file = request.file](Installed& installed) { return load(file, installed); },
              .check_attached =
                  [ruleset = std::move(ruleset), sends = note.sends](const PolicyState& policy) {
                    return sends ? check_xdp_targets(ruleset, policy) : Status();
                  }};
}

}  // namespace

Result<Installed> apply_object(const ObjectRequest& request, const Paths& paths) {
  WEIR_TRY(planned, plan(request));
  return install(std::move(planned), request.terms, paths);
}

Result<PolicyState> dry_run_object(const ObjectRequest& request, const Paths& paths) {
  WEIR_TRY(planned, plan(request));
  return try_out(std::move(planned), request.terms, paths);
}

Result<std::vector<std::string>> object_cuts(const ObjectRequest& request,
                                             const SshSession& session,
                                             const packet::Device& device) {
  WEIR_TRY(note, read_object_note(request.file));
  WEIR_CHECK(choose_hook(request.hook, note.policy));
  WEIR_TRY(ruleset, rules_of(note.policy));
  return cuts(ruleset, attachments_of(note.policy, ruleset), session, device);
}

}  // namespace weir::service
