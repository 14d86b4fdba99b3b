// SPDX-License-Identifier: BSD-2-Clause
#include "driver/reassembly.h"

#include <algorithm>
#include <string_view>
#include <variant>

namespace weir::driver {
namespace {

constexpr std::int32_t defragmentation_priority = -400;  // NF_IP_PRI_CONNTRACK_DEFRAG

bool tracks(const imr::Ruleset& ruleset, imr::ExprId id) {
  if (std::holds_alternative<imr::Ct>(ruleset[id])) return true;
  return std::ranges::any_of(imr::sources(ruleset[id]),
                             [&](imr::ExprId source) { return tracks(ruleset, source); });
}

// Statements that stay with the kernel are known by their words.
bool tracks(const imr::Native& native) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view word :
       {"ct "sv, "masquerade"sv, "snat"sv, "dnat"sv, "redirect"sv, "synproxy"sv}) {
    const auto at = native.text.find(word);
    if (at == 0 || (at != std::string::npos && native.text[at - 1] == ' ')) return true;
  }
  return false;
}

bool tracks(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  if (const auto* native = std::get_if<imr::Native>(&statement)) return tracks(*native);
  const auto operand = imr::operand(statement);
  return operand && tracks(ruleset, *operand);
}

// Tables of bridges track the connections of both families.
bool tracks_for(Family family, Nfproto nfproto) {
  return family == Family::bridge || (is_ip(family) && sees(family, nfproto));
}

}  // namespace

bool runs_behind_reassembly(const imr::Ruleset& ruleset, Nfproto nfproto, std::int32_t priority) {
  if (priority <= defragmentation_priority) return false;
  return std::ranges::any_of(ruleset.rules, [&](const imr::Rule& rule) {
    if (!tracks_for(ruleset[ruleset[rule.chain].table].family, nfproto)) return false;
    return std::ranges::any_of(rule.statements, [&](const imr::Statement& statement) {
      return tracks(ruleset, statement);
    });
  });
}

void ask_for_reassembly(std::vector<Attachment>& attachments) {
  for (Attachment& attachment : attachments) {
    if (attachment.hook.kind == Hook::Kind::netfilter) {
      attachment.defragments = attachment.priority > defragmentation_priority;
    }
  }
}

}  // namespace weir::driver
