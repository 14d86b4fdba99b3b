// SPDX-License-Identifier: BSD-2-Clause
//
// An eBPF program as weir makes it and as the engine and the kernel take it: instructions, maps,
// and what has to be filled in where it is loaded (relocations).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/shared_list.h"

namespace weir::isa {

// One 8-byte instruction slot (struct bpf_insn in linux/bpf.h). LD_IMM64 takes two of them.
struct Insn {
  std::uint8_t code = 0;
  std::uint8_t dst = 0;  // 4 bits in the encoding
  std::uint8_t src = 0;  // 4 bits in the encoding
  std::int16_t off = 0;
  std::int32_t imm = 0;

  friend bool operator==(const Insn&, const Insn&) = default;
};

struct MapTag;
using MapIndex = Id<MapTag>;  // into Object::maps

// Numbers of enum bpf_map_type.
enum class MapType : std::uint8_t {
  hash = 1,
  array = 2,
  percpu_hash = 5,
  percpu_array = 6,
  lpm_trie = 11,
  ringbuf = 27,  // without keys and values; max_entries are bytes
};

struct MapEntry {
  Bytes key;
  Bytes value;
};

// A map and what it holds when the program starts. Keys of arrays are native 4-byte indices.
// LPM trie keys are {native 4-byte prefix length, data}, as in struct bpf_lpm_trie_key_u8.
struct MapSpec {
  std::string name;  // at most 15 characters, [A-Za-z0-9_.]
  MapType type = MapType::array;
  std::uint32_t key_size = 4;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
  std::uint32_t flags = 0;  // BPF_F_NO_PREALLOC for LPM tries
  SharedList<MapEntry> entries;
  // Rules, into Object::rule_names, that are no code of their own but rows of a table in here.
  SharedList<std::uint32_t> rules = {};
  bool written_in_place = false;  // programs change its values where they stand
  // Values begin with a word that says when they expire, 0: never (backend/dynamic_sets.h). Of the
  // entries here it is how long after the start, in nanoseconds.
  bool expires = false;
};

// Numbers of enum bpf_prog_type; the attach types are those that go with them.
enum class ProgramType : std::uint8_t {
  socket_filter = 1,
  sched_cls = 3,
  xdp = 6,
  cgroup_skb = 8,
  netfilter = 32,
};
// Of cgroup_skb programs: which of the two attach types they are for.
enum class Direction : std::uint8_t { ingress, egress };

// The immediate pair of an LD_IMM64 becomes the address of a map, or of byte `offset` in the value
// of the single element of an array map.
struct MapReference {
  MapIndex map;
};
struct MapValueReference {
  MapIndex map;
  std::uint32_t offset = 0;
};
// A call (src = BPF_PSEUDO_KFUNC_CALL) gets the BTF id of the kernel function.
struct KfuncReference {
  std::string name;
};
// `off` of a load gets the byte offset of a member of a kernel structure (of the byte that holds
// its first bit, for a bit field); in an ALU instruction, `imm` gets it. `addend` is added.
struct FieldOffset {
  std::string structure;  // "sk_buff"
  std::string member;     // "mark", or a path: "zone.id"
  std::int32_t addend = 0;
};

struct Relocation {
  std::uint32_t insn = 0;  // index of the instruction slot
  std::variant<MapReference, MapValueReference, KfuncReference, FieldOffset> what;
};

// From which rule an instruction came: rows in order of `insn`, each good up to the next row.
struct OriginRow {
  std::uint32_t insn = 0;
  std::int32_t rule = -1;  // into Object::rule_names; -1 is the code around the rules
};

// A BPF-to-BPF function within a program.
struct Subprogram {
  struct Argument {
    enum class Kind : std::uint8_t { scalar, context, memory };
    Kind kind = Kind::scalar;
    std::uint32_t size = 0;  // bytes, of memory (which may also be a null pointer)
  };
  std::uint32_t start = 0;  // slot of its first instruction; it ends where the next one starts
  std::string name;
  // Verified once and on its own, for any arguments of these kinds, as the kernel does it for
  // functions of global linkage. Else verified anew at each call, with what the caller knows.
  bool global = false;
  std::vector<Argument> arguments;
};

struct Program {
  std::string name;  // at most 15 characters
  ProgramType type = ProgramType::xdp;
  Direction direction = Direction::ingress;
  std::vector<Insn> insns;
  std::vector<Relocation> relocations;
  std::vector<OriginRow> origins;
  std::vector<Subprogram> subprograms;  // behind the main one, in order of `start`
};

// A rule as it was written.
struct RuleSource {
  std::string file;        // empty: not known
  std::uint32_t line = 0;  // from 1; 0: not known
  std::string text;        // "tcp dport 22 accept"
};

// What is compiled and loaded together: programs that share maps.
struct Object {
  std::vector<MapSpec> maps;
  std::vector<Program> programs;
  SharedList<std::string> rule_names;    // "inet filter forward handle 12"
  std::vector<RuleSource> rule_sources;  // of those that are code; or none at all
};

}  // namespace weir::isa
