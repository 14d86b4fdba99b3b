// SPDX-License-Identifier: BSD-2-Clause
//
// The container: sections, symbols and relocations to the bytes of a relocatable ELF file for BPF
// machines. libelf does the layout.
#pragma once

#include <elf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::object {

class ElfFile {
 public:
  struct Section {
    std::string name;
    std::uint32_t type = SHT_PROGBITS;
    std::uint64_t flags = 0;
    Bytes data;
    std::uint64_t zeros = 0;  // size of a SHT_NOBITS section
  };
  struct Symbol {
    std::string name;
    std::optional<std::size_t> section;  // none: it is to be found elsewhere
    std::uint64_t value = 0;
    std::uint64_t size = 0;
    unsigned char type = STT_NOTYPE;
    bool global = true;
  };

  // Both give the number by which it is known here.
  std::size_t add(Section section);
  std::size_t add(Symbol symbol);
  [[nodiscard]] Section& section(std::size_t number) { return sections_.at(number); }
  // The instruction at byte `offset` of `section` refers to `symbol`. Types: R_BPF_64_64, of 64-bit
  // immediates; R_BPF_64_32, of calls.
  void relocate(std::size_t section, std::uint64_t offset, std::size_t symbol, std::uint32_t type);

  [[nodiscard]] Result<Bytes> bytes() const;

 private:
  struct Relocation {
    std::size_t section = 0;
    std::uint64_t offset = 0;
    std::size_t symbol = 0;
    std::uint32_t type = 0;
  };
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
  std::vector<Relocation> relocations_;
};

// The content of the first section of that name; nothing when `file` has none or is not ELF.
[[nodiscard]] std::optional<Bytes> find_section(ByteView file, const std::string& name);

}  // namespace weir::object
