// SPDX-License-Identifier: BSD-2-Clause
#include "packet/pcapng.h"

#include <cerrno>
#include <cstring>

namespace weir::packet {
namespace {

// Types of blocks and options.
constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::uint16_t option_comment = 1;
constexpr std::uint16_t option_interface_name = 2;
constexpr std::uint16_t option_time_resolution = 9;
constexpr std::uint8_t nanoseconds = 9;  // as a power of ten
constexpr std::size_t longest_option = 0xffff;

// All in the machine's own order, which the section header tells.
void append(Bytes& out, std::uint64_t value, std::size_t size) {
  const Bytes bytes = native_bytes(value, size);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_padded(Bytes& out, ByteView bytes) {
  constexpr std::size_t word = 4;
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.resize((out.size() + word - 1) / word * word);
}

void append_option(Bytes& out, std::uint16_t code, ByteView value) {
  if (value.size() > longest_option) value = value.first(longest_option);
  append(out, code, 2);
  append(out, value.size(), 2);
  append_padded(out, value);
}

void append_option(Bytes& out, std::uint16_t code, const std::string& text) {
  if (text.empty()) return;
  append_option(out, code,
                ByteView(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void end_options(Bytes& out) {
  append(out, 0, 4);
}

}  // namespace

Result<PcapngWriter> PcapngWriter::open(const std::string& path) {
  const bool standard = path == "-";
  Handle file(standard ? stdout : std::fopen(path.c_str(), "wb"),
              [](std::FILE* one) { return one == stdout ? std::fflush(one) : std::fclose(one); });
  if (!file) return system_error(path + ": cannot be written", errno);
  PcapngWriter writer(standard ? "standard output" : path, std::move(file));
  Bytes body;
  append(body, 0x1a2b3c4d, 4);  // the magic that tells the byte order
  append(body, 1, 2);           // version 1.0
  append(body, 0, 2);
  append(body, ~std::uint64_t{0}, 8);  // length of the section: not known
  WEIR_CHECK(writer.put(section_header, std::move(body)));
  return writer;
}

// A block: type, length, body, length.
Status PcapngWriter::put(std::uint32_t type, Bytes body) {
  constexpr std::size_t frame = 12;
  const std::size_t length = body.size() + frame;
  Bytes block;
  append(block, type, 4);
  append(block, length, 4);
  block.insert(block.end(), body.begin(), body.end());
  append(block, length, 4);
  if (std::fwrite(block.data(), 1, block.size(), file_.get()) == block.size()) return {};
  return system_error(name_ + ": cannot be written", errno);
}

Status PcapngWriter::write(const Record& record) {
  const auto number = static_cast<std::uint32_t>(interfaces_.size());
  const auto [known, is_new] = interfaces_.try_emplace({record.link, record.interface}, number);
  if (is_new) {
    Bytes body;
    append(body, static_cast<std::uint16_t>(record.link), 2);
    append(body, 0, 2);
    append(body, 0, 4);  // no limit of bytes a packet
    append_option(body, option_interface_name, record.interface);
    append_option(body, option_time_resolution, ByteView(&nanoseconds, 1));
    end_options(body);
    WEIR_CHECK(put(interface_description, std::move(body)));
  }
  Bytes body;
  append(body, known->second, 4);
  append(body, record.time_ns >> 32, 4);
  append(body, record.time_ns & 0xffffffff, 4);
  append(body, record.bytes.size(), 4);
  append(body, record.length, 4);
  append_padded(body, record.bytes);
  if (!record.comment.empty()) {
    append_option(body, option_comment, record.comment);
    end_options(body);
  }
  return put(enhanced_packet, std::move(body));
}

Status PcapngWriter::flush() {
  if (std::fflush(file_.get()) == 0) return {};
  return system_error(name_ + ": cannot be written", errno);
}

}  // namespace weir::packet
