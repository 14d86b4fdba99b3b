// SPDX-License-Identifier: BSD-2-Clause
//
// Programs at TC, cgroups and sockets decide over real packets: datagrams on the loopback device of
// a namespace made for the test.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/scratch_cgroup.h"
#include "kernel/scratch_net.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using isa::Direction;
using testing::HasSubstr;

constexpr std::uint32_t loopback = 1;
constexpr std::int32_t tc_next = -1;
constexpr std::int32_t tc_drop = 2;

Status bring_loopback_up() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0) return {};
  return system_error("bringing the loopback device up", errno);
}

// Runs `work` in a network namespace of its own, with a loopback device that works.
void on_loopback(const std::function<Status()>& work) {
  const auto status = in_scratch_network([&]() -> Status {
    WEIR_CHECK(bring_loopback_up());
    return work();
  });
  if (!status) ADD_FAILURE() << status.error().text();
}

// A socket that sends to itself.
class Echo {
 public:
  Echo() : socket_(::socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), any, size), 0);
    EXPECT_EQ(::getsockname(socket_.get(), any, &size), 0);
    EXPECT_EQ(::connect(socket_.get(), any, size), 0);
    const timeval patience{.tv_sec = 0, .tv_usec = 50'000};
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }

  // "arrives", "is lost", or why it could not be sent.
  [[nodiscard]] std::string datagram() const {
    if (::send(socket_.get(), "weir", 4, 0) != 4) return ::strerror(errno);
    char text[8] = {};
    return ::recv(socket_.get(), text, sizeof text, 0) == 4 ? "arrives" : "is lost";
  }
  [[nodiscard]] int get() const { return socket_.get(); }

 private:
  Fd socket_;
};

TEST(Attach, TcxInBothDirections) {
  on_loopback([]() -> Status {
    const Echo echo;
    const auto drop = loaded(object_of(returning(ProgramType::sched_cls, tc_drop)));
    const auto next = loaded(object_of(returning(ProgramType::sched_cls, tc_next)));
    for (const auto direction : {Direction::ingress, Direction::egress}) {
      EXPECT_EQ(echo.datagram(), "arrives");
      WEIR_TRY(link, attach_tcx(drop, loopback, direction));
      EXPECT_EQ(echo.datagram(), "is lost");
      auto info = must(link_info(link));
      EXPECT_EQ(info.kind, LinkKind::tcx);
      EXPECT_EQ(info.ifindex, loopback);
      EXPECT_EQ(info.direction, direction);
      EXPECT_EQ(info.program_id, must(program_id(drop)));

      WEIR_CHECK(replace_program(link, next));
      EXPECT_EQ(echo.datagram(), "arrives");
      EXPECT_EQ(must(link_info(link)).program_id, must(program_id(next)));
    }
    const auto nowhere = attach_tcx(drop, 4242, Direction::egress);
    EXPECT_FALSE(nowhere);
    if (!nowhere) {
      EXPECT_THAT(nowhere.error().message, HasSubstr("attaching to TC egress of interface 4242"));
    }
    return {};
  });
}

TEST(Attach, TcFiltersInBothDirections) {
  on_loopback([]() -> Status {
    const Echo echo;
    const auto drop = loaded(object_of(returning(ProgramType::sched_cls, tc_drop)));
    const auto next = loaded(object_of(returning(ProgramType::sched_cls, tc_next)));
    for (const auto direction : {Direction::ingress, Direction::egress}) {
      WEIR_TRY(first, attach_tc_filter(next, {.ifindex = loopback, .direction = direction}));
      EXPECT_EQ(echo.datagram(), "arrives");
      WEIR_TRY(second, attach_tc_filter(drop, {.ifindex = loopback, .direction = direction}));
      EXPECT_NE(first, second);
      EXPECT_EQ(echo.datagram(), "is lost");
      EXPECT_EQ(must(tc_filter_program(first)), must(program_id(next)));
      EXPECT_EQ(must(tc_filter_program(second)), must(program_id(drop)));

      EXPECT_EQ(must(attach_tc_filter(next, second)), second) << "replaces the program";
      EXPECT_EQ(must(tc_filter_program(second)), must(program_id(next)));
      EXPECT_EQ(echo.datagram(), "arrives");

      WEIR_CHECK(attach_tc_filter(drop, second));
      WEIR_CHECK(detach_tc_filter(second));
      EXPECT_EQ(echo.datagram(), "arrives");
      const auto gone = tc_filter_program(second);
      EXPECT_FALSE(gone);
      if (!gone) {
        EXPECT_THAT(gone.error().message, HasSubstr("reading a TC "));
      }
      EXPECT_EQ(must(tc_filter_program(first)), must(program_id(next)));
      WEIR_CHECK(detach_tc_filter(first));
    }
    const auto nowhere = attach_tc_filter(drop, {.ifindex = 4242});
    EXPECT_FALSE(nowhere);
    if (!nowhere) {
      EXPECT_THAT(nowhere.error().message, HasSubstr("filter on interface 4242: No such device"));
    }
    return {};
  });
}

