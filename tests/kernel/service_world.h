// SPDX-License-Identifier: BSD-2-Clause
//
// Policies in a network namespace and directories of their own, and datagrams on its loopback
// device that tell what is in force. One chain of the policy drops datagrams on their way out, one
// on their way in, so that a part of it would show. Work is done in processes that can be killed at
// each of its steps.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <ostream>
#include <string>

#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "service/apply.h"

namespace weir::test {

constexpr std::uint16_t plain_port = 1000;  // no rule is about it
constexpr std::uint16_t out_port = 1001;    // dropped on the way out
constexpr std::uint16_t in_port = 1002;     // dropped on the way in

constexpr const char* rules = R"(
table inet t {
  chain out {
    type filter hook output priority 0; policy accept;
    udp dport 1001 ct state new,established counter drop
  }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 1002 counter drop
  }
}
)";

enum class Policy : std::uint8_t { nothing, whole, part };
inline std::ostream& operator<<(std::ostream& out, Policy policy) {
  return out << (policy == Policy::nothing ? "nothing"
                 : policy == Policy::whole ? "the whole policy"
                                           : "a part of the policy");
}

// Whether a datagram from an address of the loopback device, of either protocol, to this port
// arrives.
bool arrives(std::uint16_t port, const std::string& from = "127.0.0.1");
Policy observed();
// The kernel takes the links of a dead process off a moment later, one after another.
Policy observed_at_last(Policy expected);

// A process of its own; how it ended.
template <typename Work>
int in_child(const Work& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) give_up("a child process", errno);
  return status;
}
inline bool was_killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
service::StepHook kill_at(const std::string& last_step);

struct Compiled {
  imr::Ruleset ruleset;
  driver::Compilation compilation;
};
Compiled compile(const char* text,
                 const driver::Options& how = {.untrusted_memory = kernel::has_untrusted_memory()});

class Service : public testing::Test {
 protected:
  Service();
  ~Service() override;

  [[nodiscard]] service::Request request(std::uint32_t confirm = 0) const;
  // What apply() does.
  virtual Result<service::Installed> install(const service::Terms& terms);
  // In a process of its own, that ends at the step, or at none.
  int apply(std::uint32_t confirm, const std::string& last_step = {});
  int confirm(const std::string& last_step = {});
  [[nodiscard]] service::Standing standing() const;
  [[nodiscard]] std::string tables();

  // Nothing is in force, and nothing is in the way of the same policy, nor stays behind it.
  void expect_gone();
  void expect_releasable();

  Netns netns_;
  Inside inside_;
  Nft nft_;
  Compiled compiled_;
  std::filesystem::path root_;
  service::Paths paths_;
};

}  // namespace weir::test
