// SPDX-License-Identifier: BSD-2-Clause
#include "imr/dynamic_sets.h"

#include <algorithm>
#include <span>

namespace weir::imr {
namespace {

constexpr std::uint64_t nanoseconds = 1'000'000;  // of a millisecond

// An element as its statements begin.
ElementMemory::Held new_element(const Dynamics& dynamics, std::uint64_t now) {
  ElementMemory::Held out;
  for (const ElementStatement& statement : dynamics.statements) {
    const auto* meter = std::get_if<MeterState>(&statement);
    const auto* counter = std::get_if<ElementCounter>(&statement);
    out.meters.push_back(meter != nullptr ? new_cell(*meter, now) : MeterCell());
    out.counters.push_back(counter != nullptr ? *counter : ElementCounter());
  }
  return out;
}

void restore(const Dynamics& dynamics, const std::vector<std::uint64_t>& words,
             ElementMemory::Held& element) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < dynamics.statements.size() && at < words.size(); ++i) {
    const ElementStatement& statement = dynamics.statements[i];
    if (const auto* meter = std::get_if<MeterState>(&statement)) {
      if (meter->kind == MeterState::Kind::quota) element.meters[i].count = words[at];
    } else {
      element.counters[i] = {words[at], words[at + 1]};
    }
    at += words_of(statement);
  }
}

}  // namespace

std::string why_not_dynamic(const Set& set) {
  if (!set.dynamic) return {};
  const Dynamics& dynamics = *set.dynamic;
  if (set.interval) return "elements of sets with intervals have no time and no state in a program";
  if (set.is_verdict_map)
    return "elements of maps to verdicts have no time and no state in a program";
  if (set.catch_all) return "a catch-all element has no time and no state in a program";
  if (dynamics.size == 0 || dynamics.size > largest_size) {
    return "a dynamic set of other than 1 to 16777216 elements";
  }
  if (dynamics.ranges) {
    const std::span<const std::uint8_t> sizes = set.field_sizes;
    const std::size_t half = sizes.size() / 2;
    if (half == 0 || !std::ranges::equal(sizes.first(half), sizes.subspan(half))) {
      return "keys that are no ends of intervals";
    }
  }
  if (dynamics.timeout > longest_timeout) return "a timeout of more than 146 years";
  for (const ElementStatement& statement : dynamics.statements) {
    const auto* meter = std::get_if<MeterState>(&statement);
    if (meter == nullptr) continue;
    if (meter->kind == MeterState::Kind::sequence) return "an element with a sequence";
    if (const std::string reason = why_no_meter(*meter); !reason.empty()) return reason;
  }
  return {};
}

std::uint64_t timeout_of(const Element& element) {
  return element.timeout != 0 ? element.timeout : element.expires;
}

std::size_t words_of(const ElementStatement& statement) {
  return std::holds_alternative<ElementCounter>(statement) ? 2 : 1;
}

std::size_t words_of(const Dynamics& dynamics) {
  std::size_t words = 0;
  for (const ElementStatement& statement : dynamics.statements) words += words_of(statement);
  return words;
}

std::vector<std::uint64_t> ElementMemory::Held::words(const Dynamics& dynamics) const {
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i < dynamics.statements.size(); ++i) {
    if (const auto* meter = std::get_if<MeterState>(&dynamics.statements[i])) {
      out.push_back(meter->kind == MeterState::Kind::quota ? meters[i].count : 0);
    } else {
      out.push_back(counters[i].packets);
      out.push_back(counters[i].bytes);
    }
  }
  return out;
}

ElementMemory::ElementMemory(const Ruleset& ruleset, std::uint64_t now) {
  const auto is_dynamic = [](const Set& set) { return set.dynamic.has_value(); };
  if (std::ranges::none_of(ruleset.sets, is_dynamic)) return;
  for (const Set& set : ruleset.sets) {
    Content& content = sets_.emplace_back();
    if (!set.dynamic) continue;
    for (const Element& element : set.elements) {
      Held held = new_element(*set.dynamic, now);
      restore(*set.dynamic, element.held, held);
      if (element.expires != 0) held.expires = now + element.expires * nanoseconds;
      held.timeout = timeout_of(element);
      held.data = element.data;
      content.elements.emplace(element.key, std::move(held));
    }
  }
}

bool ElementMemory::expired(const Held& element, std::uint64_t now) {
  return element.expires && *element.expires <= now;
}

ElementMemory::Held* ElementMemory::find(SetId set, ByteView key, std::uint64_t now) {
  auto& elements = sets_.at(set.index()).elements;
  const auto found = elements.find(Bytes(key.begin(), key.end()));
  return found == elements.end() || expired(found->second, now) ? nullptr : &found->second;
}

bool ElementMemory::has_room(Content& content, const Dynamics& dynamics, std::uint64_t now) {
  if (content.elements.size() < dynamics.size) return true;
  if (!dynamics.timeouts || (content.swept && now - *content.swept < sweep_interval)) return false;
  content.swept = now;
  std::erase_if(content.elements, [&](const auto& one) { return expired(one.second, now); });
  return content.elements.size() < dynamics.size;
}

// nft_dynset_eval(), nft_rhash_update() and nft_dynset_new().
ElementMemory::Held* ElementMemory::change(const Ruleset& ruleset, const DynamicSet& change,
                                           ByteView key, ByteView data, std::uint64_t now) {
  const Dynamics& dynamics = *ruleset[change.set].dynamic;
  Content& content = sets_.at(change.set.index());
  Bytes name(key.begin(), key.end());
  const std::uint64_t lasts = change.timeout != 0 ? change.timeout : dynamics.timeout;
  if (change.op == DynamicSet::Op::remove) {
    content.elements.erase(name);
    return nullptr;
  }
  if (Held* known = find(change.set, key, now)) {
    // One that stays is given no time.
    if (change.op == DynamicSet::Op::update && known->expires) {
      known->expires = now + lasts * nanoseconds;
    }
    return known;
  }
  // Expired, it gives its own room to the new one.
  if (!content.elements.contains(name) && !has_room(content, dynamics, now)) return nullptr;
  Held& made = content.elements[std::move(name)] = new_element(dynamics, now);
  if (lasts != 0) made.expires = now + lasts * nanoseconds;
  made.timeout = lasts;
  made.data.assign(data.begin(), data.end());
  return &made;
}

// nft_set_elem_update_expr()
bool ElementMemory::run(const Dynamics& dynamics, Held& element, std::uint64_t now,
                        std::uint64_t bytes) {
  for (std::size_t i = 0; i < dynamics.statements.size(); ++i) {
    const auto* meter = std::get_if<MeterState>(&dynamics.statements[i]);
    if (meter != nullptr) {
      if (take(*meter, element.meters[i], now, bytes) == meter->over) return false;
    } else {
      ++element.counters[i].packets;
      element.counters[i].bytes += bytes;
    }
  }
  return true;
}

std::map<Bytes, ElementMemory::Held> ElementMemory::living(SetId set, std::uint64_t now) const {
  std::map<Bytes, Held> out = sets_.at(set.index()).elements;
  std::erase_if(out, [&](const auto& one) { return expired(one.second, now); });
  return out;
}

}  // namespace weir::imr
