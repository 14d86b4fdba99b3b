// SPDX-License-Identifier: BSD-2-Clause
#include "packet/capture.h"

#include <pcap/pcap.h>

#include <cstdio>
#include <utility>

#include "packet/vlan.h"

namespace weir::packet {
namespace {

constexpr int snapshot_length = 262144;  // the most that libpcap reads back
constexpr std::int64_t ns_per_second = 1'000'000'000;

std::optional<LinkType> link_type_of(int dlt) {
  switch (dlt) {
    case DLT_EN10MB:
      return LinkType::ethernet;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return LinkType::raw_ip;
    case DLT_LINUX_SLL:
      return LinkType::linux_cooked;
    case DLT_LINUX_SLL2:
      return LinkType::linux_cooked2;
    case DLT_NULL:
    case DLT_LOOP:
      return LinkType::null;
    default:
      return std::nullopt;
  }
}

std::string link_type_name(int dlt) {
  const char* name = pcap_datalink_val_to_name(dlt);
  return name == nullptr ? std::to_string(dlt) : name;
}

std::string place(const std::string& name, std::uint64_t packet) {
  return name + ": packet " + std::to_string(packet);
}

}  // namespace

CaptureReader::CaptureReader(std::string name, Handle handle, LinkType link_type)
    : name_(std::move(name)), handle_(std::move(handle)), link_type_(link_type) {}

Result<CaptureReader> CaptureReader::open(const std::string& path) {
  const std::string name = path == "-" ? "standard input" : path;
  char reason[PCAP_ERRBUF_SIZE] = "";
  Handle handle(
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, reason),
      pcap_close);
  if (!handle) {
    // libpcap puts the path in front of some of its reasons.
    const std::string text = reason;
    return input_error(text.starts_with(path + ": ") ? text : name + ": " + text);
  }
  const int dlt = pcap_datalink(handle.get());
  const auto link_type = link_type_of(dlt);
  if (!link_type) {
    return input_error(name + ": link type " + link_type_name(dlt) +
                       " found, expected Ethernet, raw IP, Linux cooked or null");
  }
  return CaptureReader(name, std::move(handle), *link_type);
}

Result<std::optional<Packet>> CaptureReader::next() {
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  const int status = pcap_next_ex(handle_.get(), &header, &bytes);
  if (status == PCAP_ERROR_BREAK) return std::optional<Packet>();
  if (status != 1) {
    return input_error(place(name_, packets_ + 1) + ": " + pcap_geterr(handle_.get()));
  }
  ++packets_;
  if (header->caplen < header->len) ++cut_packets_;
  Packet packet = parse_frame(ByteView(bytes, header->caplen), link_type_);
  // With the precision asked for above, tv_usec holds nanoseconds.
  packet.time_ns = header->ts.tv_sec * ns_per_second + header->ts.tv_usec;
  return packet;
}

CaptureWriter::CaptureWriter(std::string name, Kind kind, Handle handle, Dumper dumper)
    : name_(std::move(name)), kind_(kind), handle_(std::move(handle)), dumper_(std::move(dumper)) {}

Result<CaptureWriter> CaptureWriter::open(const std::string& path, Kind kind) {
  const std::string name = path == "-" ? "standard output" : path;
  Handle handle(pcap_open_dead_with_tstamp_precision(kind == Kind::ethernet ? DLT_EN10MB : DLT_RAW,
                                                     snapshot_length, PCAP_TSTAMP_PRECISION_NANO),
                pcap_close);
  if (!handle) return system_error(name + ": libpcap has no memory");
  Dumper dumper(pcap_dump_open(handle.get(), path.c_str()), pcap_dump_close);
  if (!dumper) {
    const std::string text = pcap_geterr(handle.get());
    return system_error(text.starts_with(path + ": ") ? text : name + ": " + text);
  }
  return CaptureWriter(name, kind, std::move(handle), std::move(dumper));
}

Status CaptureWriter::write(const Packet& packet) {
  invariant(dumper_ != nullptr, "a packet is written to a closed capture");
  ++packets_;
  const bool raw = kind_ == Kind::raw_ip;
  if (!raw && packet.network_offset == 0) {
    return input_error(place(name_, packets_) +
                       ": has no link header, which an Ethernet capture needs");
  }
  const Bytes frame = raw ? Bytes() : on_wire(packet);
  const ByteView bytes = raw ? packet.network() : ByteView(frame);
  pcap_pkthdr header = {};
  header.ts.tv_sec = packet.time_ns / ns_per_second;
  header.ts.tv_usec = packet.time_ns % ns_per_second;
  header.caplen = header.len = static_cast<bpf_u_int32>(bytes.size());
  pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header, bytes.data());
  if (std::ferror(pcap_dump_file(dumper_.get())) != 0) {
    return system_error(place(name_, packets_) + ": cannot be written");
  }
  return {};
}

Status CaptureWriter::close() {
  if (!dumper_) return {};
  const int status = pcap_dump_flush(dumper_.get());
  dumper_.reset();
  if (status != 0) return system_error(name_ + ": cannot be written");
  return {};
}

}  // namespace weir::packet
