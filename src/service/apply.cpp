// SPDX-License-Identifier: BSD-2-Clause
#include "service/apply.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "driver/reads.h"
#include "service/netns.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

std::string now() {
  const std::time_t seconds = ::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text = {};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

// A mount made in a private mount namespace would vanish with it, and every pin on it.
Status check_bpffs(const Paths& paths) {
  if (paths.bpffs != kernel::bpffs_path) return {};
  struct statfs info{};
  const bool mounted = ::statfs(kernel::bpffs_path, &info) == 0 &&
                       static_cast<std::uint32_t>(info.f_type) == BPF_FS_MAGIC;
  if (mounted) return {};
  std::error_code error;
  const fs::path init = fs::read_symlink("/proc/1/ns/mnt", error);
  const fs::path own = fs::read_symlink("/proc/self/ns/mnt", error);
  if (!init.empty() && !own.empty() && init != own) {
    auto refused = system_error(
        "the BPF file system is not mounted in this mount namespace, which is not the machine's "
        "own: what is pinned here would not stay");
    refused.error().notes.emplace_back(
        "`ip netns exec` makes such a namespace; use nsenter --net=/run/netns/NAME instead");
    return refused;
  }
  return kernel::ensure_bpffs();
}

// One apply or release at a time: of two that run at once with one name, the one that fails would
// clean up what the other installed. Held as long as the descriptor lives.
Result<kernel::Fd> lock(const Paths& paths) {
  std::error_code error;
  fs::create_directories(paths.state, error);
  if (error) return system_error("creating " + paths.state, error.value());
  const std::string file = paths.state + "/lock";
  kernel::Fd held(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!held.valid() || ::flock(held.get(), LOCK_EX) != 0) {
    return system_error("locking " + file, errno);
  }
  return held;
}

AttachmentState describe(const imr::Ruleset& ruleset, const driver::Attachment& attachment,
                         const isa::Program& program) {
  AttachmentState out;
  out.hook = attachment.hook;
  out.nfproto = attachment.nfproto;
  out.priority = attachment.priority;
  for (const imr::ChainId root : attachment.roots) {
    out.chains.push_back(imr::qualified_name(ruleset, root));
  }
  out.program_name = program.name;
  return out;
}

// Who holds a place among the netfilter hooks, as far as can be found out.
std::vector<std::string> holders(const AttachmentState& wanted, const Paths& paths) {
  std::vector<std::string> out;
  const auto here = current_namespace();
  for (const std::string& name : policy_names(paths)) {
    const auto policy = load_policy(name, paths);
    if (!policy || !here || policy->namespace_id != *here) continue;
    for (const AttachmentState& other : policy->attachments) {
      if (other.hook == wanted.hook && other.nfproto == wanted.nfproto &&
          other.priority == wanted.priority && wanted.hook.kind == Hook::Kind::netfilter) {
        out.push_back("weir policy '" + name + "' (weir release " + name + " removes it)");
      }
    }
  }
  if (wanted.hook.kind == Hook::Kind::netfilter) {
    for (std::string& chain : nft_chains_at(wanted.nfproto, wanted.hook.nf_hook, wanted.priority)) {
      out.push_back(std::move(chain));
    }
  }
  return out;
}

Result<kernel::Fd> attach_to_device(const kernel::Fd& program, AttachmentState& state) {
  const unsigned ifindex = if_nametoindex(state.hook.device.c_str());
  if (ifindex == 0) {
    return input_error("there is no interface '" + state.hook.device +
                       "' in this network namespace");
  }
  auto native = kernel::attach_xdp(program, ifindex, kernel::XdpMode::native);
  if (native) {
    state.mode = "native";
    return native;
  }
  auto generic = kernel::attach_xdp(program, ifindex, kernel::XdpMode::generic);
  if (generic) {
    state.mode = "generic";
    return generic;
  }
  Diagnostic error = generic.error();
  error.message = to_string(state.hook) + ": " + error.message;
  error.notes.push_back("native mode: " + native.error().message);
  return std::unexpected(error);
}

Result<kernel::Fd> attach(const kernel::Fd& program, AttachmentState& state, const Paths& paths) {
  if (state.hook.kind == Hook::Kind::xdp) return attach_to_device(program, state);
  auto link = kernel::attach_netfilter(program, state.nfproto, state.hook.nf_hook, state.priority);
  if (link) return link;
  Diagnostic error = link.error();
  for (const std::string& holder : holders(state, paths)) {
    error.notes.push_back("held by " + holder);
  }
  for (const std::string& chain : state.chains) error.notes.push_back("wanted for chain " + chain);
  return std::unexpected(error);
}

Status pin_all(const Installed& installed, const isa::Object& object,
               const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return system_error("creating " + directory, error.value());
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    WEIR_CHECK(kernel::pin(installed.loaded.maps[i], directory + "/map_" + object.maps[i].name));
  }
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    WEIR_CHECK(
        kernel::pin(installed.loaded.programs[i], directory + "/program_" + std::to_string(i)));
    WEIR_CHECK(kernel::pin(installed.links.at(i), directory + "/link_" + std::to_string(i)));
  }
  return {};
}

// Takes the links off their hooks first: dropping the last reference to one does so only later.
void remove_pins(const std::string& directory) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (!entry.path().filename().string().starts_with("link_")) continue;
    // A link whose device is gone is detached already, and says so by an error.
    if (const auto link = kernel::open_pinned(entry.path().string())) {
      [[maybe_unused]] const Status detached = kernel::detach(*link);
    }
  }
  fs::remove_all(directory, error);
}

