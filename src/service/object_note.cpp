// SPDX-License-Identifier: BSD-2-Clause
#include "service/object_note.h"

#include <nlohmann/json.hpp>

#include "driver/reads.h"

namespace weir::service {
namespace {

using nlohmann::ordered_json;

constexpr int note_version = 1;

}  // namespace

std::string object_note(const imr::Ruleset& ruleset, const driver::Compilation& compilation,
                        const std::vector<std::string>& program_names, const std::string& source) {
  PolicyState policy;
  policy.name = "object";
  policy.source = source;
  std::vector<driver::Attachment> attachments;
  for (std::size_t i = 0; i < compilation.programs.size(); ++i) {
    const driver::Attachment& attachment = compilation.programs[i].attachment;
    attachments.push_back(attachment);
    AttachmentState state;
    state.hook = attachment.hook;
    state.nfproto = attachment.nfproto;
    state.priority = attachment.priority;
    state.defragments = attachment.defragments;
    for (const imr::ChainId root : attachment.roots) {
      state.chains.push_back(imr::qualified_name(ruleset, root));
    }
    state.program_name = program_names.at(i);
    policy.attachments.push_back(std::move(state));
  }
  policy.chains = describe_chains(ruleset, attachments);
  policy.has_counters = compilation.counters.valid();
  policy.keeps_connections = driver::scan_reads(ruleset, attachments).connection;
  ordered_json interfaces = ordered_json::array();
  for (const imr::Interface& interface : ruleset.interfaces) {
    interfaces.push_back({{"name", interface.name}, {"index", interface.index}});
  }
  const ordered_json note = {{"version", note_version},
                             {"policy", ordered_json::parse(to_json(policy))},
                             {"interfaces", std::move(interfaces)}};
  return note.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<ObjectNote> parse_object_note(const std::string& text) {
  try {
    const ordered_json json = ordered_json::parse(text);
    if (json.at("version").get<int>() != note_version) {
      return input_error("the ELF object was made by a weir of another version");
    }
    WEIR_TRY(policy, policy_from_json(json.at("policy").dump(), "the ELF object's note"));
    ObjectNote note = {.policy = std::move(policy), .interfaces = {}};
    for (const ordered_json& interface : json.at("interfaces")) {
      note.interfaces.push_back({.name = interface.at("name"), .index = interface.at("index")});
    }
    return note;
  } catch (const nlohmann::json::exception& error) {
    return input_error(std::string("the ELF object's note cannot be read: ") + error.what());
  }
}

}  // namespace weir::service
