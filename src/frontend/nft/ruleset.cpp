// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/ruleset.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "frontend/nft/expressions.h"
#include "frontend/nft/interface_index.h"
#include "frontend/nft/kernel_dump.h"
#include "frontend/nft/listing.h"
#include "frontend/nft/netlink.h"
#include "frontend/nft/objects.h"
#include "frontend/nft/parts.h"
#include "frontend/nft/ranges.h"
#include "frontend/nft/rule.h"
#include "frontend/nft/sets.h"
#include "frontend/nft/source_lines.h"
#include "imr/answer.h"
#include "imr/meters.h"

namespace weir::frontend::nft {
namespace {

// Tables, chains and sets have names of their own, each in its table.
using Name = std::tuple<Family, std::string, std::string>;

std::string text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

// enum nf_inet_hooks, nf_dev_hooks, nf_arp hooks and nf_br hooks to the place that they name; no
// value for hooks that weir has no name for.
std::optional<NfHook> to_hook(Family family, std::uint32_t number) {
  switch (family) {
    case Family::netdev:
      if (number == NF_NETDEV_EGRESS) return NfHook::egress;
      return number == NF_NETDEV_INGRESS ? std::optional(NfHook::ingress) : std::nullopt;
    case Family::arp: {
      constexpr NfHook hooks[] = {NfHook::input, NfHook::output, NfHook::forward};
      return number < 3 ? std::optional(hooks[number]) : std::nullopt;
    }
    case Family::ip:
    case Family::ip6:
    case Family::inet:
    case Family::bridge:
      if (number == NF_INET_INGRESS && family == Family::inet) return NfHook::ingress;
      return number < NF_INET_NUMHOOKS ? std::optional(static_cast<NfHook>(number)) : std::nullopt;
  }
  return std::nullopt;
}

class Builder {
 public:
  Builder(std::map<ChainKey, std::vector<RulePlace>> places, std::string file)
      : file_(std::move(file)), places_(std::move(places)) {}

  void begin_part(std::string_view listing) {
    ++parts_;
    texts_ = rule_texts(listing);
    part_sets_.clear();
    numbering_.begin_part();
    elements_joined_ = false;
    part_rules_ = ruleset_.rules.size();
  }

  Status end_part() {
    return numbering_.end_part(std::span(ruleset_.rules.edit()).subspan(part_rules_), ruleset_);
  }

  [[nodiscard]] std::size_t rules() const { return ruleset_.rules.size(); }

  // Before the rules of commands are there, which stand in no line.
  Status begin_amendment() {
    amended_ = true;
    return check_lines();
  }

  Status end_amendment(std::span<const RuleCommand> commands) {
    return amend(ruleset_, part_rules_, commands) ? Status() : differs();
  }

  Status message(const nlmsghdr* message) {
    const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
    family_ = static_cast<Family>(header->nfgen_family);
    switch (message->nlmsg_type & 0xff) {
      case NFT_MSG_NEWTABLE:
        return table(message);
      case NFT_MSG_NEWCHAIN:
        return chain(message);
      case NFT_MSG_NEWOBJ:
        return object(message);
      case NFT_MSG_NEWSET:
        return set(message);
      case NFT_MSG_NEWSETELEM:
        return elements(message);
      case NFT_MSG_NEWRULE:
        return rule(message);
      default:
        return system_error("found an unknown message in the kernel's ruleset");
    }
  }

  Result<imr::Ruleset> finish(const std::vector<imr::Interface>& links) {
    if (!elements_joined_) join_all_elements();
    if (!amended_) WEIR_CHECK(check_lines());
    if (parts_ > 1 && !mean_the_same_together(ruleset_)) return differs();
    ruleset_.interfaces = links;
    if (names_interface(ruleset_, loopback_index)) {
      ruleset_.interfaces.push_back({"lo", loopback_index});
    }
    return std::move(ruleset_);
  }

 private:
  static std::unexpected<Diagnostic> unreadable(const char* what) {
    return system_error(std::string("cannot read a ") + what + " of the kernel's ruleset");
  }

  static std::unexpected<Diagnostic> differs() {
    return system_error("the parts of a script do not go together");
  }

  template <typename Map>
  static auto find(const Map& map, const typename Map::key_type& key) {
    const auto found = map.find(key);
    return found == map.end() ? typename Map::mapped_type() : found->second;
  }

