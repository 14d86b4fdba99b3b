// SPDX-License-Identifier: BSD-2-Clause
#include "driver/world.h"

#include <net/if.h>

#include <charconv>

namespace weir::driver {
namespace {

constexpr std::size_t longest_name = IFNAMSIZ - 1;

// Below those that the front end makes up for interfaces of the ruleset that do not exist.
constexpr std::uint32_t made_up_index = 900000;

packet::Device resolve(const std::optional<DeviceOption>& option,
                       const std::vector<imr::Interface>& known, std::uint32_t fallback) {
  if (!option) return {};
  packet::Device device = {.index = fallback, .name = option->name};
  if (const unsigned index = if_nametoindex(option->name.c_str()); index != 0) device.index = index;
  for (const imr::Interface& interface : known) {
    if (interface.name == option->name) device.index = interface.index;
  }
  if (option->index) device.index = *option->index;
  return device;
}

// Which interfaces packets have at a hook.
struct Sides {
  bool in = false;
  bool out = false;
};

Sides sides_of(const Hook& hook) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::socket:
      return {.in = true, .out = false};
    case Hook::Kind::tc_egress:
    case Hook::Kind::cgroup_egress:
      return {.in = false, .out = true};
    case Hook::Kind::netfilter:
      return {.in = hook.nf_hook != NfHook::output,
              .out = hook.nf_hook != NfHook::prerouting && hook.nf_hook != NfHook::input};
  }
  throw InvariantError("hook kind out of range");
}

}  // namespace

Result<DeviceOption> parse_device(std::string_view text) {
  DeviceOption out;
  const auto equals = text.find('=');
  out.name = text.substr(0, equals);
  if (out.name.empty() || out.name.size() > longest_name) {
    return input_error("expected an interface NAME of 1 to 15 characters, or NAME=INDEX, not '" +
                       std::string(text) + "'");
  }
  if (equals == std::string_view::npos) return out;
  const std::string_view digits = text.substr(equals + 1);
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index == 0) {
    return input_error("expected an interface index from 1 on behind '=', not '" +
                       std::string(digits) + "'");
  }
  out.index = index;
  return out;
}

Result<World> World::create(const Hook& hook, const std::optional<DeviceOption>& in,
                            const std::optional<DeviceOption>& out,
                            const std::vector<imr::Interface>& known) {
  const Sides sides = sides_of(hook);
  if (in && !sides.in) {
    return input_error("--iif: packets at " + to_string(hook) + " have no input interface");
  }
  if (out && !sides.out) {
    return input_error("--oif: packets at " + to_string(hook) + " have no output interface");
  }
  World world;
  world.in_ = resolve(in, known, made_up_index);
  world.out_ = resolve(out, known, made_up_index + 1);
  return world;
}

void World::place(packet::Packet& packet) {
  packet.in = in_;
  packet.out = out_;
  packet.mark = 0;
  tracker_.track(packet);
}

}  // namespace weir::driver
