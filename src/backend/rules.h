// SPDX-License-Identifier: BSD-2-Clause
//
// Lowering of one root: its chain and those that it reaches, rule by rule.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "backend/builder.h"
#include "backend/lower.h"
#include "backend/meters.h"
#include "backend/run_search.h"
#include "backend/values.h"
#include "classify/runs.h"
#include "imr/imr.h"

namespace weir::backend {

class RootLowering {
 public:
  // `passed` is where a packet goes that this root lets through.
  RootLowering(Builder& out, const imr::Unit& unit, imr::ChainId root, const Profile& profile,
               const SharedMaps& shared, Headers headers, const Start& start, flow::BlockId passed,
               const LowerOptions& options);

  // Emits everything from the cursor on; ends the current block.
  void run();

 private:
  // A chain that several rules jump to exists once. A jump there leaves the number of its site in
  // `came_from`, and the chain's end goes on there.
  //
  // Where there are many such jumps, the chain ends in a `dispatch`, and the function is split: no
  // part sees where control comes back. Chains of one level (that many jumps between shared chains
  // lie before it, at most) never wait for one another, and have one register together.
  //
  // Where there are few, the end branches on the number. To the verifier it is an opaque one, or it
  // would walk the chain anew for each site. It is told just enough to see that the program ends:
  // the number is no smaller than that of the site, and no_site where the chain is not being
  // walked. So a return that it takes for possible leads to where it should, or to a later site of
  // the same chain, or into a chain that nothing has called, whose end leads nowhere; never back.
  struct SharedChain {
    flow::BlockId entry;
    flow::BlockId end;
    flow::Reg came_from;
    std::size_t level = 0;
    std::vector<flow::BlockId> sites;  // where each of them goes on
  };

  static constexpr std::uint64_t no_site = 1 << 20;

  void count_sites();
  void collect_needs();
  void find_levels();
  [[nodiscard]] bool reaches_shared(imr::ChainId chain);
  void chain_rules(imr::ChainId chain, flow::BlockId end);
  void rule(imr::RuleId id, flow::BlockId end);
  // Rules that are searched together.
  void run(std::span<const imr::RuleId> rules, flow::BlockId end);
  [[nodiscard]] std::vector<flow::Reg> run_key(const classify::Run& run, flow::BlockId never);
  [[nodiscard]] std::unique_ptr<RunSearch> search_of(const RunPlace& place,
                                                     std::span<const flow::Reg> key);
  void run_action(const RunPlace& place, RunSearch& search, flow::BlockId end, flow::BlockId next);
  // The tails of the rules that are met. Packets that one does not let through go on searching, or
  // to `next`.
  void run_tails(const classify::Run& run, RunSearch& search, flow::BlockId next);
  void trace_met(RunSearch& search);
  // Of code for one rule of a run: counts, traces and runs its tail, which is left for `fail`; what
  // ends it.
  void meet(const classify::RunAction& action, flow::BlockId fail);
  void end_run(const classify::RunAction& action, flow::BlockId end);
  void count(imr::CounterId counter);
  void count(flow::Reg counter);
  // Those of a list in a row whose numbers are in a row as well, and which are alike.
  struct Stretch {
    std::uint32_t first = 0;   // its place
    std::uint32_t number = 0;  // that of the first
  };
  void choose(const imr::Choice& choice, flow::BlockId fail);
  // What `emit` makes of the stretch that the place is in.
  void in_stretch(flow::Reg place, std::span<const Stretch> all,
                  const std::function<void(const Stretch&, flow::Reg number)>& emit);
  void gather(std::span<const imr::RuleId> rules, imr::ChainId chain);
  void shared_chains();
  void dispatch_ends();
  void branching_ends();

  // Whose statements they are. What is valid holds for the first meter, the first counter and the
  // logs, whatever numbers the statements have.
  struct Owner {
    imr::RuleId rule;
    flow::Reg rule_number;
    flow::Reg counter;
    std::optional<MeterPlace> meter = {};
    std::uint32_t logs = 0;  // so far
  };
  // Any but verdicts and maps to them. Goes on at the cursor, or at `fail`.
  void statement(const imr::Statement& statement, Owner& owner, flow::BlockId fail);
  void match(const imr::Match& match, flow::BlockId fail);
  void match(const imr::MatchRange& match, flow::BlockId fail);
  void match(const imr::MatchSet& match, flow::BlockId fail);
  void match_living(const imr::MatchSet& match, flow::BlockId fail);
  void strip(const imr::OptionStrip& strip, flow::BlockId fail);
  // Ends the block.
  void answer(const imr::Answer& answer);
  void send(flow::Op op, imr::ExprId device, flow::BlockId fail);
  void change(const imr::DynamicSet& change, flow::BlockId fail);
  // Ends the block: goes to `absent` without a value, else to where it is one of the set's or not.
  void search(const imr::Set& set, imr::ExprId value, flow::BlockId member, flow::BlockId stranger,
              flow::BlockId absent);
  [[nodiscard]] flow::Reg membership(const classify::RunField& field, flow::BlockId absent);
  // The continue verdicts of the map go on at the cursor; false when there are none.
  [[nodiscard]] bool verdict_map(const imr::VerdictMap& map, flow::BlockId next, flow::BlockId end);
  // Ends the block, but for `continue`.
  void verdict(const imr::Verdict& verdict, flow::BlockId next, flow::BlockId end);
  void call(imr::ChainId chain, flow::BlockId back);
  void trace(bool decided);
  void trace(std::uint32_t entry);

  Builder& out_;
  const imr::Unit& unit_;
  const imr::Ruleset& ruleset_;
  imr::ChainId root_;
  const Profile& profile_;
  const SharedMaps& maps_;
  const Start& start_;
  flow::BlockId passed_;
  flow::Reg network_;         // where the network header is; not valid where frames are not seen
  flow::BlockId answers_;     // where packets are answered; valid when some are
  flow::Reg told_;            // what the answer is
  flow::BlockId impossible_;  // valid with shared chains: where no packet gets
  imr::RuleId current_rule_;
  std::map<imr::ChainId, unsigned> site_count_;
  std::map<imr::ChainId, SharedChain> shared_;
  std::map<imr::ChainId, bool> reaches_shared_;
  bool dispatches_ = false;
  std::map<imr::ChainId, Demand> chain_needs_;  // of the chain and all that it reaches
  unsigned direct_returns_;
  std::size_t direct_rounds_;
  Demand demand_;
  Values values_;
};

}  // namespace weir::backend
