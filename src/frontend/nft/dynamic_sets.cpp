// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/dynamic_sets.h"

#include <optional>
#include <string_view>
#include <utility>

#include "frontend/nft/objects.h"
#include "imr/dynamic_sets.h"
#include "imr/meters.h"

namespace weir::frontend::nft {
namespace {

constexpr const char* different =
    "elements of one set have different statements, which a program cannot tell apart";

std::uint64_t number(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_get_u64(expr, attribute);
}
std::uint32_t small_number(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_get_u32(expr, attribute);
}

void add_meter(imr::MeterState meter, ElementState& out) {
  if (std::string reason = imr::why_no_meter(meter); !reason.empty()) out.reason = reason;
  out.held.push_back(std::exchange(meter.used, 0));
  out.statements.emplace_back(meter);
}

// A callback of libnftnl: goes on while it gives 0 or more.
int add(nftnl_expr* expr, void* data) {
  auto& out = *static_cast<ElementState*>(data);
  const std::string_view name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
  if (name == "counter") {
    out.held.push_back(number(expr, NFTNL_EXPR_CTR_PACKETS));
    out.held.push_back(number(expr, NFTNL_EXPR_CTR_BYTES));
    out.statements.emplace_back(imr::ElementCounter{});
  } else if (name == "limit") {
    add_meter(meter_of({.rate = number(expr, NFTNL_EXPR_LIMIT_RATE),
                        .unit = number(expr, NFTNL_EXPR_LIMIT_UNIT),
                        .burst = small_number(expr, NFTNL_EXPR_LIMIT_BURST),
                        .type = small_number(expr, NFTNL_EXPR_LIMIT_TYPE),
                        .flags = small_number(expr, NFTNL_EXPR_LIMIT_FLAGS)}),
              out);
  } else if (name == "quota") {
    add_meter(
        quota_of(number(expr, NFTNL_EXPR_QUOTA_BYTES), number(expr, NFTNL_EXPR_QUOTA_CONSUMED),
                 small_number(expr, NFTNL_EXPR_QUOTA_FLAGS)),
        out);
  } else {
    out.reason = "elements with '" + std::string(name) + "' stay with the kernel";
  }
  return 0;
}

// What new elements begin with: quotas and counters as they are told.
void begin_with(ElementState& state) {
  std::size_t at = 0;
  for (imr::ElementStatement& statement : state.statements) {
    if (auto* counter = std::get_if<imr::ElementCounter>(&statement)) {
      *counter = {state.held[at], state.held[at + 1]};
    } else {
      std::get<imr::MeterState>(statement).used = state.held[at];
    }
    at += imr::words_of(statement);
  }
}

}  // namespace

ElementState state_of(const nftnl_set* set) {
  ElementState out;
  nftnl_set_expr_foreach(set, add, &out);
  begin_with(out);
  return out;
}

ElementState state_of(nftnl_set_elem* element) {
  ElementState out;
  nftnl_set_elem_expr_foreach(element, add, &out);
  return out;
}

ElementState state_of_rule(const nftnl_expr* dynset) {
  ElementState out;
  nftnl_expr_expr_foreach(dynset, add, &out);
  begin_with(out);
  return out;
}

std::string take_element(imr::Dynamics& dynamics, bool first, ElementState& state) {
  if (!state.reason.empty()) return state.reason;
  if (first && dynamics.statements.empty()) dynamics.statements = state.statements;
  // They differ in what a new element begins with.
  std::vector<imr::ElementStatement> kinds = dynamics.statements;
  std::vector<std::uint64_t> begins;
  for (imr::ElementStatement& statement : kinds) {
    if (auto* counter = std::get_if<imr::ElementCounter>(&statement)) {
      begins.push_back(std::exchange(counter->packets, 0));
      begins.push_back(std::exchange(counter->bytes, 0));
    } else {
      begins.push_back(std::exchange(std::get<imr::MeterState>(statement).used, 0));
    }
  }
  if (kinds != state.statements) return different;
  if (state.held == begins) state.held.clear();
  return {};
}

std::string DynamicSets::settle(imr::Set& set, imr::SetId id, const ElementState& made) {
  if (!made.reason.empty()) return made.reason;
  const std::optional<imr::Dynamics> before = set.dynamic;
  if (!set.dynamic) set.dynamic = imr::Dynamics{.size = imr::default_size};
  if (!own.contains(id) && settled.insert(id).second) set.dynamic->statements = made.statements;
  // The kernel does not repeat what the set says.
  const bool same =
      (own.contains(id) && made.statements.empty()) || set.dynamic->statements == made.statements;
  std::string reason = same ? imr::why_not_dynamic(set) : different;
  if (!reason.empty()) set.dynamic = before;
  return reason;
}

std::string DynamicSets::settle(imr::Set& set) {
  if (set.dynamic) return {};
  set.dynamic = imr::Dynamics{.size = imr::default_size};
  std::string reason = imr::why_not_dynamic(set);
  if (!reason.empty()) set.dynamic.reset();
  return reason;
}

}  // namespace weir::frontend::nft
