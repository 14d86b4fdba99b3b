// SPDX-License-Identifier: BSD-2-Clause
#include "object/elf_file.h"

#include <fcntl.h>
#include <libelf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

namespace weir::object {
namespace {

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using OwnElf = std::unique_ptr<Elf, EndElf>;

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Diagnostic elf_error(const std::string& doing) {
  return {.kind = ErrorKind::system, .message = doing + ": " + elf_errmsg(-1)};
}

// Strings, each ended by a zero byte, the empty one first.
class Strings {
 public:
  std::uint32_t add(std::string_view text) {
    const auto offset = static_cast<std::uint32_t>(bytes_.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return offset;
  }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_ = {0};
};

template <typename T>
void append(Bytes& out, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

// A section as libelf gets it.
struct Raw {
  std::string name;
  Bytes data;
  Elf64_Shdr header = {};
};

// Symbols in the order of the file, local ones first, and where each went.
struct SymbolTable {
  Bytes data = Bytes(sizeof(Elf64_Sym));
  std::uint32_t first_global = 0;
  std::vector<std::uint32_t> place;
};

SymbolTable symbol_table(const std::vector<ElfFile::Symbol>& symbols, Strings& strings) {
  SymbolTable out;
  out.place.resize(symbols.size());
  std::uint32_t next = 1;
  for (const bool global : {false, true}) {
    if (global) out.first_global = next;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      const ElfFile::Symbol& symbol = symbols[i];
      if (symbol.global != global) continue;
      Elf64_Sym raw{};
      raw.st_name = strings.add(symbol.name);
      raw.st_info =
          static_cast<unsigned char>(ELF64_ST_INFO(global ? STB_GLOBAL : STB_LOCAL, symbol.type));
      raw.st_shndx = symbol.section ? static_cast<Elf64_Section>(*symbol.section + 1)
                                    : Elf64_Section{SHN_UNDEF};
      raw.st_value = symbol.value;
      raw.st_size = symbol.size;
      append(out.data, raw);
      out.place[i] = next++;
    }
  }
  return out;
}

Status put(Elf* elf, Raw& raw, Strings& strings) {
  Elf_Scn* section = elf_newscn(elf);
  if (section == nullptr) return std::unexpected(elf_error("adding a section"));
  Elf_Data* data = elf_newdata(section);
  Elf64_Shdr* header = elf64_getshdr(section);
  if (data == nullptr || header == nullptr) return std::unexpected(elf_error("filling a section"));
  data->d_type = ELF_T_BYTE;
  data->d_align = 8;
  data->d_version = EV_CURRENT;
  const bool no_bits = raw.header.sh_type == SHT_NOBITS;
  data->d_size = no_bits ? raw.header.sh_size : raw.data.size();
  data->d_buf = no_bits ? nullptr : raw.data.data();
  header->sh_name = strings.add(raw.name);
  header->sh_type = raw.header.sh_type;
  header->sh_flags = raw.header.sh_flags;
  header->sh_link = raw.header.sh_link;
  header->sh_info = raw.header.sh_info;
  header->sh_entsize = raw.header.sh_entsize;
  return {};
}

Status write(int fd, std::vector<Raw>& sections, Strings& strings) {
  elf_version(EV_CURRENT);
  const OwnElf elf(elf_begin(fd, ELF_C_WRITE, nullptr));
  Elf64_Ehdr* header = elf ? elf64_newehdr(elf.get()) : nullptr;
  if (header == nullptr) return std::unexpected(elf_error("beginning an ELF file"));
  header->e_ident[EI_DATA] = ELFDATA2LSB;
  header->e_type = ET_REL;
  header->e_machine = EM_BPF;
  header->e_version = EV_CURRENT;
  for (Raw& raw : sections) WEIR_CHECK(put(elf.get(), raw, strings));
  // Last, since the sections' names stand in it too.
  Raw names = {.name = ".strtab", .header = {.sh_type = SHT_STRTAB}};
  const std::uint32_t own = strings.add(names.name);
  names.data = strings.bytes();
  WEIR_CHECK(put(elf.get(), names, strings));
  elf64_getshdr(elf_getscn(elf.get(), sections.size() + 1))->sh_name = own;
  header->e_shstrndx = static_cast<Elf64_Half>(sections.size() + 1);
  if (elf_update(elf.get(), ELF_C_WRITE) < 0) {
    return std::unexpected(elf_error("writing an ELF file"));
  }
  return {};
}

Result<Bytes> content(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return system_error("looking at an ELF file in memory", errno);
  Bytes out(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t size = ::pread(fd, out.data() + at, out.size() - at, static_cast<off_t>(at));
    if (size <= 0) return system_error("reading an ELF file in memory", errno);
    at += static_cast<std::size_t>(size);
  }
  return out;
}

}  // namespace

std::size_t ElfFile::add(Section section) {
  sections_.push_back(std::move(section));
  return sections_.size() - 1;
}

std::size_t ElfFile::add(Symbol symbol) {
  symbols_.push_back(std::move(symbol));
  return symbols_.size() - 1;
}

void ElfFile::relocate(std::size_t section, std::uint64_t offset, std::size_t symbol,
                       std::uint32_t type) {
  relocations_.push_back({section, offset, symbol, type});
}

Result<Bytes> ElfFile::bytes() const {
  Strings strings;
  const SymbolTable symbols = symbol_table(symbols_, strings);
  // Sections, then relocations of some of them, then symbols; the strings come last.
  std::vector<Raw> raw;
  for (const Section& section : sections_) {
    raw.push_back({.name = section.name, .data = section.data});
    raw.back().header.sh_type = section.type;
    raw.back().header.sh_flags = section.flags;
    raw.back().header.sh_size = section.zeros;
  }
  for (std::size_t i = 0; i < sections_.size(); ++i) {
    Raw relocated = {.name = ".rel" + sections_[i].name};
    for (const Relocation& relocation : relocations_) {
      if (relocation.section != i) continue;
      append(relocated.data,
             Elf64_Rel{.r_offset = relocation.offset,
                       .r_info = ELF64_R_INFO(std::uint64_t{symbols.place[relocation.symbol]},
                                              relocation.type)});
    }
    if (relocated.data.empty()) continue;
    relocated.header.sh_type = SHT_REL;
    relocated.header.sh_info = static_cast<Elf64_Word>(i + 1);
    relocated.header.sh_entsize = sizeof(Elf64_Rel);
    raw.push_back(std::move(relocated));
  }
  const auto symbol_section = static_cast<Elf64_Word>(raw.size() + 1);
  for (Raw& section : raw) {
    if (section.header.sh_type == SHT_REL) section.header.sh_link = symbol_section;
  }
  raw.push_back({.name = ".symtab", .data = symbols.data});
  raw.back().header.sh_type = SHT_SYMTAB;
  raw.back().header.sh_link = symbol_section + 1;
  raw.back().header.sh_info = symbols.first_global;
  raw.back().header.sh_entsize = sizeof(Elf64_Sym);

  const Descriptor file{::memfd_create("weir-object", MFD_CLOEXEC)};
  if (file.fd < 0) return system_error("making a file in memory", errno);
  WEIR_CHECK(write(file.fd, raw, strings));
  return content(file.fd);
}

std::optional<Bytes> find_section(ByteView file, const std::string& name) {
  elf_version(EV_CURRENT);
  // libelf wants to be able to write to it.
  std::string copy(file.begin(), file.end());
  const OwnElf elf(elf_memory(copy.data(), copy.size()));
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF) return std::nullopt;
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf.get(), &names) != 0) return std::nullopt;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    const Elf64_Shdr* header = elf64_getshdr(section);
    if (header == nullptr) continue;
    const char* found = elf_strptr(elf.get(), names, header->sh_name);
    if (found == nullptr || name != found) continue;
    const Elf_Data* data = elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) return std::nullopt;
    const auto* bytes = static_cast<const std::uint8_t*>(data->d_buf);
    return Bytes(bytes, bytes + data->d_size);
  }
  return std::nullopt;
}

}  // namespace weir::object
