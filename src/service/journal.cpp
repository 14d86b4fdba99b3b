// SPDX-License-Identifier: BSD-2-Clause
#include "service/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::service {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

std::optional<std::uint64_t> handle_from(const ordered_json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<std::uint64_t>();
}

Result<JournalLine> line_from(const ordered_json& json) {
  WEIR_TRY(family, parse_family(json.at("family").get<std::string>()));
  JournalLine out = {.edition = json.at("edition"),
                     .command = json.at("command"),
                     .family = family,
                     .table = json.at("table"),
                     .chain = json.at("chain"),
                     .removed = handle_from(json.at("removed")),
                     .added = {},
                     .before = handle_from(json.at("before")),
                     .turn = {}};
  if (const ordered_json& added = json.at("added"); !added.is_null()) {
    out.added = rule_from_json(added);
  }
  const ordered_json& turn = json.at("turn");
  out.turn = {.map = turn.at("map"),
              .offset = turn.at("offset"),
              .size = turn.at("size"),
              .from = turn.at("from")};
  return out;
}

// A chain whose rules are found by their handles.
class OpenChain {
 public:
  explicit OpenChain(ChainState& chain)
      : chain_(chain),
        rules_(std::make_move_iterator(chain.rules.begin()),
               std::make_move_iterator(chain.rules.end())) {
    for (auto rule = rules_.begin(); rule != rules_.end(); ++rule) {
      by_handle_.emplace(rule->handle, rule);
    }
  }
  // False where the line does not fit.
  bool apply(const JournalLine& line) {
    if (line.removed) {
      const auto found = by_handle_.find(*line.removed);
      if (found == by_handle_.end()) return false;
      rules_.erase(found->second);
      by_handle_.erase(found);
    }
    if (!line.added) return true;
    auto behind = rules_.end();
    if (line.before) {
      const auto found = by_handle_.find(*line.before);
      if (found == by_handle_.end()) return false;
      behind = found->second;
    }
    const auto rule = rules_.insert(behind, *line.added);
    return by_handle_.emplace(rule->handle, rule).second;
  }
  void close() {
    chain_.rules.assign(std::make_move_iterator(rules_.begin()),
                        std::make_move_iterator(rules_.end()));
  }

 private:
  ChainState& chain_;
  std::list<RuleState> rules_;
  std::unordered_map<std::uint64_t, std::list<RuleState>::iterator> by_handle_;
};

class Replay {
 public:
  explicit Replay(PolicyState& policy) : policy_(policy) {}
  bool apply(const JournalLine& line) {
    const auto chain = std::ranges::find_if(policy_.chains, [&](const ChainState& each) {
      return each.family == line.family && each.table == line.table && each.name == line.chain;
    });
    if (chain == policy_.chains.end()) return false;
    const auto index = static_cast<std::size_t>(chain - policy_.chains.begin());
    if (!open_.try_emplace(index, *chain).first->second.apply(line)) return false;
    policy_.commands.push_back(line.command);
    return true;
  }
  void close() {
    for (auto& [index, chain] : open_) chain.close();
  }

 private:
  PolicyState& policy_;
  std::map<std::size_t, OpenChain> open_;
};

// Nothing where that cannot be found out.
std::optional<bool> has_turned(const TurnState& turn, const PolicyState& policy,
                               const Paths& paths) {
  if (turn.map >= policy.maps.size()) return std::nullopt;
  const MapState& state = policy.maps[turn.map];
  if (turn.offset + turn.size > state.value_size) return std::nullopt;
  const auto map = kernel::open_pinned(paths.pins(policy.name) + "/" + state.pin);
  if (!map) return std::nullopt;
  const auto value = kernel::read_element(*map, native_bytes(0, 4), state.value_size, false);
  if (!value) return std::nullopt;
  return load_native(ByteView(*value).subspan(turn.offset, turn.size)) != turn.from;
}

// The lines of one edition. What has no end is not written as a whole, or not yet.
class LineReader {
 public:
  LineReader(std::istream& in, std::uint64_t edition) : in_(in), edition_(edition) {}
  // Reads what there is; false if there was no line more.
  Result<bool> read() {
    bool more = false;
    in_.clear();
    for (std::string text; std::getline(in_, text);) {
      rest_ += text;
      if (in_.eof()) break;
      WEIR_TRY(line, journal_line(std::exchange(rest_, {})));
      if (line.edition == edition_) lines.push_back(std::move(line));
      more = true;
    }
    return more;
  }

  std::vector<JournalLine> lines;

 private:
  std::istream& in_;
  std::uint64_t edition_;
  std::string rest_;
};

}  // namespace

std::string to_json(const JournalLine& line) {
  const ordered_json json = {{"edition", line.edition},
                             {"command", line.command},
                             {"family", to_string(line.family)},
                             {"table", line.table},
                             {"chain", line.chain},
                             {"removed", or_null(line.removed)},
                             {"added", line.added ? to_json(*line.added) : ordered_json(nullptr)},
                             {"before", or_null(line.before)},
                             {"turn",
                              {{"map", line.turn.map},
                               {"offset", line.turn.offset},
                               {"size", line.turn.size},
                               {"from", line.turn.from}}}};
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<JournalLine> journal_line(std::string_view text) {
  try {
    return line_from(ordered_json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    return input_error(std::string("not a line of a journal of weir: ") + error.what());
  }
}

Result<Journal> Journal::create(const std::string& policy, const Paths& paths) {
  const std::string file = paths.journal(policy);
  Journal out;
  out.file_ =
      kernel::Fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  if (!out.file_.valid()) return system_error("creating " + file, errno);
  return out;
}

Status Journal::append(const JournalLine& line) {
  // The state is in memory (tmpfs), as the maps are: there is nothing to be written out.
  const std::string text = to_json(line);
  const ssize_t written = ::write(file_.get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return {};
  return system_error("writing to the journal", written < 0 ? errno : ENOSPC);
}

Status replay(std::istream& lines, PolicyState& policy, const Paths& paths) {
  LineReader reader(lines, policy.edition);
  WEIR_CHECK(reader.read());
  bool turned = true;
  // What the word says is of the line that is the last one then.
  for (bool more = true; more;) {
    turned =
        reader.lines.empty() || has_turned(reader.lines.back().turn, policy, paths).value_or(true);
    WEIR_TRY(grown, reader.read());
    more = grown;
  }
  if (reader.lines.empty()) return {};
  if (!turned) reader.lines.pop_back();
  Replay rules(policy);
  const bool fits =
      std::ranges::all_of(reader.lines, [&](const JournalLine& line) { return rules.apply(line); });
  rules.close();
  ++policy.edition;
  if (fits) return {};
  return input_error(paths.journal(policy.name) + " does not fit " + paths.state_file(policy.name));
}

}  // namespace weir::service
