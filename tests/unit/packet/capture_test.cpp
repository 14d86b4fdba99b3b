// SPDX-License-Identifier: BSD-2-Clause
//
// Captures written and read back, and the errors of broken ones.
#include "packet/capture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "packet/builder.h"
#include "packet/vlan.h"

namespace weir::packet {
namespace {

class Capture : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-capture-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void write_file(const std::string& name, ByteView bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path folder_;
};

void append32(Bytes& bytes, std::uint32_t value) {
  const Bytes word = native_bytes(value, 4);
  bytes.insert(bytes.end(), word.begin(), word.end());
}

// The header of a classic pcap file with microseconds, in host order.
Bytes pcap_header(std::uint32_t link_type) {
  Bytes bytes;
  for (const std::uint32_t word : {0xa1b2c3d4U, 0x00040002U, 0U, 0U, 65535U, link_type}) {
    append32(bytes, word);
  }
  return bytes;
}

TEST_F(Capture, EthernetIsReadBackAsWritten) {
  Packet first =
      build({.link = Ethernet{.tags = {VlanTag{.id = 7}}}, .transport = Tcp{}, .payload = {1, 2}});
  first.time_ns = 1'700'000'000'123'456'789;
  const Packet second = build({.link = Ethernet{}, .network = Ipv6{}, .transport = Udp{}});
  {
    auto writer = CaptureWriter::open(path("a.pcap"), CaptureWriter::Kind::ethernet);
    ASSERT_TRUE(writer.has_value()) << writer.error().text();
    ASSERT_TRUE(writer->write(first).has_value());
    ASSERT_TRUE(writer->write(second).has_value());
    ASSERT_TRUE(writer->close().has_value());
  }
  auto reader = CaptureReader::open(path("a.pcap"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  EXPECT_TRUE(reader->has_link_header());
  for (const Packet& expected : {first, second}) {
    const auto packet = reader->next();
    ASSERT_TRUE(packet.has_value()) << packet.error().text();
    ASSERT_TRUE(packet->has_value());
    EXPECT_EQ((*packet)->bytes, expected.bytes);
    EXPECT_EQ((*packet)->network_offset, expected.network_offset);
    EXPECT_EQ((*packet)->ethertype, expected.ethertype);
    EXPECT_EQ((*packet)->time_ns, expected.time_ns);
  }
  const auto end = reader->next();
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(reader->packets(), 2U);
  EXPECT_EQ(reader->cut_packets(), 0U);
}

TEST_F(Capture, EthernetGetsTheTagOfTheMetadataBack) {
  const Packet wire = build({.link = Ethernet{.tags = {{.id = 9}}}, .transport = Udp{}});
  auto writer = CaptureWriter::open(path("tag.pcap"), CaptureWriter::Kind::ethernet);
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(writer->write(as_received(wire)).has_value());
  ASSERT_TRUE(writer->close().has_value());
  auto reader = CaptureReader::open(path("tag.pcap"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  const auto read = reader->next();
  ASSERT_TRUE(read.has_value() && read->has_value());
  EXPECT_EQ((*read)->bytes, wire.bytes);
}

TEST_F(Capture, RawDropsTheLinkHeader) {
  const Packet packet = build({.link = Ethernet{}, .network = Ipv6{}, .transport = Udp{}});
  auto writer = CaptureWriter::open(path("raw.pcap"), CaptureWriter::Kind::raw_ip);
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(writer->write(packet).has_value());
  ASSERT_TRUE(writer->close().has_value());
  auto reader = CaptureReader::open(path("raw.pcap"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  EXPECT_FALSE(reader->has_link_header());
  const auto read = reader->next();
  ASSERT_TRUE(read.has_value() && read->has_value());
  EXPECT_EQ((*read)->bytes, Bytes(packet.network().begin(), packet.network().end()));
  EXPECT_EQ((*read)->network_offset, 0U);
  EXPECT_EQ((*read)->ethertype, ethertype_ipv6);
}

TEST_F(Capture, PcapngIsRead) {
  const Bytes frame = build({.link = Ethernet{}, .transport = Udp{}}).bytes;
  ASSERT_EQ(frame.size(), 42U);
  Bytes bytes;
  // Section header, one Ethernet interface, one enhanced packet block padded to 44 bytes.
  for (const std::uint32_t word : {0x0a0d0d0aU, 28U, 0x1a2b3c4dU, 1U, 0xffffffffU, 0xffffffffU, 28U,
                                   1U, 20U, 1U, 65535U, 20U, 6U, 76U, 0U, 0U, 5U, 42U, 42U}) {
    append32(bytes, word);
  }
  bytes.insert(bytes.end(), frame.begin(), frame.end());
  bytes.resize(bytes.size() + 2);
  append32(bytes, 76);
  write_file("a.pcapng", bytes);
  auto reader = CaptureReader::open(path("a.pcapng"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  const auto packet = reader->next();
  ASSERT_TRUE(packet.has_value()) << packet.error().text();
  ASSERT_TRUE(packet->has_value());
  EXPECT_EQ((*packet)->bytes, frame);
  EXPECT_EQ((*packet)->time_ns, 5000);
}

TEST_F(Capture, CutPacketsAreCounted) {
  Bytes bytes = pcap_header(1);
  for (const std::uint32_t word : {1U, 0U, 4U, 60U, 0U}) append32(bytes, word);
  write_file("cut.pcap", bytes);
  auto reader = CaptureReader::open(path("cut.pcap"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  const auto packet = reader->next();
  ASSERT_TRUE(packet.has_value() && packet->has_value());
  EXPECT_EQ((*packet)->bytes.size(), 4U);
  EXPECT_EQ(reader->cut_packets(), 1U);
}

TEST_F(Capture, ErrorsNameFileAndPacket) {
  const auto missing = CaptureReader::open(path("missing.pcap"));
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().kind, ErrorKind::input);
  EXPECT_EQ(missing.error().message, path("missing.pcap") + ": No such file or directory");

  write_file("text.pcap", Bytes(40, 'x'));
  const auto text = CaptureReader::open(path("text.pcap"));
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().message, path("text.pcap") + ": unknown file format");

  write_file("wifi.pcap", pcap_header(105));
  const auto wifi = CaptureReader::open(path("wifi.pcap"));
  ASSERT_FALSE(wifi.has_value());
  EXPECT_EQ(wifi.error().message,
            path("wifi.pcap") +
                ": link type IEEE802_11 found, expected Ethernet, raw IP, Linux cooked or null");

  Bytes bytes = pcap_header(1);
  for (const std::uint32_t word : {1U, 0U, 4U, 4U, 0U, 2U, 0U, 60U, 60U, 0U}) append32(bytes, word);
  write_file("short.pcap", bytes);
  auto reader = CaptureReader::open(path("short.pcap"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  ASSERT_TRUE(reader->next().has_value());
  const auto second = reader->next();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().message,
            path("short.pcap") +
                ": packet 2: truncated dump file; tried to read 60 captured bytes, only got 4");
}

TEST_F(Capture, WritingNeedsALinkHeaderAndAPlace) {
  auto writer = CaptureWriter::open(path("a.pcap"), CaptureWriter::Kind::ethernet);
  ASSERT_TRUE(writer.has_value());
  const auto status = writer->write(build({.transport = Udp{}}));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, path("a.pcap") +
                                        ": packet 1: has no link header, which an Ethernet capture "
                                        "needs");
  const auto nowhere = CaptureWriter::open(path("no/a.pcap"), CaptureWriter::Kind::raw_ip);
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().kind, ErrorKind::system);
  EXPECT_EQ(nowhere.error().message, path("no/a.pcap") + ": No such file or directory");
}

}  // namespace
}  // namespace weir::packet
