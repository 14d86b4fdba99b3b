// SPDX-License-Identifier: BSD-2-Clause
#include "bench/contest.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "bench/clock.h"
#include "bench/updates.h"

namespace weir::bench {
namespace {

// Verdicts are compared by so many packets at a time, first by fewer: an engine may be slow. Each
// time takes the kernel some tens of milliseconds in which it waits (page_pool_destroy() and RCU).
constexpr std::uint32_t portion = 2048;
constexpr std::uint32_t first_portion = 256;
// Of an engine that is slow: how long it is checked, and how long a sample takes, at most, in ns.
constexpr double longest_check = 2e9;
constexpr double longest_sample = 100e6;
// Fewer in a sample would measure what sending itself costs.
constexpr std::uint32_t fewest_packets = 512;
constexpr std::uint32_t fewest_of_sample = 16384;  // of an engine that is not slow
constexpr int updates = 5;
constexpr int clock_samples = 3;
constexpr std::uint32_t clock_packets = 16384;
constexpr double largest_making_share = 0.9;

// The trace as it is sent, and what the rules make of it.
struct Traffic {
  Sender sender;
  std::vector<std::uint32_t> accepted;  // of the packets before each, and of all
  [[nodiscard]] std::uint32_t count() const {
    return static_cast<std::uint32_t>(accepted.size() - 1);
  }
  // Of a whole sample: all of the trace, a short one several times.
  [[nodiscard]] std::uint32_t sample() const {
    return (fewest_of_sample + count() - 1) / count() * count();
  }
  // Of `number` packets from one on, around the end.
  [[nodiscard]] std::uint32_t accepted_of(std::uint32_t first, std::uint32_t number) const {
    const std::uint32_t whole = number / count() * accepted.back();
    const std::uint32_t end = first + number % count();
    if (end <= count()) return whole + accepted[end] - accepted[first];
    return whole + accepted.back() - accepted[first] + accepted[end - count()];
  }
};

Result<Traffic> traffic_of(const Task& task) {
  WEIR_TRY(sender, Sender::create(FrameTrace(task.packets)));
  Traffic traffic{.sender = std::move(sender), .accepted = {0}};
  for (const bool accept : task.accepted) {
    traffic.accepted.push_back(traffic.accepted.back() + (accept ? 1 : 0));
  }
  return traffic;
}

struct Floor {
  Site site;
  bool program = false;  // of weir's, or of the kernel's own
  Wire accepting;
  Wire dropping;
  double accept_ns = 0;  // in this round
  double drop_ns = 0;
};

struct Subject {
  Engine engine;
  Site site;
  Hook hook;  // that it was made for first
  InForce in_force;
  std::size_t floor = 0;  // index
  std::string note;
  std::vector<std::string> insertions;  // of nft
  std::uint32_t checked = 0;
  std::uint32_t packets = 0;  // a sample
  std::vector<double> ns;
  std::vector<double> floors;
  std::vector<double> net;
  std::optional<double> update_ms;
  std::optional<double> swap_ms;
  bool updated_in_place = false;
};

// A row to be.
struct Place {
  Hook hook;
  std::size_t subject = 0;  // index
};

// A script as it is written stands where its own chains hook in.
bool can_carry_out(const Task& task, Engine engine, Site site) {
  return engine == Engine::weir || task.list.has_value() ||
         (engine == Engine::nft && site == Site::prerouting);
}

double in_ms(double seconds) {
  return seconds * 1e3;
}

}  // namespace

struct Contest::Impl {
  ContestOptions options;
  std::deque<Floor> floors;

