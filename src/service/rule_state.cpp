// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule_state.h"

#include <nlohmann/json.hpp>

namespace weir::service {
namespace {

using nlohmann::ordered_json;

ordered_json counter_json(const CounterState& counter) {
  ordered_json out = {
      {"index", counter.index}, {"packets", counter.packets}, {"bytes", counter.bytes}};
  if (counter.carried) out["carried"] = *counter.carried;
  return out;
}

}  // namespace

ordered_json to_json(const RuleState& rule) {
  ordered_json counters = ordered_json::array();
  for (const CounterState& counter : rule.counters) counters.push_back(counter_json(counter));
  return {{"handle", rule.handle},           {"line", rule.line},         {"text", rule.text},
          {"counters", std::move(counters)}, {"programs", rule.programs}, {"maps", rule.maps}};
}

RuleState rule_from_json(const ordered_json& json) {
  RuleState rule = {.handle = json.at("handle"), .line = json.at("line"), .text = json.at("text")};
  for (const ordered_json& counter : json.at("counters")) {
    CounterState& added = rule.counters.emplace_back(CounterState{.index = counter.at("index"),
                                                                  .packets = counter.at("packets"),
                                                                  .bytes = counter.at("bytes")});
    if (counter.contains("carried")) added.carried = counter.at("carried").get<std::uint32_t>();
  }
  rule.programs = json.at("programs").get<std::vector<std::uint32_t>>();
  rule.maps = json.at("maps").get<std::vector<std::uint32_t>>();
  return rule;
}

}  // namespace weir::service
