// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/rule_reader.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "frontend/nft/amend.h"
#include "frontend/nft/arrival.h"
#include "frontend/nft/division.h"
#include "frontend/nft/expressions.h"
#include "frontend/nft/interface_index.h"
#include "frontend/nft/jumps.h"
#include "frontend/nft/parts.h"
#include "frontend/nft/scratch.h"
#include "frontend/nft/script_tokens.h"
#include "frontend/nft/source_lines.h"

namespace weir::frontend::nft {
namespace {

// Rules are found by handles in a list of them, which is not to be made of any number.
constexpr std::uint64_t greatest_handle = 1U << 27;

// Room for so many more, so that lists of a million items are not moved while somebody waits.
constexpr std::size_t room_for_more = 1U << 14;

template <typename List>
void make_room(List& list) {
  list.reserve(list.size() + list.size() / 8 + room_for_more);
}

// One statement, which says all by itself.
bool stands_alone(const std::string& statements) {
  return std::ranges::all_of(tokenize(statements), [](const Token& token) {
    return token.kind != Token::Kind::end && (token.quoted || !token.text.starts_with('$'));
  });
}

// The commands that change rules, of those behind a script; no value where others than these and
// those that change elements are among them.
std::optional<std::vector<RuleCommand>> rule_commands(const std::vector<std::string>& commands) {
  std::vector<RuleCommand> out;
  for (const std::string& command : commands) {
    if (command.starts_with("add element ") || command.starts_with("delete element ")) continue;
    auto rule = parse_rule_command(command);
    if (!rule) return std::nullopt;
    out.push_back(std::move(*rule));
  }
  return out;
}

// Chains that come and go with rules ("jump { ... }") have such names.
bool has_unnamed_chains(const imr::Ruleset& ruleset) {
  return std::ranges::any_of(
      ruleset.chains, [](const imr::Chain& chain) { return chain.name.starts_with("__chain"); });
}

// Elements of sets mean nothing to rules that name the set, and take time to list.
std::string without_elements(const imr::Ruleset& ruleset) {
  std::string out;
  for (const imr::Set& set : ruleset.sets) {
    if (set.anonymous) continue;
    const imr::Table& table = ruleset[set.table];
    out += std::string(set.is_verdict_map || set.is_data_map() ? "flush map " : "flush set ") +
           std::string(to_string(table.family)) + " " + table.name + " " + set.name + "\n";
  }
  return out;
}

// What a ruleset had of what rules refer to; it is made so again unless they are kept.
class Draft {
 public:
  Draft(imr::Ruleset& ruleset, ExpressionPool& expressions)
      : ruleset_(ruleset),
        expressions_(expressions),
        sets_(ruleset.sets.size()),
        counters_(ruleset.counters.size()),
        meters_(ruleset.meters.size()),
        exprs_(ruleset.exprs.size()) {}
  ~Draft() {
    if (kept_) return;
    const auto shrink = [](auto& list, std::size_t size) {
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(size), list.end());
    };
    shrink(ruleset_.sets, sets_);
    if (ruleset_.counters.size() > counters_) shrink(ruleset_.counters.edit(), counters_);
    if (ruleset_.meters.size() > meters_) shrink(ruleset_.meters.edit(), meters_);
    expressions_.shrink(ruleset_, exprs_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  void keep() { kept_ = true; }

 private:
  imr::Ruleset& ruleset_;
  ExpressionPool& expressions_;
  std::size_t sets_;
  std::size_t counters_;
  std::size_t meters_;
  std::size_t exprs_;
  bool kept_ = false;
};

}  // namespace

class RuleReader::Keeper {
 public:
  Keeper(ScratchNamespace scratch, imr::Ruleset& ruleset)
      : scratch_(std::move(scratch)),
        expressions_(ruleset),
        jumps_(ruleset),
        tables_(ruleset.tables.size()) {
    for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
      const imr::Chain& chain = ruleset.chains[i];
      const imr::Table& table = ruleset[chain.table];
      chains_[{table.family, table.name, chain.name}] = imr::ChainId(i);
    }
    for (std::size_t i = 0; i < ruleset.sets.size(); ++i) {
      const imr::Set& set = ruleset.sets[i];
      if (!set.anonymous) {
        sets_[{set.table, set.name}] = imr::SetId(i);
        continue;
      }
      const auto [stem, number] = split_name(set.name);
      std::uint64_t& next = next_names_[{set.table, stem}];
      next = std::max(next, number + 1);
    }
    make_room(ruleset.rules.edit());
    make_room(ruleset.counters.edit());
    make_room(ruleset.sets);
    make_room(ruleset.exprs);
  }

