// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/divided.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "frontend/nft/amend.h"
#include "frontend/nft/missing_links.h"
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/ruleset.h"
#include "frontend/nft/scratch.h"
#include "frontend/nft/wire.h"

namespace weir::frontend::nft {
namespace {

// As many processes as there are processors, within reason.
constexpr unsigned most_processes = 8;

struct Commands {
  std::vector<std::string> elements;  // of named sets, which are those of the first part
  std::vector<RuleCommand> rules;     // behind them
};

std::optional<Commands> sort_commands(const std::vector<std::string>& commands) {
  Commands out;
  for (const std::string& command : commands) {
    if (command.starts_with("add element ") || command.starts_with("delete element ")) {
      if (!out.rules.empty()) return std::nullopt;
      out.elements.push_back(command);
      continue;
    }
    auto rule = parse_rule_command(command);
    if (!rule) return std::nullopt;
    out.rules.push_back(std::move(*rule));
  }
  return out;
}

class Reader {
 public:
  Reader(const Division& division, const ScannedScript& scanned, const std::string& file,
         const Options& options, const Commands& commands)
      : division_(division),
        file_(file),
        options_(options),
        commands_(commands),
        builder_(scanned.places, file) {}

  std::optional<imr::Ruleset> run() {
    const std::size_t wanted = std::min<std::size_t>(
        std::clamp(std::thread::hardware_concurrency(), 1U, most_processes), division_.parts());
    links_told_.resize(wanted);
    for (std::size_t i = 0; i < wanted; ++i) {
      auto made = ScratchNamespace::create();
      if (!made) return std::nullopt;
      processes_.push_back(std::move(*made));
    }
    for (std::size_t i = 0; i < wanted; ++i) {
      if (!ask(i)) return std::nullopt;
    }
    for (std::size_t part = 0; part < division_.parts(); ++part) {
      if (!take(part)) return std::nullopt;
    }
    if (!commands_.rules.empty() && !change_rules()) return std::nullopt;
    auto ruleset = builder_.finish(links_);
    if (!ruleset) return std::nullopt;
    return std::move(*ruleset);
  }

 private:
  ScratchNamespace& process_of(std::size_t part) { return processes_[part % processes_.size()]; }

  [[nodiscard]] Request request_of(std::size_t part) const {
    return {.script = division_.part(part),
            .json = false,
            .links = links_,
            .commands = part == 0 ? commands_.elements : std::vector<std::string>()};
  }

  // A part more, with the rules of the commands only.
  [[nodiscard]] Request request_of_commands() const {
    Request request = {.script = division_.without_rules(),
                       .json = false,
                       .links = links_,
                       .commands = commands_.elements};
    for (const RuleCommand& command : commands_.rules) {
      std::string in_part = command_in_part(command);
      if (!in_part.empty()) request.commands.push_back(std::move(in_part));
    }
    return request;
  }

  bool change_rules() {
    for (;;) {
      const Request request = request_of_commands();
      if (!processes_.front().send(request)) return false;
      const std::optional<Answer> answer = processes_.front().receive();
      if (!answer || answer->outcome == Answer::Outcome::failed) return false;
      if (answer->outcome == Answer::Outcome::loaded) {
        return builder_.amend(answer->dump, answer->listing, commands_.rules).has_value();
      }
      const auto more = missing_links(parse_errors(answer->text, file_), request, options_);
      if (!more || more->empty()) return false;
      links_.insert(links_.end(), more->begin(), more->end());
    }
  }

  bool ask(std::size_t part) {
    links_told_[part % processes_.size()] = links_.size();
    return process_of(part).send(request_of(part));
  }

  // The rules of the part whose turn it is; its process gets the next one to do.
  bool take(std::size_t part) {
    for (;;) {
      const std::optional<Answer> answer = process_of(part).receive();
      if (!answer || answer->outcome == Answer::Outcome::failed) return false;
      if (answer->outcome == Answer::Outcome::refused) {
        if (!learn_links(part, answer->text) || !ask(part)) return false;
        continue;
      }
      const std::size_t next = part + processes_.size();
      if (next < division_.parts() && !ask(next)) return false;
      const std::size_t before = builder_.rules();
      return builder_.add(answer->dump, answer->listing).has_value() &&
             builder_.rules() - before == division_.rules_in(part);
    }
  }

  // Makes the interfaces that the part lacked known to it and to those behind it. False where it
  // has been told of them: something else is wrong with it.
  bool learn_links(std::size_t part, const std::string& messages) {
    const auto more = missing_links(parse_errors(messages, file_), request_of(part), options_);
    if (!more) return false;
    links_.insert(links_.end(), more->begin(), more->end());
    return links_.size() > links_told_[part % processes_.size()];
  }

  const Division& division_;
  const std::string& file_;
  const Options& options_;
  const Commands& commands_;
  RulesetBuilder builder_;
  std::vector<imr::Interface> links_;
  std::vector<std::size_t> links_told_;  // how many of them each process knows of
  std::vector<ScratchNamespace> processes_;
};

}  // namespace

std::optional<imr::Ruleset> read_divided(const Division& division, const ScannedScript& scanned,
                                         const std::string& file, const Options& options) {
  if (!options.divide) return std::nullopt;
  const auto commands = sort_commands(options.commands);
  if (!commands) return std::nullopt;
  return Reader(division, scanned, file, options, *commands).run();
}

}  // namespace weir::frontend::nft
