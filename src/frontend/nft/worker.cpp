// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/worker.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "frontend/nft/kernel_dump.h"
#include "frontend/nft/kernel_listing.h"
#include "frontend/nft/links.h"
#include "frontend/nft/netlink.h"
#include "frontend/nft/notifications.h"
#include "frontend/nft/wire.h"

namespace weir::frontend::nft {
namespace {

Status write_file(const char* path, const std::string& text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  const bool written =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (file >= 0) close(file);
  if (!written) return system_error(std::string("cannot write ") + path, error);
  return {};
}

// A network namespace of our own; who may not make one gets it inside a user namespace.
Status leave_namespace() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (uid == 0 && unshare(CLONE_NEWNET) == 0) return {};
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return system_error(
        "cannot make a scratch network namespace to load the nft script in "
        "(run as root, or allow unprivileged user namespaces)",
        errno);
  }
  WEIR_CHECK(write_file("/proc/self/setgroups", "deny"));
  WEIR_CHECK(write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"));
  return write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
}

// The script as a file, because nft names lines only in files.
class ScriptFile {
 public:
  explicit ScriptFile(const std::string& script)
      : file_(memfd_create("script", MFD_CLOEXEC)), path_(script_name) {
    path_ += std::to_string(file_);
    std::size_t done = 0;
    while (file_ >= 0 && done < script.size()) {
      const ssize_t wrote = write(file_, script.data() + done, script.size() - done);
      if (wrote < 0) break;
      done += static_cast<std::size_t>(wrote);
    }
    written_ = file_ >= 0 && done == script.size();
  }
  ~ScriptFile() {
    if (file_ >= 0) close(file_);
  }
  ScriptFile(const ScriptFile&) = delete;
  ScriptFile& operator=(const ScriptFile&) = delete;

  [[nodiscard]] bool written() const { return written_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  int file_;
  std::string path_;
  bool written_ = false;
};

class Worker {
 public:
  Answer answer(const Request& request) {
    return request.kind == Request::Kind::rule ? add_rule(request) : load(request);
  }

 private:
  Answer load(const Request& request) {
    if (const Status ready = prepare(request); !ready) return failure(ready.error());
    const ScriptFile script(request.script);
    if (!script.written()) return {Answer::Outcome::failed, "cannot store the script", "", {}};

    // A context a request: interface names and definitions must not outlive it.
    NftContext context = new_context();
    if (!context) return {Answer::Outcome::failed, "cannot start libnftables", "", {}};
    if (request.json) nft_ctx_output_set_flags(context.get(), NFT_CTX_OUTPUT_JSON);
    if (nft_run_cmd_from_filename(context.get(), script.path().c_str()) != 0) {
      return {Answer::Outcome::refused, nft_ctx_get_error_buffer(context.get()), "", {}};
    }
    loaded_ = true;
    for (const std::string& command : request.commands) {
      if (nft_run_cmd_from_buffer(context.get(), command.c_str()) == 0) continue;
      return {Answer::Outcome::refused, nft_ctx_get_error_buffer(context.get()), "", {}};
    }
    if (request.kind == Request::Kind::kept) return keep(std::move(context));
    return read_back(context.get());
  }

  Answer keep(NftContext context) {
    kept_ = std::move(context);
    if (const Status open = notifications_.open(); !open) return failure(open.error());
    return {Answer::Outcome::loaded, "", "", {}};
  }

  Answer add_rule(const Request& request) {
    if (!kept_) return {Answer::Outcome::failed, "no script was kept", "", {}};
    for (const std::string& command : request.commands) {
      if (nft_run_cmd_from_buffer(kept_.get(), command.c_str()) == 0) continue;
      return {Answer::Outcome::refused, nft_ctx_get_error_buffer(kept_.get()), "", {}};
    }
    Result<Bytes> came = notifications_.take();
    if (!came) return failure(came.error());
    Result<std::string> listing = list(kept_.get(), "chain " + request.chain);
    if (!listing) return failure(listing.error());
    if (nft_run_cmd_from_buffer(kept_.get(), ("flush chain " + request.chain).c_str()) != 0) {
      return {Answer::Outcome::failed, nft_ctx_get_error_buffer(kept_.get()), "", {}};
    }
    if (const auto went = notifications_.take(); !went) return failure(went.error());
    return {Answer::Outcome::loaded, "", std::move(*listing), std::move(*came)};
  }

  static Answer failure(const Diagnostic& diagnostic) {
    return {Answer::Outcome::failed, diagnostic.message, "", {}};
  }

  // What one script left behind is not undone but left behind: a new namespace takes well below a
  // millisecond, flushing a ruleset more than ten.
  Status prepare(const Request& request) {
    if (loaded_ || request.links.size() < links_made_) {
      if (unshare(CLONE_NEWNET) != 0) return system_error("cannot leave a namespace", errno);
      loaded_ = false;
      links_made_ = 0;
    }
    for (; links_made_ < request.links.size(); ++links_made_) {
      WEIR_CHECK(make_link(request.links[links_made_], links_made_));
    }
    return {};
  }

  static Answer read_back(nft_ctx* context) {
    Result<std::string> listing = list_ruleset(context);
    if (!listing) return failure(listing.error());
    Result<Bytes> dump = dump_ruleset();
    if (!dump) return failure(dump.error());
    return {Answer::Outcome::loaded, "", std::move(*listing), std::move(*dump)};
  }

  NftContext kept_;
  Notifications notifications_;  // of the namespace of what was kept
  bool loaded_ = false;
  std::uint32_t links_made_ = 0;  // a script that is tried again repeats its links
};

}  // namespace

void serve(int socket) {
  const Status left = leave_namespace();
  const Answer greeting{left ? Answer::Outcome::loaded : Answer::Outcome::failed,
                        left ? "" : left.error().message,
                        "",
                        {}};
  if (!send_frame(socket, encode(greeting)) || !left) return;
  Worker worker;
  Bytes frame;
  while (receive_frame(socket, frame)) {
    if (!send_frame(socket, encode(worker.answer(decode_request(frame))))) return;
  }
}

}  // namespace weir::frontend::nft
