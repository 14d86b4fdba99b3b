// SPDX-License-Identifier: BSD-2-Clause
#include "service/object_note.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "driver/reads.h"
#include "object/elf.h"
#include "service/apply.h"
#include "service/carriers.h"

namespace weir::service {
namespace {

using nlohmann::ordered_json;

constexpr int note_version = 3;

// Where each map of the object is among those of the file; maps that no program uses are nowhere.
std::vector<std::uint32_t> places_of(const isa::Object& object,
                                     const std::vector<object::FileMap>& maps) {
  std::vector<std::uint32_t> out(object.maps.size());
  for (std::uint32_t i = 0; i < maps.size(); ++i) {
    for (const isa::MapIndex held : maps[i].holds) out.at(held.index()) = i;
  }
  return out;
}

Status check_indices(const PolicyState& policy) {
  const auto good = [](const std::vector<std::uint32_t>& indices, std::size_t size) {
    return std::ranges::all_of(indices, [&](std::uint32_t index) { return index < size; });
  };
  if (policy.attachments.empty()) return input_error("the ELF object's note names no program");
  for (const ChainState& chain : policy.chains) {
    for (const RuleState& rule : chain.rules) {
      if (good(rule.programs, policy.attachments.size()) && good(rule.maps, policy.maps.size())) {
        continue;
      }
      return input_error("the ELF object's note has rules of programs or maps that it has not");
    }
  }
  return {};
}

}  // namespace

Result<std::string> object_note(const imr::Ruleset& ruleset, const driver::Compilation& compilation,
                                const std::string& source) {
  const isa::Object& object = compilation.object;
  PolicyState policy = describe_policy(ruleset, compilation, source);
  policy.name = "object";
  const std::vector<std::string> names = object::program_names(object);
  for (std::size_t i = 0; i < names.size(); ++i) policy.attachments[i].program_name = names[i];
  WEIR_TRY(maps, object::file_maps(object));
  for (const object::FileMap& map : maps) {
    policy.maps.push_back({.name = map.name, .value_size = map.value_size});
  }
  Ids indices = {.programs = std::vector<std::uint32_t>(names.size()),
                 .maps = places_of(object, maps)};
  std::iota(indices.programs.begin(), indices.programs.end(), 0U);
  name_carriers(object, indices, policy.chains);
  ordered_json interfaces = ordered_json::array();
  for (const imr::Interface& interface : ruleset.interfaces) {
    interfaces.push_back({{"name", interface.name}, {"index", interface.index}});
  }
  std::vector<driver::Attachment> attachments;
  for (const driver::CompiledProgram& program : compilation.programs) {
    attachments.push_back(program.attachment);
  }
  const driver::Reads reads = driver::scan_reads(ruleset, attachments);
  const ordered_json note = {{"version", note_version},
                             {"policy", ordered_json::parse(to_json(policy))},
                             {"interfaces", std::move(interfaces)},
                             {"sends", reads.answers || reads.forwards || reads.duplicates}};
  return note.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<ObjectNote> parse_object_note(std::string_view text) {
  try {
    const ordered_json json = ordered_json::parse(text);
    if (json.at("version").get<int>() != note_version) {
      return input_error("the ELF object was made by a weir of another version");
    }
    WEIR_TRY(policy, policy_from_json(json.at("policy").dump(), "the ELF object's note"));
    WEIR_CHECK(check_indices(policy));
    ObjectNote note = {
        .policy = std::move(policy), .interfaces = {}, .sends = json.at("sends").get<bool>()};
    for (const ordered_json& interface : json.at("interfaces")) {
      note.interfaces.push_back({.name = interface.at("name"), .index = interface.at("index")});
    }
    return note;
  } catch (const nlohmann::json::exception& error) {
    return input_error(std::string("the ELF object's note cannot be read: ") + error.what());
  }
}

Result<ObjectNote> read_object_note(ByteView file) {
  WEIR_TRY(text, object::read_note(file));
  return parse_object_note(text);
}

}  // namespace weir::service