TEST(Attach, TcByTheWayThatWasAskedFor) {
  on_loopback([]() -> Status {
    const auto next = loaded(object_of(returning(ProgramType::sched_cls, tc_next)));
    const auto is_link = [&](TcMode mode) {
      return std::holds_alternative<Fd>(must(attach_tc(next, loopback, Direction::ingress, mode)));
    };
    EXPECT_EQ(is_link(TcMode::automatic), has_tcx());
    EXPECT_FALSE(is_link(TcMode::filter));
    EXPECT_TRUE(!has_tcx() || is_link(TcMode::tcx));
    return {};
  });
}

TEST(Attach, CgroupsInBothDirections) {
  on_loopback([]() -> Status {
    WEIR_TRY(cgroup, ScratchCgroup::create("weir_test_" + std::to_string(::getpid())));
    WEIR_CHECK(cgroup.enter());
    for (const auto direction : {Direction::ingress, Direction::egress}) {
      auto program = returning(ProgramType::cgroup_skb, 0);
      program.direction = direction;
      const auto drop = loaded(object_of(program));
      const Echo echo;
      EXPECT_EQ(echo.datagram(), "arrives");
      WEIR_TRY(link, attach_cgroup(drop, cgroup.path(), direction));
      EXPECT_EQ(echo.datagram(),
                direction == Direction::ingress ? "is lost" : "Operation not permitted");
      const auto info = must(link_info(link));
      EXPECT_EQ(info.kind, LinkKind::cgroup);
      EXPECT_NE(info.cgroup, 0u);
      EXPECT_EQ(info.direction, direction);
      link.reset();
      EXPECT_EQ(echo.datagram(), "arrives");
    }
    WEIR_CHECK(cgroup.leave());
    const auto nowhere = attach_cgroup(loaded(object_of(returning(ProgramType::cgroup_skb, 1))),
                                       "/proc/self/none", Direction::ingress);
    EXPECT_FALSE(nowhere);
    if (!nowhere) {
      EXPECT_EQ(nowhere.error().message,
                "opening cgroup /proc/self/none: No such file or directory");
    }
    return {};
  });
}

TEST(Attach, Sockets) {
  on_loopback([]() -> Status {
    const Echo echo;
    const auto drop = loaded(object_of(returning(ProgramType::socket_filter, 0)));
    const auto pass = loaded(object_of(returning(ProgramType::socket_filter, -1)));
    WEIR_CHECK(attach_socket(drop, echo.get()));
    EXPECT_EQ(echo.datagram(), "is lost");
    WEIR_CHECK(attach_socket(pass, echo.get()));
    EXPECT_EQ(echo.datagram(), "arrives");
    WEIR_CHECK(attach_socket(drop, echo.get()));
    WEIR_CHECK(detach_socket(echo.get()));
    EXPECT_EQ(echo.datagram(), "arrives");
    EXPECT_FALSE(detach_socket(echo.get())) << "nothing is left there";
    return {};
  });
}

TEST(Attach, NetfilterBehindReassembly) {
  on_loopback([]() -> Status {
    const auto accept = loaded(object_of(returning(ProgramType::netfilter, 1)));
    for (const auto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
      for (const bool defragment : {false, true}) {
        WEIR_TRY(link, attach_netfilter(accept, nfproto, NfHook::prerouting, -150, defragment));
        const auto info = must(link_info(link));
        EXPECT_EQ(info.kind, LinkKind::netfilter);
        EXPECT_EQ(info.netfilter, (NetfilterPlace{nfproto, NfHook::prerouting, -150, defragment}));
      }
      EXPECT_FALSE(attach_netfilter(accept, nfproto, NfHook::prerouting, -400, true))
          << "before reassembly itself";
      WEIR_CHECK(attach_netfilter(accept, nfproto, NfHook::prerouting, -399, true));
    }
    const auto refused =
        replace_program(must(attach_netfilter(accept, Nfproto::ipv4, NfHook::forward, 0)), accept);
    EXPECT_FALSE(refused) << "netfilter links keep their program";
    return {};
  });
}

}  // namespace
}  // namespace weir::kernel::test
