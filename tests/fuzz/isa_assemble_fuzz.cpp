// SPDX-License-Identifier: BSD-2-Clause
//
// Text as eBPF assembly: whatever is accepted has a listing, which is accepted too and says the
// same.
#include "isa/isa.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;
  const std::vector<isa::MapSpec> maps{{.name = "ports"}, {.name = "state"}};
  const auto first =
      isa::assemble(std::string_view(reinterpret_cast<const char*>(data), size), maps);
  if (!first) return 0;
  const isa::Object object{.maps = maps};
  const isa::Program program{.insns = first->insns, .relocations = first->relocations};
  const auto again = isa::assemble(isa::disassemble(object, program), maps);
  invariant(again && again->insns == first->insns, "a listing that does not read back");
  return 0;
}