  Status table(const nlmsghdr* message) {
    const NlTable source(nftnl_table_alloc());
    if (!source || nftnl_table_nlmsg_parse(message, source.get()) < 0 ||
        !nftnl_table_is_set(source.get(), NFTNL_TABLE_NAME)) {
      return unreadable("table");
    }
    const std::string name = nftnl_table_get_str(source.get(), NFTNL_TABLE_NAME);
    if (parts_ > 1) return tables_.contains({family_, name, ""}) ? Status() : differs();
    const bool dormant =
        (nftnl_table_get_u32(source.get(), NFTNL_TABLE_FLAGS) & NFT_TABLE_F_DORMANT) != 0;
    tables_[{family_, name, ""}] = ruleset_.add(imr::Table{family_, name, dormant});
    return {};
  }

  Status chain(const nlmsghdr* message) {
    const NlChain source(nftnl_chain_alloc());
    if (!source || nftnl_chain_nlmsg_parse(message, source.get()) < 0) return unreadable("chain");
    const std::string table = text_or_empty(nftnl_chain_get_str(source.get(), NFTNL_CHAIN_TABLE));
    const imr::TableId table_id = find(tables_, {family_, table, ""});
    if (!table_id.valid()) return unreadable("chain");
    imr::Chain chain;
    chain.table = table_id;
    chain.name = text_or_empty(nftnl_chain_get_str(source.get(), NFTNL_CHAIN_NAME));
    chain.base = base_of(source.get());
    const Name name{family_, table, chain.name};
    if (parts_ > 1) return chains_.contains(name) ? Status() : differs();
    chains_[name] = ruleset_.add(std::move(chain));
    return {};
  }

  [[nodiscard]] std::optional<imr::BaseChain> base_of(const nftnl_chain* source) const {
    if (!nftnl_chain_is_set(source, NFTNL_CHAIN_HOOKNUM)) return std::nullopt;
    const auto hook = to_hook(family_, nftnl_chain_get_u32(source, NFTNL_CHAIN_HOOKNUM));
    if (!hook) return std::nullopt;
    imr::BaseChain base;
    base.hook = *hook;
    base.priority = nftnl_chain_get_s32(source, NFTNL_CHAIN_PRIO);
    base.drop_by_policy = nftnl_chain_is_set(source, NFTNL_CHAIN_POLICY) &&
                          nftnl_chain_get_u32(source, NFTNL_CHAIN_POLICY) == NF_DROP;
    base.type = text_or_empty(nftnl_chain_get_str(source, NFTNL_CHAIN_TYPE));
    if (nftnl_chain_is_set(source, NFTNL_CHAIN_DEVICES)) {
      const char* const* devices = nftnl_chain_get_array(source, NFTNL_CHAIN_DEVICES);
      for (; devices != nullptr && *devices != nullptr; ++devices) {
        base.devices.emplace_back(*devices);
      }
    } else if (nftnl_chain_is_set(source, NFTNL_CHAIN_DEV)) {
      base.devices.emplace_back(nftnl_chain_get_str(source, NFTNL_CHAIN_DEV));
    }
    return base;
  }

  Status set(const nlmsghdr* message) {
    const NlSet source(nftnl_set_alloc());
    if (!source || nftnl_set_nlmsg_parse(message, source.get()) < 0 ||
        !nftnl_set_is_set(source.get(), NFTNL_SET_NAME)) {
      return unreadable("set");
    }
    const std::string table = text_or_empty(nftnl_set_get_str(source.get(), NFTNL_SET_TABLE));
    const imr::TableId table_id = find(tables_, {family_, table, ""});
    if (!table_id.valid()) return unreadable("set");
    imr::Set set = describe_set(source.get(), table_id);
    const Name name{family_, table, set.name};
    const bool keeps = set.dynamic && !set.dynamic->statements.empty();
    if (set.anonymous) {
      set.name =
          numbering_.name_of(table_id, set.name, nftnl_set_get_u64(source.get(), NFTNL_SET_HANDLE));
      part_sets_[name] = ruleset_.add(std::move(set));
    } else if (parts_ == 1) {
      sets_[name] = ruleset_.add(std::move(set));
      if (keeps) dynamic_sets_.own.insert(sets_[name]);
    } else if (!sets_.contains(name)) {
      return differs();
    }
    return {};
  }

