// SPDX-License-Identifier: BSD-2-Clause
#include "driver/around.h"

#include <utility>

#include "isa/isa.h"

namespace weir::driver {

isa::Program around(const isa::Program& program, std::string_view text,
                    std::span<const isa::MapSpec> maps) {
  auto outer = isa::assemble(text, maps, "around");
  invariant(outer.has_value(), "what is around a program is none");
  const auto shift = static_cast<std::uint32_t>(outer->insns.size());

  isa::Program out = program;
  out.insns = std::move(outer->insns);
  out.insns.insert(out.insns.end(), program.insns.begin(), program.insns.end());
  for (isa::Relocation& relocation : out.relocations) relocation.insn += shift;
  out.relocations.insert(out.relocations.begin(), outer->relocations.begin(),
                         outer->relocations.end());
  for (isa::OriginRow& row : out.origins) row.insn += shift;
  out.origins.insert(out.origins.begin(), isa::OriginRow{.insn = 0, .rule = -1});
  for (isa::Subprogram& function : out.subprograms) function.start += shift;
  // Global: the kernel takes no word for what it returns, and it is verified on its own.
  out.subprograms.insert(
      out.subprograms.begin(),
      isa::Subprogram{.start = shift,
                      .name = "inner",
                      .global = true,
                      .arguments = {{.kind = isa::Subprogram::Argument::Kind::context}}});
  return out;
}

}  // namespace weir::driver