  // Loads the script, and finds out which handles its tables give next.
  bool start(const std::string& script, const std::vector<RuleCommand>& commands,
             imr::Ruleset& ruleset) {
    return load(script, ruleset) && know_rules(ruleset) && know_last(commands, ruleset);
  }

  std::optional<imr::RuleEdit> change(imr::Ruleset& ruleset, const std::string& text) {
    const auto command = parse_rule_command(text);
    if (!command || !stands_alone(command->statements)) return std::nullopt;
    const auto chain = chains_.find({command->family, command->table, command->chain});
    if (chain == chains_.end()) return std::nullopt;
    imr::RuleEdit edit{.chain = chain->second, .removed = {}, .added = {}};
    std::vector<imr::RuleId>& rules = ruleset[edit.chain].rules;
    const auto at = wanted_place(*command, rules.size(), [&](std::uint64_t handle) {
      return find(ruleset, edit.chain, handle);
    });
    if (!at) return std::nullopt;
    const auto place = rules.begin() + static_cast<std::ptrdiff_t>(*at);
    using Verb = RuleCommand::Verb;
    if (command->verb == Verb::remove || command->verb == Verb::replace) edit.removed = *place;
    if (command->verb == Verb::remove) {
      forget(ruleset, *edit.removed);
      rules.erase(place);
      return edit;
    }
    edit.added = bring(ruleset, edit.chain, *command, edit.removed);
    if (!edit.added) return std::nullopt;
    if (edit.removed) {
      *place = *edit.added;
    } else {
      rules.insert(place, *edit.added);
    }
    return edit;
  }

 private:
  static constexpr std::uint64_t unknown = 0;
  struct Handles {
    std::uint64_t last = unknown;    // that the table gave
    std::vector<imr::RuleId> rules;  // by their handles
  };

  bool load(const std::string& script, const imr::Ruleset& ruleset) {
    const ScannedScript scanned = scan_script(script);
    if (!scanned.divisible) return false;
    Request request = {.script = Division(script, scanned.extents).without_rules(),
                       .json = false,
                       .links = ruleset.interfaces,
                       .commands = {},
                       .kind = Request::Kind::kept};
    std::erase_if(request.links, [](const imr::Interface& i) { return i.index == loopback_index; });
    request.commands.push_back(without_elements(ruleset));
    if (ask(request)) return true;
    // Maps of connections' helpers, say, which the IMR does not know for maps.
    request.commands.clear();
    return ask(request).has_value();
  }

  // No value where nft refuses, and where the process is of no use any more.
  std::optional<Answer> ask(const Request& request) {
    if (lost_) return std::nullopt;
    std::optional<Answer> answer = scratch_.send(request) ? scratch_.receive() : std::nullopt;
    lost_ = !answer || answer->outcome == Answer::Outcome::failed;
    if (lost_ || answer->outcome == Answer::Outcome::refused) return std::nullopt;
    return answer;
  }

  // By their handles.
  bool know_rules(const imr::Ruleset& ruleset) {
    for (const imr::Chain& chain : ruleset.chains) {
      Handles& handles = tables_[chain.table.index()];
      for (const imr::RuleId id : chain.rules) {
        const std::uint64_t handle = ruleset[id].origin.handle;
        if (handle == 0 || handle > greatest_handle) return false;
        handles.last = std::max(handles.last, handle);
        put(handles, handle, id);
      }
    }
    return true;
  }

  // The rule that a table got last is there, or a command took it away by its handle, or one with
  // the same handle took its place. Rules come behind all else that takes handles, except for the
  // sets without names of rules that replaced others since.
  bool know_last(const std::vector<RuleCommand>& commands, imr::Ruleset& ruleset) {
    using Verb = RuleCommand::Verb;
    std::map<imr::TableId, std::vector<const RuleCommand*>> replacing;
    for (const RuleCommand& command : commands) {
      const auto chain = chains_.find({command.family, command.table, command.chain});
      if (chain == chains_.end()) return false;
      const imr::TableId table = ruleset[chain->second].table;
      if (command.verb == Verb::add || command.verb == Verb::insert) {
        replacing[table].clear();
        continue;
      }
      std::uint64_t& last = tables_[table.index()].last;
      last = std::max(last, command.number);
      if (command.verb == Verb::replace) replacing[table].push_back(&command);
    }
    for (std::size_t i = 0; i < ruleset.chains.size(); ++i) know_first(ruleset, imr::ChainId(i));
    for (const auto& [table, those] : replacing) {
      std::uint64_t& last = tables_[table.index()].last;
      for (const RuleCommand* command : those) {
        const auto sets = sets_of(ruleset, *command);
        last = sets && last != unknown ? last + *sets : unknown;
      }
    }
    return true;
  }

