// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/arrival.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "frontend/nft/jumps.h"
#include "frontend/nft/kernel_dump.h"
#include "frontend/nft/listing.h"
#include "frontend/nft/netlink.h"
#include "frontend/nft/rule.h"

namespace weir::frontend::nft {
namespace {

class Translation {
 public:
  explicit Translation(const ArrivalScope& scope) : scope_(scope) {}

  // Also of what is right, but more than a rule and its sets.
  static std::unexpected<Diagnostic> unexpected_message() {
    return system_error("found something else than a rule and its sets");
  }

  Status message(const nlmsghdr* message) {
    switch (message->nlmsg_type & 0xff) {
      case NFT_MSG_NEWSET:
        return set(message);
      case NFT_MSG_NEWSETELEM:
        return elements(message);
      case NFT_MSG_NEWRULE:
        return rule(message);
      default:
        return unexpected_message();
    }
  }

  std::optional<Arrival> finish(std::string_view listing) {
    if (!source_ || !handles_follow()) return std::nullopt;
    for (Brought& set : sets_) {
      imr::Set& made = scope_.ruleset[set.id];
      if (!made.native_reason.empty() || (made.interval && made.dynamic)) return std::nullopt;
      made.elements = join_elements(std::move(set.elements), made);
    }
    const imr::Table& table = scope_.ruleset[scope_.ruleset[scope_.chain].table];
    std::map<RuleKey, std::string> texts = rule_texts(listing);
    Arrival out;
    out.sets = sets_.size();
    out.rule.chain = scope_.chain;
    out.rule.origin.handle = handle();
    out.rule.origin.text = std::move(texts[{table.family, table.name, handle()}]);
    out.rule.origin.comment = comment_of(source_.get());
    const RuleScope scope{.ruleset = &scope_.ruleset,
                          .expressions = &scope_.expressions,
                          .find_chain = scope_.find_chain,
                          .find_set = [this](const std::string& name) { return find_set(name); },
                          .native_reason = {},
                          .family = table.family};
    translate_expressions(source_.get(), scope, imr::RuleId(scope_.ruleset.rules.size()), out.rule);
    if (is_native(out.rule)) return std::nullopt;
    return out;
  }

 private:
  struct Brought {
    std::string name;  // in the namespace
    std::uint64_t handle = 0;
    imr::SetId id;
    std::vector<RawElement> elements = {};
  };

  [[nodiscard]] std::uint64_t handle() const {
    return nftnl_rule_get_u64(source_.get(), NFTNL_RULE_HANDLE);
  }

  // Whether nothing else of the table took a handle since the first set.
  [[nodiscard]] bool handles_follow() const {
    std::uint64_t next = handle() - sets_.size();
    return std::ranges::all_of(sets_, [&](const Brought& set) { return set.handle == next++; });
  }

  Brought* find(std::string_view name) {
    const auto found = std::ranges::find(sets_, name, &Brought::name);
    return found == sets_.end() ? nullptr : &*found;
  }

  imr::SetId find_set(const std::string& name) {
    const Brought* own = find(name);
    return own == nullptr ? scope_.find_set(name) : own->id;
  }

  Status set(const nlmsghdr* message) {
    const NlSet source(nftnl_set_alloc());
    if (!source || nftnl_set_nlmsg_parse(message, source.get()) < 0 ||
        !nftnl_set_is_set(source.get(), NFTNL_SET_NAME)) {
      return unexpected_message();
    }
    imr::Set set = describe_set(source.get(), scope_.ruleset[scope_.chain].table);
    if (!set.anonymous) return unexpected_message();
    Brought brought{
        .name = set.name, .handle = nftnl_set_get_u64(source.get(), NFTNL_SET_HANDLE), .id = {}};
    set.name = scope_.name_of(set.name);
    brought.id = scope_.ruleset.add(std::move(set));
    sets_.push_back(std::move(brought));
    return {};
  }

  Status elements(const nlmsghdr* message) {
    const NlSet source(nftnl_set_alloc());
    if (!source || nftnl_set_elems_nlmsg_parse(message, source.get()) < 0 ||
        !nftnl_set_is_set(source.get(), NFTNL_SET_NAME)) {
      return unexpected_message();
    }
    Brought* set = find(nftnl_set_get_str(source.get(), NFTNL_SET_NAME));
    if (set == nullptr) return unexpected_message();
    read_elements(source.get(), scope_.find_chain, {}, scope_.ruleset[set->id], set->elements);
    return {};
  }

  Status rule(const nlmsghdr* message) {
    if (source_) return unexpected_message();
    source_.reset(nftnl_rule_alloc());
    if (!source_ || nftnl_rule_nlmsg_parse(message, source_.get()) < 0) return unexpected_message();
    return {};
  }

  const ArrivalScope& scope_;
  NlRule source_;
  std::vector<Brought> sets_;
};

}  // namespace

std::optional<Arrival> translate_arrival(ByteView messages, std::string_view listing,
                                         const ArrivalScope& scope) {
  Translation translation(scope);
  const auto read =
      each_message(messages, [&](const nlmsghdr* message) { return translation.message(message); });
  if (!read) return std::nullopt;
  return translation.finish(listing);
}

}  // namespace weir::frontend::nft
