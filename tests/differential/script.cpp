// SPDX-License-Identifier: BSD-2-Clause
#include "differential/script.h"

#include <algorithm>
#include <utility>

namespace weir::differential {
namespace {

// Names end at anything but a letter or a digit, so that "s1" is not found in "s12".
bool mentions(const std::string& text, const std::string& name) {
  const auto of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    const bool starts = at == 0 || !of_name(text[at - 1]);
    if (starts && (end == text.size() || !of_name(text[end]))) return true;
  }
  return false;
}

bool used(const Script::Table& table, const std::string& name) {
  for (const Script::Chain& chain : table.chains) {
    if (chain.name == name) continue;
    for (const std::string& rule : chain.rules) {
      if (mentions(rule, name)) return true;
    }
  }
  return std::ranges::any_of(table.sets, [&](const Script::Set& set) {
    return set.name != name && mentions(set.definition, name);
  });
}

// Takes one set or chain without use away; false when there is none.
bool drop_unused(Script::Table& table) {
  const auto set =
      std::ranges::find_if(table.sets, [&](const auto& s) { return !used(table, s.name); });
  if (set != table.sets.end()) {
    table.sets.erase(set);
    return true;
  }
  const auto chain = std::ranges::find_if(
      table.chains, [&](const auto& c) { return c.base.empty() && !used(table, c.name); });
  if (chain == table.chains.end()) return false;
  table.chains.erase(chain);
  return true;
}

bool empty_base(const Script::Chain& chain) {
  return !chain.base.empty() && chain.rules.empty() && !chain.base.ends_with("policy drop;");
}

}  // namespace

std::string Script::text() const {
  std::string out;
  for (const Table& table : tables) {
    out += "table " + std::string(to_string(table.family)) + " " + table.name + " {\n";
    for (const Set& set : table.sets) out += "  " + set.definition + "\n";
    for (const Chain& chain : table.chains) {
      out += "  chain " + chain.name + " {\n";
      if (!chain.base.empty()) out += "    " + chain.base + "\n";
      for (const std::string& rule : chain.rules) out += "    " + rule + "\n";
      out += "  }\n";
    }
    out += "}\n";
  }
  return out;
}

std::size_t Script::rules() const {
  std::size_t count = 0;
  for (const Table& table : tables) {
    for (const Chain& chain : table.chains) count += chain.rules.size();
  }
  return count;
}

Script Script::without(std::size_t from, std::size_t to) const {
  Script out;
  std::size_t number = 0;
  for (const Table& table : tables) {
    Table kept{.family = table.family, .name = table.name, .sets = table.sets, .chains = {}};
    for (const Chain& chain : table.chains) {
      Chain shorter{.name = chain.name, .base = chain.base, .rules = {}};
      for (const std::string& rule : chain.rules) {
        if (number < from || number >= to) shorter.rules.push_back(rule);
        ++number;
      }
      kept.chains.push_back(std::move(shorter));
    }
    while (drop_unused(kept)) {
    }
    out.tables.push_back(std::move(kept));
  }
  const auto bases = [&] {
    std::size_t count = 0;
    for (const Table& table : out.tables) {
      count += static_cast<std::size_t>(
          std::ranges::count_if(table.chains, [](const Chain& c) { return !c.base.empty(); }));
    }
    return count;
  };
  for (Table& table : out.tables) {
    for (std::size_t i = 0; i < table.chains.size() && bases() > 1;) {
      if (empty_base(table.chains[i])) {
        table.chains.erase(table.chains.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }
  return out;
}

}  // namespace weir::differential
