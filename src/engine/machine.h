// SPDX-License-Identifier: BSD-2-Clause
//
// What one program runs on: the kernel structures of the current packet, the stack, the maps, and
// the memory that is alive. Every way of running programs (engine/executable.h) works on a Machine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/chance.h"
#include "engine/code.h"
#include "engine/engine.h"
#include "engine/layout.h"
#include "engine/map.h"
#include "engine/memory.h"

namespace weir::engine {

class Machine {
 public:
  Machine(isa::ProgramType type, std::vector<Map*> maps);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Puts a packet before the program and clears the stack.
  void prepare(const Input& input);

  // What r1 and r10 hold at the start.
  [[nodiscard]] std::uint64_t context() const;
  [[nodiscard]] std::uint64_t frame() const { return address_of(stack_.data()) + stack_.size(); }

  [[nodiscard]] Map& map(isa::MapIndex index) const { return *maps_[index.index()]; }
  // The map that a register names.
  [[nodiscard]] Map& map_at(std::uint64_t address) const;
  // All bytes of the packet from where the program's packet begins, those of the nonlinear part
  // included, as they were before the run.
  [[nodiscard]] ByteView packet() const { return bytes_.subspan(before_); }
  // The linear part, as the program sees it.
  [[nodiscard]] ByteView linear() const;
  // Bytes of headers before the program's packet, and from the first of them to the network header.
  [[nodiscard]] std::size_t before() const { return before_; }
  [[nodiscard]] std::size_t network_offset() const { return network_offset_; }
  // Hands the record of a ring buffer over; false where none of them has one there.
  [[nodiscard]] bool submit(const std::uint8_t* record) const;
  // Whether the address is that of the skb, or of what stands for it at XDP.
  [[nodiscard]] bool is_packet(std::uint64_t address) const;
  // Copies bytes of the packet, from `offset` on, which may be before it; or none, when they are
  // not all there.
  [[nodiscard]] bool read_packet(std::int64_t offset, std::uint8_t* out, std::size_t size) const;
  // Puts bytes there, which have to be the packet's; they are in its linear part then.
  [[nodiscard]] bool write_packet(std::uint32_t offset, ByteView value);
  // Takes `gone` bytes at `at` of the program's packet out, and puts zeros in; all of it is in the
  // linear part then. false: there is no room.
  [[nodiscard]] bool splice(std::size_t at, std::size_t gone, std::size_t zeros);
  // The tag that is not in the bytes is no more.
  void forget_tag();
  // All bytes from the first header on, as they are now.
  [[nodiscard]] Bytes changed_bytes() const;
  // Who sends by which device: the packet, once the program returns that it goes there, and copies
  // of it as it is now.
  void redirect(std::uint32_t device) { sent_.device = device; }
  void duplicate(std::uint32_t device) {
    sent_.copies.push_back({.device = device, .bytes = changed_bytes()});
  }
  [[nodiscard]] const Sent& sent() const { return sent_; }
  [[nodiscard]] isa::ProgramType type() const { return type_; }
  [[nodiscard]] std::uint8_t packet_type() const { return skb_.pkt_type_bits & 7; }
  void set_packet_type(std::uint8_t type);
  [[nodiscard]] const kernel_structs::SkBuff& skb() const { return skb_; }
  [[nodiscard]] std::uint32_t cpu() const { return cpu_; }
  [[nodiscard]] std::uint64_t task() const { return address_of(&task_); }
  [[nodiscard]] std::uint64_t now() const;  // nanoseconds
  [[nodiscard]] Memory& memory() { return memory_; }
  // Throws InvariantError unless the bytes are alive (and may be written).
  void require(std::uint64_t address, std::uint64_t size, bool writable) const;
  // Has at least `length` bytes of the packet in the linear part of the skb, if it has as many.
  [[nodiscard]] bool pull(std::size_t length);

  std::uint32_t random() { return chance_.next(); }
  std::uint64_t executed = 0;  // instructions, since the machine was made

 private:
  void prepare_xdp(const Input& input);
  void prepare_skb(const Input& input, std::size_t linear);
  void prepare_netfilter(const Input& input);
  void prepare_devices(const Input& input);
  void prepare_route(const Input& input);
  void prepare_socket(const Input& input);
  void prepare_connection(const Input& input);

  isa::ProgramType type_;
  std::vector<Map*> maps_;
  Memory memory_;
  std::size_t lasting_regions_ = 0;  // those that do not depend on the packet
  ByteView bytes_;
  Bytes spliced_;           // what bytes_ is of, once the packet's length was changed
  std::size_t before_ = 0;  // bytes of headers before the program's packet
  std::size_t network_offset_ = 0;
  Bytes
      linear_;  // headroom, the headers before, and room for the packet; its linear part is filled
  kernel_structs::XdpBuff xdp_;
  kernel_structs::XdpReceiveQueue queue_;
  kernel_structs::NetfilterContext netfilter_;
  kernel_structs::HookState state_;
  kernel_structs::SkBuff skb_;
  kernel_structs::NetDevice in_;
  kernel_structs::NetDevice out_;
  alignas(16) std::array<std::uint8_t, stack_size * max_frames> stack_ = {};
  kernel_structs::LinkOps in_kind_;
  kernel_structs::LinkOps out_kind_;
  std::array<char, 32> kind_names_ = {};  // of both
  kernel_structs::Ipv6Devconf devconf_;
  kernel_structs::Net net_;
  kernel_structs::Net other_net_;
  kernel_structs::Sock sock_;
  kernel_structs::Sock listener_;
  kernel_structs::Socket socket_;
  kernel_structs::File file_;
  kernel_structs::Cred cred_;
  // What lower bits of pointers to these say, is not theirs.
  alignas(16) kernel_structs::Route route_;
  alignas(16) kernel_structs::Conn connection_;
  kernel_structs::Conn master_;
  kernel_structs::CtExtensions extensions_;
  kernel_structs::CtExtensions master_extensions_;
  kernel_structs::ConntrackHelper helper_;
  kernel_structs::CpuClocks clocks_;
  kernel_structs::ClockBase clock_base_{&clocks_};
  kernel_structs::Task task_{&clock_base_};
  Sent sent_;
  std::uint32_t cpu_ = 0;
  std::optional<std::uint64_t> now_;
  Chance chance_;
};

}  // namespace weir::engine
