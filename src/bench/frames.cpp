// SPDX-License-Identifier: BSD-2-Clause
#include "bench/frames.h"

#include <algorithm>
#include <string>

#include "isa/isa.h"

namespace weir::bench {
namespace {

constexpr std::size_t shortest = 60;  // without the checksum at the end (ETH_ZLEN)
constexpr std::size_t largest = 1514;

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

// From the slot at r1 to the frame at r7.
std::string copying(std::uint32_t size) {
  std::string text;
  for (std::uint32_t at = 0; at < size;) {
    const std::string type = size - at >= 8 ? "u64" : "u32";
    text += "  r2 = *(" + type + " *)(r1 + " + number(at) + ")\n";
    text += "  *(" + type + " *)(r7 + " + number(at) + ") = r2\n";
    at += type == "u64" ? 8 : 4;
  }
  return text;
}

// r6 = the context, r7 = the frame, r9 = the control element.
std::string text_of(const FrameTrace& trace) {
  const std::string size = number(trace.frame_size());
  std::string text = R"(
  r6 = r1
  r7 = *(u32 *)(r6 + 0)
  r8 = *(u32 *)(r6 + 4)
  r1 = r7
  r1 += )" + size + R"(
  if r1 > r8 goto wrong
  r9 = map[control][0]+0
  r3 = *(u32 *)(r9 + 0)
  if r3 < )" + number(trace.count()) +
                     R"( goto inside
  r3 = 0
inside:
  r4 = r3
  r4 += 1
  *(u32 *)(r9 + 0) = r4
  r3 *= )" + number(trace.slot_size()) +
                     R"(
  r1 = map[trace][0]+0
  r1 += r3
)";
  if (!trace.all_of_one_length()) text += "  r8 = *(u32 *)(r1 + " + size + ")\n";
  text += copying(trace.frame_size());
  if (!trace.all_of_one_length()) {
    text += "  r1 = r6\n  r2 = r8\n  r2 += -" + size + "\n  call xdp_adjust_tail\n";
  }
  return text + R"(
  r1 = *(u32 *)(r9 + 4)
  r2 = 0
  call redirect
  exit
wrong:
  r0 = 0
  exit
)";
}

}  // namespace

Bytes frame_of(const Bytes& packet) {
  invariant(!packet.empty() && link_header_size + packet.size() <= largest,
            "a packet of a wrong size");
  const bool ipv6 = packet.front() >> 4U == 6;
  Bytes frame(receiver_address.begin(), receiver_address.end());
  frame.insert(frame.end(), sender_address.begin(), sender_address.end());
  const Bytes type = big_endian_bytes(ipv6 ? 0x86dd : 0x0800, 2);
  frame.insert(frame.end(), type.begin(), type.end());
  frame.insert(frame.end(), packet.begin(), packet.end());
  frame.resize(std::max(frame.size(), shortest));
  return frame;
}

FrameTrace::FrameTrace(const std::vector<Bytes>& packets)
    : count_(static_cast<std::uint32_t>(packets.size())) {
  invariant(!packets.empty(), "a trace without packets");
  std::vector<Bytes> frames;
  frames.reserve(packets.size());
  std::size_t longest = 0;
  for (const Bytes& packet : packets) {
    frames.push_back(frame_of(packet));
    longest = std::max(longest, frames.back().size());
    all_of_one_length_ = all_of_one_length_ && frames.back().size() == frames.front().size();
  }
  // The program copies 8 bytes at a time from aligned slots, and 4 at the end. Where live frames
  // are longer than a frame, it is cut.
  slot_size_ = static_cast<std::uint32_t>((longest + 4 + 7) / 8 * 8);
  all_of_one_length_ = all_of_one_length_ && longest == frame_size();
  slots_.reserve(std::size_t{count_} * slot_size_);
  for (Bytes& frame : frames) {
    const Bytes length = native_bytes(frame.size(), 4);
    frame.resize(frame_size());
    slots_.insert(slots_.end(), frame.begin(), frame.end());
    slots_.insert(slots_.end(), length.begin(), length.end());
  }
}

Result<isa::Object> sending_program(const FrameTrace& trace) {
  isa::Object object;
  object.maps.push_back({.name = "control",
                         .type = isa::MapType::array,
                         .key_size = 4,
                         .value_size = 8,
                         .max_entries = 1,
                         .flags = 0,
                         .entries = {}});
  isa::MapSpec frames{.name = "trace",
                      .type = isa::MapType::array,
                      .key_size = 4,
                      .value_size = static_cast<std::uint32_t>(trace.slots().size()),
                      .max_entries = 1,
                      .flags = 0,
                      .entries = {}};
  frames.entries.push_back({.key = native_bytes(0, 4), .value = trace.slots()});
  object.maps.push_back(std::move(frames));
  WEIR_TRY(program, isa::assemble(text_of(trace), object.maps, "sending"));
  object.programs.push_back({.name = "send",
                             .type = isa::ProgramType::xdp,
                             .insns = std::move(program.insns),
                             .relocations = std::move(program.relocations)});
  return object;
}

}  // namespace weir::bench
