// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/amend.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace weir::frontend::nft {
namespace {

// Takes the next word off the text.
std::string_view next_word(std::string_view& text) {
  constexpr std::string_view space = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(space));
  text.remove_prefix(word.size());
  return word;
}

// Names that are not put in quotes, nor stand for something else.
bool is_plain_name(std::string_view word) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  return !word.empty() && letters.find(word.front()) != std::string_view::npos &&
         std::ranges::all_of(word, [&](char c) {
           return letters.find(c) != std::string_view::npos || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.';
         });
}

std::optional<RuleCommand::Verb> verb_of(std::string_view word) {
  using Verb = RuleCommand::Verb;
  if (word == "add") return Verb::add;
  if (word == "insert") return Verb::insert;
  if (word == "replace") return Verb::replace;
  if (word == "delete") return Verb::remove;
  return std::nullopt;
}

std::optional<RuleCommand::Place> place_of(std::string_view word) {
  if (word == "handle" || word == "position") return RuleCommand::Place::handle;
  if (word == "index") return RuleCommand::Place::index;
  return std::nullopt;
}

// Rules that replace others, and those that go, are known by a handle alone.
bool is_sound(const RuleCommand& command) {
  using Verb = RuleCommand::Verb;
  const bool by_handle = command.place == RuleCommand::Place::handle;
  switch (command.verb) {
    case Verb::add:
    case Verb::insert:
      return !command.statements.empty();
    case Verb::replace:
      return by_handle && !command.statements.empty();
    case Verb::remove:
      return by_handle && command.statements.empty();
  }
  return false;
}

// The rules of a chain while commands change it.
struct Line {
  std::vector<imr::RuleId> rules;
  std::vector<imr::RuleId> fresh;  // those of the part
  std::size_t used = 0;            // of them
};

class Amendment {
 public:
  Amendment(imr::Ruleset& ruleset, std::size_t first_new) : ruleset_(ruleset) {
    lines_.resize(ruleset.chains.size());
    for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
      const imr::ChainId id(i);
      const imr::Chain& chain = ruleset[id];
      const imr::Table& table = ruleset[chain.table];
      chains_[{table.family, table.name, chain.name}] = id;
      for (const imr::RuleId rule : chain.rules) {
        (rule.index() < first_new ? lines_[i].rules : lines_[i].fresh).push_back(rule);
      }
    }
  }

  bool run(const RuleCommand& command) {
    const auto chain = chains_.find({command.family, command.table, command.chain});
    if (chain == chains_.end()) return false;
    Line& line = lines_[chain->second.index()];
    const auto at = find(line, command);
    if (!at) return false;
    const auto place = line.rules.begin() + static_cast<std::ptrdiff_t>(*at);
    if (command.verb == RuleCommand::Verb::remove) {
      line.rules.erase(place);
      return true;
    }
    if (line.used == line.fresh.size()) return false;
    const imr::RuleId rule = line.fresh[line.used++];
    std::uint64_t& spared = spared_[ruleset_[chain->second].table];
    ruleset_[rule].origin.handle -= spared;
    if (command.verb != RuleCommand::Verb::replace) {
      line.rules.insert(place, rule);
      return true;
    }
    // It takes the handle as well (nf_tables_newrule() in net/netfilter/nf_tables_api.c), where
    // one that is added takes a new one.
    ruleset_[rule].origin.handle = command.number;
    ++spared;
    *place = rule;
    return true;
  }

  // Chain by chain, as in a dump; without rules and counters that nobody has any more.
  bool finish() {
    SharedList<imr::Rule> before = std::exchange(ruleset_.rules, {});
    std::vector<imr::Rule>& rules = before.edit();
    const SharedList<imr::CounterState> counters = std::exchange(ruleset_.counters, {});
    std::map<imr::CounterId, imr::CounterId> shared;  // those with names
    for (imr::Chain& chain : ruleset_.chains) chain.rules.clear();
    for (const Line& line : lines_) {
      if (line.used != line.fresh.size()) return false;
      for (const imr::RuleId id : line.rules) {
        imr::Rule& rule = rules.at(id.index());
        const auto place = [&](imr::CounterId& counter) {
          imr::CounterState state = counters.at(counter.index());
          imr::CounterId& known = shared[state.name.empty() ? imr::CounterId() : counter];
          if (state.name.empty() || !known.valid()) {
            state.rule = imr::RuleId(ruleset_.rules.size());
            known = ruleset_.add(state);
          }
          counter = known;
        };
        for (imr::Statement& statement : rule.statements.edit()) {
          if (auto* counter = std::get_if<imr::Counter>(&statement)) place(counter->counter);
          auto* choice = std::get_if<imr::Choice>(&statement);
          if (choice != nullptr) std::ranges::for_each(choice->counters.edit(), place);
        }
        ruleset_.add(std::move(rule));
      }
    }
    return true;
  }

 private:
  [[nodiscard]] std::optional<std::size_t> find(const Line& line,
                                                const RuleCommand& command) const {
    return wanted_place(
        command, line.rules.size(), [&](std::uint64_t handle) -> std::optional<std::size_t> {
          const auto found = std::ranges::find_if(
              line.rules, [&](imr::RuleId id) { return ruleset_[id].origin.handle == handle; });
          if (found == line.rules.end()) return std::nullopt;
          return static_cast<std::size_t>(found - line.rules.begin());
        });
  }

  imr::Ruleset& ruleset_;
  std::vector<Line> lines_;  // of the chains
  std::map<std::tuple<Family, std::string, std::string>, imr::ChainId> chains_;
  std::map<imr::TableId, std::uint64_t> spared_;  // handles that rules took in the part alone
};

}  // namespace