Status attach_all(Installed& installed, const Paths& paths) {
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    AttachmentState& state = installed.state.attachments.at(i);
    WEIR_TRY(link, attach(installed.loaded.programs[i], state, paths));
    installed.links.push_back(std::move(link));
    WEIR_TRY(info, kernel::link_info(installed.links.back()));
    state.link_id = info.id;
    state.program_id = info.program_id;
  }
  return {};
}

Status make_permanent(Installed& installed, const isa::Object& object, const Paths& paths) {
  WEIR_CHECK(pin_all(installed, object, paths.pins(installed.state.name)));
  return save(installed.state, paths);
}

Status check_request(const Request& request, const Paths& paths) {
  WEIR_CHECK(check_policy_name(request.name));
  if (request.compilation.programs.empty()) {
    return input_error("the ruleset has no base chain to attach");
  }
  for (const driver::CompiledProgram& program : request.compilation.programs) {
    const Hook& hook = program.attachment.hook;
    if (hook.kind == Hook::Kind::xdp && hook.device.empty()) {
      return input_error("hook xdp needs a device, expected xdp@DEVICE");
    }
    if (hook.kind == Hook::Kind::netfilter && !hook.device.empty()) {
      return input_error("hook " + to_string(hook) + ": netfilter hooks have no device");
    }
  }
  // nft refuses them too: an index that no device has would match nothing, in silence.
  for (const imr::Interface& interface : request.ruleset.interfaces) {
    if (if_nametoindex(interface.name.c_str()) != 0) continue;
    return input_error("the rules name interface '" + interface.name +
                       "' by iif or oif, and there is none in this network namespace; iifname "
                       "and oifname match by name");
  }
  if (request.foreground) return {};
  const auto names = policy_names(paths);
  if (std::find(names.begin(), names.end(), request.name) != names.end()) {
    return input_error("a policy '" + request.name +
                       "' is applied already: release it first, or choose another --name");
  }
  return check_bpffs(paths);
}

void undo(Installed& installed, const Paths& paths, bool foreground) {
  for (const kernel::Fd& link : installed.links) {
    [[maybe_unused]] const Status detached = kernel::detach(link);
  }
  if (!foreground) {
    remove_pins(paths.pins(installed.state.name));
    std::error_code error;
    fs::remove(paths.state_file(installed.state.name), error);
  }
  if (installed.state.keeps_connections) {
    [[maybe_unused]] const Status dropped =
        drop_connections(installed.state.name, installed.state.namespace_id);
  }
}

Result<PolicyState> describe_policy(const Request& request) {
  PolicyState state;
  state.name = request.name;
  state.since = now();
  WEIR_TRY(here, current_namespace());
  state.namespace_id = here;
  state.source = request.source;
  std::vector<driver::Attachment> attachments;
  for (std::size_t i = 0; i < request.compilation.programs.size(); ++i) {
    attachments.push_back(request.compilation.programs[i].attachment);
    state.attachments.push_back(
        describe(request.ruleset, attachments.back(), request.compilation.object.programs.at(i)));
  }
  state.chains = describe_chains(request.ruleset, attachments);
  state.has_counters = request.compilation.counters.valid();
  // At XDP the rules cannot read connections; the compiler has refused those that do.
  state.keeps_connections = driver::scan_reads(request.ruleset, attachments).connection;
  return state;
}

}  // namespace

Result<Installed> apply(const Request& request, const Paths& paths) {
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  WEIR_CHECK(check_request(request, paths));
  Installed installed;
  WEIR_TRY(state, describe_policy(request));
  installed.state = std::move(state);
  WEIR_TRY(loaded, kernel::load(request.compilation.object));
  installed.loaded = std::move(loaded);
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    WEIR_TRY(id, kernel::map_id(installed.loaded.maps[i]));
    installed.state.maps.push_back({.name = request.compilation.object.maps[i].name, .id = id});
  }
  if (installed.state.keeps_connections) WEIR_CHECK(keep_connections(request.name));
  Status status = attach_all(installed, paths);
  if (status && !request.foreground) {
    status = make_permanent(installed, request.compilation.object, paths);
  }
  if (!status) {
    undo(installed, paths, request.foreground);
    return std::unexpected(status.error());
  }
  return installed;
}

Status dry_run(const driver::Compilation& compilation) {
  WEIR_CHECK(kernel::load(compilation.object));
  return {};
}

Status release(Installed& installed) {
  for (const kernel::Fd& link : installed.links) {
    [[maybe_unused]] const Status detached = kernel::detach(link);
  }
  installed.links.clear();
  if (!installed.state.keeps_connections) return {};
  return drop_connections(installed.state.name, installed.state.namespace_id);
}

Status release(const std::string& name, const Paths& paths) {
  WEIR_CHECK(check_policy_name(name));
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  const auto policy = load_policy(name, paths);
  std::error_code error;
  const bool pinned = fs::exists(paths.pins(name), error);
  if (error) return system_error("looking at " + paths.pins(name), error.value());
  if (!policy && !pinned) return std::unexpected(policy.error());
  remove_pins(paths.pins(name));
  if (fs::exists(paths.pins(name), error) || error) {
    return system_error("removing " + paths.pins(name), error ? error.value() : EPERM);
  }
  if (policy && policy->keeps_connections) {
    WEIR_CHECK(drop_connections(name, policy->namespace_id));
  }
  fs::remove(paths.state_file(name), error);
  if (error) return system_error("removing " + paths.state_file(name), error.value());
  return {};
}

}  // namespace weir::service
