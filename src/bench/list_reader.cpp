// SPDX-License-Identifier: BSD-2-Clause
#include "bench/list_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string>
#include <variant>

#include "packet/headers.h"

namespace weir::bench {
namespace {

constexpr auto tcp = static_cast<std::uint64_t>(packet::IpProtocol::tcp);
constexpr auto udp = static_cast<std::uint64_t>(packet::IpProtocol::udp);

struct Interval {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

enum class Field : std::uint8_t { source, destination, protocol, source_port, destination_port };

// A field, or a part of its bits from the first on.
struct Place {
  Field field = Field::source;
  unsigned bytes = 0;  // of the field
};

std::optional<Place> place_of(const imr::Payload& payload) {
  struct Row {
    imr::HeaderBase base;
    unsigned offset;
    Place place;
  };
  static constexpr std::array rows = {
      Row{imr::HeaderBase::network, 12, {Field::source, 4}},
      Row{imr::HeaderBase::network, 16, {Field::destination, 4}},
      Row{imr::HeaderBase::network, 9, {Field::protocol, 1}},
      Row{imr::HeaderBase::transport, 0, {Field::source_port, 2}},
      Row{imr::HeaderBase::transport, 2, {Field::destination_port, 2}}};
  for (const Row& row : rows) {
    if (row.base == payload.base && row.offset == payload.offset &&
        payload.length <= row.place.bytes) {
      return row.place;
    }
  }
  return std::nullopt;
}

// One rule, as it is read statement by statement.
class RuleReader {
 public:
  explicit RuleReader(const imr::Ruleset& ruleset) : ruleset_(ruleset) {}

  // False: it is not understood.
  [[nodiscard]] bool read(const imr::Statement& statement) {
    if (verdict_) return false;
    if (const auto* match = std::get_if<imr::Match>(&statement)) return read_match(*match);
    if (const auto* range = std::get_if<imr::MatchRange>(&statement)) {
      return !range->inverted && bound(range->lhs, range->from, true) &&
             bound(range->lhs, range->to, false);
    }
    const auto* end = std::get_if<imr::VerdictStatement>(&statement);
    if (end == nullptr) return false;
    verdict_ = end->verdict.kind;
    return *verdict_ == imr::Verdict::Kind::accept || *verdict_ == imr::Verdict::Kind::drop;
  }

  [[nodiscard]] std::optional<ListRule> rule() const {
    const auto source = prefix(values_[0]);
    const auto destination = prefix(values_[1]);
    const bool one_protocol = values_[2].first == values_[2].last;
    const bool any_protocol = values_[2].first == 0 && values_[2].last == 0xff;
    const PortRange source_port = ports(values_[3]);
    const PortRange destination_port = ports(values_[4]);
    const bool has_ports = !source_port.is_any() || !destination_port.is_any();
    const bool may_have_ports =
        one_protocol && (values_[2].first == tcp || values_[2].first == udp);
    if (!verdict_ || empty() || !source || !destination || !(one_protocol || any_protocol) ||
        (has_ports && !may_have_ports)) {
      return std::nullopt;
    }
    ListRule out{.source = *source,
                 .destination = *destination,
                 .source_port = source_port,
                 .destination_port = destination_port,
                 .protocol = {},
                 .accept = *verdict_ == imr::Verdict::Kind::accept};
    if (one_protocol) out.protocol = static_cast<std::uint8_t>(values_[2].first);
    return out;
  }

 private:
  [[nodiscard]] Interval& value(Field field) { return values_[static_cast<std::size_t>(field)]; }
  [[nodiscard]] bool empty() const {
    return std::ranges::any_of(values_, [](const Interval& i) { return i.first > i.last; });
  }

  [[nodiscard]] static std::optional<Ipv4Prefix> prefix(const Interval& addresses) {
    const std::uint64_t size = addresses.last - addresses.first + 1;
    if (!std::has_single_bit(size) || addresses.first % size != 0) return std::nullopt;
    return Ipv4Prefix{.address = static_cast<std::uint32_t>(addresses.first),
                      .length = static_cast<std::uint8_t>(32 - std::countr_zero(size))};
  }
  [[nodiscard]] static PortRange ports(const Interval& interval) {
    return {static_cast<std::uint16_t>(interval.first), static_cast<std::uint16_t>(interval.last)};
  }

  [[nodiscard]] bool read_match(const imr::Match& match) {
    const imr::Expr& lhs = ruleset_[match.lhs];
    if (const auto* meta = std::get_if<imr::Meta>(&lhs)) return read_meta(*meta, match);
    if (const auto* masked = std::get_if<imr::MaskXor>(&lhs)) return read_masked(*masked, match);
    switch (match.op) {
      case imr::Relop::eq:
        return read_equal(match);
      case imr::Relop::ge:
        return bound(match.lhs, match.rhs, true);
      case imr::Relop::le:
        return bound(match.lhs, match.rhs, false);
      case imr::Relop::ne:
      case imr::Relop::lt:
      case imr::Relop::gt:
        return false;
    }
    throw InvariantError("a comparison that there is not");
  }

