// SPDX-License-Identifier: BSD-2-Clause
//
// The userspace engine: loads an Object as the kernel would (every program is checked first), keeps
// its maps, and runs its programs on packets without root. Knows isa and base only, so that it
// stays an independent judge of what the compiler made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

namespace weir::engine {

class Map;  // engine/map.h

// What struct nf_conn and its extensions hold, as they hold it; zeros where nothing is said.
struct Connection {
  // struct nf_conntrack_tuple, without the addresses' last 12 bytes in IPv4.
  struct Side {
    std::array<std::uint8_t, 16> source = {};
    std::array<std::uint8_t, 16> destination = {};
    std::uint16_t source_port = 0;  // in memory order
    std::uint16_t destination_port = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  std::uint32_t status = 0;
  std::uint32_t mark = 0;
  std::uint16_t zone = 0;
  std::uint8_t zone_directions = 3;
  std::uint16_t l3proto = 0;
  std::uint8_t protocol = 0;
  std::array<Side, 2> sides;  // original, reply
  bool accounted = false;     // whether it has the extensions for counters and labels
  bool labelled = false;
  std::array<std::uint8_t, 16> labels = {};
  std::string helper;  // of the connection that expected it; empty: none did
};

// The socket of a packet. Without a file it was closed; what does not stand in the packet's own
// network namespace is of another one.
struct Socket {
  // What skb->sk is: a request or a time-wait socket is none by itself, the first leads to one.
  enum class Kind : std::uint8_t { full, request, time_wait };
  Kind kind = Kind::full;
  bool has_file = true;
  bool same_netns = true;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t cgroup_class = 0;
};

// The packet's route: struct dst_entry, and around it struct rtable or rt6_info. Here it is both,
// so that a program may look at either, whatever the packet.
struct Route {
  std::uint32_t tclassid = 0;
  bool transformed = false;                       // whether dst_entry::xfrm is there
  std::uint8_t gateway_family = 0;                // rtable::rt_gw_family
  std::array<std::uint8_t, 4> gateway = {};       // rtable::rt_gw4
  std::uint32_t flags = 0;                        // rt6_info::rt6i_flags
  std::array<std::uint8_t, 16> gateway6 = {};     // rt6_info::rt6i_gateway
  std::array<std::uint8_t, 16> destination = {};  // rt6_info::rt6i_dst.addr
};

// What a program is run on: `bytes` from the first header that there is, and what the kernel knows
// about the packet beside them. Where a program's packet begins (offset 0 of its loads) is
// `data_offset`:
//   XDP, sched_cls   the link-layer header
//   netfilter, cgroup_skb  the network header
//   socket_filter    the link-layer header on a packet socket, the transport header on others
struct Input {
  ByteView bytes;
  std::uint32_t data_offset = 0;
  std::uint32_t network_offset = 0;          // in `bytes`; 0: there is no link-layer header
  std::uint32_t linear_length = 0xffffffff;  // from data_offset on at most so many bytes lie in the
                                             // linear part of the skb; not of XDP
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t hash = 0;
  // The device the packet came in by (skb->skb_iif, state->in), and the one it goes out by; 0: none
  // of them.
  std::uint32_t iif = 0;
  std::uint32_t oif = 0;
  std::string iifname;
  std::string oifname;
  std::uint16_t iiftype = 1;  // net_device::type; ARPHRD_ETHER
  std::uint16_t oiftype = 1;
  // The device it is at, skb->dev.
  enum class At : std::uint8_t { output_else_input, input, output, none };
  At at = At::output_else_input;
  std::uint8_t pkttype = 0;
  std::uint16_t protocol = 0;       // skb->protocol as a big-endian value stored in memory order
  bool vlan_present = false;        // a tag that is not in `bytes`
  std::uint16_t vlan_protocol = 0;  // of it, host order: 0x8100
  std::uint16_t vlan_tci = 0;       // host order
  std::uint64_t ct_info = 0;        // enum ip_conntrack_info
  bool has_connection = false;
  Connection connection = {};
  std::optional<Socket> socket = {};
  std::optional<Route> route = {};
  std::uint32_t iifgroup = 0;  // net_device::group
  std::uint32_t oifgroup = 0;
  std::string iifkind = {};  // net_device::rtnl_link_ops->kind; empty: it has none
  std::string oifkind = {};
  std::uint32_t cpu = 0;
  std::uint8_t ip_ttl = 64;               // of the devices' namespace: net.ipv4.ip_default_ttl
  std::uint8_t ip6_hop_limit = 64;        // net.ipv6.conf.all.hop_limit
  std::optional<std::uint64_t> now = {};  // what ktime_get_ns() tells; none: the host's clock
  // Nanoseconds of the wall clock before that.
  std::int64_t wall_offset = 0;
  // What get_prandom_u32() draws from (base/chance.h); none: from where the last run left it.
  std::optional<std::uint64_t> chance = {};
};

// What a program left behind that the kernel goes on with.
struct Output {
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint8_t pkttype = 0;
};

// Where a program sent the packet.
struct Sent {
  struct Copy {
    std::uint32_t device = 0;  // its index
    Bytes bytes;               // as Engine::packet() has them, when it was made
  };
  std::uint32_t device = 0;  // what it told bpf_redirect() last; 0: it did not
  std::vector<Copy> copies;  // of bpf_clone_redirect(), in order
};

enum class Backend : std::uint8_t { interpreter };  // the JIT compiler gets its enumerator here

class Engine {
 public:
  // Creates the maps, fills them, and checks every program. A program that the checker refuses is
  // an input error: the instruction, what was found there, what was expected.
  [[nodiscard]] static Result<Engine> load(const isa::Object& object,
                                           Backend backend = Backend::interpreter);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Runs program `index` of the object; its r0. A fault of the program (which the checker should
  // have refused) throws InvariantError.
  [[nodiscard]] std::uint64_t run(std::size_t index, const Input& input);
  // What the last run of program `index` left behind; not of XDP programs.
  [[nodiscard]] Output output(std::size_t index) const;
  // Input::bytes as that run left them, which must still be there.
  [[nodiscard]] Bytes packet(std::size_t index) const;
  // Where that run sent it and copies of it.
  [[nodiscard]] const Sent& sent(std::size_t index) const;
  [[nodiscard]] Map& map(isa::MapIndex index);
  // Instructions executed by run() since load.
  [[nodiscard]] std::uint64_t executed() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The checker alone: what load() asks of each program.
[[nodiscard]] Status check(const isa::Object& object, std::size_t index);

// What the kernel's verifier needs to see every path, about: the checker's paths, with states kept
// where it keeps them.
struct Walk {
  std::uint64_t instructions = 0;  // each as often as a path came by, over all functions
  bool complete = false;  // whether `most` of them were enough, and few enough paths waited
};
[[nodiscard]] Result<Walk> walk(const isa::Object& object, std::size_t index, std::uint64_t most);

}  // namespace weir::engine
