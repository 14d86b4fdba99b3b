// SPDX-License-Identifier: BSD-2-Clause
#include "differential/generator.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "differential/dynamic_rules.h"
#include "differential/matches.h"
#include "differential/values.h"

namespace weir::differential {
namespace {

std::size_t draw_rules(Random& random) {
  const std::uint64_t way = random.below(1000);
  if (way < 500) return 1 + random.below(8);
  if (way < 800) return 8 + random.below(18);
  if (way < 965) return 25 + random.below(36);
  if (way < 998) return 60 + random.below(141);
  return 1000;
}

// Of chains of one device; the front end makes it.
std::string device_of(const GeneratorOptions& options) {
  const bool named = options.hook == NfHook::ingress || options.hook == NfHook::egress;
  return named ? " device eth0" : "";
}

class TableWriter {
 public:
  TableWriter(const GeneratorOptions& options, Random& random, Script::Table& table,
              std::size_t& large_sets)
      : options_(options), random_(random), table_(table), large_sets_(large_sets) {}

  void write(std::size_t bases, std::size_t users, std::size_t rules);

 private:
  std::string rule(std::size_t chain);
  std::string verdict(std::size_t chain, bool of_element);
  [[nodiscard]] std::string target(std::size_t chain);
  [[nodiscard]] std::string answer(const Subject& subject);
  [[nodiscard]] std::string away();
  [[nodiscard]] std::string drop(const Subject& subject);

