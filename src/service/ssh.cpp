// SPDX-License-Identifier: BSD-2-Clause
#include "service/ssh.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <time.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "imr/evaluator.h"
#include "kernel/netlink.h"
#include "packet/builder.h"

namespace weir::service {
namespace {

// NF_IP_PRI_CONNTRACK: chains before it see packets of no connection, where tracking starts.
constexpr std::int32_t conntrack_priority = -200;
constexpr std::uint8_t tcp_psh_ack = 0x18;

enum class Way : std::uint8_t { from_client, to_client };

Result<Address> parse_address(std::string_view text) {
  // A link-local address has its device behind it.
  const std::string_view bare = text.substr(0, text.find('%'));
  if (bare.find(':') == std::string_view::npos) {
    WEIR_TRY(address, packet::parse_ipv4(bare));
    return Address(address);
  }
  WEIR_TRY(address, packet::parse_ipv6(bare));
  return Address(address);
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size() && port != 0) return port;
  return input_error("'" + std::string(text) + "' is no port");
}

ByteView bytes_of(const Address& address) {
  return std::visit([](const auto& bytes) { return ByteView(bytes); }, address);
}

bool is_ipv4(const Address& address) {
  return std::holds_alternative<packet::Ipv4Address>(address);
}

bool is_local(const Address& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(list, &::freeifaddrs);
  const ByteView wanted = bytes_of(address);
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    if (each->ifa_addr->sa_family != (is_ipv4(address) ? AF_INET : AF_INET6)) continue;
    const auto* const at =
        reinterpret_cast<const std::uint8_t*>(each->ifa_addr) +
        (is_ipv4(address) ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr));
    if (std::memcmp(at, wanted.data(), wanted.size()) == 0) return true;
  }
  return false;
}

// The output device of the route to an address; 0: there is none.
std::uint32_t route_to(const Address& address) {
  kernel::Message message(RTM_GETROUTE, 0);
  rtmsg header{};
  const ByteView destination = bytes_of(address);
  header.rtm_family = is_ipv4(address) ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<unsigned char>(destination.size() * 8);
  message.append(&header, sizeof header);
  const auto start = message.open(RTA_DST);
  message.append(destination.data(), destination.size());
  message.close(start);
  const auto answer = kernel::ask(message);
  if (!answer || answer->error != 0 || answer->payload.size() < sizeof(rtmsg)) return 0;
  const ByteView out =
      kernel::find_attribute(ByteView(answer->payload).subspan(sizeof(rtmsg)), RTA_OIF);
  return out.size() == 4 ? static_cast<std::uint32_t>(load_native(out)) : 0;
}

// The path of this process below the root of cgroup version 2: "/user.slice/session-3.scope".
std::string own_cgroup() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return {};
}

// The path of a cgroup's directory ends with its path below the root, wherever that is mounted.
bool in_cgroup(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path wanted = std::filesystem::canonical(directory, error);
  if (error) return false;
  for (std::filesystem::path own = own_cgroup(); own.has_relative_path(); own = own.parent_path()) {
    if (wanted.string().ends_with(own.string())) return true;
  }
  return std::filesystem::exists(wanted / "cgroup.procs", error) &&
         !std::filesystem::exists(wanted / "cgroup.type", error);  // the root has no type
}

// Which packets of the session meet a hook; none: neither.
std::optional<Way> way_through(const Hook& hook, const packet::Device& device) {
  const auto only = [](bool met, Way way) { return met ? std::optional(way) : std::nullopt; };
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
      return only(hook.device == device.name, Way::from_client);
    case Hook::Kind::tc_egress:
      return only(hook.device == device.name, Way::to_client);
    case Hook::Kind::cgroup_ingress:
      return only(in_cgroup(hook.device), Way::from_client);
    case Hook::Kind::cgroup_egress:
      return only(in_cgroup(hook.device), Way::to_client);
    case Hook::Kind::socket:
      return std::nullopt;
    case Hook::Kind::netfilter:
      break;
  }
  switch (hook.nf_hook) {
    case NfHook::prerouting:
    case NfHook::input:
    case NfHook::ingress:
      return Way::from_client;
    case NfHook::output:
    case NfHook::postrouting:
    case NfHook::egress:
      return Way::to_client;
    case NfHook::forward:
      return std::nullopt;
  }
  throw InvariantError("netfilter hook out of range");
}

