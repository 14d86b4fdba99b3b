// SPDX-License-Identifier: BSD-2-Clause
//
// Namespaces are entered by thread: setns(2) and unshare(2) of a network namespace concern the
// calling thread alone, and so do the lookups in /proc/sys/net.
#include "kernel/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace weir::kernel {
namespace {

constexpr const char* own_namespace = "/proc/thread-self/ns/net";

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

[[noreturn]] void become(const std::vector<std::string>& arguments, const Pipe& in, const Pipe& out,
                         const Pipe& error) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::dup2(in.read.get(), 0);
  ::dup2(out.write.get(), 1);
  ::dup2(error.write.get(), 2);
  std::signal(SIGPIPE, SIG_DFL);
  ::execvp(argv[0], argv.data());
  // Where the tools of an administrator are, and the PATH of others does not lead.
  for (const char* folder : {"/usr/sbin/", "/sbin/"}) {
    ::execv((folder + arguments.front()).c_str(), argv.data());
  }
  ::_exit(127);
}

// Feeds and drains at the same time, so that no pipe stops the child.
Status talk(Pipe& in, std::string_view input, std::array<Pipe*, 2> outputs,
            std::array<std::string, 2>& texts) {
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  while (outputs[0]->read.valid() || outputs[1]->read.valid()) {
    if (input.empty()) in.write.reset();
    std::array<pollfd, 3> polls = {pollfd{in.write.get(), POLLOUT, 0},
                                   pollfd{outputs[0]->read.get(), POLLIN, 0},
                                   pollfd{outputs[1]->read.get(), POLLIN, 0}};
    if (::poll(polls.data(), polls.size(), -1) < 0) return system_error("waiting", errno);
    if (polls[0].revents != 0) {
      const auto written = ::write(in.write.get(), input.data(), input.size());
      input.remove_prefix(written < 0 ? input.size() : static_cast<std::size_t>(written));
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (polls[i + 1].revents == 0) continue;
      char buffer[16384];
      const auto size = ::read(outputs[i]->read.get(), buffer, sizeof(buffer));
      if (size <= 0) {
        outputs[i]->read.reset();
      } else {
        texts[i].append(buffer, static_cast<std::size_t>(size));
      }
    }
  }
  return {};
}

// A child that reads no more must not end this process.
class WithoutSigpipe {
 public:
  WithoutSigpipe() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() { std::signal(SIGPIPE, before_); }

 private:
  void (*before_)(int);
};

}  // namespace

Result<Netns> Netns::create() {
  Fd fd;
  int error = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) == 0) fd = Fd(::open(own_namespace, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) error = errno;
  }).join();
  if (!fd.valid()) return system_error("creating a network namespace", error);
  return Netns(std::move(fd));
}

Result<Inside> Inside::enter(const Netns& netns) {
  Fd before(::open(own_namespace, O_RDONLY | O_CLOEXEC));
  if (!before.valid()) return system_error(own_namespace, errno);
  if (::setns(netns.fd(), CLONE_NEWNET) != 0) {
    return system_error("entering a network namespace", errno);
  }
  return Inside(std::move(before));
}

Inside::~Inside() {
  if (!before_.valid()) return;  // moved from
  // Going on in the wrong namespace could touch the machine's; nothing can be done but stop.
  if (::setns(before_.get(), CLONE_NEWNET) != 0) std::abort();
}

Result<std::string> run_command(const std::vector<std::string>& arguments, std::string_view input) {
  WEIR_TRY(in, make_pipe());
  WEIR_TRY(out, make_pipe());
  WEIR_TRY(error, make_pipe());
  const WithoutSigpipe guard;
  const pid_t child = ::fork();
  if (child < 0) return system_error("starting " + arguments.front(), errno);
  if (child == 0) become(arguments, in, out, error);
  in.read.reset();
  out.write.reset();
  error.write.reset();
  std::array<std::string, 2> texts;
  const Status talked = talk(in, input, {&out, &error}, texts);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) {
    return system_error("waiting for " + arguments.front(), errno);
  }
  WEIR_CHECK(talked);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return texts[0];
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return system_error("there is no command " + arguments.front());
  }
  std::string command;
  for (const auto& argument : arguments) command += argument + " ";
  return system_error(command + "failed: " + texts[1]);
}

bool has_initial_users() {
  constexpr ino_t initial = 0xeffffffd;  // PROC_USER_INIT_INO of include/linux/proc_ns.h
  const Fd network(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!network.valid()) return false;
  const Fd users(::ioctl(network.get(), NS_GET_USERNS));
  struct stat info{};
  return users.valid() && ::fstat(users.get(), &info) == 0 && info.st_ino == initial;
}

}  // namespace weir::kernel
