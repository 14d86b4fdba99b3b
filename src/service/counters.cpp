// SPDX-License-Identifier: BSD-2-Clause
#include "service/counters.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

namespace weir::service {
namespace {

constexpr std::size_t counter_size = 16;  // packets, bytes

// By their names, without the one that is replaced.
class KnownRules {
 public:
  KnownRules(const PolicyState& policy, const std::optional<RuleName>& replaced)
      : replaced_(replaced) {
    for (const auto* chains : {&policy.chains, &policy.unreached}) {
      for (const ChainState& chain : *chains) {
        for (const RuleState& rule : chain.rules) {
          rules_.emplace(Key(chain.family, chain.table, chain.name, rule.handle), &rule);
          for (const CounterState& counter : rule.counters) {
            if (counter.name.empty()) continue;
            shared_.emplace(SharedKey(chain.family, chain.table, counter.name), &counter);
          }
        }
      }
    }
  }
  // A counter with a name.
  [[nodiscard]] const CounterState* find(Family family, const std::string& table,
                                         const std::string& name) const {
    const auto found = shared_.find(SharedKey(family, table, name));
    return found == shared_.end() ? nullptr : found->second;
  }
  [[nodiscard]] const RuleState* find(Family family, const std::string& table,
                                      const std::string& chain, std::uint64_t handle) const {
    if (replaced_ && *replaced_ == RuleName{family, table, chain, handle}) return nullptr;
    const auto found = rules_.find(Key(family, table, chain, handle));
    return found == rules_.end() ? nullptr : found->second;
  }
  [[nodiscard]] const RuleState* find(const imr::Ruleset& ruleset, const imr::Rule& rule) const {
    const imr::Chain& chain = ruleset[rule.chain];
    const imr::Table& table = ruleset[chain.table];
    return find(table.family, table.name, chain.name, rule.origin.handle);
  }
  // Elements below `room` that no rule has, nor had the one that is replaced.
  [[nodiscard]] std::vector<std::uint32_t> free_elements(std::uint32_t room) const {
    std::vector<bool> taken(room, false);
    for (const auto& [key, rule] : rules_) {
      for (const CounterState& counter : rule->counters) taken.at(counter.index) = true;
    }
    for (const auto& [key, counter] : shared_) taken.at(counter->index) = true;
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < room; ++i) {
      if (!taken[i]) out.push_back(i);
    }
    return out;
  }

 private:
  using Key = std::tuple<Family, std::string_view, std::string_view, std::uint64_t>;
  using SharedKey = std::tuple<Family, std::string_view, std::string_view>;
  std::map<Key, const RuleState*> rules_;
  std::map<SharedKey, const CounterState*> shared_;
  const std::optional<RuleName>& replaced_;
};

// In the order of describe_rule().
std::vector<imr::CounterId*> counters_of(imr::Rule& rule) {
  std::vector<imr::CounterId*> out;
  std::vector<imr::Statement>& statements = rule.statements.edit();
  for (imr::Statement& statement : statements) {
    if (auto* counter = std::get_if<imr::Counter>(&statement)) out.push_back(&counter->counter);
  }
  for (imr::Statement& statement : statements) {
    auto* choice = std::get_if<imr::Choice>(&statement);
    if (choice == nullptr) continue;
    for (imr::CounterId& counter : choice->counters.edit()) out.push_back(&counter);
  }
  return out;
}

std::uint32_t with_reserve(std::size_t counters) {
  return static_cast<std::uint32_t>(counters + counters / 8 + 64);
}

template <typename Body>
void for_each_counter(PolicyState& policy, const Body& body) {
  for (auto* chains : {&policy.chains, &policy.unreached}) {
    for (ChainState& chain : *chains) {
      for (RuleState& rule : chain.rules) {
        for (CounterState& counter : rule.counters) body(counter);
      }
    }
  }
}

}  // namespace

Result<Count> read_count(const kernel::Fd& map, std::uint32_t index) {
  WEIR_TRY(value, kernel::read_element(map, native_bytes(index, 4), counter_size, true));
  Count count;
  for (std::size_t at = 0; at + counter_size <= value.size(); at += counter_size) {
    count.packets += load_native(ByteView(value).subspan(at, 8));
    count.bytes += load_native(ByteView(value).subspan(at + 8, 8));
  }
  return count;
}

void reserve_counters(imr::Ruleset& ruleset) {
  if (ruleset.counters.empty()) return;
  ruleset.counters.edit().resize(with_reserve(ruleset.counters.size()),
                                 imr::CounterState{.rule = imr::RuleId(0U)});
}

namespace {

// Where a rule's counter was in the policy: one with a name, whichever rules had it.
const CounterState* counter_before(const KnownRules& known, const RuleState* rule, std::size_t k,
                                   const imr::Ruleset& ruleset, const imr::CounterState& counter) {
  if (counter.name.empty()) return rule == nullptr ? nullptr : &rule->counters.at(k);
  const imr::Table& table = ruleset[ruleset[ruleset[counter.rule].chain].table];
  return known.find(table.family, table.name, counter.name);
}

}  // namespace

