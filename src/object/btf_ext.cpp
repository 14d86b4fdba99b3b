// SPDX-License-Identifier: BSD-2-Clause
#include "object/btf_ext.h"

namespace weir::object {
namespace {

constexpr std::uint16_t magic = 0xeb9f;
constexpr std::uint8_t version = 1;

struct Header {
  std::uint16_t magic = object::magic;
  std::uint8_t version = object::version;
  std::uint8_t flags = 0;
  std::uint32_t header_size = 32;
  // Offsets count from the end of the header.
  std::uint32_t functions_offset = 0;
  std::uint32_t functions_size = 0;
  std::uint32_t lines_offset = 0;
  std::uint32_t lines_size = 0;
  std::uint32_t members_offset = 0;
  std::uint32_t members_size = 0;
};
static_assert(sizeof(Header) == 32);

template <typename T>
void append(Bytes& out, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

// The size of a row, then {name of the section, number of rows, rows} of each section that has any.
template <typename Row>
Bytes part(std::span<const SectionRows> sections, std::vector<Row> SectionRows::* rows) {
  Bytes out;
  for (const SectionRows& section : sections) {
    if ((section.*rows).empty()) continue;
    if (out.empty()) append(out, static_cast<std::uint32_t>(sizeof(Row)));
    append(out, section.name);
    append(out, static_cast<std::uint32_t>((section.*rows).size()));
    for (const Row& row : section.*rows) append(out, row);
  }
  return out;
}

}  // namespace

Bytes btf_ext(std::span<const SectionRows> sections) {
  const Bytes functions = part(sections, &SectionRows::functions);
  const Bytes lines = part(sections, &SectionRows::lines);
  const Bytes members = part(sections, &SectionRows::members);
  Header header;
  header.functions_size = static_cast<std::uint32_t>(functions.size());
  header.lines_offset = header.functions_size;
  header.lines_size = static_cast<std::uint32_t>(lines.size());
  header.members_offset = header.lines_offset + header.lines_size;
  header.members_size = static_cast<std::uint32_t>(members.size());
  Bytes out;
  append(out, header);
  for (const Bytes* bytes : {&functions, &lines, &members}) {
    out.insert(out.end(), bytes->begin(), bytes->end());
  }
  return out;
}

}  // namespace weir::object
