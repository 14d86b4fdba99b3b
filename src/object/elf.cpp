// SPDX-License-Identifier: BSD-2-Clause
#include "object/elf.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "isa/isa.h"
#include "object/btf.h"
#include "object/btf_ext.h"
#include "object/elf_file.h"
#include "object/kernel_types.h"

namespace weir::object {
namespace {

constexpr std::string_view license = "Dual BSD/GPL";
constexpr std::string_view note_section = ".weir";
constexpr std::string_view note_owner = "weir";
constexpr std::uint32_t note_type = 1;
// What libbpf calls the maps of the data sections, behind a dot.
constexpr std::string_view read_only_name = "rodata";
constexpr std::string_view zeros_name = "bss";
constexpr std::string_view data_name = "data";
constexpr std::uint64_t code_flags = SHF_ALLOC | SHF_EXECINSTR;
constexpr std::uint64_t data_flags = SHF_ALLOC | SHF_WRITE;
constexpr std::size_t slot_size = sizeof(bpf_insn);

std::size_t aligned(std::size_t size) {
  return (size + 7) / 8 * 8;
}

// Where a map stands in the file.
enum class MapPlace : std::uint8_t { definition, read_only, data, zeros, nowhere };

struct MapUse {
  bool as_map = false;
  bool as_value = false;
};

struct Placement {
  MapPlace place = MapPlace::nowhere;
  std::string name;  // of its symbol
};

// The writer's notes: what stands where, by the numbers of ElfFile.
class Writer {
 public:
  Writer(const isa::Object& object, std::span<const Hook> hooks)
      : object_(object), hooks_(hooks), functions_(functions_of(object)) {}

  [[nodiscard]] Result<Bytes> run(std::string_view note);

 private:
  struct Placed {
    std::size_t section = 0;
    std::uint64_t offset = 0;  // bytes
    std::size_t symbol = 0;
  };

  [[nodiscard]] Status place_maps();
  void place_map(std::size_t index, const Placement& placement);
  void define_maps();
  void define_data(std::size_t section, std::span<const Types::Place> variables);
  [[nodiscard]] std::uint32_t definition_type(const isa::MapSpec& map);
  [[nodiscard]] Status name_kernel();
  void place_functions();
  void describe_functions();
  [[nodiscard]] std::size_t section_of(std::string_view name);
  [[nodiscard]] std::size_t text_symbol();
  void write_code();
  void write_function(const isa::Program& program, const Function& function, const Placed& placed,
                      const std::vector<Placed>& all, const std::vector<Function>& functions);

