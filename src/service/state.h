// SPDX-License-Identifier: BSD-2-Clause
//
// What weir remembers of an installed policy: enough to list its rules as they were written, with
// live counters, to say what is attached where, and to take everything away again. One JSON file a
// policy; the programs, links and maps themselves are pinned in the BPF file system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "classify/structure.h"
#include "driver/compile.h"
#include "imr/imr.h"
#include "kernel/kernel.h"
#include "service/rule_state.h"
#include "service/set_state.h"

namespace weir::service {

// Where pins and state files live.
struct Paths {
  std::string bpffs = "/sys/fs/bpf";
  std::string state = "/run/weir";

  [[nodiscard]] std::string pins() const { return bpffs + "/weir"; }
  [[nodiscard]] std::string pins(const std::string& policy) const { return pins() + "/" + policy; }
  [[nodiscard]] std::string state_file(const std::string& policy) const {
    return state + "/" + policy + ".json";
  }
  // Rules that have come and gone since the state file was written: service/journal.h.
  [[nodiscard]] std::string journal(const std::string& policy) const {
    return state + "/" + policy + ".journal";
  }
  // Where the guard of a policy that waits for confirmation listens.
  [[nodiscard]] std::string guard_socket(const std::string& policy) const {
    return state + "/" + policy + ".guard";
  }
};

struct ChainState {
  Family family = Family::inet;
  std::string table;
  std::string name;
  std::optional<imr::BaseChain> base;
  std::vector<RuleState> rules;
  friend bool operator==(const ChainState&, const ChainState&) = default;
};

struct AttachmentState {
  Hook hook;                        // with its device or cgroup
  Nfproto nfproto = Nfproto::ipv4;  // of netfilter hooks
  std::int32_t priority = 0;        // of netfilter hooks
  std::string mode;                 // native or generic at XDP, tcx or filter at TC
  std::vector<std::string> chains;  // "inet filter forward"
  std::string program_name;
  std::uint32_t program_id = 0;
  std::uint32_t link_id = 0;
  std::optional<kernel::TcFilter> filter = {};  // at TC, where the kernel has no links for it
  bool defragments = false;                     // packets are reassembled before it
  std::uint32_t place = 0;                      // number in the names of pins: link_0, place_0
  // What is attached goes on in the program at the pinned place_N: netfilter links take no other.
  bool forwarded = false;
  friend bool operator==(const AttachmentState&, const AttachmentState&) = default;
};

struct MapState {
  std::string name;
  std::uint32_t id = 0;
  std::uint32_t value_size = 0;  // bytes
  std::string pin = {};          // in the policy's directory
  friend bool operator==(const MapState&, const MapState&) = default;
};

// A set that packets change, and which map it is in. Its elements are nowhere else.
struct DynamicSetState {
  std::uint32_t map = 0;  // number in PolicyState::maps
  std::string text;       // the set and its table as the IMR has them, without elements
  friend bool operator==(const DynamicSetState&, const DynamicSetState&) = default;
};

// How the elements of a set differ from those in the ruleset's text; as nft writes them.
struct ElementsState {
  Family family = Family::inet;
  std::string table;
  std::string set;
  std::vector<std::string> deleted;
  std::vector<std::string> added;  // after those are deleted
  friend bool operator==(const ElementsState&, const ElementsState&) = default;
};

// A change of a set that may have come to pass: written before the set's version bit, and taken
// out behind it.
struct PendingState {
  SetState set;
  std::uint32_t version = 0;            // the bit has this value if it did
  std::vector<ElementsState> elements;  // PolicyState::elements, if it did
  friend bool operator==(const PendingState&, const PendingState&) = default;
};

struct PolicyState {
  std::string name;
  std::string since;               // UTC, "2026-11-21T12:40:00Z"
  std::uint64_t namespace_id = 0;  // inode of the network namespace
  bool locked = false;             // weir changes it by force only; its maps are frozen
  // False from before the pins come into being until after: such a file without pins is of a policy
  // that waits for confirmation, or is a leftover of an apply that was killed.
  bool settled = true;
  std::int64_t confirm_by = 0;          // milliseconds of CLOCK_BOOTTIME; 0: needs no confirmation
  std::string source;                   // the ruleset's text, as given
  std::vector<std::string> commands;    // of nft, that have changed its rules since, in order
  std::vector<ElementsState> elements;  // what has changed in its sets since
  std::optional<PendingState> pending;  // see settle_elements()
  std::vector<ChainState> chains;
  std::vector<ChainState> unreached;  // by no attachment: rules that have counters, without text
  std::vector<AttachmentState> attachments;
  std::vector<MapState> maps;  // in the order of the object
  std::vector<SetState> sets;  // those whose elements may change
  std::vector<DynamicSetState> dynamic_sets;
  bool has_counters = false;       // the map `counters` is pinned
  std::uint32_t counter_room = 0;  // elements that it has
  // Pin of a map of counters that was full: what CounterState::carried had there counts as well.
  std::string old_counters;
  bool keeps_connections = false;  // a helper table switches connection tracking on
  // Whether rules read counts of connections, which are counted from then on; of what is not yet in
  // force, and not in the file.
  bool counts_connections = false;
  bool from_object = false;  // its programs come from a file that weir compile made
  // What long lists of rules are searched with, now and after each change, if that was asked for.
  std::optional<classify::Kind> classifier = {};
  std::uint32_t generation = 0;  // how often its programs have been exchanged; part of their pins
  // Of the programs, and of how their maps are made (fingerprint.h): what compiles to the same is
  // what runs.
  std::uint64_t fingerprint = 0;
  // Which lines of the journal come behind this state: those of the same number.
  std::uint64_t edition = 0;
  // None, or what is to stand in place of all this: programs are being exchanged (exchange.h).
  std::vector<PolicyState> next;
  friend bool operator==(const PolicyState&, const PolicyState&) = default;
};

// Names of pins in the policy's directory.
[[nodiscard]] std::string pin_name(const PolicyState& policy, std::string_view what);
[[nodiscard]] std::string program_pin(const PolicyState& policy, std::size_t program);
[[nodiscard]] std::string link_pin(const AttachmentState& attachment);
[[nodiscard]] std::string place_pin(const AttachmentState& attachment);

// 1 to 40 letters, digits, '_' or '-' (the BPF file system takes no dots in names).
[[nodiscard]] Status check_policy_name(std::string_view name);

// The chains that the attachments take or reach, table by table, with rules and counters.
[[nodiscard]] std::vector<ChainState> describe_chains(
    const imr::Ruleset& ruleset, const std::vector<driver::Attachment>& attachments);
[[nodiscard]] RuleState describe_rule(const imr::Ruleset& ruleset, imr::RuleId rule);
// See PolicyState::unreached.
[[nodiscard]] std::vector<ChainState> describe_unreached(
    const imr::Ruleset& ruleset, const std::vector<driver::Attachment>& attachments);
// What the policy's programs are attached as, by the chains that they name.
[[nodiscard]] std::vector<driver::Attachment> attachments_of(const PolicyState& policy,
                                                             const imr::Ruleset& ruleset);

// What makes the ruleset's text what it is now, in this order: its sets, then its rules.
[[nodiscard]] std::vector<std::string> change_commands(const PolicyState& policy);
// The ruleset's text with these commands behind it.
[[nodiscard]] std::string source_text(const PolicyState& policy);

[[nodiscard]] std::string to_json(const PolicyState& policy);
// `file` names the text in messages.
[[nodiscard]] Result<PolicyState> policy_from_json(std::string_view text, const std::string& file);

// The state file is replaced as a whole: a reader sees the old one or the new one, which has what
// the journal had, and the journal goes.
[[nodiscard]] Status save(const PolicyState& policy, const Paths& paths);
// With what the journal says of its rules. A policy that is not there is an input error that lists
// those that are.
[[nodiscard]] Result<PolicyState> load_policy(const std::string& name, const Paths& paths);
// Names of all policies, those included of which only pins are left; sorted.
[[nodiscard]] std::vector<std::string> policy_names(const Paths& paths);

}  // namespace weir::service