  // What a table that never had a rule gave to chains and sets, from what it gives to a rule.
  void know_first(imr::Ruleset& ruleset, imr::ChainId chain) {
    const imr::Table& table = ruleset[ruleset[chain].table];
    Handles& handles = tables_[ruleset[chain].table.index()];
    if (handles.last != unknown) return;
    const Draft draft(ruleset, expressions_);
    const RuleCommand command{.family = table.family,
                              .table = table.name,
                              .chain = ruleset[chain].name,
                              .statements = "counter"};
    const auto arrival = arrive(ruleset, chain, command);
    if (arrival) handles.last = arrival->rule.origin.handle - 1;
  }

  std::optional<std::size_t> sets_of(imr::Ruleset& ruleset, const RuleCommand& command) {
    if (!stands_alone(command.statements)) return std::nullopt;
    if (!command.statements.contains('{')) return 0;
    const Draft draft(ruleset, expressions_);
    const auto arrival =
        arrive(ruleset, chains_.at({command.family, command.table, command.chain}), command);
    if (!arrival) return std::nullopt;
    return arrival->sets;
  }

  static void put(Handles& handles, std::uint64_t handle, imr::RuleId rule) {
    if (handles.rules.size() <= handle) handles.rules.resize(handle + handle / 8 + 1);
    handles.rules[handle] = rule;
  }

  // Where the rule stands in its chain.
  std::optional<std::size_t> find(const imr::Ruleset& ruleset, imr::ChainId chain,
                                  std::uint64_t handle) {
    const Handles& handles = tables_[ruleset[chain].table.index()];
    if (handle >= handles.rules.size() || !handles.rules[handle].valid()) return std::nullopt;
    const std::vector<imr::RuleId>& rules = ruleset[chain].rules;
    const auto found = std::ranges::find(rules, handles.rules[handle]);
    if (found == rules.end()) return std::nullopt;
    return static_cast<std::size_t>(found - rules.begin());
  }

  void forget(const imr::Ruleset& ruleset, imr::RuleId id) {
    const imr::Rule& rule = ruleset[id];
    jumps_.remove(ruleset, rule);
    tables_[ruleset[rule.chain].table.index()].rules.at(rule.origin.handle) = {};
  }

  // Adds the rule of the command to the ruleset, but not to its chain.
  std::optional<imr::RuleId> bring(imr::Ruleset& ruleset, imr::ChainId chain,
                                   const RuleCommand& command,
                                   const std::optional<imr::RuleId>& replaced) {
    Handles& handles = tables_[ruleset[chain].table.index()];
    if (handles.last == unknown) return std::nullopt;
    Draft draft(ruleset, expressions_);
    const std::size_t sets = ruleset.sets.size();
    auto arrival = arrive(ruleset, chain, command);
    if (!arrival) return std::nullopt;
    imr::Rule& rule = arrival->rule;
    // Such a rule is no part of what is changed in place.
    if (!imr::meters_of(ruleset, rule).empty()) return std::nullopt;
    if (replaced && unreadable(ruleset, sets)) return std::nullopt;
    const std::uint64_t fresh = handles.last + arrival->sets + 1;
    if (fresh > greatest_handle || !join(ruleset, rule, replaced)) return std::nullopt;
    // One that replaces another takes its handle (nf_tables_newrule() in
    // net/netfilter/nf_tables_api.c).
    rule.origin.handle = replaced ? command.number : fresh;
    handles.last = replaced ? fresh - 1 : fresh;
    know_loopback(ruleset, rule, sets);
    const imr::RuleId id(ruleset.rules.size());
    put(handles, rule.origin.handle, id);
    ruleset.rules.push_back(std::move(rule));
    draft.keep();
    return id;
  }

  // libnftables 1.0.6 ends its process over sets of intervals in rules that replace others
  // (interval_set_eval() in its evaluate.c): what it will not read again must not become one of the
  // commands.
  static bool unreadable(const imr::Ruleset& ruleset, std::size_t first_set) {
    return std::any_of(
        ruleset.sets.begin() + static_cast<std::ptrdiff_t>(first_set), ruleset.sets.end(),
        [](const imr::Set& set) { return set.interval && !set.has_interval_fields(); });
  }

