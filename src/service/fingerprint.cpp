// SPDX-License-Identifier: BSD-2-Clause
#include "service/fingerprint.h"

#include <string_view>
#include <utility>
#include <variant>

namespace weir::service {
namespace {

// FNV-1a, 64 bits at a time: nobody makes collisions on purpose here.
class Hash {
 public:
  void add(std::uint64_t value) { hash_ = (hash_ ^ value ^ (hash_ >> 32)) * 0x100000001b3; }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  }
  void add(const isa::MapSpec& map) {
    add(map.name);
    add(std::to_underlying(map.type));
    for (const std::uint32_t each : {map.key_size, map.value_size, map.max_entries, map.flags}) {
      add(each);
    }
  }
  void add(const isa::Insn& insn) {
    add(insn.code | insn.dst << 8U | insn.src << 16U);
    add(static_cast<std::uint64_t>(insn.off) << 32U ^ static_cast<std::uint32_t>(insn.imm));
  }
  void operator()(const isa::MapReference& reference) { add(reference.map.value); }
  void operator()(const isa::MapValueReference& reference) {
    add(reference.map.value);
    add(reference.offset);
  }
  void operator()(const isa::KfuncReference& reference) { add(reference.name); }
  void operator()(const isa::FieldOffset& field) {
    add(field.structure);
    add(field.member);
    add(static_cast<std::uint64_t>(field.addend));
  }
  void add(const isa::Relocation& relocation) {
    add(relocation.insn);
    add(relocation.what.index());
    std::visit(*this, relocation.what);
  }
  void add(const isa::Program& program) {
    add(program.name);
    add(std::to_underlying(program.type));
    add(std::to_underlying(program.direction));
    add(program.insns.size());
    for (const isa::Insn& insn : program.insns) add(insn);
    for (const isa::Relocation& relocation : program.relocations) add(relocation);
    for (const isa::Subprogram& each : program.subprograms) add(each.start);
  }
  [[nodiscard]] std::uint64_t value() const { return hash_ == 0 ? 1 : hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

std::uint64_t fingerprint(const isa::Object& object) {
  Hash hash;
  hash.add(object.maps.size());
  for (const isa::MapSpec& map : object.maps) hash.add(map);
  for (const isa::Program& program : object.programs) hash.add(program);
  return hash.value();
}

}  // namespace weir::service
