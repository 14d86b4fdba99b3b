// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/expressions.h"

#include <functional>
#include <string_view>
#include <utility>

#include "imr/visit.h"

namespace weir::frontend::nft {
namespace {

std::size_t hash_of(const Bytes& bytes) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::size_t mixed(std::size_t a, std::size_t b) {
  return (a ^ (a >> 29)) * 0x9e3779b97f4a7c15 + b;
}

std::size_t hash_of(const imr::Expr& expr) {
  const std::size_t own = imr::match_on(
      expr, [](const imr::Immediate& e) { return hash_of(e.value); },
      [](const imr::Payload& e) {
        return mixed(mixed(static_cast<std::size_t>(e.base), e.offset), e.length);
      },
      [](const imr::HeaderField& e) { return std::hash<std::string>()(e.name); },
      [](const imr::Extension& e) {
        return mixed(mixed(static_cast<std::size_t>(e.kind), e.type),
                     mixed(e.offset, e.presence ? 0U : e.length));
      },
      [](const imr::Meta& e) { return static_cast<std::size_t>(e.key); },
      [](const imr::Ct& e) {
        return mixed(static_cast<std::size_t>(e.key), static_cast<std::size_t>(e.direction));
      },
      [](const imr::MaskXor& e) {
        return mixed(mixed(e.source.index(), hash_of(e.mask)), hash_of(e.flip));
      },
      [](const imr::Shift& e) { return mixed(e.source.index(), e.bits); },
      [](const imr::ByteSwap& e) { return mixed(e.source.index(), e.unit); },
      [](const imr::Concat& e) {
        std::size_t hash = e.parts.size();
        for (const imr::ExprId part : e.parts) hash = mixed(hash, part.index());
        return hash;
      },
      [](const imr::MapLookup& e) { return mixed(e.key.index(), e.map.index()); },
      [](const imr::Numgen& e) { return mixed(e.meter.index(), e.offset); },
      [](const imr::Random& e) { return mixed(e.modulus, e.offset); },
      [](const imr::Hash& e) { return mixed(mixed(e.source.index(), e.seed), e.modulus); },
      [](const imr::Nexthop& e) { return mixed(e.source.index(), 0); });
  return mixed(own, expr.index());
}

}  // namespace

ExpressionPool::ExpressionPool(const imr::Ruleset& ruleset) {
  for (std::size_t i = 0; i < ruleset.exprs.size(); ++i) {
    by_hash_.emplace(hash_of(ruleset.exprs[i]), imr::ExprId(i));
  }
}

imr::ExprId ExpressionPool::add(imr::Ruleset& ruleset, imr::Expr expr) {
  const std::size_t hash = hash_of(expr);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (ruleset[known->second] == expr) return known->second;
  }
  const imr::ExprId id = ruleset.add(std::move(expr));
  by_hash_.emplace(hash, id);
  return id;
}

void ExpressionPool::shrink(imr::Ruleset& ruleset, std::size_t count) {
  if (ruleset.exprs.size() == count) return;
  std::erase_if(by_hash_, [&](const auto& one) { return one.second.index() >= count; });
  ruleset.exprs.erase(ruleset.exprs.begin() + static_cast<std::ptrdiff_t>(count),
                      ruleset.exprs.end());
}

}  // namespace weir::frontend::nft
