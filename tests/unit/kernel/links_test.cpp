// SPDX-License-Identifier: BSD-2-Clause
//
// Links and pins, each in namespaces made for the test.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/scratch_net.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using testing::HasSubstr;

// Runs `work` in a network namespace of its own; fails the test with what it returns.
void in_scratch(const std::function<Status()>& work) {
  const auto status = in_scratch_network(work);
  if (!status) ADD_FAILURE() << status.error().text();
}

TEST(Links, AreListedWithTheirPlace) {
  in_scratch([]() -> Status {
    const auto program = loaded(object_of(returning(ProgramType::netfilter, 1)));
    for (const auto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
      WEIR_TRY(link, attach_netfilter(program, nfproto, NfHook::input, -5));
      const auto info = must(link_info(link));
      EXPECT_EQ(info.program_id, must(program_id(program)));
      EXPECT_EQ(info.ifindex, 0u);
      EXPECT_EQ(info.netfilter, (NetfilterPlace{nfproto, NfHook::input, -5}));
    }
    return {};
  });
}

TEST(Links, AtATakenPriorityAreRefused) {
  in_scratch([]() -> Status {
    const auto program = loaded(object_of(returning(ProgramType::netfilter, 1)));
    WEIR_TRY(link, attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0));
    const auto second = attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0);
    EXPECT_FALSE(second);
    if (!second) {
      EXPECT_THAT(second.error().message, HasSubstr("another hook holds"));
      EXPECT_THAT(second.error().message, HasSubstr("forward at priority 0"));
    }
    WEIR_CHECK(attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 1));
    link.reset();
    WEIR_CHECK(attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0));
    return {};
  });
}

TEST(Links, AttachXdpInBothModes) {
  in_scratch([]() -> Status {
    const auto program = loaded(object_of(returning(ProgramType::xdp, 2)));
    WEIR_TRY(ifindex, create_veth("a", "b"));
    for (const auto mode : {XdpMode::automatic, XdpMode::native, XdpMode::generic}) {
      WEIR_TRY(link, attach_xdp(program, ifindex, mode));
      const auto info = must(link_info(link));
      EXPECT_EQ(info.ifindex, ifindex);
      EXPECT_EQ(info.netfilter, std::nullopt);
    }
    const auto nowhere = attach_xdp(program, 4242, XdpMode::automatic);
    EXPECT_FALSE(nowhere);
    if (!nowhere) {
      EXPECT_EQ(nowhere.error().message, "attaching XDP to interface 4242: Invalid argument");
    }
    return {};
  });
}

Status in_own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return system_error("unsharing mounts", errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return system_error("making mounts private", errno);
  }
  // Over whatever the machine has there, so that there is none to begin with.
  if (::mount("none", bpffs_path, "tmpfs", 0, nullptr) != 0) {
    return system_error("covering the BPF file system", errno);
  }
  return {};
}

TEST(Pins, KeepALinkAndGiveItBack) {
  in_scratch([]() -> Status {
    WEIR_CHECK(in_own_mounts());
    const std::string path = std::string(bpffs_path) + "/weir_test";
    const auto program = loaded(object_of(returning(ProgramType::netfilter, 1)));
    WEIR_TRY(link, attach_netfilter(program, Nfproto::ipv4, NfHook::forward, 0));
    const auto id = must(link_info(link)).id;

    const auto too_early = pin(link, path);
    EXPECT_FALSE(too_early);
    if (!too_early) {
      EXPECT_THAT(too_early.error().message, HasSubstr("pinning at " + path));
    }

    WEIR_CHECK(ensure_bpffs());
    WEIR_CHECK(ensure_bpffs());
    WEIR_CHECK(pin(link, path));
    link.reset();
    WEIR_TRY(again, open_pinned(path));
    EXPECT_EQ(must(link_info(again)).id, id);
    EXPECT_EQ(::unlink(path.c_str()), 0);
    const auto gone = open_pinned(path);
    EXPECT_FALSE(gone);
    if (!gone) {
      EXPECT_EQ(gone.error().message,
                "opening the BPF object at " + path + ": No such file or directory");
    }
    return {};
  });
}

}  // namespace
}  // namespace weir::kernel::test
