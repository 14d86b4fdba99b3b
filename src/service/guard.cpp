// SPDX-License-Identifier: BSD-2-Clause
#include "service/guard.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

namespace weir::service {
namespace {

namespace fs = std::filesystem;

// What clients send; the answer is good_answer, or what went wrong.
constexpr char confirm_request = 'c';
constexpr char dismiss_request = 'd';
constexpr std::string_view good_answer = "ok";
// A client that connects and says nothing must not keep the guard from its clock.
constexpr int patience_ms = 1000;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return system_error("a socket at " + path, ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

Result<kernel::Fd> bind_socket(const std::string& path) {
  WEIR_TRY(address, address_of(path));
  kernel::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return system_error("making the guard's socket", errno);
  std::error_code error;
  fs::remove(path, error);
  // The file gets its mode from the socket that is bound to it.
  if (::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error("making the guard's socket " + path, errno);
  }
  return fd;
}

Result<kernel::Fd> connect_socket(const std::string& path) {
  WEIR_TRY(address, address_of(path));
  kernel::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error("connecting to " + path, errno);
  }
  return fd;
}

bool readable(int fd, int timeout_ms) {
  pollfd wanted = {.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, timeout_ms) == 1;
}

// Credentials of whoever called connect() or listen() at the other end.
ucred peer_of(const kernel::Fd& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) peer.uid = ~0U;
  return peer;
}

class Guard {
 public:
  Guard(Installed& installed, Staging& staging, const Paths& paths, const StepHook& at_step)
      : installed_(installed), staging_(staging), paths_(paths), at_step_(at_step) {}

  // Until the policy is confirmed, dismissed, or out of time.
  Status serve(const kernel::Fd& listener) {
    const kernel::Fd timer(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
    const std::int64_t end = installed_.state.confirm_by;
    const itimerspec when = {.it_interval = {},
                             .it_value = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1'000'000}};
    if (!timer.valid() || ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
      return system_error("setting a timer", errno);
    }
    std::array<pollfd, 2> wanted = {pollfd{.fd = timer.get(), .events = POLLIN, .revents = 0},
                                    pollfd{.fd = listener.get(), .events = POLLIN, .revents = 0}};
    while (true) {
      if (::poll(wanted.data(), wanted.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return system_error("waiting", errno);
      }
      if (wanted[0].revents != 0) return {};
      if (wanted[1].revents == 0) continue;
      const kernel::Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.valid() && answer(client)) return {};
    }
  }

  // Ends a policy that was not confirmed: packets first, files later.
  void end() {
    if (over_) return;
    over_ = true;
    abandon(installed_);
    const auto held = lock(paths_);
    remove_traces(installed_.state, paths_);
  }

 private:
  // Whether the guard's work is done.
  bool answer(const kernel::Fd& client) {
    char request = 0;
    if (peer_of(client).uid != ::geteuid() || !readable(client.get(), patience_ms) ||
        ::recv(client.get(), &request, 1, 0) != 1) {
      return false;
    }
    std::string reply(good_answer);
    bool done = false;
    if (request == confirm_request) {
      reach(at_step_, "guard: asked");
      if (const Status status = keep()) {
        done = over_ = true;
      } else {
        reply = status.error().text();
      }
    } else if (request == dismiss_request) {
      end();
      done = true;
    }
    [[maybe_unused]] const auto sent =
        ::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    return done;
  }

  Status keep() {
    const auto held = lock(paths_);
    if (!held) return std::unexpected(held.error());
    WEIR_CHECK(settle(installed_, staging_, paths_, at_step_));
    std::error_code error;
    fs::remove(paths_.guard_socket(installed_.state.name), error);
    return {};
  }

  Installed& installed_;
  Staging& staging_;
  const Paths& paths_;
  const StepHook& at_step_;
  bool over_ = false;  // the files are no longer this guard's to touch
};

// A session of its own, and nothing of the terminal, whose end is then no matter.
Status leave_terminal() {
  if (::setsid() < 0) return system_error("starting a session", errno);
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
  const kernel::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd <= 2; ++fd) {
    if (!null.valid() || ::dup2(null.get(), fd) < 0)
      return system_error("opening /dev/null", errno);
  }
  if (::chdir("/") != 0) return system_error("going to /", errno);
  return {};
}

