// SPDX-License-Identifier: BSD-2-Clause
//
// directed_packets(): choose a shape, build it, write probes into it, make it deliverable if asked
// to, repair the checksums, cut it. The shapes are in directed_shapes.cpp.
#include "packet/directed.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "packet/checksum.h"
#include "packet/deliverable.h"
#include "packet/directed_shapes.h"
#include "packet/headers.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

enum class Neighbour : std::uint8_t { equal, above, below };

// The value one above or below, modulo its size.
Bytes neighbour(Bytes value, Neighbour which) {
  if (which == Neighbour::equal) return value;
  const std::uint8_t wraps_to = which == Neighbour::above ? 0x00 : 0xff;
  const int step = which == Neighbour::above ? 1 : -1;
  for (std::size_t i = value.size(); i-- > 0;) {
    value[i] = static_cast<std::uint8_t>(value[i] + step);
    if (value[i] != wraps_to) break;
  }
  return value;
}

using Place = std::tuple<Layer, std::optional<ItemName>, std::uint16_t, std::uint16_t>;
using Candidates = std::map<Place, std::vector<const Probe*>>;

struct Turn {
  const Probe* probe = nullptr;  // nullptr: none, the shape is all
  Neighbour neighbour = Neighbour::equal;
};

class Director {
 public:
  Director(std::span<const Probe> probes, const DirectedOptions& options, std::mt19937_64& random)
      : options_(options), random_(random) {
    for (const Probe& probe : probes) {
      const Place place(probe.layer, probe.item, probe.offset, probe.length);
      all_[place].push_back(&probe);
      groups_[probe.group][place].push_back(&probe);
      order_.push_back(&probe);
    }
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[random_.below(i)]);
  }

  std::vector<Packet> run() {
    std::vector<Packet> packets;
    packets.reserve(options_.count);
    for (std::size_t i = 0; i < options_.count; ++i) packets.push_back(make(next_turn()));
    return packets;
  }

 private:
  Turn next_turn() {
    const std::size_t count = order_.size();
    if (count == 0 || random_.one_in(16)) return {};
    const std::size_t index = turns_++;
    // A margin for the packets without a turn.
    const bool room_for_neighbours = count * 4 <= options_.count;
    const auto in_order = static_cast<Neighbour>(index / count % 3);
    return {order_[index % count], room_for_neighbours ? in_order : random_neighbour()};
  }

  Packet make(const Turn& turn) {
    Wanted wanted;
    if (turn.probe != nullptr && !random_.one_in(4)) {
      wanted = {.ethertype = turn.probe->ethertype,
                .ip_protocol = turn.probe->ip_protocol,
                .item = turn.probe->item};
    }
    Built built = build_with_layout(choose_shape(options_, wanted, random_));
    const ReadByRouters read = read_by_routers(built);
    if (turn.probe != nullptr) {
      write_companions(*turn.probe, built);
      write(*turn.probe, turn.neighbour, built);
    }
    if (options_.deliverable) make_deliverable(built, read, options_);
    if (random_.one_in(4)) truncate(built);
    if (built.packet.bytes.size() > options_.max_size) cut_to(built, options_.max_size);
    repair_checksums(built.packet);
    if (turn.probe != nullptr && may_replace_checksum(*turn.probe)) {
      write(*turn.probe, turn.neighbour, built);
    }
    if (random_.one_in(40)) break_checksum(built);
    return std::move(built.packet);
  }

  // Writing the probe again changes nothing, unless it lies on a checksum. It may be meant for it,
  // or for a port of another protocol: each is the point in half of the packets.
  bool may_replace_checksum(const Probe& probe) {
    if (options_.deliverable && probe.layer == Layer::network) return false;
    return random_.one_in(2);
  }

  void write_companions(const Probe& featured, Built& built) {
    const bool whole_group = random_.one_in(2);
    for (const auto& [place, candidates] : whole_group ? groups_.at(featured.group) : all_) {
      if (whole_group) {
        const bool exact = !random_.one_in(12);
        write(*random_.pick(candidates), exact ? Neighbour::equal : random_neighbour(), built);
      } else if (random_.one_in(2)) {
        write(*random_.pick(candidates), random_neighbour(), built);
      }
    }
  }

  Neighbour random_neighbour() {
    return random_.one_in(2) ? Neighbour::equal : static_cast<Neighbour>(random_.below(3));
  }

  static std::size_t layer_offset(Layer layer, const Layout& layout) {
    switch (layer) {
      case Layer::link:
        return 0;
      case Layer::network:
        return layout.network_offset;
      case Layer::transport:
        return layout.transport_offset;
      case Layer::extension:
        break;
    }
    throw InvariantError("a probe of a list without an item");
  }

  // Where the header or the item begins that the probe is about, if the packet has it. A router
  // reads hop-by-hop headers.
  [[nodiscard]] std::optional<std::size_t> origin_of(const Probe& probe, const Built& built) const {
    if (!probe.item) return layer_offset(probe.layer, built.layout);
    const ItemName hop_by_hop{ItemKind::ipv6_header, 0};
    if (options_.deliverable && probe.item == hop_by_hop) return std::nullopt;
    return find_item(built, *probe.item);
  }

  // As much of the value as the packet has room for.
  void write(const Probe& probe, Neighbour which, Built& built) const {
    if (probe.layer == Layer::link && built.layout.network_offset == 0) return;
    Bytes value = probe.value;
    value.resize(probe.length);
    value = neighbour(std::move(value), which);
    Bytes& bytes = built.packet.bytes;
    const auto origin = origin_of(probe, built);
    if (!origin) return;
    const std::size_t start = *origin + probe.offset;
    std::size_t end = bytes.size();
    if (options_.deliverable && probe.layer == Layer::network) {
      // What lies behind may be a hop-by-hop header that a router reads.
      end = std::min(end, built.layout.network_end);
    }
    for (std::size_t i = 0; i < value.size() && start + i < end; ++i) bytes[start + i] = value[i];
    if (probe.layer == Layer::link) reread_link(built.packet);
  }

  // After a change of the link header or of the size of the packet.
  static void reread_link(Packet& packet) {
    const Packet parsed = parse_frame(packet.bytes, LinkType::ethernet);
    packet.network_offset = parsed.network_offset;
    packet.ethertype = parsed.ethertype;
    packet.type = parsed.type;
  }

  // Of the transport header; of the IPv4 header only when nobody checks it on the way.
  void break_checksum(Built& built) {
    Bytes& bytes = built.packet.bytes;
    if (!options_.deliverable && built.packet.ethertype == ethertype_ipv4 && random_.one_in(2)) {
      const std::size_t at = built.layout.network_offset + 11;
      if (at < bytes.size()) bytes[at] ^= 0x55;
      return;
    }
    const auto place = find_transport(built.packet.network(), built.packet.ethertype);
    if (!place) return;
    const bool is_tcp = place->protocol == static_cast<std::uint8_t>(IpProtocol::tcp);
    const std::size_t at = built.packet.network_offset + place->offset + (is_tcp ? 17 : 7);
    if (at < bytes.size()) bytes[at] ^= 0x55;
  }

  // To the last byte of some header, one less or one more.
  void truncate(Built& built) {
    const Layout& layout = built.layout;
    std::vector<std::size_t> ends = {layout.network_end, layout.transport_end,
                                     layout.transport_offset + 4};
    for (int i = 0; i < 3 && !layout.extension_ends.empty(); ++i) {
      ends.push_back(random_.pick(layout.extension_ends));
    }
    if (layout.network_offset != 0 && !options_.deliverable) ends.push_back(layout.network_offset);
    cut_to(built, random_.pick(ends) + random_.below(3) - 1);
    if (random_.one_in(2)) adjust_ip_length(built);
  }

  // Never below what the options promise, nor below what a router wants to see.
  void cut_to(Built& built, std::size_t size) const {
    Packet& packet = built.packet;
    const bool is_ipv6 = packet.ethertype == ethertype_ipv6;
    const std::size_t smallest = is_ipv6 ? options_.min_ipv6_size : options_.min_ipv4_size;
    size = std::max(size, built.layout.network_offset + smallest);
    if (options_.deliverable) size = std::max(size, smallest_deliverable(built));
    if (size >= packet.bytes.size()) return;
    packet.bytes.resize(size);
    if (options_.link_header) reread_link(packet);
    if (options_.deliverable) adjust_ip_length(built);
  }

  const DirectedOptions& options_;
  Random random_;
  Candidates all_;
  std::map<std::uint32_t, Candidates> groups_;
  std::vector<const Probe*> order_;
  std::size_t turns_ = 0;  // taken so far
};

}  // namespace

std::vector<Packet> directed_packets(std::span<const Probe> probes, const DirectedOptions& options,
                                     std::mt19937_64& random) {
  invariant(options.max_size >= 128, "directed packets of less than 128 bytes");
  invariant(options.ipv4 || options.ipv6, "directed packets of no family");
  return Director(probes, options, random).run();
}

}  // namespace weir::packet
