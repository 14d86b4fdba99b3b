// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes as eBPF and as classic BPF: whatever decodes encodes to the same bytes, and its text reads
// back as the same instructions.
#include <algorithm>

#include "isa/classic.h"
#include "isa/isa.h"

namespace {

using namespace weir;

void ebpf(ByteView bytes) {
  const auto insns = isa::decode(bytes);
  if (!insns) return;
  invariant(std::ranges::equal(isa::encode(*insns), bytes), "encode(decode(x)) is not x");
  const isa::Program program{.insns = *insns};
  const auto again = isa::assemble(isa::disassemble({}, program));
  invariant(again && again->insns == *insns, "assemble(disassemble(x)) is not x");
}

void classic(ByteView bytes) {
  const auto insns = isa::decode_classic(bytes);
  if (!insns) return;
  invariant(std::ranges::equal(isa::encode(*insns), bytes), "encode(decode_classic(x)) is not x");
  (void)isa::disassemble(*insns);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ebpf({data, size});
  classic({data, size});
  return 0;
}
