// SPDX-License-Identifier: BSD-2-Clause
//
// Which base chains run where: the command line's contract for HOOK and --chain.
#include <algorithm>

#include "driver/compile.h"

namespace weir::driver {
namespace {

using imr::ChainId;
using imr::Ruleset;

// Base chains of tables that are awake, in the order in which the kernel runs them.
std::vector<ChainId> base_chains(const Ruleset& ruleset) {
  std::vector<ChainId> chains;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const imr::Chain& chain = ruleset.chains[i];
    if (chain.base && !ruleset[chain.table].dormant) chains.emplace_back(i);
  }
  std::ranges::stable_sort(chains, {}, [&](ChainId id) { return ruleset[id].base->priority; });
  return chains;
}

void add_netfilter(const Ruleset& ruleset, ChainId id, std::vector<Attachment>& out) {
  const imr::BaseChain& base = *ruleset[id].base;
  if (base.hook == NfHook::ingress || !is_ip(ruleset[ruleset[id].table].family)) return;
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
    if (!sees(ruleset[ruleset[id].table].family, nfproto)) continue;
    out.push_back({.hook = {.kind = Hook::Kind::netfilter, .nf_hook = base.hook, .device = {}},
                   .nfproto = nfproto,
                   .priority = base.priority,
                   .roots = {id}});
  }
}

std::string candidates(const Ruleset& ruleset, const std::vector<ChainId>& chains) {
  std::string out;
  for (const ChainId id : chains) {
    const imr::Table& table = ruleset[ruleset[id].table];
    out += (out.empty() ? "" : ", ") + std::string(to_string(table.family)) + "/" + table.name +
           "/" + ruleset[id].name;
  }
  return out;
}

Result<ChainId> find_chain(const Ruleset& ruleset, const std::vector<ChainId>& bases,
                           const ChainName& name) {
  for (const ChainId id : bases) {
    const imr::Table& table = ruleset[ruleset[id].table];
    if (table.family == name.family && table.name == name.table && ruleset[id].name == name.chain) {
      return id;
    }
  }
  return input_error("no base chain " + std::string(to_string(name.family)) + "/" + name.table +
                     "/" + name.chain + ", expected one of " + candidates(ruleset, bases));
}

}  // namespace

Result<ChainName> parse_chain_name(std::string_view text) {
  const auto first = text.find('/');
  const auto second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos || second == first + 1 || second + 1 == text.size()) {
    return input_error("'" + std::string(text) + "' is not FAMILY/TABLE/CHAIN");
  }
  WEIR_TRY(family, parse_family(text.substr(0, first)));
  return ChainName{.family = family,
                   .table = std::string(text.substr(first + 1, second - first - 1)),
                   .chain = std::string(text.substr(second + 1))};
}

Result<std::vector<Attachment>> plan(const Ruleset& ruleset, const std::optional<Hook>& hook,
                                     const std::vector<ChainName>& chains) {
  const std::vector<ChainId> bases = base_chains(ruleset);
  std::vector<Attachment> out;
  if (!hook || hook->kind == Hook::Kind::netfilter) {
    if (hook && !chains.empty()) {
      return input_error(
          "--chain goes with hooks other than netfilter, which take every base chain "
          "of their own");
    }
    std::vector<ChainId> wanted = bases;
    if (!chains.empty()) {
      wanted.clear();
      for (const ChainName& name : chains) {
        WEIR_TRY(id, find_chain(ruleset, bases, name));
        wanted.push_back(id);
      }
    }
    for (const ChainId id : wanted) {
      if (hook && ruleset[id].base->hook != hook->nf_hook) continue;
      add_netfilter(ruleset, id, out);
    }
    if (out.empty()) {
      return input_error("no base chain" +
                         (hook ? " for hook " + to_string(*hook) : std::string()) +
                         " that weir can take; the ruleset has: " +
                         (bases.empty() ? "none" : candidates(ruleset, bases)));
    }
    return out;
  }

  Attachment attachment{.hook = *hook, .roots = {}};
  for (const ChainName& name : chains) {
    WEIR_TRY(id, find_chain(ruleset, bases, name));
    attachment.roots.push_back(id);
  }
  if (chains.empty()) {
    if (bases.size() != 1) {
      return input_error("which base chain decides at " + to_string(*hook) +
                         "? Choose with --chain: " +
                         (bases.empty() ? "the ruleset has none" : candidates(ruleset, bases)));
    }
    attachment.roots = bases;
  }
  for (const ChainId root : attachment.roots) {
    if (!is_ip(ruleset[ruleset[root].table].family)) {
      return input_error("chain " + imr::qualified_name(ruleset, root) + " cannot run at " +
                         to_string(*hook) + " yet: families ip, ip6 and inet can");
    }
  }
  out.push_back(std::move(attachment));
  return out;
}

}  // namespace weir::driver