// Whether the kernel has put a packet to its connection before the hook.
bool is_tracked(const driver::Attachment& attachment) {
  const Hook& hook = attachment.hook;
  if (hook.kind == Hook::Kind::xdp || hook.kind == Hook::Kind::tc_ingress) return false;
  const bool starts_there = hook.kind == Hook::Kind::netfilter &&
                            (hook.nf_hook == NfHook::prerouting || hook.nf_hook == NfHook::output);
  return !starts_there || attachment.priority > conntrack_priority;
}

packet::NetworkHeader network_header(const Address& source, const Address& destination) {
  if (is_ipv4(source)) {
    return packet::Ipv4{.source = std::get<packet::Ipv4Address>(source),
                        .destination = std::get<packet::Ipv4Address>(destination)};
  }
  return packet::Ipv6{.source = std::get<packet::Ipv6Address>(source),
                      .destination = std::get<packet::Ipv6Address>(destination)};
}

// Of the session, opened by the client; unmarked, and of no zone.
packet::Connection connection_of(const SshSession& session) {
  constexpr std::uint32_t seen_reply_assured_confirmed = 2 | 4 | 8;  // enum ip_conntrack_status
  constexpr std::uint8_t tcp = 6;
  const auto bytes = [](const Address& address) {
    return std::visit([](const auto& one) { return Bytes(one.begin(), one.end()); }, address);
  };
  packet::Connection out;
  out.status = seen_reply_assured_confirmed;
  out.ipv6 = !is_ipv4(session.client);
  out.protocol = tcp;
  out.original = {.source = bytes(session.client),
                  .destination = bytes(session.server),
                  .source_port = session.client_port,
                  .destination_port = session.server_port};
  out.reply = {.source = out.original.destination,
               .destination = out.original.source,
               .source_port = session.server_port,
               .destination_port = session.client_port};
  return out;
}

// Nanoseconds since 1970, for rules that ask for the time or the hour.
std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

packet::Packet make_packet(const SshSession& session, Way way, const driver::Attachment& attachment,
                           const packet::Device& device) {
  const bool inward = way == Way::from_client;
  packet::Recipe recipe = {
      .network = inward ? network_header(session.client, session.server)
                        : network_header(session.server, session.client),
      .transport =
          packet::Tcp{.source_port = inward ? session.client_port : session.server_port,
                      .destination_port = inward ? session.server_port : session.client_port,
                      .acknowledgement = 1,
                      .flags = tcp_psh_ack},
      .payload = Bytes(36, 0)};
  switch (attachment.hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
      recipe.link = packet::Ethernet{};
      break;
    case Hook::Kind::netfilter:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
    case Hook::Kind::socket:
      break;
  }
  packet::Packet packet = packet::build(recipe);
  packet.time_ns = now();
  (inward ? packet.in : packet.out) = device;
  packet.type = inward ? packet::PacketType::host : packet::PacketType::outgoing;
  packet.has_connection = is_tracked(attachment);
  packet.ct_info = inward ? packet::CtInfo::established : packet::CtInfo::established_reply;
  if (packet.has_connection) packet.connection = connection_of(session);
  return packet;
}

// The base chain that drops the packet, of several that the unit drops it by.
imr::ChainId dropping_root(imr::Unit unit, const packet::Packet& packet) {
  while (unit.roots.size() > 1) {
    const imr::ChainId last = unit.roots.back();
    unit.roots.pop_back();
    if (imr::evaluate(unit, packet).verdict != imr::Outcome::Verdict::drop) return last;
  }
  return unit.roots.front();
}

