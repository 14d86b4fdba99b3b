// SPDX-License-Identifier: BSD-2-Clause
//
// pcapng files, read back by libpcap.
#include "packet/pcapng.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "packet/builder.h"
#include "packet/capture.h"

namespace weir::packet {
namespace {

class Pcapng : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-pcapng-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "a.pcapng").string(); }

  std::string content() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(Pcapng, IsReadBackAsWritten) {
  const Packet whole = build({.link = Ethernet{}, .transport = Udp{}, .payload = {1, 2, 3}});
  {
    auto writer = PcapngWriter::open(path());
    ASSERT_TRUE(writer) << writer.error().text();
    PcapngWriter::Record record{.interface = "eth0",
                                .time_ns = 1'700'000'000'123'456'789,
                                .length = static_cast<std::uint32_t>(whole.bytes.size()),
                                .bytes = whole.bytes,
                                .comment = "dropped: "};
    ASSERT_TRUE(writer->write(record));
    record.bytes = record.bytes.first(40);
    record.comment.clear();
    ASSERT_TRUE(writer->write(record));
    ASSERT_TRUE(writer->flush());
    auto reader = CaptureReader::open(path());
    ASSERT_TRUE(reader) << reader.error().text();
    EXPECT_TRUE(reader->has_link_header());
    const auto first = reader->next();
    ASSERT_TRUE(first && *first);
    EXPECT_EQ((*first)->bytes, whole.bytes);
    EXPECT_EQ((*first)->time_ns, 1'700'000'000'123'456'789);
    const auto second = reader->next();
    ASSERT_TRUE(second && *second) << "a packet that is cut";
    EXPECT_EQ((*second)->bytes.size(), 40U);
    EXPECT_EQ(reader->cut_packets(), 1U);
    const auto end = reader->next();
    EXPECT_TRUE(end && !*end);
  }
  EXPECT_NE(content().find("dropped: "), std::string::npos) << "the comment";
  EXPECT_EQ(content().find("eth0"), content().rfind("eth0")) << "the interface, described once";
}

TEST_F(Pcapng, IpPacketsHaveAnInterfaceOfTheirOwn) {
  const Packet packet = build({.transport = Tcp{}});
  auto writer = PcapngWriter::open(path());
  ASSERT_TRUE(writer) << writer.error().text();
  ASSERT_TRUE(writer->write({.link = PcapngWriter::Link::raw_ip,
                             .interface = "",
                             .time_ns = 5,
                             .length = static_cast<std::uint32_t>(packet.bytes.size()),
                             .bytes = packet.bytes,
                             .comment = ""}));
  ASSERT_TRUE(writer->flush());
  auto reader = CaptureReader::open(path());
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_FALSE(reader->has_link_header());
  const auto first = reader->next();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->bytes, packet.bytes);
}

TEST_F(Pcapng, AFullDiskIsSeen) {
  auto writer = PcapngWriter::open("/dev/full");
  ASSERT_TRUE(writer) << writer.error().text();
  EXPECT_FALSE(writer->flush());
}

TEST_F(Pcapng, NoFileWithoutAFolder) {
  const auto writer = PcapngWriter::open(path() + "/no/such");
  ASSERT_FALSE(writer);
  EXPECT_NE(writer.error().text().find("cannot be written"), std::string::npos);
}

}  // namespace
}  // namespace weir::packet
