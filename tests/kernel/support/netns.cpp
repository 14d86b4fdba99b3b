// SPDX-License-Identifier: BSD-2-Clause
//
// Namespaces are entered by thread: setns(2) and unshare(2) of a network namespace concern the
// calling thread alone, and so do the lookups in /proc/sys/net.
#include "kernel/support/netns.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace weir::test {
namespace {

constexpr const char* own_namespace = "/proc/thread-self/ns/net";

kernel::Fd open_own() {
  kernel::Fd fd(::open(own_namespace, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) give_up(own_namespace, errno);
  return fd;
}

struct Pipe {
  kernel::Fd read;
  kernel::Fd write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe", errno);
  return {kernel::Fd(ends[0]), kernel::Fd(ends[1])};
}

[[noreturn]] void become(const std::vector<std::string>& arguments, const Pipe& in, const Pipe& out,
                         const Pipe& error) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::dup2(in.read.get(), 0);
  ::dup2(out.write.get(), 1);
  ::dup2(error.write.get(), 2);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

// Feeds and drains at the same time, so that no pipe stops the child.
void talk(Pipe& in, std::string_view input, std::array<Pipe*, 2> outputs,
          std::array<std::string, 2>& texts) {
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  while (outputs[0]->read.valid() || outputs[1]->read.valid()) {
    if (input.empty()) in.write.reset();
    std::array<pollfd, 3> polls = {pollfd{in.write.get(), POLLOUT, 0},
                                   pollfd{outputs[0]->read.get(), POLLIN, 0},
                                   pollfd{outputs[1]->read.get(), POLLIN, 0}};
    if (::poll(polls.data(), polls.size(), -1) < 0) give_up("poll", errno);
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
}

}  // namespace

void give_up(const std::string& what, int error_number) {
  throw std::runtime_error(error_number == 0 ? what : what + ": " + std::strerror(error_number));
}

Netns Netns::create() {
  kernel::Fd fd;
  int error = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      error = errno;
      return;
    }
    fd = kernel::Fd(::open(own_namespace, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) error = errno;
  }).join();
  if (!fd.valid()) give_up("creating a network namespace", error);
  return Netns(std::move(fd));
}

Inside::Inside(const Netns& netns) : before_(open_own()) {
  if (::setns(netns.fd(), CLONE_NEWNET) != 0) give_up("entering a network namespace", errno);
}

Inside::~Inside() {
  // Going on in the wrong namespace could touch the machine's; nothing can be done but stop.
  if (::setns(before_.get(), CLONE_NEWNET) != 0) std::abort();
}

Result<std::string> run_command(const std::vector<std::string>& arguments, std::string_view input) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe error = make_pipe();
  const pid_t child = ::fork();
  if (child < 0) give_up("fork", errno);
  if (child == 0) become(arguments, in, out, error);
  in.read.reset();
  out.write.reset();
  error.write.reset();
  std::array<std::string, 2> texts;
  talk(in, input, {&out, &error}, texts);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) give_up("waiting for " + arguments.front(), errno);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return texts[0];
  std::string command;
  for (const auto& argument : arguments) command += argument + " ";
  return system_error(command + "failed: " + texts[1]);
}

bool set_sysctl(const std::string& name, std::string_view value) {
  const kernel::Fd file(::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

std::uint32_t interface_index(const std::string& name) {
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) give_up("no interface " + name, errno);
  return index;
}

}  // namespace weir::test