  const isa::Object& object_;
  std::span<const Hook> hooks_;
  std::vector<std::vector<Function>> functions_;
  std::vector<std::vector<Placed>> placed_;  // as functions_
  ElfFile file_;
  Types types_;
  KernelMembers members_;
  std::map<std::string, std::size_t> externs_;                       // symbols of kernel functions
  std::vector<std::size_t> map_symbols_;                             // as Object::maps
  std::map<std::size_t, std::vector<Types::Place>> variables_;       // by section
  std::map<std::string, std::size_t, std::less<>> section_numbers_;  // by name
  std::optional<std::size_t> text_symbol_;                           // of the section
  std::map<std::size_t, SectionRows> rows_;                          // by section
};

std::vector<MapUse> uses(const isa::Object& object) {
  std::vector<MapUse> out(object.maps.size());
  for (const isa::Program& program : object.programs) {
    for (const isa::Relocation& relocation : program.relocations) {
      if (const auto* map = std::get_if<isa::MapReference>(&relocation.what)) {
        out.at(map->map.index()).as_map = true;
      } else if (const auto* value = std::get_if<isa::MapValueReference>(&relocation.what)) {
        out.at(value->map.index()).as_value = true;
      }
    }
  }
  return out;
}

Result<MapPlace> place_of(const isa::MapSpec& map, const MapUse& use) {
  if (!use.as_map && !use.as_value) return MapPlace::nowhere;
  if (use.as_map && use.as_value) {
    return input_error("map " + map.name +
                       " is looked up and read in place, and an ELF object can do one of both");
  }
  const auto filled = [](const isa::MapEntry& entry) {
    return std::ranges::any_of(entry.value, [](std::uint8_t byte) { return byte != 0; });
  };
  const bool array = map.type == isa::MapType::array || map.type == isa::MapType::percpu_array;
  if (use.as_value) {
    if (std::ranges::none_of(map.entries, filled)) return MapPlace::zeros;
    return map.written_in_place ? MapPlace::data : MapPlace::read_only;
  }
  // Elements of an array are there and zero without being written.
  const bool empty = array ? std::ranges::none_of(map.entries, filled) : map.entries.empty();
  if (empty) return MapPlace::definition;
  return input_error("map " + map.name + " would be empty: loaders of ELF objects make maps of " +
                     "this kind and do not fill them");
}

// One for each map of the object.
Result<std::vector<Placement>> placements(const isa::Object& object) {
  const std::vector<MapUse> used = uses(object);
  std::vector<Placement> out(object.maps.size());
  std::set<std::string> names = {std::string(read_only_name), std::string(data_name),
                                 std::string(zeros_name)};
  for (std::size_t i = 0; i < object.maps.size(); ++i) {
    const isa::MapSpec& map = object.maps[i];
    WEIR_TRY(place, place_of(map, used[i]));
    out[i].place = place;
    if (place == MapPlace::nowhere) continue;
    std::string& name = out[i].name = map.name;
    for (char& c : name) c = c == '.' ? '_' : c;
    // Names are for people; different maps may have the same one.
    if (!names.insert(name).second) names.insert(name += "_" + std::to_string(i));
  }
  return out;
}

void Writer::place_map(std::size_t index, const Placement& placement) {
  const isa::MapSpec& map = object_.maps[index];
  const auto& [place, name] = placement;
  const bool defined = place == MapPlace::definition;
  const std::size_t section = section_of(defined                        ? ".maps"
                                         : place == MapPlace::read_only ? ".rodata"
                                         : place == MapPlace::data      ? ".data"
                                                                        : ".bss");
  ElfFile::Section& where = file_.section(section);
  const std::uint32_t type =
      defined ? definition_type(map) : types_.array(types_.unsigned_integer(1), map.value_size);
  const std::size_t size = defined ? 5 * 8 : map.value_size;
  const std::size_t offset = place == MapPlace::zeros ? where.zeros : where.data.size();
  if (place == MapPlace::zeros) {
    where.zeros += aligned(size);
  } else {
    Bytes value(aligned(size));
    if (!defined) std::ranges::copy(map.entries.front().value, value.begin());
    where.data.insert(where.data.end(), value.begin(), value.end());
  }
  map_symbols_[index] = file_.add(ElfFile::Symbol{
      .name = name, .section = section, .value = offset, .size = size, .type = STT_OBJECT});
  variables_[section].push_back({.type = types_.variable(name, type),
                                 .offset = static_cast<std::uint32_t>(offset),
                                 .size = static_cast<std::uint32_t>(size)});
}

Status Writer::place_maps() {
  WEIR_TRY(places, placements(object_));
  map_symbols_.resize(object_.maps.size());
  for (std::size_t i = 0; i < object_.maps.size(); ++i) {
    if (places[i].place != MapPlace::nowhere) place_map(i, places[i]);
  }
  return {};
}

// As libbpf reads them (parse_btf_map_def()): numbers are the lengths of arrays that members point
// to, and key and value are what members point to.
std::uint32_t Writer::definition_type(const isa::MapSpec& map) {
  const auto number = [&](std::uint32_t value) {
    return types_.pointer(types_.array(types_.signed_integer(), value));
  };
  const bool array = map.type == isa::MapType::array || map.type == isa::MapType::percpu_array;
  const std::uint32_t key = array ? types_.unsigned_integer(4) : types_.memory(map.key_size);
  return types_.structure(
      "", 40,
      {{.name = "type", .type = number(static_cast<std::uint32_t>(map.type))},
       {.name = "key", .type = types_.pointer(key), .offset = 8},
       {.name = "value", .type = types_.pointer(types_.memory(map.value_size)), .offset = 16},
       {.name = "max_entries", .type = number(map.max_entries), .offset = 24},
       {.name = "map_flags", .type = number(map.flags), .offset = 32}});
}

void Writer::define_maps() {
  for (const auto& [section, variables] : variables_) {
    const ElfFile::Section& where = file_.section(section);
    const std::size_t size = where.type == SHT_NOBITS ? where.zeros : where.data.size();
    types_.section(where.name, static_cast<std::uint32_t>(size), variables);
  }
}

// What programs want of the kernel: symbols and types of its functions, members of its structures.
Status Writer::name_kernel() {
  std::vector<Types::Place> places;
  for (const isa::Program& program : object_.programs) {
    for (const isa::Relocation& relocation : program.relocations) {
      if (const auto* field = std::get_if<isa::FieldOffset>(&relocation.what)) {
        if (field->addend != 0) {
          return input_error("a program reads behind " + field->structure + "." + field->member +
                             " of the kernel, which ELF objects cannot say");
        }
        WEIR_CHECK(members_.use(field->structure, field->member));
      } else if (const auto* kfunc = std::get_if<isa::KfuncReference>(&relocation.what)) {
        if (externs_.contains(kfunc->name)) continue;
        WEIR_TRY(type, kernel_function(kfunc->name, types_));
        places.push_back({.type = type, .offset = 0, .size = 0});
        externs_[kfunc->name] = file_.add(ElfFile::Symbol{.name = kfunc->name});
      }
    }
  }
  members_.make_types(types_);
  if (!places.empty()) types_.section(".ksyms", 0, places);
  return {};
}

std::size_t Writer::section_of(std::string_view name) {
  if (const auto it = section_numbers_.find(name); it != section_numbers_.end()) return it->second;
  ElfFile::Section section = {.name = std::string(name), .flags = code_flags};
  if (name == ".maps" || name == ".data") section.flags = data_flags;
  if (name == ".rodata") section.flags = SHF_ALLOC;
  if (name == ".bss") {
    section.flags = data_flags;
    section.type = SHT_NOBITS;
  }
  const std::size_t number = file_.add(std::move(section));
  section_numbers_.emplace(name, number);
  return number;
}

// Main functions in the section of their hook, all others in .text, from where libbpf takes them
// for each program that calls them.
void Writer::place_functions() {
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    std::vector<Placed>& placed = placed_.emplace_back();
    for (const Function& function : functions_[i]) {
      const bool main = function.start == 0;
      const std::size_t section = section_of(main ? section_name(hooks_[i]) : ".text");
      Bytes& code = file_.section(section).data;
      const std::uint64_t offset = code.size();
      const std::uint64_t size = (function.end - function.start) * slot_size;
      code.resize(code.size() + size);
      const bool global = main || (function.subprogram != nullptr && function.subprogram->global);
      const std::size_t symbol = file_.add(ElfFile::Symbol{.name = function.name,
                                                           .section = section,
                                                           .value = offset,
                                                           .size = size,
                                                           .type = STT_FUNC,
                                                           .global = global});
      placed.push_back({section, offset, symbol});
    }
  }
}

// The function that slot `insn` belongs to.
std::size_t function_at(const std::vector<Function>& functions, std::uint32_t insn) {
  const auto behind = std::ranges::upper_bound(functions, insn, {}, &Function::start);
  return static_cast<std::size_t>(behind - functions.begin() - 1);
}

void Writer::describe_functions() {
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    const isa::Program& program = object_.programs[i];
    const ProgramRows rows = describe(object_, program, functions_[i], types_);
    const auto move = [&](auto row) {
      const std::size_t index = function_at(functions_[i], row.insn);
      const Placed& placed = placed_[i][index];
      row.insn = static_cast<std::uint32_t>(placed.offset +
                                            (row.insn - functions_[i][index].start) * slot_size);
      return std::pair(placed.section, row);
    };
    for (const FunctionRow& row : rows.functions) {
      const auto [section, moved] = move(row);
      rows_[section].functions.push_back(moved);
    }
    for (const LineRow& row : rows.lines) {
      const auto [section, moved] = move(row);
      rows_[section].lines.push_back(moved);
    }
    for (const isa::Relocation& relocation : program.relocations) {
      const auto* field = std::get_if<isa::FieldOffset>(&relocation.what);
      if (field == nullptr) continue;
      const KernelMembers::Access access = members_.access(field->structure, field->member);
      const auto [section, moved] =
          move(MemberRow{.insn = relocation.insn, .type = access.structure, .path = access.path});
      rows_[section].members.push_back(moved);
    }
  }
}

