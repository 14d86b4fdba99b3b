// SPDX-License-Identifier: BSD-2-Clause
//
// What an ELF file has to say of the kernel's own functions and structures, so that a loader finds
// them in the kernel at hand: prototypes of functions, and kinds of members, whose places CO-RE
// relocations ask for. Only kinds and sizes count; libbpf compares no more
// (bpf_core_types_are_compat(), bpf_core_fields_are_compat()).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "object/types.h"

namespace weir::object {

// The id of an external function; an input error for one that is not in the table.
[[nodiscard]] Result<std::uint32_t> kernel_function(const std::string& name, Types& types);

// Members of structures of the kernel, as many as programs use.
class KernelMembers {
 public:
  // Notes that it is used; an input error for one that is not in the table.
  [[nodiscard]] Status use(const std::string& structure, const std::string& member);
  void make_types(Types& types);

  struct Access {
    std::uint32_t structure = 0;  // type id
    std::uint32_t path = 0;       // the string "0:1": element 0, member 1
    std::int16_t offset = 0;      // where the member lies in the type made here
  };
  [[nodiscard]] Access access(const std::string& structure, const std::string& member) const;

 private:
  struct Structure {
    std::string name;
    std::vector<std::string> members;
    std::vector<Access> accesses;
  };
  std::vector<Structure> structures_;
};

}  // namespace weir::object
