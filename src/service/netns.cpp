// SPDX-License-Identifier: BSD-2-Clause
#include "service/netns.h"

#include <fcntl.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "kernel/kernel.h"
#include "kernel/netns.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// What the command printed.
Result<std::string> run_nft(nft_ctx* context, const std::string& command) {
  if (context == nullptr) return system_error("starting libnftables", ENOMEM);
  nft_ctx_buffer_output(context);
  nft_ctx_buffer_error(context);
  if (nft_run_cmd_from_buffer(context, command.c_str()) != 0) {
    return system_error("nft refuses '" + command + "': " + nft_ctx_get_error_buffer(context));
  }
  return nft_ctx_get_output_buffer(context);
}

// The same in the calling thread's namespace, with a socket of its own.
Result<std::string> run_nft(const std::string& command, bool json) {
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (context && json) nft_ctx_output_set_flags(context.get(), NFT_CTX_OUTPUT_JSON);
  return run_nft(context.get(), command);
}

// Commands that make the table and what keeps tracking on.
std::string table_commands(const std::string& name, const std::string& flags) {
  const std::string table = "inet " + name;
  return "add table " + table + flags + "\nadd chain " + table + " unreached\nadd rule " + table +
         " unreached ct state new accept comment \"keeps tracking on\"";
}

std::optional<std::uint64_t> inode_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_ino;
}

// A namespace can be entered through a name that `ip netns` gave it, or through a process in it.
kernel::Fd open_namespace(std::uint64_t id) {
  const auto try_path = [&](const std::string& path) {
    if (inode_of(path) != id) return kernel::Fd();
    return kernel::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  };
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/run/netns", error)) {
    if (kernel::Fd found = try_path(entry.path().string()); found.valid()) return found;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    if (kernel::Fd found = try_path(entry.path().string() + "/ns/net"); found.valid()) return found;
  }
  return {};
}

Status delete_table(const std::string& table) {
  // Adding first makes deleting succeed whether the table is there or not.
  WEIR_CHECK(run_nft("add table inet " + table + "\ndelete table inet " + table, false));
  return {};
}

std::string_view family_word(Nfproto nfproto) {
  return nfproto == Nfproto::ipv4 ? "ip" : "ip6";
}

}  // namespace

Result<std::uint64_t> current_namespace() {
  const auto inode = inode_of("/proc/thread-self/ns/net");
  if (!inode) return system_error("reading /proc/thread-self/ns/net", errno);
  return *inode;
}

std::string conntrack_table(const std::string& policy) {
  return "weir_conntrack_" + policy;
}

Status keep_connections(const std::string& policy) {
  WEIR_CHECK(run_nft(table_commands(conntrack_table(policy), ""), false));
  return {};
}

Status count_connections() {
  constexpr const char* setting = "/proc/sys/net/netfilter/nf_conntrack_acct";
  const kernel::Fd file(::open(setting, O_WRONLY | O_CLOEXEC));
  if (!file.valid() || ::write(file.get(), "1", 1) != 1) {
    return system_error(std::string("switching on ") + setting, errno);
  }
  return {};
}

Status check_owners(const driver::Reads& reads) {
  const bool asked =
      reads.meta.contains(imr::MetaKey::skuid) || reads.meta.contains(imr::MetaKey::skgid);
  if (!asked || kernel::has_initial_users()) return {};
  return input_error(
      "rules ask for meta skuid or skgid in a network namespace of another user namespace, where "
      "users have other numbers");
}

Status in_namespace(std::uint64_t id, const std::function<Status()>& work) {
  WEIR_TRY(here, current_namespace());
  if (here == id) return work();
  const kernel::Fd there = open_namespace(id);
  if (!there.valid()) return {};
  // setns() moves one thread, and this one has to stay where it is.
  Status status;
  std::thread worker([&] {
    status = ::setns(there.get(), CLONE_NEWNET) == 0
                 ? work()
                 : Status(system_error("entering the policy's network namespace", errno));
  });
  worker.join();
  return status;
}

Status drop_connections(const std::string& policy, std::uint64_t id) {
  return in_namespace(id, [&] { return delete_table(conntrack_table(policy)); });
}

void OwnedTable::Free::operator()(::nft_ctx* context) const {
  nft_ctx_free(context);
}

Result<OwnedTable> OwnedTable::create(const std::string& policy) {
  OwnedTable owned;
  owned.context_.reset(nft_ctx_new(NFT_CTX_DEFAULT));
  // The policy's own table may be there as well, and so may another owner's.
  const std::string name = conntrack_table(policy) + "_" + std::to_string(::getpid());
  WEIR_CHECK(run_nft(owned.context_.get(), table_commands(name, " { flags owner; }")));
  return owned;
}

std::vector<std::string> nft_chains_at(Nfproto nfproto, NfHook hook, std::int32_t priority) {
  std::vector<std::string> out;
  const auto listed = run_nft("list chains", true);
  if (!listed) return out;
  const auto root = nlohmann::json::parse(*listed, nullptr, false);
  if (!root.is_object() || !root.contains("nftables")) return out;
  for (const auto& entry : root["nftables"]) {
    if (!entry.contains("chain")) continue;
    const auto& chain = entry["chain"];
    const std::string family = chain.value("family", "");
    if (family != "inet" && family != family_word(nfproto)) continue;
    if (chain.value("hook", "") != to_string(hook)) continue;
    if (!chain.contains("prio") || chain["prio"] != priority) continue;
    out.push_back("nft chain " + family + " " + chain.value("table", "") + " " +
                  chain.value("name", ""));
  }
  return out;
}

}  // namespace weir::service