  Status elements(const nlmsghdr* message) {
    const NlSet source(nftnl_set_alloc());
    if (!source || nftnl_set_elems_nlmsg_parse(message, source.get()) < 0) {
      return unreadable("set element");
    }
    const std::string table = text_or_empty(nftnl_set_get_str(source.get(), NFTNL_SET_TABLE));
    const std::string name = text_or_empty(nftnl_set_get_str(source.get(), NFTNL_SET_NAME));
    const imr::SetId id = find_set(table, name);
    if (!id.valid()) return unreadable("set element");
    if (parts_ > 1 && !ruleset_[id].anonymous) return {};  // they came with the first part
    read_elements(source.get(), chain_finder(table), object_finder(table), ruleset_[id],
                  raw_elements_[id]);
    return {};
  }

  void join_all_elements() {
    for (auto& [id, raw] : raw_elements_) {
      imr::Set& set = ruleset_[id];
      if (!set.native_reason.empty()) continue;
      set.elements = join_elements(std::move(raw), set);
      if (set.dynamic && !set.elements.empty()) dynamic_sets_.settled.insert(id);
    }
    for (imr::Set& set : ruleset_.sets) make_room(set);
    divide_sets();
    raw_elements_.clear();
    elements_joined_ = true;
  }

  void divide_sets() {
    const std::size_t count = ruleset_.sets.size();
    for (std::size_t i = 0; i < count; ++i) {
      const imr::SetId id(i);
      if (!ruleset_[id].interval || !ruleset_[id].dynamic) continue;
      imr::Set map = divide(ruleset_[id]);
      ranges_[id] = ruleset_.add(std::move(map));
    }
  }

  Status rule(const nlmsghdr* message) {
    if (!elements_joined_) join_all_elements();
    const NlRule source(nftnl_rule_alloc());
    if (!source || nftnl_rule_nlmsg_parse(message, source.get()) < 0) return unreadable("rule");
    const std::string table = text_or_empty(nftnl_rule_get_str(source.get(), NFTNL_RULE_TABLE));
    const std::string chain = text_or_empty(nftnl_rule_get_str(source.get(), NFTNL_RULE_CHAIN));
    const imr::ChainId chain_id = find(chains_, {family_, table, chain});
    if (!chain_id.valid()) return unreadable("rule");

    imr::Rule rule;
    rule.chain = chain_id;
    rule.origin.handle = nftnl_rule_get_u64(source.get(), NFTNL_RULE_HANDLE);
    rule.origin.text = find(texts_, {family_, table, rule.origin.handle});
    rule.origin.comment = comment_of(source.get());
    rule.origin.location = place_of(chain_id, {family_, table, chain});

    RuleScope scope;
    scope.ruleset = &ruleset_;
    scope.expressions = &expressions_;
    scope.family = family_;
    scope.find_chain = chain_finder(table);
    scope.find_set = [this, &table](const std::string& name) { return find_set(table, name); };
    scope.find_meter = [this, &table](std::uint32_t type, const std::string& name) {
      return find_meter(table, type, name);
    };
    scope.find_counter = [this, &table](const std::string& name, imr::RuleId id) {
      return find_counter(table, name, id);
    };
    scope.objects_of = [this, &table](std::uint32_t type, imr::RuleId id) {
      return objects_of(table, type, id);
    };
    scope.limit_of_answers = [this] {
      if (!limit_of_answers_.valid()) limit_of_answers_ = ruleset_.add(imr::limit_of_answers());
      return limit_of_answers_;
    };
    scope.dynamic_sets = &dynamic_sets_;
    scope.ranges = &ranges_;
    scope.native_reason = reason_of(chain_id);
    translate_expressions(source.get(), scope, imr::RuleId(ruleset_.rules.size()), rule);
    ruleset_.add(std::move(rule));
    return {};
  }

