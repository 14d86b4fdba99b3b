// SPDX-License-Identifier: BSD-2-Clause
#include "service/exchange.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "kernel/forward.h"
#include "service/attach.h"
#include "service/counters.h"
#include "service/netns.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t old_side = 0;
constexpr std::uint32_t new_side = 1;

std::string pin_path(const PolicyState& policy, const std::string& pin, const Paths& paths) {
  return paths.pins(policy.name) + "/" + pin;
}

// The word of an exchange to `next`.
std::string word_pin(const PolicyState& next) {
  return pin_name(next, "word");
}

std::string gate_pin(const PolicyState& next, std::size_t program) {
  return pin_name(next, "gate_" + std::to_string(program));
}

// Which program of the policy runs at the place.
std::size_t program_at(const PolicyState& policy, std::uint32_t place) {
  const auto found = std::ranges::find(policy.attachments, place, &AttachmentState::place);
  invariant(found != policy.attachments.end(), "a place that the policy does not have");
  return static_cast<std::size_t>(found - policy.attachments.begin());
}

// Puts `program` where the attachment is.
Status put(const PolicyState& policy, const AttachmentState& attachment, const kernel::Fd& program,
           const Paths& paths) {
  kernel::Fd holder;
  if (attachment.forwarded || !attachment.filter) {
    const std::string pin = attachment.forwarded ? place_pin(attachment) : link_pin(attachment);
    WEIR_TRY(opened, kernel::open_pinned(pin_path(policy, pin, paths)));
    holder = std::move(opened);
  }
  return put_program(program, attachment, holder, policy.namespace_id);
}

// Puts every program of `policy` itself in its place.
Status put_all(const PolicyState& policy, const Paths& paths, const StepHook& at_step) {
  for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
    WEIR_TRY(program, kernel::open_pinned(pin_path(policy, program_pin(policy, i), paths)));
    WEIR_CHECK(put(policy, policy.attachments[i], program, paths));
    reach(at_step, "exchange: placed " + std::to_string(i));
  }
  return {};
}

// Removes all pins that the policy does not need. No program may be in what goes.
void remove_strays(const PolicyState& policy, const Paths& paths) {
  std::set<std::string> needed;
  for (const MapState& map : policy.maps) needed.insert(map.pin);
  for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
    needed.insert(program_pin(policy, i));
    needed.insert(link_pin(policy.attachments[i]));
    needed.insert(place_pin(policy.attachments[i]));
  }
  std::error_code error;
  std::vector<fs::path> strays;
  for (const fs::directory_entry& entry : fs::directory_iterator(paths.pins(policy.name), error)) {
    const std::string name = entry.path().filename().string();
    // Names with dots are the BPF file system's own.
    if (!needed.contains(name) && !name.contains('.')) strays.push_back(entry.path());
  }
  for (const fs::path& stray : strays) fs::remove(stray, error);
}

// From the word's change on.
Status finish(PolicyState& policy, const Paths& paths, const StepHook& at_step) {
  PolicyState next = policy.next.front();
  WEIR_CHECK(put_all(next, paths, at_step));
  kernel::wait_for_programs();
  WEIR_CHECK(fold_counts(next, paths));
  WEIR_CHECK(save(next, paths));
  reach(at_step, "exchange: saved");
  remove_strays(next, paths);
  reach(at_step, "exchange: tidied");
  policy = std::move(next);
  return {};
}

Status take_back(PolicyState& policy, const Paths& paths) {
  WEIR_CHECK(put_all(policy, paths, {}));
  kernel::wait_for_programs();
  if (!policy.keeps_connections && policy.next.front().keeps_connections) {
    WEIR_CHECK(drop_connections(policy.name, policy.namespace_id));
  }
  policy.next.clear();
  WEIR_CHECK(save(policy, paths));
  remove_strays(policy, paths);
  return {};
}

