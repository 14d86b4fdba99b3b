// SPDX-License-Identifier: BSD-2-Clause
#include "differential/corpus.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

namespace weir::differential {
namespace {

// The chain of a family where no line says "at": where packets of all hooks of ours could be.
std::string usual_chain(const std::string& family) {
  if (family == "netdev") return "type filter hook ingress device lo priority 0";
  if (family == "arp") return "type filter hook input priority 0";
  return "type filter hook forward priority 0";
}

std::string chain_at(const std::string& hook) {
  const bool device = hook == "ingress" || hook == "egress";
  return "type filter hook " + hook + (device ? " device lo" : "") + " priority 0";
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

// What stands behind the word that a line begins with.
std::optional<std::string> behind(const std::string& line, std::string_view word) {
  if (!line.starts_with(word)) return std::nullopt;
  return line.substr(word.size());
}

// Nothing may stand behind a verdict.
bool ends_in_verdict(const std::string& rule) {
  const std::string last = words_of(rule).back();
  constexpr std::array verdicts = {"accept", "drop", "return", "continue", "notrack"};
  return std::ranges::find(verdicts, last) != verdicts.end() ||
         std::ranges::any_of(std::array{" vmap ", " reject", "fwd "}, [&](const char* word) {
           return rule.find(word) != std::string::npos;
         });
}

// The reason in "place 'rule': reason".
std::string reason_in(const std::string& note) {
  const std::size_t quote = note.rfind("': ");
  std::string out = quote == std::string::npos ? note : note.substr(quote + 3);
  // Where it could be is what the other columns say.
  const std::size_t advice = out.find("; use ");
  if (advice != std::string::npos) out.resize(advice);
  return out;
}

std::vector<Hook> hooks_of(const CorpusPlace& place) {
  std::vector<std::string> names;
  if (place.family == "netdev") {
    const bool ingress = place.chain.find("ingress") != std::string::npos;
    names = ingress ? std::vector<std::string>{"xdp", "tc:ingress"}
                    : std::vector<std::string>{"tc:egress"};
  } else if (place.family == "bridge") {
    names = {"tc:ingress", "tc:egress"};
  } else if (place.family == "arp") {
    names = {"xdp", "tc:ingress"};
  } else {
    const std::vector<std::string> words = words_of(place.chain);
    names = {"netfilter:" + words.at(3), "xdp", "tc:ingress", "tc:egress", "cgroup:egress"};
  }
  std::vector<Hook> out;
  for (const std::string& name : names) {
    auto hook = parse_hook(name);
    invariant(hook.has_value(), "a hook of the corpus");
    out.push_back(*hook);
  }
  return out;
}

}  // namespace

Result<std::vector<CorpusSection>> read_corpus(const std::string& path) {
  std::ifstream in(path);
  if (!in) return input_error(path + ": cannot be read");
  std::vector<CorpusSection> out;
  std::vector<std::string> families;
  std::string hook;
  std::vector<std::string> declarations;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (const auto title = behind(line, "## ")) {
      out.push_back({.title = *title, .rules = {}});
      families.clear();
      hook.clear();
      declarations.clear();
    } else if (line.empty() || line.starts_with('#')) {
      continue;
    } else if (const auto names = behind(line, "families ")) {
      families = words_of(*names);
      hook.clear();
    } else if (const auto name = behind(line, "at ")) {
      hook = *name;
    } else if (const auto declaration = behind(line, "with ")) {
      declarations.push_back(*declaration);
    } else if (out.empty() || families.empty()) {
      return input_error(path + ":" + std::to_string(number) +
                         ": a rule before a '## ' line and a 'families ' line");
    } else {
      CorpusRule rule{.text = line, .places = {}, .declarations = declarations};
      for (const std::string& family : families) {
        rule.places.push_back({family, hook.empty() ? usual_chain(family) : chain_at(hook)});
      }
      out.back().rules.push_back(std::move(rule));
    }
  }
  return out;
}

std::string script_of(const CorpusPlace& place, const std::vector<const CorpusRule*>& rules) {
  std::string out = "table " + place.family + " t {\n";
  std::vector<std::string> declared;
  for (const CorpusRule* rule : rules) {
    for (const std::string& one : rule->declarations) {
      if (std::ranges::find(declared, one) != declared.end()) continue;
      declared.push_back(one);
      out += "  " + one + "\n";
    }
  }
  out += "  chain c {\n    " + place.chain + "; policy accept;\n";
  for (const CorpusRule* rule : rules) {
    out += "    " + rule->text + (ends_in_verdict(rule->text) ? "\n" : " counter\n");
  }
  return out + "  }\n}\n";
}

Result<std::vector<CorpusOutcome>> outcomes_of(frontend::nft::ScratchNamespace& scratch,
                                               const CorpusRule& rule, const CorpusPlace& place) {
  WEIR_TRY(ruleset, scratch.read(script_of(place, {&rule}), "corpus.nft"));
  std::vector<CorpusOutcome> out;
  for (const Hook& hook : hooks_of(place)) {
    WEIR_TRY(attachments, plan_at_hook(ruleset, hook));
    CorpusOutcome outcome{.hook = hook, .why_not = {}};
    outcome.in_test_run = test_run_suffices(driver::scan_reads(ruleset, attachments), hook);
    const auto compiled = driver::compile(ruleset, attachments, {});
    if (!compiled) {
      const Diagnostic& why = compiled.error();
      outcome.why_not = reason_in(why.notes.empty() ? why.message : why.notes.front());
    }
    out.push_back(std::move(outcome));
  }
  return out;
}

}  // namespace weir::differential