// An instruction as it stands in the file, where the loader fills in the rest.
struct Filler {
  ElfFile& file;
  const KernelMembers& members;
  const std::map<std::string, std::size_t>& externs;
  const std::vector<std::size_t>& map_symbols;
  std::size_t section;
  std::uint64_t at;
  isa::Insn& insn;

  void operator()(const isa::MapReference& reference) const {
    insn.src = 0;
    insn.imm = 0;
    file.relocate(section, at, map_symbols.at(reference.map.index()), R_BPF_64_64);
  }
  void operator()(const isa::MapValueReference& reference) const {
    insn.src = 0;
    insn.imm = static_cast<std::int32_t>(reference.offset);
    file.relocate(section, at, map_symbols.at(reference.map.index()), R_BPF_64_64);
  }
  void operator()(const isa::KfuncReference& reference) const {
    insn.src = BPF_PSEUDO_CALL;
    insn.off = 0;
    insn.imm = -1;
    file.relocate(section, at, externs.at(reference.name), R_BPF_64_32);
  }
  void operator()(const isa::FieldOffset& field) const {
    const std::int16_t offset = members.access(field.structure, field.member).offset;
    const auto instruction_class = BPF_CLASS(insn.code);
    if (instruction_class == BPF_ALU || instruction_class == BPF_ALU64) {
      insn.imm = offset;
    } else {
      insn.off = offset;
    }
  }
};

