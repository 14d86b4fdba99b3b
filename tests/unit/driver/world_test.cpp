// SPDX-License-Identifier: BSD-2-Clause
//
// Devices of the world of `weir test`.
#include "driver/world.h"

#include <gtest/gtest.h>

#include <tuple>

#include "packet/builder.h"

namespace weir::driver {
namespace {

Hook at(NfHook hook) {
  return {.kind = Hook::Kind::netfilter, .nf_hook = hook, .device = {}};
}

TEST(ParseDevice, TakesANameAndMaybeAnIndex) {
  EXPECT_EQ(parse_device("eth7")->name, "eth7");
  EXPECT_FALSE(parse_device("eth7")->index);
  EXPECT_EQ(parse_device("eth7=12")->index, 12U);
}

TEST(ParseDevice, RefusesWhatIsNoDevice) {
  for (const char* text : {"", "=3", "a-name-of-16-char", "eth0=", "eth0=0", "eth0=x", "eth0=3x"}) {
    EXPECT_FALSE(parse_device(text)) << text;
  }
}

TEST(World, RefusesDevicesThatTheHookDoesNotHave) {
  const DeviceOption device{.name = "eth7", .index = {}};
  EXPECT_FALSE(World::create(at(NfHook::output), device, std::nullopt, {}));
  EXPECT_FALSE(World::create(at(NfHook::input), std::nullopt, device, {}));
  EXPECT_TRUE(World::create(at(NfHook::forward), device, device, {}));
  for (const auto& [kind, in, out] :
       {std::tuple{Hook::Kind::xdp, true, false}, std::tuple{Hook::Kind::tc_ingress, true, false},
        std::tuple{Hook::Kind::tc_egress, false, true},
        std::tuple{Hook::Kind::cgroup_egress, false, true}}) {
    const Hook hook{.kind = kind};
    EXPECT_EQ(World::create(hook, device, std::nullopt, {}).has_value(), in) << to_string(hook);
    EXPECT_EQ(World::create(hook, std::nullopt, device, {}).has_value(), out) << to_string(hook);
  }
}

TEST(World, GivesPacketsTheIndexThatTheRulesetKnows) {
  auto world = World::create(at(NfHook::forward), DeviceOption{.name = "eth7", .index = {}},
                             DeviceOption{.name = "eth8", .index = 5},
                             {{.name = "eth7", .index = 1000001}, {.name = "eth8", .index = 9}});
  ASSERT_TRUE(world);
  packet::Packet packet = packet::build({.transport = packet::Udp{}});
  packet.mark = 3;
  world->place(packet);
  EXPECT_EQ(packet.in, (packet::Device{.index = 1000001, .name = "eth7"}));
  EXPECT_EQ(packet.out, (packet::Device{.index = 5, .name = "eth8"}));
  EXPECT_EQ(packet.mark, 0U);
  EXPECT_TRUE(packet.has_connection);
}

}  // namespace
}  // namespace weir::driver
