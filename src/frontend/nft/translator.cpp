// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/translator.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>

namespace weir::frontend::nft {
namespace {

// What no program can know or do.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> never_translated = {{
    {"connlimit", "connections are counted in lists of the kernel's own"},
    {"fib",
     "bpf_fib_lookup(), which programs have, tells no type of a route, and nothing where a device "
     "does not forward"},
    {"flow_offload", "connections are put into flow tables by the kernel"},
    {"inner", "weir does not look into tunnels"},
    {"last", "when a rule was last used is kept by the kernel for who lists it"},
    {"masq", "connection tracking translates addresses, and a program cannot tell it to"},
    {"match", "extensions of xtables are code of the kernel's own"},
    {"nat", "connection tracking translates addresses, and a program cannot tell it to"},
    {"notrack", "a program cannot take a packet out of tracking"},
    {"osf", "fingerprints of systems are matched by lists of the kernel's own"},
    {"redir", "connection tracking translates addresses, and a program cannot tell it to"},
    {"socket",
     "a packet's socket is looked for by what connection tracking knows and by headers that ICMP "
     "quotes, which no helper does"},
    {"synproxy", "connection tracking opens connections in a server's place"},
    {"target", "extensions of xtables are code of the kernel's own"},
    {"tproxy", "no program of a netfilter hook can hand a packet to a socket"},
    {"xfrm", "where a packet keeps its transformations differs from kernel to kernel"},
}};

}  // namespace

bool has(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_is_set(expr, attribute);
}

std::uint32_t number(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_get_u32(expr, attribute);
}

Bytes data(const nftnl_expr* expr, std::uint16_t attribute) {
  std::uint32_t size = 0;
  const auto* bytes = static_cast<const std::uint8_t*>(nftnl_expr_get(expr, attribute, &size));
  return bytes == nullptr ? Bytes() : Bytes(bytes, bytes + size);
}

std::string_view name_of(const nftnl_expr* expr) {
  return nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
}

std::string debug_text(const nftnl_expr* expr) {
  std::array<char, 4096> buffer;
  const int size = nftnl_expr_snprintf(buffer.data(), buffer.size(), expr, NFTNL_OUTPUT_DEFAULT, 0);
  std::string text(buffer.data(),
                   std::clamp<std::size_t>(size < 0 ? 0 : size, 0, buffer.size() - 1));
  while (text.ends_with(' ')) text.pop_back();
  return "[ " + std::string(name_of(expr)) + (text.empty() ? "" : " " + text) + " ]";
}

std::string key_in_text(const nftnl_expr* expr) {
  const std::string text = debug_text(expr);
  std::size_t at = 0;
  for (int skipped = 0; skipped < 3 && at != std::string::npos; ++skipped) {
    at = text.find(' ', at);
    if (at != std::string::npos) ++at;
  }
  if (at == std::string::npos) return "?";
  return text.substr(at, text.find(' ', at) - at);
}

std::optional<imr::HeaderBase> header_base(std::uint32_t base) {
  switch (base) {
    case NFT_PAYLOAD_LL_HEADER:
      return imr::HeaderBase::link;
    case NFT_PAYLOAD_NETWORK_HEADER:
      return imr::HeaderBase::network;
    case NFT_PAYLOAD_TRANSPORT_HEADER:
      return imr::HeaderBase::transport;
    case NFT_PAYLOAD_INNER_HEADER:
      return imr::HeaderBase::inner;
    default:
      return std::nullopt;
  }
}

bool rest_is_zero(const Value& value, const Bytes& operand) {
  if (operand.size() <= value.size) return true;
  return operand.size() <= value.zero_end &&
         std::all_of(operand.begin() + static_cast<std::ptrdiff_t>(value.size), operand.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

Reason not_translated(const std::string& what, std::string_view why) {
  return "'" + what + "'" + (why.empty() ? " is not known to weir" : ": " + std::string(why));
}

Reason Translator::translate(const nftnl_expr* expr) {
  if (!scope_.native_reason.empty()) return scope_.native_reason;
  using Method = Reason (Translator::*)(const nftnl_expr*);
  static constexpr std::array<std::pair<std::string_view, Method>, 22> methods = {{
      {"payload", &Translator::payload},
      {"cmp", &Translator::cmp},
      {"bitwise", &Translator::bitwise},
      {"byteorder", &Translator::byteorder},
      {"range", &Translator::range},
      {"immediate", &Translator::immediate},
      {"lookup", &Translator::lookup},
      {"meta", &Translator::meta},
      {"ct", &Translator::ct},
      {"exthdr", &Translator::exthdr},
      {"counter", &Translator::counter},
      {"limit", &Translator::limit},
      {"quota", &Translator::quota},
      {"numgen", &Translator::numgen},
      {"objref", &Translator::object},
      {"rt", &Translator::route},
      {"hash", &Translator::hash},
      {"log", &Translator::log},
      {"dynset", &Translator::change_set},
      {"reject", &Translator::reject},
      {"fwd", &Translator::forward},
      {"dup", &Translator::duplicate},
  }};
  const std::string_view name = name_of(expr);
  for (const auto& [known, method] : methods) {
    if (known != name) continue;
    const std::size_t before = rule_.statements.size();
    Reason reason = (this->*method)(expr);
    const bool stands = rule_.statements.size() != before;
    return reason.empty() && stands ? lost_number() : reason;
  }
  for (const auto& [known, reason] : never_translated) {
    if (known == name) return std::string(reason);
  }
  return "expression '" + std::string(name) + "' is not translated yet";
}

imr::ExprId Translator::add(imr::Expr expr) {
  return scope_.expressions->add(*scope_.ruleset, std::move(expr));
}

std::size_t Translator::full_size(const Value& value) const {
  return imr::value_size(*scope_.ruleset, value.expr);
}

void Translator::store_load(std::uint32_t reg, imr::Expr expr, bool may_be_absent) {
  const imr::ExprId id = add(std::move(expr));
  const std::size_t size = imr::value_size(*scope_.ruleset, id);
  registers_.store(reg, {id, size, whole_words(size), id});
  if (may_be_absent) pending_.push_back(id);
}

void Translator::use(const Value& value) {
  std::erase(pending_, value.root);
  // The next use would be of the next number.
  if (!imr::varies(*scope_.ruleset, value.root)) return;
  const imr::ExprId root = value.root;
  registers_.forget([&](const Value& one) { return one.root == root; });
}

Reason Translator::order_reason() const {
  return pending_.empty() ? Reason()
                          : "a packet load stands before a statement that does not use it";
}

Reason Translator::lost_number() const {
  const bool lost = std::ranges::any_of(
      pending_, [&](imr::ExprId id) { return imr::varies(*scope_.ruleset, id); });
  return lost ? "a number is generated before a statement that does not use it" : Reason();
}

std::optional<imr::ExprId> Translator::operand(std::uint32_t reg, std::size_t size) {
  const std::vector<Value> run = registers_.load_run(reg, size);
  if (run.empty()) return std::nullopt;
  if (run.size() == 1 && run.front().size >= size) {
    use(run.front());
    return run.front().expr;
  }
  imr::Concat concat;
  std::size_t at = 0;
  for (const Value& value : run) {
    // The last one may be longer than what is asked for, but none is shorter than its expression.
    if (value.size != full_size(value) && at + value.size < size) return std::nullopt;
    concat.parts.push_back(value.expr);
    at += whole_words(value.size);
  }
  for (const Value& value : run) use(value);
  return add(std::move(concat));
}

}  // namespace weir::frontend::nft