std::size_t Writer::text_symbol() {
  if (!text_symbol_) {
    text_symbol_ = file_.add(
        ElfFile::Symbol{.section = section_of(".text"), .type = STT_SECTION, .global = false});
  }
  return *text_symbol_;
}

void Writer::write_function(const isa::Program& program, const Function& function,
                            const Placed& placed, const std::vector<Placed>& all,
                            const std::vector<Function>& functions) {
  std::vector<isa::Insn> insns(program.insns.begin() + function.start,
                               program.insns.begin() + function.end);
  const auto place_of_insn = [&](std::size_t i) { return placed.offset + i * slot_size; };
  const auto is_wide = [](const isa::Insn& insn) {
    return insn.code == (BPF_LD | BPF_IMM | BPF_DW);
  };
  for (std::size_t i = 0; i < insns.size(); i += is_wide(insns[i]) ? 2 : 1) {
    isa::Insn& insn = insns[i];
    const bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src == BPF_PSEUDO_CALL;
    const bool address = is_wide(insn) && insn.src == BPF_PSEUDO_FUNC;
    if (!call && !address) continue;
    const auto target = static_cast<std::uint32_t>(std::int64_t{function.start} +
                                                   static_cast<std::int64_t>(i) + insn.imm + 1);
    const Placed& callee = all[function_at(functions, target)];
    if (call) {
      file_.relocate(placed.section, place_of_insn(i), callee.symbol, R_BPF_64_32);
      insn.imm = -1;
    } else {
      // libbpf takes the address of a local function only as a place in .text (sym_is_subprog()).
      file_.relocate(placed.section, place_of_insn(i), text_symbol(), R_BPF_64_64);
      insn.imm = static_cast<std::int32_t>(callee.offset);
      insn.src = 0;
    }
  }
  for (const isa::Relocation& relocation : program.relocations) {
    if (relocation.insn < function.start || relocation.insn >= function.end) continue;
    const std::size_t i = relocation.insn - function.start;
    std::visit(Filler{.file = file_,
                      .members = members_,
                      .externs = externs_,
                      .map_symbols = map_symbols_,
                      .section = placed.section,
                      .at = place_of_insn(i),
                      .insn = insns[i]},
               relocation.what);
  }
  std::ranges::copy(isa::encode(insns), file_.section(placed.section).data.begin() +
                                            static_cast<std::ptrdiff_t>(placed.offset));
}

void Writer::write_code() {
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    for (std::size_t j = 0; j < functions_[i].size(); ++j) {
      write_function(object_.programs[i], functions_[i][j], placed_[i][j], placed_[i],
                     functions_[i]);
    }
  }
}

