// SPDX-License-Identifier: BSD-2-Clause
#include "backend/set_update.h"

#include "backend/set_encoding.h"

namespace weir::backend {
namespace {

std::unexpected<Diagnostic> no_room(const UpdatableSet& set, const std::string& what) {
  return input_error("set " + set.name + " has no room for so many " + what +
                     "; the rules have to be applied anew");
}

Status check_answers(const UpdatableSet& set, const imr::Set& before, const imr::Set& after,
                     const Answers& answers) {
  if (before.catch_all != after.catch_all) {
    return input_error("the catch-all element of set " + set.name +
                       " is part of the code; the rules have to be applied anew");
  }
  if (answers.verdicts.size() > set.verdicts.size()) {
    return input_error("map " + set.name +
                       " gets a verdict that it did not have; the rules have "
                       "to be applied anew");
  }
  return {};
}

Status patch(const SetTable& table, const Rows& rows, std::uint32_t version,
             const UpdatableSet& set, const std::string& what, std::vector<MapWrite>& out) {
  if (table.rows == 0) return {};
  if (rows.count != table.rows) return no_room(set, what);
  out.push_back({.kind = MapWrite::Kind::patch,
                 .map = table.map,
                 .key = native_bytes(0, 4),
                 .value = rows.bytes,
                 .offset = table.offset + std::uint64_t{version} * rows.bytes.size()});
  return {};
}

}  // namespace

Result<SetUpdate> set_update(const UpdatableSet& set, const imr::Set& before, const imr::Set& after,
                             std::uint32_t version) {
  const SetPlace& place = set.place;
  const std::uint32_t next = (version & 1) ^ 1;
  const Answers answers = answers_of(after, set.verdicts);
  WEIR_CHECK(check_answers(set, before, after, answers));
  if (after.elements.size() > set.room.elements) return no_room(set, "elements");
  WEIR_TRY(bytes, encode(after, answers, place, place.number + next, set.room));
  if (bytes.entries.size() > set.room.entries) return no_room(set, "entries");

  SetUpdate update;
  WEIR_CHECK(patch(place.sorted, bytes.sorted, next, set, "elements", update.prepare));
  for (std::size_t i = 0; i < place.fields.size(); ++i) {
    WEIR_CHECK(patch(place.fields[i], bytes.fields[i], next, set, "bounds", update.prepare));
  }
  WEIR_CHECK(patch(place.tuples, bytes.tuples, next, set, "kinds of intervals", update.prepare));
  WEIR_CHECK(patch(place.data, bytes.data, next, set, "values", update.prepare));
  for (isa::MapEntry& entry : bytes.entries) {
    update.prepare.push_back({.kind = MapWrite::Kind::put,
                              .map = place.map,
                              .key = std::move(entry.key),
                              .value = std::move(entry.value)});
  }
  update.change = {.kind = MapWrite::Kind::bit,
                   .map = place.version.map,
                   .key = native_bytes(0, 4),
                   .value = native_bytes(next, 1),
                   .offset = place.version.bit};
  WEIR_TRY(old, encode(before, answers_of(before, set.verdicts), place,
                       place.number + (version & 1), set.room));
  for (isa::MapEntry& entry : old.entries) {
    update.clean_up.push_back({.kind = MapWrite::Kind::remove,
                               .map = place.map,
                               .key = std::move(entry.key),
                               .value = {}});
  }
  return update;
}

}  // namespace weir::backend