  // Those that no rule names have no place in the ruleset, nor those of which no map has the type.
  Status object(const nlmsghdr* message) {
    const NlObject source(nftnl_obj_alloc());
    if (!source || nftnl_obj_nlmsg_parse(message, source.get()) < 0) return unreadable("object");
    const std::string table = text_or_empty(nftnl_obj_get_str(source.get(), NFTNL_OBJ_TABLE));
    const std::string name = text_or_empty(nftnl_obj_get_str(source.get(), NFTNL_OBJ_NAME));
    if (const auto counter = counter_of(source.get())) {
      const auto [place, is_new] =
          counters_.try_emplace({family_, table, name}, NamedCounter{.state = *counter, .id = {}});
      if (is_new) objects_[{{family_, table, ""}, NFT_OBJECT_COUNTER}].add(name);
      return {};
    }
    const auto state = meter_of(source.get());
    if (!state || !imr::why_no_meter(*state).empty()) return {};
    const std::uint32_t type = nftnl_obj_get_u32(source.get(), NFTNL_OBJ_TYPE);
    const auto [place, is_new] =
        meters_.try_emplace({{family_, table, name}, type}, NamedMeter{.state = *state, .id = {}});
    if (is_new) objects_[{{family_, table, ""}, type}].add(name);
    return {};
  }

  imr::MeterId find_meter(const std::string& table, std::uint32_t type, const std::string& name) {
    const auto found = meters_.find({{family_, table, name}, type});
    if (found == meters_.end()) return {};
    NamedMeter& meter = found->second;
    if (!meter.id.valid()) meter.id = ruleset_.add(meter.state);
    return meter.id;
  }

  imr::CounterId find_counter(const std::string& table, const std::string& name, imr::RuleId rule) {
    const auto found = counters_.find({family_, table, name});
    if (found == counters_.end()) return {};
    NamedCounter& counter = found->second;
    if (!counter.id.valid()) {
      counter.state.rule = rule;
      counter.id = ruleset_.add(counter.state);
    }
    return counter.id;
  }

  // All of the table, in the order in which the kernel lists them: a map may get more elements.
  imr::Choice objects_of(const std::string& table, std::uint32_t type, imr::RuleId rule) {
    Objects& objects = objects_[{{family_, table, ""}, type}];
    if (objects.all.counters.empty() && objects.all.meters.empty()) {
      for (const std::string& name : objects.names) {
        if (type == NFT_OBJECT_COUNTER) {
          objects.all.counters.push_back(find_counter(table, name, rule));
        } else {
          objects.all.meters.push_back(find_meter(table, type, name));
        }
      }
    }
    return objects.all;
  }

  [[nodiscard]] FindObject object_finder(const std::string& table) const {
    return [this, family = family_, table](
               std::uint32_t type, const std::string& name) -> std::optional<std::uint32_t> {
      const auto objects = objects_.find({{family, table, ""}, type});
      if (objects == objects_.end()) return std::nullopt;
      const auto found = objects->second.places.find(name);
      if (found == objects->second.places.end()) return std::nullopt;
      return found->second;
    };
  }

  [[nodiscard]] FindChain chain_finder(const std::string& table) const {
    return [this, family = family_, table](const std::string& name) {
      return find(chains_, {family, table, name});
    };
  }

  // Why no rule of the chain is translated.
  [[nodiscard]] std::string reason_of(imr::ChainId id) const {
    const std::optional<imr::BaseChain>& base = ruleset_[id].base;
    if (base && base->type != "filter") return base->type + " chains stay with the kernel";
    return {};
  }

  [[nodiscard]] imr::SetId find_set(const std::string& table, const std::string& name) const {
    const imr::SetId own = find(part_sets_, {family_, table, name});
    return own.valid() ? own : find(sets_, {family_, table, name});
  }

  // Of the next rule of the chain.
  [[nodiscard]] SourceLocation place_of(imr::ChainId id, const ChainKey& chain) {
    if (id != last_chain_) {
      last_chain_ = id;
      const auto found = places_.find(chain);
      last_places_ = found == places_.end() ? nullptr : &found->second;
    }
    const std::size_t index = ruleset_[id].rules.size();
    if (last_places_ == nullptr || index >= last_places_->size()) return {file_, 0, 0};
    return {file_, (*last_places_)[index].line, (*last_places_)[index].column};
  }

  // The scan of the script is right about a chain only if it saw as many rules as there are.
  // Whether it was right about all of them.
  bool forget_doubtful_lines() {
    bool all = true;
    for (const auto& [name, id] : chains_) {
      const auto& [family, table, chain] = name;
      const auto found = places_.find({family, table, chain});
      const std::vector<imr::RuleId>& rules = ruleset_[id].rules;
      const std::size_t seen = found == places_.end() ? 0 : found->second.size();
      if (seen == rules.size()) continue;
      all = false;
      for (const imr::RuleId rule : rules) ruleset_[rule].origin.location = {file_, 0, 0};
    }
    return all;
  }

