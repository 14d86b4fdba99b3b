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
  if (!counter.name.empty()) out["name"] = counter.name;
  return out;
}

ordered_json meter_json(const MeterUse& meter) {
  ordered_json out = {{"index", meter.index}};
  if (meter.quota) out["quota"] = *meter.quota;
  return out;
}

ordered_json log_json(const LogUse& log) {
  ordered_json statements = ordered_json::array();
  for (const LogUse::Statement& one : log.statements) {
    ordered_json& added = statements.emplace_back(ordered_json{{"prefix", one.prefix}});
    if (one.group) {
      added["group"] = *one.group;
    } else {
      added["level"] = one.level;
    }
  }
  return {{"rule", log.rule}, {"statements", std::move(statements)}};
}

LogUse log_from_json(const ordered_json& json) {
  LogUse log{.rule = json.at("rule"), .statements = {}};
  for (const ordered_json& one : json.at("statements")) {
    LogUse::Statement& added =
        log.statements.emplace_back(LogUse::Statement{.prefix = one.at("prefix")});
    if (one.contains("group")) {
      added.group = one.at("group").get<std::uint16_t>();
    } else {
      added.level = one.at("level");
    }
  }
  return log;
}

}  // namespace

ordered_json to_json(const RuleState& rule) {
  ordered_json counters = ordered_json::array();
  for (const CounterState& counter : rule.counters) counters.push_back(counter_json(counter));
  ordered_json out = {{"handle", rule.handle},     {"line", rule.line},
                      {"text", rule.text},         {"counters", std::move(counters)},
                      {"programs", rule.programs}, {"maps", rule.maps}};
  for (const MeterUse& meter : rule.meters) out["meters"].push_back(meter_json(meter));
  if (rule.log) out["log"] = log_json(*rule.log);
  return out;
}

RuleState rule_from_json(const ordered_json& json) {
  RuleState rule = {.handle = json.at("handle"), .line = json.at("line"), .text = json.at("text")};
  for (const ordered_json& counter : json.at("counters")) {
    CounterState& added = rule.counters.emplace_back(CounterState{.index = counter.at("index"),
                                                                  .packets = counter.at("packets"),
                                                                  .bytes = counter.at("bytes")});
    if (counter.contains("carried")) added.carried = counter.at("carried").get<std::uint32_t>();
    if (counter.contains("name")) added.name = counter.at("name").get<std::string>();
  }
  rule.programs = json.at("programs").get<std::vector<std::uint32_t>>();
  rule.maps = json.at("maps").get<std::vector<std::uint32_t>>();
  if (json.contains("log")) rule.log = log_from_json(json.at("log"));
  if (!json.contains("meters")) return rule;
  for (const ordered_json& meter : json.at("meters")) {
    MeterUse& added = rule.meters.emplace_back(MeterUse{.index = meter.at("index")});
    if (meter.contains("quota")) added.quota = meter.at("quota").get<std::uint64_t>();
  }
  return rule;
}

}  // namespace weir::service
