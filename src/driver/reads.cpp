// SPDX-License-Identifier: BSD-2-Clause
#include "driver/reads.h"

#include <algorithm>
#include <variant>

#include "packet/fields.h"

namespace weir::driver {
namespace {

class Scan {
 public:
  Scan(const imr::Ruleset& ruleset, Reads& reads) : ruleset_(ruleset), reads_(reads) {}

  void rule(const imr::Rule& rule) {
    for (const imr::Statement& statement : rule.statements) std::visit(*this, statement);
  }

  void operator()(const imr::Match& match) { expr(match.lhs); }
  void operator()(const imr::MatchRange& match) { expr(match.lhs); }
  void operator()(const imr::MatchSet& match) { expr(match.key); }
  void operator()(const imr::VerdictMap& map) { expr(map.key); }
  void operator()(const imr::VerdictStatement&) {}
  void operator()(const imr::Counter&) {}
  void operator()(const imr::Meter&) {}
  void operator()(const imr::Choice& choice) { expr(choice.place); }
  void operator()(const imr::MetaWrite& write) { expr(write.value); }
  void operator()(const imr::PayloadWrite& write) {
    reads_.writes_packet = true;
    expr(write.value);
  }
  void operator()(const imr::OptionWrite& write) {
    reads_.writes_packet = true;
    expr(write.value);
  }
  void operator()(const imr::OptionStrip&) { reads_.writes_packet = true; }
  void operator()(const imr::Answer&) {
    reads_.answers = true;
    reads_.writes_packet = true;
  }
  void operator()(const imr::Forward& forward) {
    reads_.forwards = true;
    reads_.writes_packet = true;
    target(forward.device);
    expr(forward.device);
  }
  void operator()(const imr::Duplicate& duplicate) {
    reads_.duplicates = true;
    target(duplicate.device);
    expr(duplicate.device);
  }
  void operator()(const imr::Log&) {}
  void operator()(const imr::DynamicSet& change) {
    expr(change.key);
    if (change.data) expr(*change.data);
  }
  void operator()(const imr::Native&) {}

  void operator()(const imr::Immediate&) {}
  void operator()(const imr::Payload& payload) {
    if (payload.base == imr::HeaderBase::link) reads_.link_header = true;
  }
  void operator()(const imr::HeaderField& named) {
    const packet::Field* field = packet::find_field(named.name);
    if (field != nullptr && field->protocol->layer == packet::Layer::link) {
      reads_.link_header = true;
    }
  }
  void operator()(const imr::Extension&) {}
  void operator()(const imr::Meta& meta) { reads_.meta.insert(meta.key); }
  void operator()(const imr::Ct& ct) {
    reads_.connection = true;
    if (ct.key != imr::CtKey::state) reads_.connection_details = true;
    if (ct.key == imr::CtKey::bytes || ct.key == imr::CtKey::packets ||
        ct.key == imr::CtKey::avgpkt) {
      reads_.connection_counts = true;
    }
  }
  void operator()(const imr::MaskXor& mask) { expr(mask.source); }
  void operator()(const imr::Shift& shift) { expr(shift.source); }
  void operator()(const imr::ByteSwap& swap) { expr(swap.source); }
  void operator()(const imr::Concat& concat) {
    for (const imr::ExprId part : concat.parts) expr(part);
  }
  void operator()(const imr::MapLookup& lookup) { expr(lookup.key); }
  void operator()(const imr::Numgen&) {}
  void operator()(const imr::Random&) { reads_.random = true; }
  void operator()(const imr::Hash& hash) { expr(hash.source); }
  void operator()(const imr::Nexthop& hop) {
    reads_.next_hop = true;
    expr(hop.source);
  }

 private:
  void expr(imr::ExprId id) { std::visit(*this, ruleset_[id]); }
  void target(imr::ExprId device) {
    const auto add = [&](const Bytes& index) {
      reads_.sends_to.insert(static_cast<std::uint32_t>(load_native(index)));
    };
    const imr::Expr& wanted = ruleset_[device];
    if (const auto* constant = std::get_if<imr::Immediate>(&wanted)) {
      add(constant->value);
    } else if (const auto* lookup = std::get_if<imr::MapLookup>(&wanted)) {
      const imr::Set& map = ruleset_[lookup->map];
      for (const imr::Element& element : map.elements) add(element.data);
      if (map.catch_all) add(map.catch_all->data);
      if (packets_fill(lookup->map)) reads_.sends_anywhere = true;
    } else if (const auto* meta = std::get_if<imr::Meta>(&wanted);
               meta != nullptr && meta->key == imr::MetaKey::iif) {
      reads_.sends_back = true;
    } else {
      reads_.sends_anywhere = true;
    }
  }
  [[nodiscard]] bool packets_fill(imr::SetId map) const {
    return std::ranges::any_of(ruleset_.rules, [map](const imr::Rule& rule) {
      return std::ranges::any_of(rule.statements, [map](const imr::Statement& statement) {
        const auto* change = std::get_if<imr::DynamicSet>(&statement);
        return change != nullptr && change->set == map && change->data;
      });
    });
  }

  const imr::Ruleset& ruleset_;
  Reads& reads_;
};

std::set<imr::ChainId> chains_of(const imr::Ruleset& ruleset,
                                 std::span<const Attachment> attachments) {
  std::set<imr::ChainId> out;
  for (const Attachment& attachment : attachments) {
    for (const imr::ChainId root : attachment.roots) {
      const std::vector<imr::ChainId> reached = imr::reachable_chains(ruleset, root);
      out.insert(reached.begin(), reached.end());
    }
  }
  return out;
}

}  // namespace

Reads scan_reads(const imr::Ruleset& ruleset, const std::vector<Attachment>& attachments) {
  Reads reads;
  Scan scan(ruleset, reads);
  for (const imr::ChainId chain : chains_of(ruleset, attachments)) {
    for (const imr::RuleId rule : ruleset[chain].rules) scan.rule(ruleset[rule]);
  }
  return reads;
}

Reads scan_reads(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  Reads reads;
  Scan(ruleset, reads).rule(rule);
  return reads;
}

std::size_t count_rules(const imr::Ruleset& ruleset, std::span<const Attachment> attachments) {
  std::size_t sum = 0;
  for (const imr::ChainId chain : chains_of(ruleset, attachments)) {
    sum += ruleset[chain].rules.size();
  }
  return sum;
}

}  // namespace weir::driver