Result<std::uint32_t> read_word(const PolicyState& policy, const Paths& paths) {
  WEIR_TRY(word, kernel::open_pinned(pin_path(policy, word_pin(policy.next.front()), paths)));
  WEIR_TRY(value, kernel::read_element(word, native_bytes(0, 4), 4, false));
  return static_cast<std::uint32_t>(load_native(value));
}

bool same_place(const AttachmentState& a, const AttachmentState& b) {
  if (to_string(a.hook) != to_string(b.hook)) return false;
  if (a.hook.kind != Hook::Kind::netfilter) return true;
  return a.nfproto == b.nfproto && a.priority == b.priority;
}

// What the new attachments have of the old ones that are at the same places.
Status adopt_places(const PolicyState& policy, PolicyState& next) {
  std::set<std::uint32_t> taken;
  for (AttachmentState& attachment : next.attachments) {
    const auto before = std::ranges::find_if(policy.attachments, [&](const AttachmentState& old) {
      return !taken.contains(old.place) && same_place(old, attachment);
    });
    if (before == policy.attachments.end()) {
      return input_error("policy '" + policy.name + "' has nothing at " + place_text(attachment) +
                         ", and another ruleset can take its place at the same hooks only");
    }
    taken.insert(before->place);
    const bool wanted = attachment.defragments && !before->defragments;
    if (wanted) next.keeps_connections = true;  // with connections, packets are reassembled
    attachment.defragments = attachment.defragments || before->defragments;
    attachment.mode = before->mode;
    attachment.link_id = before->link_id;
    attachment.filter = before->filter;
    attachment.place = before->place;
    attachment.forwarded = before->forwarded;
  }
  for (const AttachmentState& old : policy.attachments) {
    if (taken.contains(old.place)) continue;
    return input_error("policy '" + policy.name + "' is at " + place_text(old) +
                       " too, and another ruleset can take its place at the same hooks only");
  }
  return {};
}

// Loads what is to come.
Result<Installed> prepare(const PolicyState& policy, Plan plan) {
  PolicyState& next = plan.state;
  if (next.since.empty()) next.since = policy.since;
  next.generation = policy.generation + 1;
  WEIR_CHECK(adopt_places(policy, next));
  WEIR_CHECK(plan.check_attached(next));
  // Others may have come to rely on it, and to switch it off forgets connections.
  next.keeps_connections = next.keeps_connections || policy.keeps_connections;
  const std::string since = next.since;
  WEIR_TRY(installed, load(std::move(plan), {.name = policy.name}));
  if (installed.state.counts_connections) WEIR_CHECK(count_connections());
  PolicyState& state = installed.state;
  state.since = since;
  for (MapState& map : state.maps) {
    const auto shared = std::ranges::find(policy.maps, map.id, &MapState::id);
    if (shared != policy.maps.end()) map.pin = shared->pin;
  }
  for (std::size_t i = 0; i < state.attachments.size(); ++i) {
    WEIR_TRY(id, kernel::program_id(installed.loaded.programs.at(i)));
    state.attachments[i].program_id = id;
  }
  return std::move(installed);
}

// What decides between the sides while they change.
struct Gates {
  kernel::Fd word;
  std::vector<kernel::Fd> places;     // of the two sides, one a program
  std::vector<kernel::Fd> selectors;  // that go on in one of them
};

Result<Gates> make_gates(const PolicyState& policy, const Installed& installed,
                         const Paths& paths) {
  Gates out;
  WEIR_TRY(word, kernel::make_word("weir_word"));
  out.word = std::move(word);
  for (std::size_t i = 0; i < installed.state.attachments.size(); ++i) {
    const AttachmentState& attachment = installed.state.attachments[i];
    const std::string old_pin = program_pin(policy, program_at(policy, attachment.place));
    WEIR_TRY(old_program, kernel::open_pinned(pin_path(policy, old_pin, paths)));
    WEIR_TRY(places, kernel::make_places("weir_gate", 2));
    WEIR_CHECK(kernel::put_program(places, old_side, old_program));
    WEIR_CHECK(kernel::put_program(places, new_side, installed.loaded.programs.at(i)));
    WEIR_TRY(selector, kernel::load_selector(program_for(attachment.hook.kind), places, out.word));
    out.places.push_back(std::move(places));
    out.selectors.push_back(std::move(selector));
  }
  return out;
}

