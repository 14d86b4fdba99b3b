// SPDX-License-Identifier: BSD-2-Clause
//
// The expressions of one rule, one after another: what they load into registers
// (translate_loads.cpp) and what they do with it (translate_statements.cpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/nft/registers.h"
#include "frontend/nft/rule.h"

namespace weir::frontend::nft {

// Why an expression is not translated; empty when it was.
using Reason = std::string;

// ---- Of an expression, as libnftnl has it
[[nodiscard]] bool has(const nftnl_expr* expr, std::uint16_t attribute);
[[nodiscard]] std::uint32_t number(const nftnl_expr* expr, std::uint16_t attribute);
[[nodiscard]] Bytes data(const nftnl_expr* expr, std::uint16_t attribute);
[[nodiscard]] std::string_view name_of(const nftnl_expr* expr);
// "[ limit rate 5/second burst 5 packets ]", as nft --debug=netlink prints it.
[[nodiscard]] std::string debug_text(const nftnl_expr* expr);
// The second word of "load cpu => reg 1" and "set mark with reg 1".
[[nodiscard]] std::string key_in_text(const nftnl_expr* expr);
[[nodiscard]] std::optional<imr::HeaderBase> header_base(std::uint32_t base);

// Whether an operand of `size` bytes in a register can be compared by the bytes that the value has
// alone: what it reads behind them are zeros, and zeros are what they are compared with. memcmp()
// then finds no difference there, whatever the operator.
[[nodiscard]] bool rest_is_zero(const Value& value, const Bytes& operand);

[[nodiscard]] Reason not_translated(const std::string& what, std::string_view why);

class Translator {
 public:
  Translator(const RuleScope& scope, imr::RuleId id, imr::Rule& rule)
      : scope_(scope), id_(id), rule_(rule) {}

  // Why `expr` and all behind it stay with the kernel; empty when it was translated.
  Reason translate(const nftnl_expr* expr);

 private:
  imr::ExprId add(imr::Expr expr);
  [[nodiscard]] std::size_t full_size(const Value& value) const;
  // A fresh value. `may_be_absent`: then the rule ends, right here.
  void store_load(std::uint32_t reg, imr::Expr expr, bool may_be_absent);
  void use(const Value& value);
  // The IMR loads a value where it is used. That is the same unless something with an effect stands
  // between the load, which may end the rule, and its use.
  [[nodiscard]] Reason order_reason() const;
  // A number of a sequence is taken where it is loaded, in the IMR where it is used.
  [[nodiscard]] Reason lost_number() const;
  // An expression whose first `size` bytes are those in the registers from `reg` on: one value, or
  // several that stand in a row, each padded to whole words. The loads behind it count as used.
  std::optional<imr::ExprId> operand(std::uint32_t reg, std::size_t size);
  static Reason no_value() { return "the registers hold no value that is known"; }

  // Loads and conversions.
  Reason payload(const nftnl_expr* expr);
  Reason meta(const nftnl_expr* expr);
  Reason ct(const nftnl_expr* expr);
  // nft_exthdr_select_ops() in net/netfilter/nft_exthdr.c: without an operation, IPv6's headers.
  Reason exthdr(const nftnl_expr* expr);
  Reason bitwise(const nftnl_expr* expr);
  // nft_bitwise_eval_bool() works on whole words, with zeros behind mask and flip: what stands
  // behind `length` becomes zero.
  Reason mask_xor(const nftnl_expr* expr, const Value& source, std::size_t length,
                  std::uint32_t target);
  Reason shift(const nftnl_expr* expr, const Value& source, std::size_t length,
               std::uint32_t target, imr::Shift::Direction direction);
  // nft_byteorder_eval() writes as many whole units as fit into the length, and nothing behind
  // them.
  Reason byteorder(const nftnl_expr* expr);
  // nft_rt_get_eval(): the realms are what meta rtclassid has, and packets go to their destination
  // where a route has no gateway.
  Reason route(const nftnl_expr* expr);
  Reason hash(const nftnl_expr* expr);
  Reason numgen(const nftnl_expr* expr);

  // Statements.
  // nft_payload_set_init() in net/netfilter/nft_payload.c.
  Reason write_payload(const nftnl_expr* expr, std::optional<imr::HeaderBase> base);
  Reason write_option(const nftnl_expr* expr);
  Reason strip_option(const nftnl_expr* expr);
  // Expressions are evaluated where they are used: what was loaded before is not there any more.
  void add_write(const imr::Statement& write);
  // nft_meta_set_eval() in net/netfilter/nft_meta.c takes as many bytes of the register as the key
  // has.
  Reason set_meta(const nftnl_expr* expr);
  Reason cmp(const nftnl_expr* expr);
  Reason range(const nftnl_expr* expr);
  Reason immediate(const nftnl_expr* expr);
  Reason lookup(const nftnl_expr* expr);
  // nft_dynset_init()
  Reason change_set(const nftnl_expr* expr);
  Reason counter(const nftnl_expr* expr);
  Reason limit(const nftnl_expr* expr);
  Reason quota(const nftnl_expr* expr);
  Reason object(const nftnl_expr* expr);
  // nft_objref_map_eval()
  Reason object_of_map(const nftnl_expr* expr);
  Reason take(const imr::MeterState& meter);
  // nft_reject_init() in net/netfilter/nft_reject.c.
  Reason reject(const nftnl_expr* expr);
  Reason forward(const nftnl_expr* expr);
  Reason duplicate(const nftnl_expr* expr);
  std::optional<imr::ExprId> device_of(const nftnl_expr* expr, std::uint16_t attribute);
  // nft_log_init() in net/netfilter/nft_log.c.
  Reason log(const nftnl_expr* expr);

  const RuleScope& scope_;
  imr::RuleId id_;
  imr::Rule& rule_;
  Registers registers_;
  std::vector<imr::ExprId> pending_;  // loads that may have no value, and are not used yet
};

}  // namespace weir::frontend::nft
