// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/rule.h"

#include <libnftnl/udata.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "frontend/nft/translator.h"

namespace weir::frontend::nft {
namespace {

// Loads and conversions only fill registers; everything else does something of its own.
bool is_statement(const nftnl_expr* expr) {
  constexpr std::array<std::string_view, 11> loads = {"bitwise", "byteorder", "rt",   "socket",
                                                      "fib",     "osf",       "hash", "numgen",
                                                      "tunnel",  "xfrm",      "inner"};
  const std::string_view name = name_of(expr);
  if (name == "payload") return has(expr, NFTNL_EXPR_PAYLOAD_SREG);
  if (name == "meta") return has(expr, NFTNL_EXPR_META_SREG);
  if (name == "ct") return has(expr, NFTNL_EXPR_CT_SREG);
  if (name == "exthdr") return !has(expr, NFTNL_EXPR_EXTHDR_DREG);
  if (name == "immediate") return number(expr, NFTNL_EXPR_IMM_DREG) == NFT_REG_VERDICT;
  return std::ranges::find(loads, name) == loads.end();
}

// The expressions of a rule from number `from` on, as nft --debug=netlink prints them.
std::string debug_texts(const nftnl_rule* source, std::size_t from) {
  std::string out;
  std::size_t index = 0;
  const NlExprIterator iterator(nftnl_expr_iter_create(source));
  while (const nftnl_expr* expr = nftnl_expr_iter_next(iterator.get())) {
    if (index++ >= from) out += (out.empty() ? "" : " ") + debug_text(expr);
  }
  return out;
}

}  // namespace

std::string comment_of(const nftnl_rule* rule) {
  std::uint32_t size = 0;
  const auto* bytes =
      static_cast<const std::uint8_t*>(nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &size));
  // Type, length, value, one after another; a comment ends in a zero byte.
  ByteView rest(bytes, bytes == nullptr ? 0 : size);
  while (rest.size() >= 2 && rest.size() >= 2U + rest[1]) {
    const ByteView value = rest.subspan(2, rest[1]);
    if (rest[0] == NFTNL_UDATA_RULE_COMMENT) {
      return {value.begin(), std::find(value.begin(), value.end(), 0)};
    }
    rest = rest.subspan(2U + rest[1]);
  }
  return {};
}

void translate_expressions(const nftnl_rule* source, const RuleScope& scope, imr::RuleId id,
                           imr::Rule& rule) {
  Translator translator(scope, id, rule);
  Reason reason;
  std::size_t index = 0;
  std::size_t open = 0;  // the first expression behind the last one that became a statement
  const NlExprIterator iterator(nftnl_expr_iter_create(source));
  while (const nftnl_expr* expr = nftnl_expr_iter_next(iterator.get())) {
    if (is_statement(expr)) ++rule.total_statements;
    ++index;
    if (!reason.empty()) continue;
    const std::size_t before = rule.statements.size();
    reason = translator.translate(expr);
    if (reason.empty() && rule.statements.size() > before) open = index;
  }
  if (!reason.empty()) {
    rule.statements.push_back(imr::Native{debug_texts(source, open), std::move(reason)});
  }
  rule.statements.edit().shrink_to_fit();
  if (rule.origin.text.empty()) rule.origin.text = debug_texts(source, 0);
}

}  // namespace weir::frontend::nft
