// SPDX-License-Identifier: BSD-2-Clause
//
// The exploration of paths. Where paths meet, the state is compared with those that came by before:
//   one that is explored to the end and covers it ends the path;
//   one that is still being explored and is the same means a loop in which nothing changes.
#include "engine/checker.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "engine/engine.h"
#include "engine/liveness.h"
#include "engine/map.h"
#include "engine/transfer.h"

namespace weir::engine {
namespace {

class Exploration {
 public:
  Exploration(Code& code, Keep keep, std::uint64_t most, std::uint64_t& processed)
      : code_(code),
        keep_(keep),
        most_(most),
        processed_(processed),
        transfer_(code),
        live_(compute_liveness(code)),
        points_(code.operations.size()) {}

  Status run() {
    find_meeting_points();
    for (std::size_t i = 0; i < code_.functions.size(); ++i) {
      if (i == 0 || code_.functions[i].global != nullptr) WEIR_CHECK(explore(i));
    }
    return transfer_.stacks();
  }

 private:
  static constexpr std::uint32_t none = 0xffffffff;

  // A state that was kept for comparison.
  struct Checkpoint {
    State state;
    std::uint32_t at = 0;
    std::uint64_t fingerprint = 0;
    std::uint32_t origin = none;   // the checkpoint that the path passed before
    std::uint32_t unfinished = 1;  // paths and checkpoints right behind it that are not done
    std::uint32_t misses = 0;
    std::uint32_t hits = 0;
    std::vector<Step> steps;  // from `origin` to here
    Needed needed;            // the numbers that paths from here on rested on
  };

  // An operation where paths meet, and the checkpoints there.
  struct Point {
    bool meets = false;
    std::uint32_t arrivals = 0;
    std::vector<std::uint32_t> explored;                            // to the end
    std::unordered_multimap<std::uint64_t, std::uint32_t> current;  // by fingerprint; the others
  };
  // In a loop of so many rounds only every so many rounds are kept.
  static constexpr std::size_t long_loop = 1024;
  static constexpr std::uint32_t long_loop_step = 64;
  static constexpr std::size_t longest_stretch = 256;  // operations
  static constexpr std::size_t most_waiting = 8000;

  struct Path {
    State state;
    std::uint32_t at = 0;
    std::uint32_t origin = none;
    std::vector<Step> steps;  // since `origin`
  };

  // All paths from the start of the program, or of a function that is checked apart
  // (do_check_subprogs()).
  Status explore(std::size_t function) {
    path_ = {.state = transfer_.start(function), .at = code_.functions[function].start};
    for (;;) {
      WEIR_TRY(ended, advance());
      if (!ended) continue;
      release(path_.origin);
      if (pending_.empty()) return {};
      path_ = std::move(pending_.back());
      pending_.pop_back();
    }
  }

  void find_meeting_points() {
    std::vector<std::uint32_t> arrivals(code_.operations.size());
    for (std::uint32_t at = 0; at < code_.operations.size(); ++at) {
      const Operation& operation = code_.operations[at];
      if (falls_through(operation)) ++arrivals[at + 1];
      // Where the paths through a function come back.
      if (form(operation) == isa::Form::call_local) points_[at + 1].meets = true;
      if (is_loop(operation)) points_[at].meets = true;
      if (!isa::is_jump(operation.opcode)) continue;
      ++arrivals[operation.target];
      // mark_prune_point() in kernel/bpf/verifier.c
      if (keep_ == Keep::as_kernel) {
        points_[operation.target].meets = true;
        if (falls_through(operation)) points_[at].meets = true;
      }
      // A loop back to where nothing else arrives would never be noticed.
      if (operation.target <= at) points_[operation.target].meets = true;
    }
    // Where nothing meets for long, as in a list of thousands of plain rules, the steps since the
    // last checkpoint would be copied at every fork.
    for (std::size_t at = 0; at < arrivals.size(); ++at) {
      if (arrivals[at] > 1 || at % longest_stretch == longest_stretch - 1) points_[at].meets = true;
    }
  }

  // Whether the path ended with this operation.
  Result<bool> advance() {
    Operation& operation = code_.operations[path_.at];
    if (points_[path_.at].meets) {
      WEIR_TRY(known, compare(operation));
      if (known) return true;
    }
    if (++processed_ > most_) {
      return refuse(code_, operation,
                    "is the " + std::to_string(processed_) +
                        "th processed over all paths, expected at most " + std::to_string(most_));
    }
    if (isa::is_jump(operation.opcode) || operation.function != nullptr) ++jumps_;
    switch (form(operation)) {
      case isa::Form::exit:
        return leave(operation);
      case isa::Form::call_local:
        if (const LocalFunction& callee = code_.functions[function_of(code_, operation.target)];
            callee.global != nullptr) {
          WEIR_CHECK(transfer_.call_global(path_.state, operation, callee));
          trace_back(transfer_.needed());
          path_.steps.push_back({.operation = path_.at, .way = Step::Way::past});
          ++path_.at;
          return false;
        }
        path_.steps.push_back({.operation = path_.at});
        WEIR_CHECK(transfer_.enter(path_.state, operation, path_.at + 1, live_[operation.target],
                                   live_[path_.at + 1]));
        path_.at = operation.target;
        return false;
      case isa::Form::jump:
      case isa::Form::jump_long:
        path_.at = operation.target;
        return false;
      case isa::Form::jump_imm:
      case isa::Form::jump_reg:
        return fork(operation);
      case isa::Form::call_helper:
        if (is_loop(operation)) return loop(operation);
        [[fallthrough]];
      default: {
        const Step step = step_of(path_.state, operation, path_.at);
        WEIR_CHECK(transfer_.step(path_.state, operation));
        trace_back(transfer_.needed());
        path_.steps.push_back(step);
        ++path_.at;
        return false;
      }
    }
  }

