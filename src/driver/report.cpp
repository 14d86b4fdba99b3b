// SPDX-License-Identifier: BSD-2-Clause
#include "driver/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <variant>

namespace weir::driver {
namespace {

std::set<imr::ChainId> taken_chains(const imr::Ruleset& ruleset,
                                    const std::vector<Attachment>& attachments) {
  std::set<imr::ChainId> out;
  for (const Attachment& attachment : attachments) {
    for (const imr::ChainId root : attachment.roots) {
      const auto reached = imr::reachable_chains(ruleset, root);
      out.insert(reached.begin(), reached.end());
    }
  }
  return out;
}

RuleReport report_rule(const imr::Ruleset& ruleset, imr::RuleId id) {
  const imr::Rule& rule = ruleset[id];
  RuleReport out;
  out.rule = id;
  out.translation = imr::translation(rule);
  out.statements = rule.total_statements;
  out.translated_statements = rule.total_statements;
  if (out.translation == imr::Translation::full) return out;
  const auto& native = std::get<imr::Native>(rule.statements.back());
  out.reason = native.reason;
  out.translated_statements = static_cast<std::uint32_t>(rule.statements.size() - 1);
  return out;
}

void count(Summary& summary, imr::Translation translation) {
  ++summary.rules;
  switch (translation) {
    case imr::Translation::full:
      ++summary.full;
      return;
    case imr::Translation::partial:
      ++summary.partial;
      return;
    case imr::Translation::native:
      ++summary.native;
      return;
  }
  throw InvariantError("translation out of range");
}

}  // namespace

CheckReport check_report(const imr::Ruleset& ruleset, const std::vector<Attachment>& attachments) {
  const std::set<imr::ChainId> taken = taken_chains(ruleset, attachments);
  CheckReport out;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const imr::ChainId chain(i);
    for (const imr::RuleId id : ruleset[chain].rules) {
      RuleReport rule = report_rule(ruleset, id);
      rule.taken = taken.contains(chain);
      if (rule.taken) count(out.summary, rule.translation);
      out.rules.push_back(std::move(rule));
    }
  }
  for (Finding& finding : find_findings(ruleset, attachments)) {
    const auto about = std::ranges::find(out.rules, finding.rule, &RuleReport::rule);
    invariant(about != out.rules.end(), "a finding about a rule of no chain");
    about->findings.push_back(std::move(finding));
  }
  return out;
}

std::string_view to_string(imr::Translation translation) {
  switch (translation) {
    case imr::Translation::full:
      return "full";
    case imr::Translation::partial:
      return "partial";
    case imr::Translation::native:
      return "native";
  }
  throw InvariantError("translation out of range");
}

namespace {

nlohmann::ordered_json findings_json(const imr::Ruleset& ruleset,
                                     const std::vector<Finding>& findings) {
  using nlohmann::ordered_json;
  ordered_json out = ordered_json::array();
  for (const Finding& finding : findings) {
    ordered_json by = nullptr;
    if (finding.by) by = ruleset[*finding.by].origin.handle;
    out.push_back(
        {{"kind", to_string(finding.kind)}, {"by", std::move(by)}, {"text", finding.text}});
  }
  return out;
}

}  // namespace

std::string to_json(const imr::Ruleset& ruleset, const CheckReport& report) {
  using nlohmann::ordered_json;
  ordered_json rules = ordered_json::array();
  for (const RuleReport& entry : report.rules) {
    const imr::Rule& rule = ruleset[entry.rule];
    const imr::Chain& chain = ruleset[rule.chain];
    const imr::Table& table = ruleset[chain.table];
    const std::uint32_t line = rule.origin.location.line;
    rules.push_back({
        {"family", weir::to_string(table.family)},
        {"table", table.name},
        {"chain", chain.name},
        {"handle", rule.origin.handle},
        {"line", line == 0 ? ordered_json(nullptr) : ordered_json(line)},
        {"text", rule.origin.text.str()},
        {"translation", to_string(entry.translation)},
        {"statements", entry.statements},
        {"translated_statements", entry.translated_statements},
        {"reason", entry.reason.empty() ? ordered_json(nullptr) : ordered_json(entry.reason)},
        {"findings", findings_json(ruleset, entry.findings)},
    });
  }
  const ordered_json out = {{"rules", std::move(rules)},
                            {"summary",
                             {{"rules", report.summary.rules},
                              {"full", report.summary.full},
                              {"partial", report.summary.partial},
                              {"native", report.summary.native}}}};
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace weir::driver