CounterPlan keep_counters(const PolicyState& policy, const std::optional<RuleName>& replaced,
                          imr::Ruleset& ruleset) {
  const KnownRules known(policy, replaced);
  // Each counter once, in the order of the rules, with what it was before.
  struct Place {
    bool used = false;
    const CounterState* before = nullptr;
    std::optional<std::uint32_t> index{};
  };
  std::vector<Place> places(ruleset.counters.size());
  std::size_t fresh = 0;
  for (imr::Rule& rule : ruleset.rules.edit()) {
    const RuleState* const before = known.find(ruleset, rule);
    const std::vector<imr::CounterId*> counters = counters_of(rule);
    invariant(before == nullptr || before->counters.size() == counters.size(),
              "a rule that kept its handle has other counters");
    for (std::size_t k = 0; k < counters.size(); ++k) {
      Place& place = places.at(counters[k]->index());
      if (std::exchange(place.used, true)) continue;
      const imr::CounterState& state = ruleset.counters.at(counters[k]->index());
      place.before = counter_before(known, before, k, ruleset, state);
      if (place.before == nullptr) ++fresh;
    }
  }
  CounterPlan out;
  const std::vector<std::uint32_t> free = known.free_elements(policy.counter_room);
  out.shared = policy.has_counters && fresh <= free.size();
  if (out.shared) {
    out.fresh.assign(free.begin(), free.begin() + static_cast<std::ptrdiff_t>(fresh));
  }
  const std::size_t count = ruleset.counters.size();
  std::vector<imr::CounterState> states(
      out.shared ? policy.counter_room : (count == 0 ? 0 : with_reserve(count)),
      imr::CounterState{.rule = imr::RuleId(0U)});
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    for (imr::CounterId* const counter : counters_of(ruleset[imr::RuleId(i)])) {
      Place& place = places.at(counter->index());
      if (!place.index) {
        const bool kept = out.shared && place.before != nullptr;
        place.index = kept ? place.before->index : out.shared ? out.fresh.at(next++) : next++;
        imr::CounterState& state = states.at(*place.index);
        state = ruleset.counters.at(counter->index());
        state.rule = imr::RuleId(i);
        if (place.before != nullptr) {
          state.packets = place.before->packets;
          state.bytes = place.before->bytes;
        }
      }
      *counter = imr::CounterId(*place.index);
    }
  }
  // A ruleset without rules has no counters for anybody.
  if (ruleset.rules.empty()) states.clear();
  ruleset.counters = std::move(states);
  return out;
}

std::vector<std::uint32_t> free_elements(const PolicyState& policy) {
  const std::optional<RuleName> nobody;
  std::vector<std::uint32_t> out = KnownRules(policy, nobody).free_elements(policy.counter_room);
  std::ranges::reverse(out);
  return out;
}

Status clear_counts(const kernel::Fd& map, const std::vector<std::uint32_t>& indices) {
  WEIR_TRY(cpus, kernel::possible_cpus());
  const Bytes zeros(counter_size * cpus, 0);
  for (const std::uint32_t index : indices) {
    WEIR_CHECK(kernel::write_element(map, native_bytes(index, 4), zeros));
  }
  return {};
}

void carry_rules(const PolicyState& policy, const std::optional<RuleName>& replaced, bool shared,
                 PolicyState& next) {
  const KnownRules known(policy, replaced);
  bool carried = false;
  for (auto* chains : {&next.chains, &next.unreached}) {
    for (ChainState& chain : *chains) {
      for (RuleState& rule : chain.rules) {
        const RuleState* const before =
            known.find(chain.family, chain.table, chain.name, rule.handle);
        rule.line = before == nullptr ? 0 : before->line;
        if (shared) continue;
        for (std::size_t k = 0; k < rule.counters.size(); ++k) {
          CounterState& counter = rule.counters[k];
          const CounterState* was = before == nullptr ? nullptr : &before->counters.at(k);
          if (!counter.name.empty()) was = known.find(chain.family, chain.table, counter.name);
          if (was == nullptr) continue;
          counter.carried = was->index;
          carried = true;
        }
      }
    }
  }
  if (!carried) return;
  const auto map = std::ranges::find(policy.maps, "counters", &MapState::name);
  invariant(map != policy.maps.end(), "counters in no map");
  next.old_counters = map->pin;
}

Status fold_counts(PolicyState& policy, const Paths& paths) {
  if (policy.old_counters.empty()) return {};
  WEIR_TRY(map, kernel::open_pinned(paths.pins(policy.name) + "/" + policy.old_counters));
  Status status;
  for_each_counter(policy, [&](CounterState& counter) {
    if (!counter.carried || !status) return;
    const auto count = read_count(map, *counter.carried);
    if (!count) {
      status = std::unexpected(count.error());
      return;
    }
    counter.packets += count->packets;
    counter.bytes += count->bytes;
    counter.carried.reset();
  });
  if (status) policy.old_counters.clear();
  return status;
}

}  // namespace weir::service