  void tell(const std::string& what) const {
    if (options.progress) options.progress(what);
  }
  [[nodiscard]] Result<std::size_t> floor_for(Site site, Engine engine);
  // Of an engine that can carry the rules out there.
  [[nodiscard]] Result<Subject> put(Engine engine, Site site, const Hook& hook, const Task& task);
  [[nodiscard]] std::vector<Row> rows_of(const Task& task, const std::deque<Subject>& subjects,
                                         const std::vector<Place>& places,
                                         const Traffic& traffic) const;
  [[nodiscard]] Status check_clock(const Traffic& traffic) const;
  [[nodiscard]] Status check(Subject& subject, const Traffic& traffic) const;
  [[nodiscard]] Status one_round(std::deque<Subject>& subjects, const Traffic& traffic, int round);
  [[nodiscard]] Status sample_floor(Floor& floor, const Traffic& traffic, bool forth) const;
  [[nodiscard]] Status sample(Subject& subject, const Traffic& traffic, int round) const;
  [[nodiscard]] Status update(Subject& subject, const Task& task) const;
};

Result<std::size_t> Contest::Impl::floor_for(Site site, Engine engine) {
  const bool program = engine == Engine::weir;
  for (std::size_t i = 0; i < floors.size(); ++i) {
    if (floors[i].site == site && floors[i].program == program) return i;
  }
  WEIR_TRY(accepting, put_floor(site, engine, true));
  WEIR_TRY(dropping, put_floor(site, engine, false));
  floors.push_back({.site = site,
                    .program = program,
                    .accepting = std::move(accepting),
                    .dropping = std::move(dropping)});
  return floors.size() - 1;
}

Result<Subject> Contest::Impl::put(Engine engine, Site site, const Hook& hook, const Task& task) {
  tell(fmt::format("{}: loading {} at {}", task.name, to_string(engine), to_string(site)));
  WEIR_TRY(floor, floor_for(site, engine));
  const ChainPlace place = chain_place(site);
  std::string note;
  std::vector<std::string> insertions;
  const auto load = [&]() -> Result<InForce> {
    switch (engine) {
      case Engine::weir:
        return put_weir(task.script, hook, options.break_weir);
      case Engine::nft:
        if (!task.list) return put_nft(task.script.text, hook.device);
        insertions.assign(updates, nft_insertion(place));
        return put_nft(nft_text(*task.list, place), {});
      case Engine::nft_sets: {
        SetsText sets = nft_sets_text(*task.list, place);
        note = fmt::format("{} maps", sets.maps);
        insertions = std::move(sets.insertions);
        return put_nft(sets.text, {});
      }
      case Engine::iptables:
        return put_iptables(iptables_text(*task.list));
    }
    throw InvariantError("engine out of range");
  };
  WEIR_TRY(in_force, load());
  return Subject{.engine = engine,
                 .site = site,
                 .hook = hook,
                 .in_force = std::move(in_force),
                 .floor = floor,
                 .note = std::move(note),
                 .insertions = std::move(insertions)};
}

// What a wire costs is a softirq's work, which some kernels count as nobody's time.
Status Contest::Impl::check_clock(const Traffic& traffic) const {
  double shares = 0;  // of the floor, that making frames takes; the least
  for (int i = 0; i < clock_samples; ++i) {
    WEIR_TRY(made, traffic.sender.send_nowhere(clock_packets));
    WEIR_TRY(sent, traffic.sender.send(floors.front().dropping, 0, clock_packets));
    shares = i == 0 ? made / sent.ns : std::min(shares, made / sent.ns);
  }
  if (shares < largest_making_share) return {};
  return system_error(
      "the time of softirqs is no thread's here, and what packets take cannot be seen "
      "(CONFIG_IRQ_TIME_ACCOUNTING)");
}

Status Contest::Impl::check(Subject& subject, const Traffic& traffic) const {
  const Wire& wire = subject.in_force.wire;
  double time = 0;
  double last_ns = 0;  // a packet
  for (std::uint32_t first = 0; first < traffic.count() && time < longest_check;) {
    const std::uint32_t some = first == 0 || time > longest_check / 8 ? first_portion : portion;
    const std::uint32_t count = std::min(some, traffic.count() - first);
    WEIR_TRY(sent, traffic.sender.send(wire, first, count));
    const std::uint32_t expected = traffic.accepted_of(first, count);
    if (sent.accepted != expected) {
      return std::unexpected(Diagnostic{
          .kind = ErrorKind::partial,
          .message = fmt::format("{} at {} is wrong: of packets {} to {} it accepts {}, and the "
                                 "rules accept {}; nothing is measured of wrong answers",
                                 to_string(subject.engine), to_string(subject.site), first + 1,
                                 first + count, sent.accepted, expected)});
    }
    time += sent.ns;
    last_ns = sent.ns / count;
    first += count;
    subject.checked = first;
  }
  const double packets = longest_sample / std::max(last_ns, 1.0);
  subject.packets = packets >= traffic.sample()
                        ? traffic.sample()
                        : std::max(static_cast<std::uint32_t>(packets), fewest_packets);
  return {};
}

Status Contest::Impl::sample_floor(Floor& floor, const Traffic& traffic, bool forth) const {
  for (const bool accept : {forth, !forth}) {
    WEIR_TRY(sent,
             traffic.sender.send(accept ? floor.accepting : floor.dropping, 0, traffic.sample()));
    (accept ? floor.accept_ns : floor.drop_ns) = sent.ns / traffic.sample();
  }
  return {};
}

Status Contest::Impl::sample(Subject& subject, const Traffic& traffic, int round) const {
  const std::uint32_t count = subject.packets;
  // Slow engines see another part of the trace in each round.
  const auto first = static_cast<std::uint32_t>(
      std::uint64_t{count} * static_cast<std::uint64_t>(round) % traffic.count());
  WEIR_TRY(sent, traffic.sender.send(subject.in_force.wire, first, count));
  const std::uint32_t accepted = traffic.accepted_of(first, count);
  if (sent.accepted != accepted) {
    return std::unexpected(Diagnostic{
        .kind = ErrorKind::partial,
        .message = fmt::format("{} at {} is wrong: it accepts {} of {} packets, and the rules {}",
                               to_string(subject.engine), to_string(subject.site), sent.accepted,
                               count, accepted)});
  }
  subject.ns.push_back(sent.ns / count);
  const Floor& floor = floors[subject.floor];
  const double share = static_cast<double>(accepted) / count;
  subject.floors.push_back(share * floor.accept_ns + (1 - share) * floor.drop_ns);
  subject.net.push_back(subject.ns.back() - subject.floors.back());
  return {};
}

// Subjects of one floor stand beside it, in one order and in the other, so that what drifts (clock,
// cache, neighbours) meets all.
Status Contest::Impl::one_round(std::deque<Subject>& subjects, const Traffic& traffic, int round) {
  const bool forth = round % 2 == 0;
  for (std::size_t n = 0; n < floors.size(); ++n) {
    const std::size_t at = forth ? n : floors.size() - 1 - n;
    WEIR_CHECK(sample_floor(floors[at], traffic, forth));
    for (Subject& subject : subjects) {
      if (subject.floor == at) WEIR_CHECK(sample(subject, traffic, round));
    }
  }
  return {};
}

Status Contest::Impl::update(Subject& subject, const Task& task) const {
  const Wire& wire = subject.in_force.wire;
  const auto median_ms = [](const std::vector<double>& seconds) {
    return seconds.empty() ? std::optional<double>() : in_ms(spread_of(seconds).median);
  };
  switch (subject.engine) {
    case Engine::weir: {
      WEIR_TRY(times, time_weir(task.script, subject.hook, updates));
      subject.update_ms = median_ms(times.running);
      subject.swap_ms = median_ms(times.swapped);
      subject.updated_in_place = times.in_place == times.running.size();
      return {};
    }
    case Engine::nft:
    case Engine::nft_sets: {
      WEIR_TRY(seconds, time_nft(wire, subject.insertions));
      subject.update_ms = median_ms(seconds);
      return {};
    }
    case Engine::iptables: {
      WEIR_TRY(seconds, time_iptables(wire, updates));
      subject.update_ms = median_ms(seconds);
      return {};
    }
  }
  throw InvariantError("engine out of range");
}

std::vector<Row> Contest::Impl::rows_of(const Task& task, const std::deque<Subject>& subjects,
                                        const std::vector<Place>& places,
                                        const Traffic& traffic) const {
  std::vector<Row> rows;
  for (const Place& place : places) {
    const Subject& subject = subjects[place.subject];
    rows.push_back({.list = task.name,
                    .rules = task.rules,
                    .engine = subject.engine,
                    .hook = place.hook,
                    .site = subject.site,
                    .ns = spread_of(subject.ns),
                    .floor = spread_of(subject.floors),
                    .net = spread_of(subject.net),
                    .rounds = options.rounds,
                    .packets = subject.packets,
                    .checked = subject.checked,
                    .accepted = traffic.accepted_of(0, subject.checked),
                    .loading = subject.in_force.loading,
                    .update_ms = subject.update_ms,
                    .swap_ms = subject.swap_ms,
                    .updated_in_place = subject.updated_in_place,
                    .memory = subject.in_force.memory,
                    .note = subject.note});
  }
  return rows;
}

Contest::Contest(ContestOptions options)
    : impl_(std::make_unique<Impl>(Impl{.options = std::move(options), .floors = {}})) {}
Contest::Contest(Contest&&) noexcept = default;
Contest& Contest::operator=(Contest&&) noexcept = default;
Contest::~Contest() = default;

Result<Outcome> Contest::run(const Task& task, const std::vector<Hook>& hooks) {
  const ContestOptions& options = impl_->options;
  WEIR_TRY(traffic, traffic_of(task));
  std::vector<Engine> engines = {Engine::weir};
  engines.insert(engines.end(), options.peers.begin(), options.peers.end());
  std::deque<Subject> subjects;
  std::vector<Place> places;
  Outcome outcome;
  for (const Hook& hook : hooks) {
    for (const Engine engine : engines) {
      WEIR_TRY(site, site_of(engine, hook));
      if (!can_carry_out(task, engine, site)) {
        outcome.notes.push_back(fmt::format("{} has no row for {} at {}: {}", to_string(engine),
                                            task.name, to_string(hook), task.why_no_list));
        continue;
      }
      auto found = std::ranges::find_if(subjects, [&](const Subject& subject) {
        return subject.engine == engine && subject.site == site;
      });
      if (found == subjects.end()) {
        WEIR_TRY(subject, impl_->put(engine, site, hook, task));
        impl_->tell(
            fmt::format("{}: checking {} at {}", task.name, to_string(engine), to_string(site)));
        WEIR_CHECK(impl_->check(subject, traffic));
        subjects.push_back(std::move(subject));
        found = subjects.end() - 1;
      }
      places.push_back(
          {.hook = hook, .subject = static_cast<std::size_t>(found - subjects.begin())});
    }
  }
  WEIR_CHECK(impl_->check_clock(traffic));
  impl_->tell(task.name + ": measuring");
  for (int round = 0; round < options.rounds; ++round) {
    WEIR_CHECK(impl_->one_round(subjects, traffic, round));
  }
  for (Subject& subject : subjects) {
    impl_->tell(fmt::format("{}: one rule more of {} at {}", task.name, to_string(subject.engine),
                            to_string(subject.site)));
    WEIR_CHECK(impl_->update(subject, task));
  }
  outcome.rows = impl_->rows_of(task, subjects, places, traffic);
  return outcome;
}

}  // namespace weir::bench
