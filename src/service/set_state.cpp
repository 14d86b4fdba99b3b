// SPDX-License-Identifier: BSD-2-Clause
#include "service/set_state.h"

#include <nlohmann/json.hpp>

namespace weir::service {
namespace {

using nlohmann::ordered_json;

ordered_json table_json(const backend::SetTable& table) {
  if (table.rows == 0) return nullptr;
  return ordered_json::array({table.map.value, table.offset, table.rows, table.row_size});
}

backend::SetTable table_from(const ordered_json& json) {
  if (json.is_null()) return {};
  return {.map = isa::MapIndex(json.at(0).get<std::uint32_t>()),
          .offset = json.at(1),
          .rows = json.at(2),
          .row_size = json.at(3)};
}

}  // namespace

bool operator==(const SetState& a, const SetState& b) {
  return to_json(a) == to_json(b);
}

ordered_json to_json(const SetState& set) {
  const backend::SetPlace& place = set.set.place;
  const backend::SetRoom& room = set.set.room;
  ordered_json fields = ordered_json::array();
  for (const backend::SetTable& table : place.fields) fields.push_back(table_json(table));
  ordered_json verdicts = ordered_json::array();
  for (const imr::Verdict& verdict : set.set.verdicts) {
    verdicts.push_back({static_cast<int>(verdict.kind), verdict.chain.value});
  }
  return {{"family", to_string(set.family)},
          {"table", set.table},
          {"name", set.set.name},
          {"form", static_cast<int>(place.form)},
          {"map", place.map.value},
          {"numbered", place.numbered},
          {"number", place.number},
          {"key_size", place.key_size},
          {"sorted", table_json(place.sorted)},
          {"fields", std::move(fields)},
          {"tuples", table_json(place.tuples)},
          {"data", table_json(place.data)},
          {"version", {place.version.map.value, place.version.bit}},
          {"room", {room.elements, room.field_rows, room.tuples, room.entries}},
          {"verdicts", std::move(verdicts)}};
}

SetState set_from_json(const ordered_json& json) {
  SetState out;
  const auto family = parse_family(json.at("family").get<std::string>());
  if (family) out.family = *family;
  out.table = json.at("table");
  out.set.name = json.at("name");
  backend::SetPlace& place = out.set.place;
  place.form = static_cast<backend::SetForm>(json.at("form").get<int>());
  place.map = isa::MapIndex(json.at("map").get<std::uint32_t>());
  place.numbered = json.at("numbered");
  place.number = json.at("number");
  place.key_size = json.at("key_size");
  place.sorted = table_from(json.at("sorted"));
  for (const ordered_json& table : json.at("fields")) place.fields.push_back(table_from(table));
  place.tuples = table_from(json.at("tuples"));
  place.data = table_from(json.at("data"));
  const ordered_json& version = json.at("version");
  place.version = {.map = isa::MapIndex(version.at(0).get<std::uint32_t>()), .bit = version.at(1)};
  const ordered_json& room = json.at("room");
  out.set.room = {.elements = room.at(0),
                  .field_rows = room.at(1),
                  .tuples = room.at(2),
                  .entries = room.at(3)};
  for (const ordered_json& verdict : json.at("verdicts")) {
    out.set.verdicts.push_back({.kind = static_cast<imr::Verdict::Kind>(verdict.at(0).get<int>()),
                                .chain = imr::ChainId(verdict.at(1).get<std::uint32_t>())});
  }
  return out;
}

}  // namespace weir::service