  // The parts go together where the scan was right.
  Status check_lines() {
    const bool all = forget_doubtful_lines();
    return parts_ > 1 && !(all && in_order()) ? differs() : Status();
  }

  // Whether the rules stand chain by chain, as they would in one dump.
  [[nodiscard]] bool in_order() const {
    return std::ranges::is_sorted(ruleset_.rules, {}, &imr::Rule::chain);
  }

  std::string file_;
  struct NamedMeter {
    imr::MeterState state;
    imr::MeterId id;  // once a rule names it
  };
  std::map<std::pair<Name, std::uint32_t>, NamedMeter> meters_;  // by table, name and kind
  struct NamedCounter {
    imr::CounterState state;
    imr::CounterId id;  // once a rule names it
  };
  std::map<Name, NamedCounter> counters_;  // by table and name
  // The objects of a type in a table, in a row.
  struct Objects {
    std::vector<std::string> names;
    std::map<std::string, std::uint32_t> places;
    imr::Choice all;  // once a rule chooses among them

    void add(const std::string& name) {
      places.emplace(name, static_cast<std::uint32_t>(names.size()));
      names.push_back(name);
    }
  };
  std::map<std::pair<Name, std::uint32_t>, Objects> objects_;  // by table and type
  std::map<ChainKey, std::vector<RulePlace>> places_;
  imr::ChainId last_chain_;  // the chain of the rule before, and its places
  const std::vector<RulePlace>* last_places_ = nullptr;

  std::size_t parts_ = 0;
  std::map<RuleKey, std::string> texts_;  // of the part at hand, as is what follows
  std::map<Name, imr::SetId> part_sets_;  // those without a name of the user's
  std::size_t part_rules_ = 0;            // the first of its rules
  Numbering numbering_;
  Family family_ = Family::ip;  // of the message at hand
  imr::Ruleset ruleset_;
  ExpressionPool expressions_;
  DynamicSets dynamic_sets_;
  imr::MeterId limit_of_answers_;  // valid when a rule has it
  std::map<Name, imr::TableId> tables_;
  std::map<Name, imr::ChainId> chains_;
  std::map<Name, imr::SetId> sets_;
  std::map<imr::SetId, std::vector<RawElement>> raw_elements_;
  std::map<imr::SetId, imr::SetId> ranges_;  // from dynamic sets to the maps from intervals
  bool elements_joined_ = false;
  bool amended_ = false;
};

}  // namespace

class RulesetBuilder::Parts : public Builder {
  using Builder::Builder;
};

RulesetBuilder::RulesetBuilder(std::map<ChainKey, std::vector<RulePlace>> places, std::string file)
    : parts_(std::make_unique<Parts>(std::move(places), std::move(file))) {}
RulesetBuilder::RulesetBuilder(RulesetBuilder&&) noexcept = default;
RulesetBuilder& RulesetBuilder::operator=(RulesetBuilder&&) noexcept = default;
RulesetBuilder::~RulesetBuilder() = default;

Status RulesetBuilder::amend(ByteView dump, std::string_view listing,
                             std::span<const RuleCommand> commands) {
  WEIR_CHECK(parts_->begin_amendment());
  WEIR_CHECK(add(dump, listing));
  return parts_->end_amendment(commands);
}

Status RulesetBuilder::add(ByteView dump, std::string_view listing) {
  parts_->begin_part(listing);
  WEIR_CHECK(each_message(dump, [this](const nlmsghdr* one) { return parts_->message(one); }));
  return parts_->end_part();
}

std::size_t RulesetBuilder::rules() const {
  return parts_->rules();
}

Result<imr::Ruleset> RulesetBuilder::finish(const std::vector<imr::Interface>& links) {
  return parts_->finish(links);
}

Result<imr::Ruleset> translate(ByteView dump, std::string_view listing,
                               std::map<ChainKey, std::vector<RulePlace>> places,
                               const std::string& file, const std::vector<imr::Interface>& links) {
  RulesetBuilder builder(std::move(places), file);
  WEIR_CHECK(builder.add(dump, listing));
  return builder.finish(links);
}

}  // namespace weir::frontend::nft
