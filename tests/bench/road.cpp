// SPDX-License-Identifier: BSD-2-Clause
#include "bench/road.h"

#include <limits>

#include "backend/profile.h"
#include "bench/subjects.h"
#include "kernel/support/forwarding_world.h"
#include "kernel/support/nft.h"

namespace weir::bench {
namespace {

using test::expect;

// What the stack says by itself (ICMP errors) goes nowhere.
constexpr const char* guard =
    "table inet road { chain silence { type filter hook output priority 2147483000; policy drop; "
    "}; }\n";
// Conntrack is on while a rule asks for it, even one that nothing jumps to.
constexpr const char* tracking = "table inet road { chain tracking { ct state new; }; }\n";

// A device and its far end, where what leaves by it is dropped.
kernel::Fd make_device(const std::string& device, const std::string& far, const kernel::Fd& drop) {
  expect(test::run_command({"ip", "link", "add", device, "type", "veth", "peer", "name", far}));
  expect(test::run_command({"ip", "link", "set", device, "address", "02:00:00:00:00:02"}));
  for (const std::string& end : {device, far}) {
    expect(test::run_command({"ip", "link", "set", end, "arp", "off", "up"}));
  }
  return expect(kernel::attach_tcx(drop, test::interface_index(far), isa::Direction::ingress));
}

}  // namespace

Road::Road(bool connections) : netns_(test::Netns::create()) {
  const test::Inside inside(netns_);
  test::configure_forwarding();
  const kernel::Fd drop = returning_program(isa::ProgramType::sched_cls, isa::Direction::ingress,
                                            backend::tc_ingress_profile.drop);
  links_.push_back(make_device(first_device, "far0", drop));
  links_.push_back(make_device(second_device, "far1", drop));
  far_[0] = test::interface_index("far0");
  far_[1] = test::interface_index("far1");
  for (const char* const device : {first_device, second_device}) {
    links_.push_back(expect(receive_frames(device)));
  }
  // What comes by the second device leaves by the first.
  for (const std::string version : {"-4", "-6"}) {
    expect(test::run_command({"ip", version, "route", "add", "default", "dev", second_device}));
    expect(test::run_command(
        {"ip", version, "route", "add", "default", "dev", first_device, "table", "7"}));
    expect(test::run_command({"ip", version, "rule", "add", "iif", second_device, "lookup", "7"}));
  }
  load_ruleset(guard);
  if (connections) load_ruleset(tracking);
}

void Road::load_ruleset(const std::string& text) {
  expect(test::Nft(netns_).run(text));
}

void Road::attach(std::span<const kernel::Fd> programs,
                  const std::vector<driver::Attachment>& attachments) {
  const test::Inside inside(netns_);
  for (std::size_t i = 0; i < attachments.size(); ++i) {
    const driver::Attachment& place = attachments[i];
    const bool leaves = place.hook.kind == Hook::Kind::tc_egress;
    links_.push_back(
        expect(place.hook.kind == Hook::Kind::netfilter
                   ? kernel::attach_netfilter(programs[i], place.nfproto, place.hook.nf_hook,
                                              place.priority)
                   : kernel::attach_tcx(
                         programs[i], test::interface_index(leaves ? second_device : first_device),
                         leaves ? isa::Direction::egress : isa::Direction::ingress)));
  }
}

void Road::end_at_the_hook() {
  const test::Inside inside(netns_);
  kernel::LoadedObject ending = expect(ending_program());
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
    links_.push_back(
        expect(kernel::attach_netfilter(ending.programs.front(), nfproto, NfHook::forward,
                                        std::numeric_limits<std::int32_t>::max() - 1)));
  }
  counts_ = std::move(ending.maps.front());
}

double Road::send(const Sender& sender, bool back, std::uint32_t count) const {
  return expect(sender.send(netns_.get(), far_[back ? 1 : 0], 0, count));
}

std::uint64_t Road::accepted() const {
  return expect(accepted_in(counts_));
}

}  // namespace weir::bench