std::string reason(const imr::Ruleset& ruleset, const imr::Unit& unit, const packet::Packet& packet,
                   const imr::Outcome& outcome) {
  if (!outcome.decided_by) {
    return "the policy of chain " + imr::qualified_name(ruleset, dropping_root(unit, packet));
  }
  const imr::Rule& rule = ruleset[*outcome.decided_by];
  std::string out = "rule " + imr::qualified_name(ruleset, rule.chain) + " handle " +
                    std::to_string(rule.origin.handle) + " '" + rule.origin.text + "'";
  const SourceLocation& place = rule.origin.location;
  if (place.line != 0) out += ", " + place.file + ":" + std::to_string(place.line);
  return out;
}

}  // namespace

Result<SshSession> parse_ssh_connection(std::string_view text) {
  std::array<std::string_view, 4> words;
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size() && count < words.size(); ++count) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    words[count] = text.substr(at, end - at);
    at = end + 1;
  }
  if (count != words.size()) {
    return input_error("SSH_CONNECTION '" + std::string(text) + "' is not CLIENT PORT SERVER PORT");
  }
  WEIR_TRY(client, parse_address(words[0]));
  WEIR_TRY(client_port, parse_port(words[1]));
  WEIR_TRY(server, parse_address(words[2]));
  WEIR_TRY(server_port, parse_port(words[3]));
  if (client.index() != server.index()) {
    return input_error("SSH_CONNECTION '" + std::string(text) + "' mixes IPv4 and IPv6");
  }
  return SshSession{
      .client = client, .client_port = client_port, .server = server, .server_port = server_port};
}

std::optional<packet::Device> session_device(const SshSession& session) {
  if (!is_local(session.server)) return std::nullopt;
  std::array<char, IF_NAMESIZE> name{};
  const std::uint32_t index = route_to(session.client);
  if (index == 0 || if_indextoname(index, name.data()) == nullptr) return std::nullopt;
  return packet::Device{.index = index, .name = name.data()};
}

std::vector<std::string> cuts(const imr::Ruleset& ruleset,
                              const std::vector<driver::Attachment>& attachments,
                              const SshSession& session, const packet::Device& device) {
  const Nfproto nfproto = is_ipv4(session.client) ? Nfproto::ipv4 : Nfproto::ipv6;
  std::vector<std::string> out;
  for (const driver::Attachment& attachment : attachments) {
    const auto way = way_through(attachment.hook, device);
    if (!way) continue;
    const packet::Packet packet = make_packet(session, *way, attachment, device);
    for (const imr::Unit& unit : driver::units_of(ruleset, attachment)) {
      if (unit.nfproto != nfproto) continue;
      const imr::Outcome outcome = imr::evaluate(unit, packet);
      if (outcome.verdict != imr::Outcome::Verdict::drop) continue;
      out.push_back(to_string(attachment.hook) +
                    (*way == Way::from_client ? ", from the client: " : ", to the client: ") +
                    reason(ruleset, unit, packet, outcome));
    }
  }
  return out;
}

bool meets(const imr::Ruleset& ruleset, imr::RuleId rule,
           const std::vector<driver::Attachment>& attachments, const SshSession& session,
           const packet::Device& device) {
  const Nfproto nfproto = is_ipv4(session.client) ? Nfproto::ipv4 : Nfproto::ipv6;
  const imr::ChainId alone = ruleset[rule].chain;
  if (!sees(ruleset[ruleset[alone].table].family, nfproto)) return false;
  imr::Unit unit{.ruleset = ruleset, .roots = {alone}, .nfproto = nfproto, .hook = {}};
  imr::Chain& chain = unit.ruleset[alone];
  chain.rules = {rule};
  chain.base.emplace();
  for (const driver::Attachment& attachment : attachments) {
    const auto way = way_through(attachment.hook, device);
    if (!way) continue;
    unit.hook = attachment.hook;
    const packet::Packet packet = make_packet(session, *way, attachment, device);
    if (!imr::evaluate(unit, packet).matched.empty()) return true;
  }
  return false;
}

}  // namespace weir::service