Status run_guard(Guard& guard, const kernel::Fd& listener, kernel::Fd& ready) {
  WEIR_CHECK(leave_terminal());
  if (::listen(listener.get(), 8) != 0) return system_error("listening", errno);
  const char byte = 0;
  if (::write(ready.get(), &byte, 1) != 1) return system_error("reporting", errno);
  ready.reset();
  WEIR_CHECK(guard.serve(listener));
  return {};
}

Status ask(const std::string& policy, char request, const Paths& paths, const StepHook& at_step) {
  WEIR_TRY(guard, connect_socket(paths.guard_socket(policy)));
  reach(at_step, "confirm: connected");
  if (::send(guard.get(), &request, 1, MSG_NOSIGNAL) != 1) {
    return system_error("asking the guard of '" + policy + "'", errno);
  }
  reach(at_step, "confirm: asked");
  std::array<char, 4096> reply{};
  const auto size = ::recv(guard.get(), reply.data(), reply.size(), 0);
  const std::string_view text(reply.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  if (text == good_answer) return {};
  if (!text.empty())
    return system_error("the guard of '" + policy + "' says: " + std::string(text));
  return system_error("the guard of '" + policy +
                      "' ended without an answer; weir status tells what is in force");
}

// A guard that gave no answer is on its way out, and so are its descriptors. False when it stays.
bool wait_for_end(const std::string& policy, const Paths& paths) {
  for (int i = 0; i < 100; ++i) {
    if (!guard_of(policy, paths)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

}  // namespace

std::int64_t boot_milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

Result<pid_t> start_guard(Installed& installed, Staging& staging, kernel::Fd& held,
                          const Paths& paths, const StepHook& at_step) {
  WEIR_TRY(listener, bind_socket(paths.guard_socket(installed.state.name)));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  const kernel::Fd from_guard(ends[0]);
  kernel::Fd ready(ends[1]);
  reach(at_step, "apply: before the guard");
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("starting the guard", errno);
  if (pid == 0) {
    held.reset();
    int code = EXIT_FAILURE;
    try {
      Guard guard(installed, staging, paths, at_step);
      code = run_guard(guard, listener, ready) ? EXIT_SUCCESS : EXIT_FAILURE;
      guard.end();
    } catch (...) {
      code = EXIT_FAILURE;
    }
    // Nothing of the parent's is to be flushed or torn down here a second time.
    ::_exit(code);
  }
  ready.reset();
  char byte = 0;
  if (::read(from_guard.get(), &byte, 1) != 1) return system_error("the guard did not start");
  reach(at_step, "apply: guarded");
  return pid;
}

std::optional<pid_t> guard_of(const std::string& policy, const Paths& paths) {
  const auto socket = connect_socket(paths.guard_socket(policy));
  if (!socket) return std::nullopt;
  return peer_of(*socket).pid;
}

Status confirm(const std::string& policy, const Paths& paths, const StepHook& at_step) {
  WEIR_TRY(state, load_policy(policy, paths));
  switch (standing(state, paths)) {
    case Standing::settled:
      return input_error("policy '" + policy + "' does not wait for confirmation");
    case Standing::leftover:
      return input_error("policy '" + policy + "' is no more: it was not confirmed in time");
    case Standing::waiting:
      break;
  }
  const Status asked = ask(policy, confirm_request, paths, at_step);
  if (asked) return {};
  // One that ended before it could answer may have done its work.
  const bool done = wait_for_end(policy, paths) && standing(state, paths) == Standing::settled;
  return done ? Status() : asked;
}

Result<bool> dismiss(const std::string& policy, const Paths& paths) {
  if (!guard_of(policy, paths)) return false;
  const Status asked = ask(policy, dismiss_request, paths, {});
  if (!asked && !wait_for_end(policy, paths)) return std::unexpected(asked.error());
  return asked.has_value();
}

}  // namespace weir::service