  Result<bool> leave(const Operation& operation) {
    if (path_.state.callers.empty()) {
      WEIR_CHECK(transfer_.exit(path_.state, operation));
      trace_back(transfer_.needed());
      return true;
    }
    const bool to_loop = path_.state.callers.back().looping;
    if (to_loop) {
      WEIR_CHECK(transfer_.end_callback(path_.state, operation));
      trace_back(transfer_.needed());
    }
    path_.steps.push_back(
        {.operation = path_.at, .way = to_loop ? Step::Way::out_of_callback : Step::Way::usual});
    path_.at = path_.state.callers.back().return_to;
    if (to_loop) {
      Transfer::leave_callback(path_.state);
    } else {
      WEIR_CHECK(transfer_.leave(path_.state, operation));
    }
    return false;
  }

  static bool is_loop(const Operation& operation) {
    return operation.function != nullptr && calls_back(operation.function->id);
  }

  // bpf_loop(), bpf_for_each_map_elem(): one way goes into the callback, which comes back here;
  // another one goes on, after any number of rounds.
  Result<bool> loop(Operation& operation) {
    Path inside = path_;
    WEIR_CHECK(transfer_.step(path_.state, operation));
    trace_back(transfer_.needed());
    const std::uint32_t callback = inside.state.registers[2].object;
    WEIR_CHECK(transfer_.enter_callback(inside.state, operation, path_.at, live_[path_.at]));
    inside.steps.push_back({.operation = path_.at, .way = Step::Way::into_callback});
    inside.at = callback;
    path_.state.rounds = 0;
    path_.steps.push_back({.operation = path_.at});
    ++path_.at;
    if (path_.origin != none) ++checkpoints_[path_.origin].unfinished;
    pending_.push_back(std::exchange(path_, std::move(inside)));
    return false;
  }

  Result<bool> fork(const Operation& operation) {
    const Step step = step_of(path_.state, operation, path_.at);
    WEIR_TRY(branches, transfer_.branch(path_.state, operation));
    trace_back(transfer_.needed());
    path_.steps.push_back(step);
    if (!branches.taken && !branches.not_taken) return true;
    if (!branches.not_taken) {
      path_.state = std::move(*branches.taken);
      path_.at = operation.target;
      return false;
    }
    if (branches.taken) {
      if (path_.origin != none) ++checkpoints_[path_.origin].unfinished;
      // Nor does the verifier let more paths wait (BPF_COMPLEXITY_LIMIT_JMP_SEQ).
      if (keep_ == Keep::as_kernel && pending_.size() >= most_waiting) processed_ = most_;
      pending_.push_back({std::move(*branches.taken), operation.target, path_.origin, path_.steps});
    }
    path_.state = std::move(*branches.not_taken);
    ++path_.at;
    return false;
  }

  // Whether an earlier path has done this one's work.
  Result<bool> compare(const Operation& operation) {
    forget_dead(path_.state, live_[path_.at]);
    Point& point = points_[path_.at];
    if (is_explored(point)) return true;
    if (path_.state.rounds > 0 && is_loop(operation)) {
      widen_round();
      if (is_another_round(point)) return true;
    }
    const std::uint64_t mark = fingerprint(path_.state);
    const auto [first, last] = point.current.equal_range(mark);
    for (auto at = first; at != last; ++at) {
      const State& earlier = checkpoints_[at->second].state;
      if (!same(earlier, path_.state)) continue;
      // Rounds of a loop with a callback are bounded when it runs.
      if (!same_rounds(earlier, path_.state)) {
        trace_back(everything());
        return true;
      }
      return refuse(code_, operation,
                    "is reached again with nothing changed, expected a loop that ends");
    }
    if (keep_ == Keep::as_kernel && !kernel_keeps()) return false;
    if (point.current.size() > long_loop && ++point.arrivals % long_loop_step != 0) return false;
    const auto index = static_cast<std::uint32_t>(checkpoints_.size());
    point.current.emplace(mark, index);
    checkpoints_.push_back({.state = path_.state,
                            .at = path_.at,
                            .fingerprint = mark,
                            .origin = path_.origin,
                            .steps = std::exchange(path_.steps, {})});
    path_.origin = index;
    return false;
  }