// {name size, content size, type, name, content}, the last two padded to 4 bytes (Elf64_Nhdr).
Bytes note_bytes(std::string_view note) {
  Bytes out;
  const auto put = [&](std::string_view text) {
    out.insert(out.end(), text.begin(), text.end());
    out.resize((out.size() + 3) / 4 * 4);
  };
  for (const std::size_t number : {note_owner.size() + 1, note.size(), std::size_t{note_type}}) {
    const Bytes bytes = native_bytes(number, 4);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  put(std::string(note_owner) + '\0');
  put(note);
  return out;
}

Result<Bytes> Writer::run(std::string_view note) {
  invariant(hooks_.size() == object_.programs.size(), "to_elf: a hook for each program");
  WEIR_CHECK(place_maps());
  define_maps();
  WEIR_CHECK(name_kernel());
  place_functions();
  describe_functions();
  write_code();
  std::vector<SectionRows> rows;
  for (auto& [section, of_section] : rows_) {
    of_section.name = types_.text(file_.section(section).name);
    rows.push_back(std::move(of_section));
  }
  file_.add(ElfFile::Section{.name = "license", .flags = data_flags, .data = [] {
                               Bytes text(license.begin(), license.end());
                               text.push_back(0);
                               return text;
                             }()});
  file_.add(ElfFile::Section{.name = ".BTF", .data = types_.bytes()});
  file_.add(ElfFile::Section{.name = ".BTF.ext", .data = btf_ext(rows)});
  file_.add(ElfFile::Section{
      .name = std::string(note_section), .type = SHT_NOTE, .data = note_bytes(note)});
  return file_.bytes();
}

}  // namespace

std::string_view section_name(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
      return "xdp";
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      return "tc";
    case Hook::Kind::netfilter:
      return "netfilter";
    case Hook::Kind::cgroup_ingress:
      return "cgroup_skb/ingress";
    case Hook::Kind::cgroup_egress:
      return "cgroup_skb/egress";
    case Hook::Kind::socket:
      return "socket";
  }
  throw InvariantError("hook out of range");
}

std::vector<std::string> program_names(const isa::Object& object) {
  std::vector<std::string> out;
  for (const std::vector<Function>& functions : functions_of(object)) {
    out.push_back(functions.front().name);
  }
  return out;
}

Result<std::vector<FileMap>> file_maps(const isa::Object& object) {
  WEIR_TRY(places, placements(object));
  FileMap read_only = {.name = std::string(read_only_name), .key_size = 4, .max_entries = 1};
  FileMap data = {.name = std::string(data_name), .key_size = 4, .max_entries = 1};
  FileMap zeros = {.name = std::string(zeros_name), .key_size = 4, .max_entries = 1};
  std::vector<FileMap> out;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const isa::MapSpec& map = object.maps[i];
    const auto append = [&](FileMap& section) {
      section.value_size += static_cast<std::uint32_t>(aligned(map.value_size));
      section.holds.emplace_back(i);
    };
    switch (places[i].place) {
      case MapPlace::definition:
        out.push_back({.name = places[i].name,
                       .key_size = map.key_size,
                       .value_size = map.value_size,
                       .max_entries = map.max_entries,
                       .holds = {isa::MapIndex(i)}});
        break;
      case MapPlace::read_only:
        append(read_only);
        break;
      case MapPlace::data:
        append(data);
        break;
      case MapPlace::zeros:
        append(zeros);
        break;
      case MapPlace::nowhere:
        break;
    }
  }
  for (FileMap* section : {&read_only, &data, &zeros}) {
    if (!section->holds.empty()) out.push_back(std::move(*section));
  }
  return out;
}

Result<Bytes> to_elf(const isa::Object& object, std::span<const Hook> hooks,
                     std::string_view note) {
  return Writer(object, hooks).run(note);
}

bool is_elf(ByteView file) {
  constexpr std::string_view magic = "\177ELF";
  return file.size() >= magic.size() && std::equal(magic.begin(), magic.end(), file.begin());
}

Result<std::string> read_note(ByteView file) {
  const std::optional<Bytes> section = find_section(file, std::string(note_section));
  constexpr std::size_t header = 12;
  const std::size_t start = header + (note_owner.size() + 1 + 3) / 4 * 4;
  const auto refuse = [] {
    return input_error("this ELF file was not made by weir: it has no section .weir of weir's");
  };
  if (!section || section->size() < start) return refuse();
  const ByteView note = *section;
  const std::uint64_t size = load_native(note.subspan(4, 4));
  const bool ours = load_native(note.first(4)) == note_owner.size() + 1 &&
                    load_native(note.subspan(8, 4)) == note_type &&
                    std::equal(note_owner.begin(), note_owner.end(), note.begin() + header);
  if (!ours || size > note.size() - start) return refuse();
  const ByteView text = note.subspan(start, size);
  return std::string(text.begin(), text.end());
}

}  // namespace weir::object
