// SPDX-License-Identifier: BSD-2-Clause
//
// Where the sets of an object are: in code, or in eBPF maps, each once however
// many rules and programs look something up in it. Sets of equal contents share
// their maps. A program may have 64 maps: where sets need more than a part of
// them, tables stand one behind another in one map value, and keys of hash maps
// and tries carry the number of their set.
//
//   code          few elements: a binary search over constants in the program
//   hash          many single values
//   sorted_array  many intervals of up to 8 bytes: binary search in one map
//   value lpm_trie      many intervals of more than 8 bytes, each cut into
//   prefixes classes       many elements of a concatenation with intervals
//   (FieldClasses)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/set_contents.h"
#include "base/error.h"
#include "imr/imr.h"
#include "isa/program.h"

namespace weir::backend {

enum class SetForm : std::uint8_t { code, hash, sorted_array, lpm_trie, classes };
[[nodiscard]] SetForm set_form(const imr::Set& set);

// Rows in the value of an array map of one element. Of updatable sets the rows
// of version 1 stand behind those of version 0.
struct SetTable {
  isa::MapIndex map;
  std::uint64_t offset = 0;    // of the first row
  std::uint32_t rows = 0;      // a power of two; 0: there is no table
  std::uint32_t row_size = 0;  // bytes, a power of two
};

// The bit that says which version of an updatable set counts, in the one value of
// an array, which is read in words of 64 bits.
struct SetVersion {
  isa::MapIndex map;
  std::uint32_t bit = 0;
};

// How much room the maps of an updatable set have: rows of each kind of table,
// entries.
struct SetRoom {
  std::uint32_t elements = 0;
  std::uint32_t field_rows = 0;
  std::uint32_t tuples = 0;
  std::uint32_t entries = 0;
};

// A set in its maps. Numbers are native.
struct SetPlace {
  SetForm form = SetForm::code;
  // hash, lpm_trie, and of classes the entries. Keys of hash maps have key_size
  // bytes: the set's number (4) if there is one, the set's key, zeros. Those of
  // tries the prefix length (4) in front.
  isa::MapIndex map;
  bool numbered = false;
  std::uint32_t number = 0;    // of updatable sets that of version 0, and the next one of version 1
  std::uint16_t key_size = 0;  // bytes; of tries without the prefix length
  // The value is the answer's number (4), of a hash map of data the data
  // itself. Of classes: the element's number (4) and the answer's number (4).
  SetTable sorted;               // rows {first (8), last (8), answer (8), 0 (8)}
  std::vector<SetTable> fields;  // of classes: rows {start (8), class (8)} or
                                 // {high, low, class, 0}
  SetTable tuples;               // of classes: rows {first element (4), a shift for each
                                 // field (1)}
  SetTable data;                 // of data maps, but those in code and hash maps: the data
  SetVersion version;            // of updatable sets; see set_update.h
  [[nodiscard]] bool updatable() const { return version.map.valid(); }
};

// A named set whose elements may change while programs use it.
struct UpdatableSet {
  imr::TableId table;
  std::string name;
  SetPlace place;
  SetRoom room;
  std::vector<imr::Verdict> verdicts;  // by the numbers of their answers
};

class SetMaps {
 public:
  // Appends the maps of all sets that rules of the units use to `maps`. With
  // `updatable`, named sets get maps that can change, whatever their size. An
  // input error names sets that no form suits.
  [[nodiscard]] static Result<std::shared_ptr<const SetMaps>> make(
      const std::vector<const imr::Unit*>& units, std::vector<isa::MapSpec>& maps,
      bool updatable = false);

  // Of a set that a rule of these units uses.
  [[nodiscard]] const SetPlace& place(const imr::Set& set) const { return entry(set).place; }
  // Those of a verdict map, by the numbers of its answers.
  [[nodiscard]] const std::vector<imr::Verdict>& verdicts(const imr::Set& set) const {
    return entry(set).verdicts;
  }
  [[nodiscard]] std::vector<UpdatableSet> updatable() const;

 private:
  friend class SetMapsMaker;
  struct Entry {
    imr::Set set;
    SetPlace place;
    std::vector<imr::Verdict> verdicts;
    SetRoom room;
  };
  // Units of one object are made of one ruleset: sets are told by table and
  // name.
  using Key = std::pair<imr::TableId, std::string>;
  [[nodiscard]] const Entry& entry(const imr::Set& set) const;

  std::map<Key, Entry> entries_;
};

// Each set that rules of the unit use, once; those in runs need none, and dynamic ones have maps of
// their own (dynamic_sets.h).
[[nodiscard]] std::vector<imr::SetId> used_sets(const imr::Unit& unit);
[[nodiscard]] std::vector<imr::SetId> used_dynamic_sets(const imr::Unit& unit);

}  // namespace weir::backend
