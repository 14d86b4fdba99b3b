// SPDX-License-Identifier: BSD-2-Clause
//
// The userspace engine: loads an Object as the kernel would (every program is checked first), keeps
// its maps, and runs its programs on packets without root. Knows isa and base only, so that it
// stays an independent judge of what the compiler made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

namespace weir::engine {

class Map;  // engine/map.h

// What a program is run on. XDP programs see `bytes` as the frame; netfilter programs see them from
// the network header on, with struct sk_buff, nf_hook_state and net_device made from the rest.
struct Input {
  ByteView bytes;
  std::uint32_t linear_length = 0xffffffff;  // at most so many lie in the linear part of the skb
  std::uint32_t mark = 0;
  std::uint32_t iif = 0;  // 0: state->in is NULL
  std::uint32_t oif = 0;
  std::string iifname;
  std::string oifname;
  std::uint8_t pkttype = 0;
  std::uint16_t protocol = 0;  // skb->protocol as a big-endian value stored in memory order
  std::uint64_t ct_info = 0;   // enum ip_conntrack_info
  bool has_connection = false;
};

enum class Backend : std::uint8_t { interpreter };  // the JIT compiler gets its enumerator here

class Engine {
 public:
  // Creates the maps, fills them, and checks every program. A program that the checker refuses is
  // an input error: the instruction, what was found there, what was expected.
  [[nodiscard]] static Result<Engine> load(const isa::Object& object,
                                           Backend backend = Backend::interpreter);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Runs program `index` of the object; its r0. A fault of the program (which the checker should
  // have refused) throws InvariantError.
  [[nodiscard]] std::uint64_t run(std::size_t index, const Input& input);
  [[nodiscard]] Map& map(isa::MapIndex index);
  // Instructions executed by run() since load.
  [[nodiscard]] std::uint64_t executed() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The checker alone: what load() asks of each program.
[[nodiscard]] Status check(const isa::Object& object, std::size_t index);

}  // namespace weir::engine
