// SPDX-License-Identifier: BSD-2-Clause
//
// nft_payload_set_eval() in net/netfilter/nft_payload.c (Linux 6.18), nft_exthdr_tcp_set_eval() and
// nft_exthdr_tcp_strip_eval() in nft_exthdr.c, of a packet whose checksums
// are whole (skb->ip_summed is not CHECKSUM_PARTIAL). A kernel that is to mend a checksum for bytes
// beyond the packet's end stops there (skb_checksum()); here the rule ends.
#include "imr/packet_write.h"

#include <algorithm>

#include "imr/extensions.h"

namespace weir::imr {
namespace {

constexpr std::uint8_t ip_protocol_tcp = 6;
constexpr std::uint8_t ip_protocol_udp = 17;
constexpr std::uint8_t ip_protocol_icmpv6 = 58;
constexpr std::uint8_t ip_protocol_udplite = 136;

// csum_partial(): words of 2 bytes in memory order, a last byte alone being the first of its word.
std::uint32_t sum_of(ByteView bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 0 : 8);
  }
  return sum;
}

std::uint16_t folded(std::uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t opposite(std::uint32_t sum) {
  return static_cast<std::uint16_t>(~folded(sum));
}

// nft_csum_replace(): a sum of 0 becomes CSUM_MANGLED_0.
std::uint16_t replaced(std::uint16_t checksum, std::uint32_t from, std::uint32_t to) {
  const std::uint16_t out = opposite(std::uint32_t{opposite(checksum)} + opposite(from) + to);
  return out == 0 ? 0xffff : out;
}

// csum_replace4() in include/net/checksum.h, 32 bits wide: a sum of 0 stays one, and one of 0xffff
// becomes 0 whatever is replaced.
std::uint16_t replaced_in_tcp(std::uint16_t checksum, std::uint32_t from, std::uint32_t to) {
  const auto add = [](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t sum = a + b;
    return sum + (sum < a ? 1 : 0);
  };
  return opposite(add(add(~std::uint32_t{checksum}, ~from), to));
}

class Write {
 public:
  Write(PacketView& view, Bytes& bytes) : view_(view), bytes_(bytes) {}

  [[nodiscard]] bool run(const PayloadWrite& write, ByteView value) {
    const auto header = start_of(write.base);
    if (!header || !holds(*header + write.offset, write.length)) return false;
    const std::size_t at = *header + write.offset;
    const std::uint32_t from = sum_of(ByteView(bytes_).subspan(at, write.length));
    const std::uint32_t to = sum_of(value.first(write.length));
    if (write.checksum && !mend(*header + *write.checksum, from, to)) return false;
    if (write.pseudo_header) {
      const auto checksum = checksum_over_pseudo_header();
      if (checksum && !mend(*checksum, from, to)) return false;
    }
    put(at, value.first(write.length));
    return true;
  }

  // Bytes of the TCP header, which are there. Words count in the order in which they stand, be
  // their place odd or even.
  [[nodiscard]] bool run(const OptionWrite& write, ByteView value) {
    constexpr std::uint8_t maximum_segment_size = 2;
    const auto option = find_tcp_option(view_, write.type);
    if (!option) return false;
    if (option->at == 0) return true;
    if (!option->whole || std::size_t{write.offset} + write.length > option->size) return false;
    const std::size_t at = transport() + option->at + write.offset;
    const ByteView to = value.first(write.length);
    const ByteView from = ByteView(bytes_).subspan(at, write.length);
    if (write.type == maximum_segment_size && write.length == 2 &&
        load_big_endian(from) <= load_big_endian(to)) {
      return true;
    }
    if (std::ranges::equal(from, to)) return true;
    mend_tcp(static_cast<std::uint32_t>(load_native(from)),
             static_cast<std::uint32_t>(load_native(to)));
    put(at, to);
    return true;
  }

  [[nodiscard]] Stripped run(const OptionStrip& strip) {
    constexpr std::uint8_t no_operation = 1;
    const auto option = find_tcp_option(view_, strip.type);
    if (!option) return Stripped::ends_rule;
    if (option->at == 0) return Stripped::goes_on;
    if (!option->whole) return Stripped::ends_packet;
    for (std::size_t i = option->at; i < option->at + option->size; ++i) {
      const std::size_t at = transport() + i;
      const unsigned shift = i % 2 == 0 ? 0 : 8;
      mend_tcp(std::uint32_t{bytes_[at]} << shift, std::uint32_t{no_operation} << shift);
      put(at, Bytes{no_operation});
    }
    return Stripped::goes_on;
  }

 private:
  [[nodiscard]] bool holds(std::size_t at, std::size_t length) const {
    return at + length <= bytes_.size();
  }
  [[nodiscard]] std::size_t transport() const {
    return bytes_.size() - view_.data.size() + view_.transport_offset;
  }

  // Of the header, in the frame.
  [[nodiscard]] std::optional<std::size_t> start_of(HeaderBase base) const {
    switch (base) {
      case HeaderBase::link:
        if (view_.link_size == 0) return std::nullopt;
        return 0;
      case HeaderBase::network:
        return bytes_.size() - view_.network.size();
      case HeaderBase::transport:
        if (!view_.has_transport || view_.later_fragment) return std::nullopt;
        return transport();
      case HeaderBase::inner:
        throw InvariantError("write behind the transport header");
    }
    throw InvariantError("header base out of range");
  }

  // nft_payload_l4csum_offset()
  [[nodiscard]] std::optional<std::size_t> checksum_over_pseudo_header() const {
    constexpr std::size_t udp_header = 8;
    constexpr std::size_t in_udp = 6;
    if (!view_.has_transport || view_.later_fragment) return std::nullopt;
    switch (view_.l4proto) {
      case ip_protocol_tcp:
        return transport() + 16;
      case ip_protocol_udp:
        // It may do without.
        if (!holds(transport(), udp_header) || checksum_at(transport() + in_udp) == 0) {
          return std::nullopt;
        }
        return transport() + in_udp;
      case ip_protocol_udplite:
        return transport() + in_udp;
      case ip_protocol_icmpv6:
        return transport() + 2;
      default:
        return std::nullopt;
    }
  }

  [[nodiscard]] std::uint16_t checksum_at(std::size_t at) const {
    return static_cast<std::uint16_t>(load_native(ByteView(bytes_).subspan(at, 2)));
  }

  [[nodiscard]] bool mend(std::size_t at, std::uint32_t from, std::uint32_t to) {
    if (!holds(at, 2)) return false;
    put(at, native_bytes(replaced(checksum_at(at), from, to), 2));
    return true;
  }

  void mend_tcp(std::uint32_t from, std::uint32_t to) {
    const std::size_t at = transport() + 16;
    put(at, native_bytes(replaced_in_tcp(checksum_at(at), from, to), 2));
  }

  void put(std::size_t at, ByteView value) {
    // Where the tag's 4 bytes are back in their place.
    constexpr std::size_t tag_place = 12;
    std::ranges::copy(value, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    if (!view_.retagged) return;
    const std::size_t moved = at < tag_place ? at : at + 4;
    std::ranges::copy(value, view_.retagged->begin() + static_cast<std::ptrdiff_t>(moved));
  }

  PacketView& view_;
  Bytes& bytes_;
};

}  // namespace

void move_to(PacketView& view, ByteView bytes) {
  invariant(bytes.size() == view.frame.size(), "a packet of another size");
  view.network = bytes.last(view.network.size());
  view.data = bytes.last(view.data.size());
  view.frame = bytes;
}

bool write_packet(PacketView& view, Bytes& bytes, const PayloadWrite& write, ByteView value) {
  return Write(view, bytes).run(write, value);
}

bool write_option(PacketView& view, Bytes& bytes, const OptionWrite& write, ByteView value) {
  return Write(view, bytes).run(write, value);
}

Stripped strip_option(PacketView& view, Bytes& bytes, const OptionStrip& strip) {
  return Write(view, bytes).run(strip);
}

}  // namespace weir::imr