  const GeneratorOptions& options_;
  Random& random_;
  Script::Table& table_;
  std::size_t& large_sets_;
  // Of few tables, whose rules then mostly do, so that they meet at the same elements.
  bool changes_sets_ = options_.state && random_.one_in(5);
  std::size_t bases_ = 0;
  std::size_t jumps_left_ = 0;  // of the chain at hand: paths multiply with every one
};

// User chains jump onwards only, so that there is no loop; nf_tables allows 16 levels.
std::string TableWriter::target(std::size_t chain) {
  const std::size_t first = std::max(chain + 1, bases_);
  if (first >= table_.chains.size()) return {};
  return table_.chains.at(first + random_.below(table_.chains.size() - first)).name;
}

std::string TableWriter::verdict(std::size_t chain, bool of_element) {
  const std::uint64_t way = random_.below(100);
  if (way < 25 && jumps_left_ > 0) {
    const std::string to = target(chain);
    if (!to.empty()) {
      --jumps_left_;
      return (way < 16 ? "jump " : "goto ") + to;
    }
  }
  if (way < 55) return "accept";
  if (way < 85) return "drop";
  if (way < 95) return "return";
  return of_element ? "accept" : "continue";
}

// "reject with ...", as nft takes it for what the rule is about.
std::string TableWriter::answer(const Subject& subject) {
  using Types = std::array<std::string, 4>;
  static const Types of_ipv4 = {"net-unreachable", "host-unreachable", "prot-unreachable",
                                "admin-prohibited"};
  static const Types of_ipv6 = {"no-route", "addr-unreachable", "policy-fail", "reject-route"};
  static const Types of_both = {"no-route", "host-unreachable", "port-unreachable",
                                "admin-prohibited"};
  if (subject.tagged) return "drop";  // which nft 1.0.6 has no answers to
  if (subject.l4 == L4::tcp && random_.chance(60)) return "reject with tcp reset";
  if (random_.chance(25)) return "reject";
  if (table_.family == Family::ip || subject.l3 == L3::ipv4) {
    return "reject with icmp type " + random_.pick(of_ipv4);
  }
  if (table_.family == Family::ip6 || subject.l3 == L3::ipv6) {
    return "reject with icmpv6 type " + random_.pick(of_ipv6);
  }
  return "reject with icmpx type " + random_.pick(of_both);
}

// What may end the rule for packets that the map does not know.
std::string TableWriter::away() {
  if (random_.chance(70)) return "\"away0\"";
  return random_.chance(50) ? "meta l4proto map { tcp : \"away0\", icmp : \"away0\" }"
                            : "meta protocol map { ip : \"away0\", arp : \"away0\" }";
}

// What ends a rule in place of a drop, now and then.
std::string TableWriter::drop(const Subject& subject) {
  if (options_.answers && random_.chance(40)) return answer(subject);
  if (options_.forwards && random_.chance(30)) return "fwd to " + away();
  return "drop";
}

std::string TableWriter::rule(std::size_t chain) {
  const std::function<std::string()> element_verdict = [&] { return verdict(chain, true); };
  MatchWriter matches{.random = random_,
                      .table = table_,
                      .options = options_,
                      .large_sets = large_sets_,
                      .verdict = element_verdict};
  Subject subject = draw_subject(table_.family, random_);
  std::string out;
  if (random_.chance(6)) out += "counter ";
  const std::uint64_t way = random_.below(100);
  const std::size_t count = way < 4 ? 0 : way < 55 ? 1 : way < 85 ? 2 : way < 96 ? 3 : 4;
  // Mostly behind all matches; in front of one the mark stays when that one fails.
  const bool marked = options_.marks && random_.chance(20);
  const std::size_t mark_at = marked && random_.chance(30) ? random_.below(count + 1) : count;
  for (std::size_t i = 0; i < count; ++i) {
    if (marked && i == mark_at) out += matches.mark(subject) + " ";
    out += matches.match(subject) + " ";
    if (random_.chance(4)) out += "counter ";
  }
  if (marked && mark_at == count) out += matches.mark(subject) + " ";
  if (options_.state && random_.chance(12)) out += matches.state(subject) + " ";
  if (options_.state && random_.chance(4)) out += matches.object(subject) + " ";
  if (options_.state && random_.chance(changes_sets_ ? 50 : 3)) {
    const std::vector<std::string> changes = dynamic_statements(subject, random_);
    if (!changes.empty()) out += random_.pick(changes) + " ";
  }
  if (options_.writes && random_.chance(15)) out += matches.write(subject) + " ";
  if (options_.duplicates && random_.chance(10)) out += "dup to " + away() + " ";
  const std::uint64_t ending = random_.below(100);
  if (ending < 10) {
    if (random_.chance(60)) out += "counter ";
    return out + matches.verdict_map(subject);
  }
  if (random_.chance(75) || out.empty()) out += "counter ";
  if (random_.chance(3)) out += "counter packets 7 bytes 700 ";
  // A rule that every packet matches would hide all that follow.
  if (ending < 60 && count > 0) {
    const std::string end = verdict(chain, false);
    out += (end == "drop" ? drop(subject) : end) + " ";
  }
  if (random_.chance(6)) out += "comment \"rule " + std::to_string(random_.below(1000)) + "\" ";
  out.pop_back();
  return out;
}

void TableWriter::write(std::size_t bases, std::size_t users, std::size_t rules) {
  bases_ = bases;
  for (std::size_t i = 0; i < bases; ++i) {
    const bool drop = random_.chance(40);
    table_.chains.push_back({.name = "base" + std::to_string(i),
                             .base = "type filter hook " + std::string(to_string(options_.hook)) +
                                     device_of(options_) + " priority " +
                                     std::to_string(static_cast<int>(10 * i) -
                                                    10 * static_cast<int>(random_.below(3))) +
                                     "; policy " + (drop ? "drop;" : "accept;"),
                             .rules = {}});
  }
  for (std::size_t i = 0; i < users; ++i) {
    table_.chains.push_back({.name = "c" + std::to_string(i), .base = {}, .rules = {}});
  }
  // Half of the rules stand in base chains.
  std::vector<std::size_t> sizes(table_.chains.size());
  for (std::size_t i = 0; i < rules; ++i) {
    const bool in_base = users == 0 || random_.chance(50);
    ++sizes[in_base ? random_.below(bases) : bases + random_.below(users)];
  }
  for (std::size_t chain = 0; chain < sizes.size(); ++chain) {
    const bool is_base = chain < bases;
    jumps_left_ = is_base ? 8 : 2;
    for (std::size_t i = 0; i < sizes[chain]; ++i) {
      table_.chains[chain].rules.push_back(rule(chain));
    }
    // Every user chain has a caller.
    if (chain + 1 >= bases && chain + 1 < sizes.size()) {
      std::vector<std::string>& all = table_.chains[chain].rules;
      const std::size_t at = random_.below(all.size() + 1);
      all.insert(all.begin() + static_cast<std::ptrdiff_t>(at),
                 (random_.chance(50) ? "counter jump " : "jump ") + table_.chains[chain + 1].name);
    }
  }
}

Family draw_family(Random& random) {
  constexpr std::array<Family, 5> families = {Family::inet, Family::inet, Family::inet, Family::ip,
                                              Family::ip6};
  return random.pick(families);
}

}  // namespace

Script generate(const GeneratorOptions& options, std::mt19937_64& engine) {
  Random random(engine);
  Script script;
  std::size_t large_sets = 40;
  const std::size_t rules = options.rules != 0
                                ? options.rules
                                : std::min(draw_rules(random), 1 + random.below(options.max_rules));
  const std::size_t tables = options.single_chain || random.chance(85) ? 1 : 2;
  for (std::size_t i = 0; i < tables; ++i) {
    script.tables.push_back({.family = options.family ? *options.family : draw_family(random),
                             .name = "t" + std::to_string(i),
                             .sets = {},
                             .chains = {}});
  }
  for (Script::Table& table : script.tables) {
    if (options.state) {
      table.sets.push_back({"shared0", "counter shared0 { packets 3 bytes 300; }"});
      table.sets.push_back({"shared1", "counter shared1 { }"});
      table.sets.push_back({"slow", "limit slow { rate 1/day burst 9 packets; }"});
      table.sets.push_back({"beyond", "limit beyond { rate over 10 bytes/day burst 900 bytes; }"});
      table.sets.push_back({"little", "quota little { 700 bytes; }"});
      table.sets.push_back({"much", "quota much { over 3 kbytes; }"});
      std::ranges::move(dynamic_sets(), std::back_inserter(table.sets));
    }
    const std::uint64_t way = random.below(100);
    const std::size_t bases = options.single_chain || way < 80 ? 1 : way < 95 ? 2 : 3;
    std::size_t users = !options.user_chains || random.chance(40)
                            ? 0
                            : 1 + random.below(random.chance(90) ? 5 : 13);
    users = std::min(users, rules);
    TableWriter(options, random, table, large_sets)
        .write(bases, users, std::max<std::size_t>(1, rules / tables));
  }
  return script;
}

}  // namespace weir::differential