  // is_state_visited(): no state so soon behind the last one.
  bool kernel_keeps() {
    constexpr std::uint64_t least_jumps = 2;
    constexpr std::uint64_t least_instructions = 8;
    if (jumps_ - kept_jumps_ < least_jumps || processed_ - kept_processed_ < least_instructions) {
      return false;
    }
    kept_jumps_ = jumps_;
    kept_processed_ = processed_;
    return true;
  }

  // What still changes after so many rounds of a loop with a callback may become anything; else a
  // number that grows would be followed round by round.
  void widen_round() {
    constexpr std::uint32_t exact_rounds = 16;
    if (path_.state.rounds <= exact_rounds) return;
    for (std::uint32_t at = path_.origin; at != none; at = checkpoints_[at].origin) {
      const Checkpoint& earlier = checkpoints_[at];
      if (earlier.at != path_.at || earlier.state.depth() != path_.state.depth()) continue;
      widen(path_.state, earlier.state);
      return;
    }
  }

  // Whether a round that is being explored covers this one, in every number: what will be needed of
  // it is not known yet.
  bool is_another_round(const Point& point) {
    for (const auto& [mark, index] : point.current) {
      if (!covers(checkpoints_[index].state, path_.state, everything())) continue;
      trace_back(everything());
      return true;
    }
    return false;
  }

  bool is_explored(Point& point) {
    for (std::size_t i = point.explored.size(); i-- > 0;) {
      Checkpoint& earlier = checkpoints_[point.explored[i]];
      if (covers(earlier.state, path_.state, earlier.needed)) {
        ++earlier.hits;
        trace_back(earlier.needed);
        return true;
      }
      // One that never helps costs time at each arrival.
      if (++earlier.misses > earlier.hits * 3 + 64) {
        earlier.state = {};
        point.explored.erase(point.explored.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    return false;
  }

  void trace_back(const Parts& needed) {
    if (needed == Parts{}) return;
    Needed frames(path_.state.callers.size() + 1);
    frames.back() = needed;
    trace_back(std::move(frames));
  }

  // Marks what these numbers, at the end of the path, were computed from, in every checkpoint that
  // the path passed.
  void trace_back(Needed needed) {
    needed.resize(path_.state.callers.size() + 1);
    const auto nothing = [&] { return std::ranges::count(needed, Parts{}) == std::ssize(needed); };
    const std::vector<Step>* steps = &path_.steps;
    std::uint32_t checkpoint = path_.origin;
    for (;;) {
      for (std::size_t i = steps->size(); i-- > 0 && !nothing();) {
        const Step& step = (*steps)[i];
        trace_step(code_.operations[step.operation], step, needed);
      }
      if (checkpoint == none || nothing()) return;
      Checkpoint& passed = checkpoints_[checkpoint];
      passed.needed.resize(needed.size());
      for (std::size_t i = 0; i < needed.size(); ++i) {
        // What was marked before was traced on before.
        needed[i] = without(needed[i], passed.needed[i]);
        passed.needed[i] = passed.needed[i] | needed[i];
      }
      steps = &passed.steps;
      checkpoint = passed.origin;
    }
  }

  // A path, or all paths behind a checkpoint, came to an end.
  void release(std::uint32_t checkpoint) {
    while (checkpoint != none && --checkpoints_[checkpoint].unfinished == 0) {
      Checkpoint& done = checkpoints_[checkpoint];
      Point& point = points_[done.at];
      auto [at, last] = point.current.equal_range(done.fingerprint);
      while (at != last && at->second != checkpoint) ++at;
      invariant(at != last, "checker: a checkpoint that was lost");
      point.current.erase(at);
      point.explored.push_back(checkpoint);
      done.steps = {};
      checkpoint = done.origin;
    }
  }

  Code& code_;
  Keep keep_;
  std::uint64_t most_;
  std::uint64_t& processed_;
  std::uint64_t jumps_ = 0;  // calls among them
  std::uint64_t kept_jumps_ = 0;
  std::uint64_t kept_processed_ = 0;
  Transfer transfer_;
  std::vector<Parts> live_;
  std::vector<Point> points_;  // by operation
  std::deque<Checkpoint> checkpoints_;
  std::vector<Path> pending_;
  Path path_;
};

}  // namespace

Status check_paths(Code& code, std::uint64_t most, std::uint64_t& processed, Keep keep) {
  processed = 0;
  return Exploration(code, keep, most, processed).run();
}

Status check(const isa::Object& object, std::size_t index) {
  for (const isa::MapSpec& map : object.maps) WEIR_CHECK(check_spec(map));
  WEIR_TRY(code, decode(object, index));
  std::uint64_t processed = 0;
  return check_paths(code, processed_limit, processed);
}

Result<Walk> walk(const isa::Object& object, std::size_t index, std::uint64_t most) {
  for (const isa::MapSpec& map : object.maps) WEIR_CHECK(check_spec(map));
  WEIR_TRY(code, decode(object, index));
  std::uint64_t processed = 0;
  const Status checked = check_paths(code, most, processed, Keep::as_kernel);
  if (processed > most) return Walk{.instructions = most, .complete = false};
  WEIR_CHECK(checked);
  return Walk{.instructions = processed, .complete = true};
}

}  // namespace weir::engine
