// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/service_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "frontend/nft/nft.h"
#include "service/guard.h"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using service::Standing;
namespace fs = std::filesystem;

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* any() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

Address address_of(const std::string& text, std::uint16_t port) {
  Address out;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port = htons(port);
  v6.sin6_family = AF_INET6;
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&out.bytes, &v4, out.size = sizeof v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    std::memcpy(&out.bytes, &v6, out.size = sizeof v6);
  } else {
    give_up("no address: " + text);
  }
  return out;
}

}  // namespace

bool arrives(std::uint16_t port, const std::string& from) {
  const Address source = address_of(from, 0);
  const bool v4 = source.bytes.ss_family == AF_INET;
  const Address target = address_of(v4 ? "127.0.0.1" : "::1", port);
  const kernel::Fd receiver(::socket(source.bytes.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const kernel::Fd sender(::socket(source.bytes.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // A process that another thread has forked holds the sockets of its parent for a moment.
  for (int i = 0; ::bind(receiver.get(), target.any(), target.size) != 0; ++i) {
    if (errno != EADDRINUSE || i == 100) give_up("binding a socket", errno);
    std::this_thread::sleep_for(10ms);
  }
  if (::bind(sender.get(), source.any(), source.size) != 0) give_up("binding a socket", errno);
  ::sendto(sender.get(), "weir", 4, 0, target.any(), target.size);
  char text[8];
  return ::recv(receiver.get(), text, sizeof text, MSG_DONTWAIT) == 4;
}

Policy observed() {
  if (!arrives(plain_port)) give_up("the loopback device loses what no rule drops");
  const bool out = arrives(out_port);
  const bool in = arrives(in_port);
  if (out && in) return Policy::nothing;
  return out || in ? Policy::part : Policy::whole;
}

Policy observed_at_last(Policy expected) {
  Policy now = observed();
  for (int i = 0; i < 100 && now != expected; ++i) {
    std::this_thread::sleep_for(20ms);
    now = observed();
  }
  return now;
}

service::StepHook kill_at(const std::string& last_step) {
  return [last_step](std::string_view step) {
    if (step == last_step) ::raise(SIGKILL);
  };
}

Compiled compile(const char* text, const driver::Options& how) {
  Compiled out;
  out.ruleset = expect(frontend::nft::read_script(text, "rules.nft"));
  const auto attachments = expect(driver::plan(out.ruleset, std::nullopt, {}));
  out.compilation = expect(driver::compile(out.ruleset, attachments, how));
  return out;
}

Service::Service()
    : netns_(Netns::create()), inside_(netns_), nft_(netns_), compiled_(compile(rules)) {
  expect(run_command({"ip", "link", "set", "lo", "up"}));
  root_ = fs::temp_directory_path() / ("weir-service-" + std::to_string(::getpid()));
  paths_ = {.bpffs = (root_ / "bpf").string(), .state = (root_ / "run").string()};
  fs::create_directories(paths_.bpffs);
  if (::mount("bpf", paths_.bpffs.c_str(), "bpf", 0, nullptr) != 0) give_up("bpffs", errno);
}

Service::~Service() {
  for (const std::string& name : service::policy_names(paths_)) {
    EXPECT_TRUE(service::release(name, paths_, true)) << name;
  }
  ::umount2(paths_.bpffs.c_str(), MNT_DETACH);
  fs::remove_all(root_);
}

service::Request Service::request(std::uint32_t confirm) const {
  return {.ruleset = compiled_.ruleset,
          .compilation = compiled_.compilation,
          .source = rules,
          .terms = {.name = "p", .confirm = confirm}};
}

Result<service::Installed> Service::install(const service::Terms& terms) {
  service::Request wanted = request();
  wanted.terms = terms;
  return service::apply(wanted, paths_);
}

int Service::apply(std::uint32_t confirm, const std::string& last_step) {
  return in_child([&] {
    const service::Terms terms = {.name = "p", .confirm = confirm, .at_step = kill_at(last_step)};
    if (const auto done = install(terms); !done) {
      std::fprintf(stderr, "%s\n", done.error().text().c_str());
      ::_exit(1);
    }
  });
}

int Service::confirm(const std::string& last_step) {
  return in_child([&] { ::_exit(service::confirm("p", paths_, kill_at(last_step)) ? 0 : 1); });
}

Standing Service::standing() const {
  const auto policy = service::load_policy("p", paths_);
  return policy ? service::standing(*policy, paths_) : Standing::leftover;
}

std::string Service::tables() {
  return expect(nft_.run("list tables"));
}

void Service::expect_gone() {
  EXPECT_EQ(observed_at_last(Policy::nothing), Policy::nothing);
  for (int i = 0; i < 100 && standing() == Standing::waiting; ++i) {
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(standing(), Standing::leftover);
  EXPECT_EQ(apply(0), 0) << "the places are free";
  EXPECT_EQ(observed(), Policy::whole);
  expect_releasable();
}

void Service::expect_releasable() {
  EXPECT_EQ(standing(), Standing::settled);
  const auto released = service::release("p", paths_);
  EXPECT_TRUE(released) << released.error().text();
  EXPECT_EQ(observed(), Policy::nothing);
  EXPECT_EQ(tables(), "");
  EXPECT_EQ(service::policy_names(paths_), std::vector<std::string>());
  EXPECT_FALSE(fs::exists(paths_.pins("p")));
  EXPECT_FALSE(fs::exists(paths_.guard_socket("p")));
}

}  // namespace weir::test
