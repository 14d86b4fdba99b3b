// SPDX-License-Identifier: BSD-2-Clause
//
// pcapng files (draft-ietf-opsawg-pcapng), as many interfaces and as much said of each packet as
// its writer knows: libpcap reads them, and does not write them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::packet {

class PcapngWriter {
 public:
  enum class Link : std::uint16_t { ethernet = 1, raw_ip = 101 };  // LINKTYPE_*

  struct Record {
    Link link = Link::ethernet;
    std::string interface;      // its name; empty: none is known
    std::uint64_t time_ns = 0;  // since 1970
    std::uint32_t length = 0;   // of the packet; `bytes` are its first ones
    ByteView bytes;
    std::string comment;
  };

  // "-" is standard output.
  [[nodiscard]] static Result<PcapngWriter> open(const std::string& path);

  [[nodiscard]] Status write(const Record& record);
  // Hands what was written to the system, so that who follows the file sees whole packets.
  [[nodiscard]] Status flush();

 private:
  using Handle = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  PcapngWriter(std::string name, Handle file) : name_(std::move(name)), file_(std::move(file)) {}

  Status put(std::uint32_t type, Bytes body);

  std::string name_;
  Handle file_;
  std::map<std::pair<Link, std::string>, std::uint32_t> interfaces_;  // numbers in the file
};

}  // namespace weir::packet