  // Whether the rule can jump as it does among the others.
  bool join(const imr::Ruleset& ruleset, const imr::Rule& rule,
            const std::optional<imr::RuleId>& replaced) {
    if (replaced) jumps_.remove(ruleset, ruleset[*replaced]);
    jumps_.add(ruleset, rule);
    if (imr::targets(ruleset, rule).empty() || jumps_.sound()) return true;
    jumps_.remove(ruleset, rule);
    if (replaced) jumps_.add(ruleset, ruleset[*replaced]);
    return false;
  }

  // Other interfaces were made in the namespace, and nft refuses those that were not.
  static void know_loopback(imr::Ruleset& ruleset, const imr::Rule& rule, std::size_t first_set) {
    const bool named = names_interface(ruleset, rule, loopback_index) ||
                       std::any_of(ruleset.sets.begin() + static_cast<std::ptrdiff_t>(first_set),
                                   ruleset.sets.end(), [](const imr::Set& set) {
                                     return names_interface(set, loopback_index);
                                   });
    const bool known = std::ranges::any_of(
        ruleset.interfaces, [](const imr::Interface& i) { return i.index == loopback_index; });
    if (named && !known) ruleset.interfaces.push_back({"lo", loopback_index});
  }

  // The rule of the command by itself. What it refers to is added to the ruleset.
  std::optional<Arrival> arrive(imr::Ruleset& ruleset, imr::ChainId chain,
                                const RuleCommand& command) {
    const std::optional<imr::BaseChain>& base = ruleset[chain].base;
    if (base && base->type != "filter") return std::nullopt;
    const auto answer = ask({.script = {},
                             .json = false,
                             .links = {},
                             .commands = {command_in_part(command)},
                             .kind = Request::Kind::rule,
                             .chain = std::string(to_string(command.family)) + " " + command.table +
                                      " " + command.chain});
    if (!answer) return std::nullopt;
    const imr::TableId table = ruleset[chain].table;
    const ArrivalScope scope{.ruleset = ruleset,
                             .expressions = expressions_,
                             .chain = chain,
                             .find_set =
                                 [&](const std::string& name) {
                                   const auto found = sets_.find({table, name});
                                   return found == sets_.end() ? imr::SetId() : found->second;
                                 },
                             .find_chain =
                                 [&](const std::string& name) {
                                   const auto found =
                                       chains_.find({command.family, command.table, name});
                                   return found == chains_.end() ? imr::ChainId() : found->second;
                                 },
                             .name_of =
                                 [&](const std::string& name) {
                                   const std::string stem = split_name(name).first;
                                   return stem + std::to_string(next_names_[{table, stem}]++);
                                 }};
    return translate_arrival(answer->dump, answer->listing, scope);
  }

  ScratchNamespace scratch_;
  bool lost_ = false;  // the process in it
  ExpressionPool expressions_;
  Jumps jumps_;
  std::vector<Handles> tables_;
  std::map<ChainKey, imr::ChainId> chains_;
  std::map<std::pair<imr::TableId, std::string>, imr::SetId> sets_;  // with a name of the user's
  std::map<std::pair<imr::TableId, std::string>, std::uint64_t> next_names_;  // of the others
};

RuleReader::RuleReader(std::unique_ptr<Keeper> keeper) : keeper_(std::move(keeper)) {}
RuleReader::RuleReader(RuleReader&&) noexcept = default;
RuleReader& RuleReader::operator=(RuleReader&&) noexcept = default;
RuleReader::~RuleReader() = default;

std::optional<RuleReader> RuleReader::create(const std::string& script, const Options& options,
                                             imr::Ruleset& ruleset) {
  if (is_json(script) || has_reserved_names(ruleset) || has_unnamed_chains(ruleset)) {
    return std::nullopt;
  }
  const auto commands = rule_commands(options.commands);
  if (!commands) return std::nullopt;
  auto scratch = ScratchNamespace::create();
  if (!scratch) return std::nullopt;
  auto keeper = std::make_unique<Keeper>(std::move(*scratch), ruleset);
  if (!keeper->start(script, *commands, ruleset)) return std::nullopt;
  return RuleReader(std::move(keeper));
}

std::optional<imr::RuleEdit> RuleReader::change(imr::Ruleset& ruleset, const std::string& command) {
  return keeper_->change(ruleset, command);
}

}  // namespace weir::frontend::nft