std::optional<RuleCommand> parse_rule_command(std::string_view command) {
  RuleCommand out;
  const auto verb = verb_of(next_word(command));
  if (!verb || next_word(command) != "rule") return std::nullopt;
  out.verb = *verb;
  std::string_view word = next_word(command);
  if (const auto family = parse_family(word)) {
    out.family = *family;
    word = next_word(command);
  }
  const std::string_view chain = next_word(command);
  if (!is_plain_name(word) || !is_plain_name(chain)) return std::nullopt;
  out.table = word;
  out.chain = chain;
  std::string_view rest = command;
  if (const auto place = place_of(next_word(rest))) {
    out.place = *place;
    const std::string number(next_word(rest));
    const char* const end = number.data() + number.size();
    const auto [last, error] = std::from_chars(number.data(), end, out.number);
    if (number.empty() || error != std::errc() || last != end) return std::nullopt;
    command = rest;
  }
  command.remove_prefix(std::min(command.find_first_not_of(" \t"), command.size()));
  out.statements = command;
  if (!is_sound(out)) return std::nullopt;
  return out;
}

std::string command_in_part(const RuleCommand& command) {
  if (command.verb == RuleCommand::Verb::remove) return {};
  return "add rule " + std::string(to_string(command.family)) + " " + command.table + " " +
         command.chain + " " + command.statements;
}

std::optional<std::size_t> wanted_place(
    const RuleCommand& command, std::size_t rules,
    const std::function<std::optional<std::size_t>(std::uint64_t handle)>& find) {
  const bool adds = command.verb == RuleCommand::Verb::add;
  std::optional<std::size_t> at;
  switch (command.place) {
    case RuleCommand::Place::none:
      return adds ? rules : 0;
    case RuleCommand::Place::handle:
      at = find(command.number);
      break;
    case RuleCommand::Place::index:
      at = command.number;
      break;
  }
  if (!at || *at >= rules) return std::nullopt;
  return adds ? *at + 1 : *at;
}

bool amend(imr::Ruleset& ruleset, std::size_t first_new, std::span<const RuleCommand> commands) {
  Amendment amendment(ruleset, first_new);
  return std::ranges::all_of(commands,
                             [&](const RuleCommand& one) { return amendment.run(one); }) &&
         amendment.finish();
}

}  // namespace weir::frontend::nft