Status pin_all(const PolicyState& policy, const Installed& installed, const Gates& gates,
               const Paths& paths) {
  const PolicyState& next = installed.state;
  for (std::size_t i = 0; i < installed.loaded.maps.size(); ++i) {
    const std::string& pin = next.maps.at(i).pin;
    if (std::ranges::find(policy.maps, pin, &MapState::pin) != policy.maps.end()) continue;
    WEIR_CHECK(kernel::pin(installed.loaded.maps[i], pin_path(policy, pin, paths)));
  }
  for (std::size_t i = 0; i < installed.loaded.programs.size(); ++i) {
    WEIR_CHECK(
        kernel::pin(installed.loaded.programs[i], pin_path(policy, program_pin(next, i), paths)));
    WEIR_CHECK(kernel::pin(gates.places.at(i), pin_path(policy, gate_pin(next, i), paths)));
  }
  return kernel::pin(gates.word, pin_path(policy, word_pin(next), paths));
}

// Up to the word's change.
Status change(PolicyState& policy, const Gates& gates, const Paths& paths,
              const StepHook& at_step) {
  const PolicyState& next = policy.next.front();
  if (next.keeps_connections && !policy.keeps_connections) {
    WEIR_CHECK(keep_connections(policy.name));
  }
  reach(at_step, "exchange: tracking");
  for (std::size_t i = 0; i < next.attachments.size(); ++i) {
    WEIR_CHECK(put(policy, next.attachments[i], gates.selectors.at(i), paths));
    reach(at_step, "exchange: gated " + std::to_string(i));
  }
  WEIR_CHECK(kernel::write_element(gates.word, native_bytes(0, 4), native_bytes(new_side, 4)));
  reach(at_step, "exchange: changed");
  return {};
}

}  // namespace

Result<PolicyState> exchange(PolicyState policy, Plan plan, const Paths& paths,
                             const StepHook& at_step) {
  WEIR_CHECK(settle_exchange(policy, paths));
  WEIR_TRY(here, current_namespace());
  if (here != policy.namespace_id) {
    return input_error("policy '" + policy.name + "' is in force in another network namespace");
  }
  remove_strays(policy, paths);
  WEIR_TRY(installed, prepare(policy, std::move(plan)));
  WEIR_TRY(gates, make_gates(policy, installed, paths));
  reach(at_step, "exchange: loaded");
  policy.next.push_back(installed.state);
  Status status = pin_all(policy, installed, gates, paths);
  reach(at_step, "exchange: pinned");
  if (status) status = save(policy, paths);
  reach(at_step, "exchange: noted");
  if (status) status = change(policy, gates, paths, at_step);
  if (!status) {
    WEIR_CHECK(take_back(policy, paths));
    return std::unexpected(status.error());
  }
  if (const Status finished = finish(policy, paths, at_step); !finished) {
    Diagnostic error = finished.error();
    error.notes.emplace_back("the new rules are in force; the next weir verb brings it to an end");
    return std::unexpected(error);
  }
  return policy;
}

Status settle_exchange(PolicyState& policy, const Paths& paths, const StepHook& at_step) {
  if (policy.next.empty()) return {};
  WEIR_TRY(word, read_word(policy, paths));
  return word == new_side ? finish(policy, paths, at_step) : take_back(policy, paths);
}

void view_exchange(PolicyState& policy, const Paths& paths) {
  if (policy.next.empty()) return;
  const auto word = read_word(policy, paths);
  if (!word || *word != new_side) return;
  PolicyState next = std::move(policy.next.front());
  policy = std::move(next);
}

}  // namespace weir::service
