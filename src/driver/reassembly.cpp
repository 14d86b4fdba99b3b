// SPDX-License-Identifier: BSD-2-Clause
#include "driver/reassembly.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
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
    const std::string& text = native.text.str();
    const auto at = text.find(word);
    if (at == 0 || (at != std::string::npos && text[at - 1] == ' ')) return true;
  }
  return false;
}

bool tracks(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  if (const auto* native = std::get_if<imr::Native>(&statement)) return tracks(*native);
  return std::ranges::any_of(imr::operands(statement),
                             [&](imr::ExprId expr) { return tracks(ruleset, expr); });
}

// Tables of bridges track the connections of both families.
bool tracks_for(Family family, Nfproto nfproto) {
  return family == Family::bridge || (is_ip(family) && sees(family, nfproto));
}

// Of the network header, fragments share the addresses, the version, and of IPv4 the protocol.
bool is_shared(const imr::Payload& payload, Nfproto nfproto) {
  if (payload.base != imr::HeaderBase::network) return payload.base == imr::HeaderBase::link;
  const auto within = [&](unsigned first, unsigned end) {
    return payload.offset >= first && payload.offset + payload.length <= end;
  };
  if (nfproto == Nfproto::ipv4) return within(0, 1) || within(9, 10) || within(12, 20);
  return within(0, 4) || within(8, 40);
}

bool tells_fragments(const imr::Ruleset& ruleset, imr::ExprId id, Nfproto nfproto) {
  const imr::Expr& expr = ruleset[id];
  if (std::holds_alternative<imr::Ct>(expr)) return true;
  // A name may stand for any bytes. Later fragments have no transport header, not all IPv4 options,
  // and of IPv6 a header that says so.
  if (std::holds_alternative<imr::HeaderField>(expr)) return true;
  if (std::holds_alternative<imr::Extension>(expr)) return true;
  if (imr::varies(ruleset, id)) return true;
  if (const auto* payload = std::get_if<imr::Payload>(&expr)) return !is_shared(*payload, nfproto);
  if (const auto* meta = std::get_if<imr::Meta>(&expr)) {
    // Later fragments of IPv6 may end the search for the last header early.
    return meta->key == imr::MetaKey::length ||
           (meta->key == imr::MetaKey::l4proto && nfproto == Nfproto::ipv6);
  }
  return std::ranges::any_of(imr::sources(expr), [&](imr::ExprId source) {
    return tells_fragments(ruleset, source, nfproto);
  });
}

bool tells_fragments(const imr::Ruleset& ruleset, const imr::Rule& rule, Nfproto nfproto) {
  return std::ranges::any_of(rule.statements, [&](const imr::Statement& statement) {
    if (std::holds_alternative<imr::Counter>(statement)) return true;
    if (std::holds_alternative<imr::Meter>(statement)) return true;
    if (std::holds_alternative<imr::Choice>(statement)) return true;
    if (std::holds_alternative<imr::Log>(statement)) return true;
    // Elements may count packets, or bytes.
    if (std::holds_alternative<imr::DynamicSet>(statement)) return true;
    const auto* match = std::get_if<imr::MatchSet>(&statement);
    if (match != nullptr && ruleset[match->set].dynamic) return true;
    return std::ranges::any_of(imr::operands(statement), [&](imr::ExprId expr) {
      return tells_fragments(ruleset, expr, nfproto);
    });
  });
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

Status do_without_reassembly(const imr::Ruleset& ruleset, std::vector<Attachment>& attachments) {
  Diagnostic refusal = system_error(
                           "this kernel has no netfilter links behind reassembly (6.6), and rules "
                           "that ran behind it would see single fragments")
                           .error();
  for (Attachment& attachment : attachments) {
    if (!attachment.defragments) continue;
    const std::size_t before = refusal.notes.size();
    for (const imr::ChainId root : attachment.roots) {
      for (const imr::ChainId chain : imr::reachable_chains(ruleset, root)) {
        for (const imr::RuleId id : ruleset[chain].rules) {
          const imr::Rule& rule = ruleset[id];
          if (!tells_fragments(ruleset, rule, attachment.nfproto)) continue;
          refusal.notes.push_back(imr::qualified_name(ruleset, chain) + " handle " +
                                  std::to_string(rule.origin.handle) + " '" + rule.origin.text +
                                  "', for " + std::string(to_string(attachment.nfproto)));
        }
      }
    }
    attachment.defragments = refusal.notes.size() != before;
  }
  if (refusal.notes.empty()) return {};
  return std::unexpected(std::move(refusal));
}

}  // namespace weir::driver
