// SPDX-License-Identifier: BSD-2-Clause
#include "differential/rulesets.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <utility>

#include "driver/runner.h"

namespace weir::differential {
namespace {

constexpr std::array other_hooks = {"xdp",           "tc:ingress", "tc:egress", "cgroup:ingress",
                                    "cgroup:egress", "socket"};

Hook hook_named(const std::string& name) {
  auto hook = parse_hook(name);
  invariant(hook.has_value(), "a hook of the rulesets");
  return *hook;
}

// "FILE:LINE: FAMILY TABLE CHAIN handle N 'TEXT': REASON"
void take_notes(const std::vector<std::string>& notes, std::map<std::string, std::string>& out) {
  for (const std::string& note : notes) {
    const std::size_t handle = note.find(" handle ");
    const std::size_t quote = note.rfind("': ");
    invariant(handle != std::string::npos && quote != std::string::npos, "a note about a rule");
    std::string reason = note.substr(quote + 3);
    // Where it could be is what the other columns say.
    if (const auto advice = reason.find("; use "); advice != std::string::npos) {
      reason.resize(advice);
    }
    out.emplace(note.substr(handle + 8, note.find(' ', handle + 8) - handle - 8), reason);
  }
}

// The attachments of one chain at the hook; none where it cannot run there.
std::vector<driver::Attachment> attachments_of(const imr::Ruleset& ruleset, imr::ChainId chain,
                                               const Hook& hook) {
  const imr::Table& table = ruleset[ruleset[chain].table];
  std::vector<driver::ChainName> names;
  if (hook.kind != Hook::Kind::netfilter) {
    names.push_back({.family = table.family, .table = table.name, .chain = ruleset[chain].name});
  }
  auto attachments = driver::plan(ruleset, hook, names);
  if (!attachments) return {};
  std::erase_if(*attachments, [&](const driver::Attachment& attachment) {
    return attachment.roots != std::vector{chain};
  });
  return std::move(*attachments);
}

std::optional<ChainAtHook> chain_at_hook(const imr::Ruleset& ruleset, const imr::Ruleset& stood_in,
                                         imr::ChainId chain, const Hook& hook) {
  const imr::Table& table = ruleset[ruleset[chain].table];
  ChainAtHook out{
      .chain = std::string(to_string(table.family)) + " " + table.name + " " + ruleset[chain].name,
      .hook = hook,
      .subject = {
          .ruleset = stood_in, .hook = hook, .attachments = attachments_of(ruleset, chain, hook)}};
  const auto& attachments = out.subject.attachments;
  if (attachments.empty()) return std::nullopt;
  out.rules = driver::count_rules(ruleset, std::span(attachments).first(1));
  auto compiled = driver::compile(ruleset, attachments);
  if (!compiled && compiled.error().kind == ErrorKind::partial) {
    take_notes(compiled.error().notes, out.stay_native);
    compiled = driver::compile(stood_in, attachments);
  }
  if (compiled) {
    out.compiled = std::make_shared<driver::Compilation>(std::move(*compiled));
  } else {
    take_notes(compiled.error().notes, out.stay_native);
  }
  return out;
}

std::string replaced(const std::string& text, const std::string& pattern, const std::string& by) {
  return std::regex_replace(text, std::regex(pattern), by);
}

}  // namespace

std::vector<WholeRuleset> whole_rulesets() {
  std::vector<WholeRuleset> out;
  for (const auto& entry : std::filesystem::directory_iterator(WEIR_SOURCE_DIR "/tests/rulesets")) {
    if (entry.path().extension() != ".nft") continue;
    std::ifstream in(entry.path());
    out.push_back(
        {.name = entry.path().stem().string(), .text = {std::istreambuf_iterator<char>(in), {}}});
  }
  std::ranges::sort(out, {}, &WholeRuleset::name);
  return out;
}

std::string with_tight_limits(const std::string& text) {
  static const std::regex packets(
      R"((limit rate (?:over )?)\d+/(?:second|minute|hour|day)(?: burst \d+ packets)?)");
  static const std::regex bytes(
      R"((limit rate (?:over )?)\d+ [km]?bytes/(?:second|minute)(?: burst \d+ [km]?bytes)?)");
  static const std::regex quotas(R"((over |until )\d+ [km]?bytes)");
  std::string out = std::regex_replace(text, quotas, "$013000 bytes");
  out = std::regex_replace(out, bytes, "$011 kbytes/day burst 3 kbytes");
  return std::regex_replace(out, packets, "$011/week burst 4 packets");
}

std::string moved(const std::string& text, const Move& move) {
  const std::string begin = "(\n\tchain " + move.chain + " \\{\n)\t\ttype filter hook [^;]*;";
  std::string out = replaced(text, begin, "$1\t\tTYPE filter " + move.place + ";");
  out = replaced(out, "\n\t\ttype (filter|nat) hook [^\n]*", "");
  out = replaced(out, "TYPE filter", "type filter");
  out = replaced(out, "counter name \"[^\"]*\"", "counter");
  if (!move.family.empty()) {
    out = replaced(out, "\ntable [a-z0-9]* ", "\ntable " + move.family + " ");
  }
  if (move.family == "netdev") {
    out = replaced(out, "\n[^\n]*(ct state|meta nfproto)[^\n]*", "");
  }
  for (const auto& [device, there] : move.devices) {
    out = replaced(out, "\"" + device + "(\\*?)\"", "\"" + there + "$1\"");
  }
  return out;
}

Result<std::vector<ChainAtHook>> chains_at_hooks(frontend::nft::ScratchNamespace& scratch,
                                                 const std::string& text) {
  WEIR_TRY(ruleset, scratch.read(text, "ruleset.nft"));
  const imr::Ruleset stood_in = driver::with_stand_ins(ruleset);
  std::vector<ChainAtHook> out;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const auto& base = ruleset.chains[i].base;
    if (!base) continue;
    std::vector<Hook> hooks;
    const Family family = ruleset[ruleset.chains[i].table].family;
    if (is_ip(family) && base->hook <= NfHook::postrouting) {
      hooks.push_back({.kind = Hook::Kind::netfilter, .nf_hook = base->hook, .device = {}});
    }
    for (const char* const name : other_hooks) hooks.push_back(hook_named(name));
    for (const Hook& hook : hooks) {
      auto one = chain_at_hook(ruleset, stood_in, imr::ChainId(i), hook);
      if (one) out.push_back(std::move(*one));
    }
  }
  return out;
}

}  // namespace weir::differential
