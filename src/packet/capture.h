// SPDX-License-Identifier: BSD-2-Clause
//
// Packet captures: pcap and pcapng files read, pcap files written, through libpcap.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "packet/packet.h"
#include "packet/parse.h"

extern "C" {
struct pcap;
struct pcap_dumper;
}

namespace weir::packet {

// Reads packets one by one. Errors name the file, and the packet by its number from 1.
class CaptureReader {
 public:
  // "-" is standard input. Link types other than those of LinkType are an input error.
  [[nodiscard]] static Result<CaptureReader> open(const std::string& path);

  // Nothing at the end of the capture.
  [[nodiscard]] Result<std::optional<Packet>> next();

  // Whether packets come with their Ethernet header.
  [[nodiscard]] bool has_link_header() const { return link_type_ == LinkType::ethernet; }
  // Packets read so far, and those among them of which the capture holds a part only.
  [[nodiscard]] std::uint64_t packets() const { return packets_; }
  [[nodiscard]] std::uint64_t cut_packets() const { return cut_packets_; }

 private:
  using Handle = std::unique_ptr<pcap, void (*)(pcap*)>;
  CaptureReader(std::string name, Handle handle, LinkType link_type);

  std::string name_;
  Handle handle_;
  LinkType link_type_;
  std::uint64_t packets_ = 0;
  std::uint64_t cut_packets_ = 0;
};

// Writes a pcap file with times in nanoseconds. Closing is part of writing: its errors (a full
// disk) come from close(), and are lost when the destructor does it.
class CaptureWriter {
 public:
  enum class Kind : std::uint8_t { ethernet, raw_ip };

  // "-" is standard output.
  [[nodiscard]] static Result<CaptureWriter> open(const std::string& path, Kind kind);

  // A raw capture takes the packet from its network header on, an Ethernet capture puts a tag in
  // metadata back. A packet without link header in an
  // Ethernet capture is an input error.
  [[nodiscard]] Status write(const Packet& packet);
  [[nodiscard]] Status close();

 private:
  using Handle = std::unique_ptr<pcap, void (*)(pcap*)>;
  using Dumper = std::unique_ptr<pcap_dumper, void (*)(pcap_dumper*)>;
  CaptureWriter(std::string name, Kind kind, Handle handle, Dumper dumper);

  std::string name_;
  Kind kind_;
  Handle handle_;
  Dumper dumper_;
  std::uint64_t packets_ = 0;
};

}  // namespace weir::packet