  // nft compares fields that stand side by side at once.
  [[nodiscard]] bool read_equal(const imr::Match& match) {
    const auto* payload = std::get_if<imr::Payload>(&ruleset_[match.lhs]);
    if (payload == nullptr || match.rhs.size() != payload->length) return false;
    for (unsigned at = 0; at < payload->length;) {
      imr::Payload rest = *payload;
      rest.offset = static_cast<std::uint16_t>(payload->offset + at);
      rest.length = 1;
      const auto place = place_of(rest);
      if (!place) return false;
      const unsigned size = std::min<unsigned>(place->bytes, payload->length - at);
      const ByteView value = ByteView(match.rhs).subspan(at, size);
      bound(*place, value, true);
      bound(*place, value, false);
      at += size;
    }
    return true;
  }

  // That a packet is IPv4, or of a protocol.
  [[nodiscard]] bool read_meta(const imr::Meta& meta, const imr::Match& match) {
    if (match.op != imr::Relop::eq) return false;
    const std::uint64_t number = load_big_endian(match.rhs);
    switch (meta.key) {
      case imr::MetaKey::l4proto:
        narrow(Field::protocol, {number, number});
        return true;
      case imr::MetaKey::nfproto:
        return number == static_cast<std::uint64_t>(Nfproto::ipv4);
      case imr::MetaKey::protocol:
        return number == packet::ethertype_ipv4;
      default:
        return false;
    }
  }

  // A prefix, as a mask of ones and then zeros.
  [[nodiscard]] bool read_masked(const imr::MaskXor& masked, const imr::Match& match) {
    const auto* payload = std::get_if<imr::Payload>(&ruleset_[masked.source]);
    const auto place = payload != nullptr ? place_of(*payload) : std::nullopt;
    const bool flips =
        std::ranges::any_of(masked.flip, [](std::uint8_t byte) { return byte != 0; });
    if (!place || flips || match.op != imr::Relop::eq || payload->length != place->bytes ||
        match.rhs.size() != place->bytes) {
      return false;
    }
    const std::uint64_t mask = load_big_endian(masked.mask);
    const std::uint64_t all = (std::uint64_t{1} << (8U * place->bytes)) - 1;
    const std::uint64_t rest = all & ~mask;
    const std::uint64_t number = load_big_endian(match.rhs);
    if ((rest & (rest + 1)) != 0 || (number & rest) != 0) return false;
    narrow(place->field, {number, number | rest});
    return true;
  }

  [[nodiscard]] bool bound(imr::ExprId lhs, const Bytes& rhs, bool from_below) {
    const auto* payload = std::get_if<imr::Payload>(&ruleset_[lhs]);
    const auto place = payload != nullptr ? place_of(*payload) : std::nullopt;
    if (!place || rhs.empty() || rhs.size() != payload->length) return false;
    bound(*place, rhs, from_below);
    return true;
  }

  // The first bytes of the field's value are at least, or at most, these.
  void bound(const Place& place, ByteView bytes, bool from_below) {
    const auto shift = static_cast<unsigned>(8U * (place.bytes - bytes.size()));
    const std::uint64_t number = load_big_endian(bytes) << shift;
    const std::uint64_t rest = (std::uint64_t{1} << shift) - 1;
    const std::uint64_t all = (std::uint64_t{1} << (8U * place.bytes)) - 1;
    narrow(place.field, from_below ? Interval{number, all} : Interval{0, number | rest});
  }

  void narrow(Field field, const Interval& interval) {
    value(field).first = std::max(value(field).first, interval.first);
    value(field).last = std::min(value(field).last, interval.last);
  }

  const imr::Ruleset& ruleset_;
  std::array<Interval, 5> values_ = {
      {{0, 0xffffffff}, {0, 0xffffffff}, {0, 0xff}, {0, 0xffff}, {0, 0xffff}}};
  std::optional<imr::Verdict::Kind> verdict_;
};

}  // namespace

Result<List> read_list(const imr::Ruleset& ruleset, imr::ChainId chain) {
  List out;
  const auto& base = ruleset[chain].base;
  invariant(base.has_value(), "a list is read of a base chain");
  out.accept_rest = !base->drop_by_policy;
  for (const imr::RuleId id : ruleset[chain].rules) {
    const imr::Rule& rule = ruleset[id];
    RuleReader reader(ruleset);
    const bool understood = std::ranges::all_of(
        rule.statements, [&](const imr::Statement& statement) { return reader.read(statement); });
    const auto read = understood ? reader.rule() : std::nullopt;
    if (!read) {
      return input_error(
          "'" + rule.origin.text + "' is more than a test of addresses, protocol and ports",
          rule.origin.location);
    }
    out.rules.push_back(*read);
  }
  return out;
}

}  // namespace weir::bench
