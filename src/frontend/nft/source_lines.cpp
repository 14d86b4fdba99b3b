// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/source_lines.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "frontend/nft/script_tokens.h"

namespace weir::frontend::nft {
namespace {

using Kind = Token::Kind;

constexpr std::array<std::string_view, 4> definitions = {"define", "redefine", "undefine", "undef"};
// First words of the lines of a chain block that are not rules.
constexpr std::array<std::string_view, 6> declarations = {"type",    "policy", "comment",
                                                          "devices", "device", "flags"};
constexpr std::array<std::string_view, 2> adders = {"add", "create"};
// Words of "add rule t c position 4 ..." that put the rule elsewhere than at the end.
constexpr std::array<std::string_view, 3> places = {"position", "handle", "index"};
// Words of rules that may make or change a set which other rules use as well.
constexpr std::array<std::string_view, 5> shares = {"meter", "flow", "add", "update", "delete"};
// Behind them "{" begins a chain without a name.
constexpr std::array<std::string_view, 2> jumps = {"jump", "goto"};

class Scanner {
 public:
  explicit Scanner(std::string_view script) : tokenizer_(script), size_(script.size()) {
    advance();
  }

  ScannedScript run() {
    while (token_ && !lost_) command();
    if (lost_) return {};
    for (const ChainKey& key : unknown_) rules_.erase(key);
    if (!divisible_) extents_.clear();
    return {.places = std::move(rules_), .divisible = divisible_, .extents = std::move(extents_)};
  }

 private:
  void advance() {
    if (token_ && token_->kind != Kind::end) adjacent_ = false;
    token_ = tokenizer_.next();
  }
  [[nodiscard]] bool at(Kind kind) const { return token_ && token_->kind == kind; }
  [[nodiscard]] bool at_word(std::string_view word) const {
    return at(Kind::word) && !token_->quoted && token_->text == word;
  }
  template <std::size_t size>
  [[nodiscard]] bool at_one_of(const std::array<std::string_view, size>& words) const {
    return at(Kind::word) && !token_->quoted &&
           std::ranges::find(words, token_->text) != words.end();
  }
  bool take_word(std::string_view word) {
    if (!at_word(word)) return false;
    advance();
    return true;
  }

  // To behind the end of the statement, over blocks in braces; stops at the brace that closes the
  // block around it. Where the statement ends.
  std::size_t skip_statement() {
    std::size_t depth = 0;
    for (; token_; advance()) {
      if (at(Kind::open)) ++depth;
      if (at(Kind::close) && depth == 0) return token_->offset;
      if (at(Kind::close)) --depth;
      if (at(Kind::end) && depth == 0) {
        const std::size_t end = token_->offset;
        advance();
        return end;
      }
    }
    return size_;
  }

  // The same with a statement that is a rule: looks for what ties it to others.
  std::size_t skip_rule() {
    std::size_t depth = 0;
    bool behind_jump = false;
    for (; token_; advance()) {
      if (at(Kind::close) && depth == 0) return token_->offset;
      if (at(Kind::end) && depth == 0) {
        const std::size_t end = token_->offset;
        advance();
        return end;
      }
      if (at(Kind::open)) ++depth;
      if (at(Kind::close)) --depth;
      if (at_one_of(shares) || (behind_jump && at(Kind::open))) divisible_ = false;
      behind_jump = at_one_of(jumps);
    }
    return size_;
  }

  // A name as the kernel has it. Names in variables are beyond this scan.
  std::optional<std::string> name() {
    if (!at(Kind::word)) return std::nullopt;
    const std::string_view text = token_->text;
    if (text.starts_with('$')) return std::nullopt;
    advance();
    return std::string(text);
  }

  Family family() {
    if (at(Kind::word)) {
      if (const Result<Family> known = parse_family(token_->text)) {
        advance();
        return *known;
      }
    }
    return Family::ip;
  }

  // "[family] table chain"; loses everything when the names are not there to be read.
  std::optional<ChainKey> chain_key() {
    ChainKey key;
    key.family = family();
    const auto table = name();
    const auto chain = table ? name() : std::nullopt;
    if (!chain) {
      lost_ = true;
      return std::nullopt;
    }
    key.table = *table;
    key.chain = *chain;
    return key;
  }

  void command() {
    const Token first = *token_;
    const bool adjacent = adjacent_;
    if (at(Kind::end) || at(Kind::close)) {
      advance();
    } else if (at_word("include") || at_word("rename")) {
      lost_ = true;
    } else if (at_one_of(definitions)) {
      skip_statement();
    } else if (take_word("flush") || take_word("delete") || take_word("destroy") ||
               take_word("reset")) {
      if (!rules_.empty()) divisible_ = false;
      removal();
    } else if (take_word("insert") || take_word("replace")) {
      divisible_ = false;
      take_word("rule");
      if (const auto key = chain_key()) unknown_.insert(*key);
      skip_statement();
    } else {
      if (at_one_of(adders)) advance();
      addition(first, adjacent);
    }
  }

  // `first` is the word that the statement begins with.
  void addition(const Token& first, bool adjacent) {
    if (take_word("table")) {
      table();
    } else if (take_word("chain")) {
      const auto key = chain_key();
      if (!key) return;
      if (tables_with_rules_.contains({key->family, key->table})) divisible_ = false;
      const std::size_t rules = extents_.size();
      chain_block(*key);
      if (extents_.size() > rules) divisible_ = false;
      skip_statement();
    } else if (take_word("rule")) {
      add_rule(first, adjacent);
    } else {
      // Sets, elements, objects; and "add ip t c accept", whose "rule" nft lets people leave out.
      const bool other_object = at_one_of(
          std::array<std::string_view, 12>{"set", "map", "element", "flowtable", "counter", "quota",
                                           "limit", "ct", "secmark", "synproxy", "list", "meter"});
      if (!other_object && at(Kind::word)) {
        add_rule(first, adjacent);
      } else {
        if (!rules_.empty()) divisible_ = false;
        skip_statement();
      }
    }
  }

  void add_rule(const Token& first, bool adjacent) {
    if (!at(Kind::word)) {
      skip_statement();
      return;
    }
    const auto key = chain_key();
    if (!key) return;
    if (at_one_of(places)) {
      divisible_ = false;
      unknown_.insert(*key);
      skip_statement();
    } else {
      rule(*key, first, adjacent);
    }
  }

  void removal() {
    last_ = nullptr;
    if (take_word("ruleset")) {
      const bool of_one_family = at(Kind::word);
      if (of_one_family) lost_ = true;
      rules_.clear();
      unknown_.clear();
    } else if (take_word("table")) {
      const Family of = family();
      const auto table = name();
      if (!table) lost_ = true;
      std::erase_if(rules_, [&](const auto& entry) {
        return entry.first.family == of && table && entry.first.table == *table;
      });
    } else if (take_word("chain")) {
      if (const auto key = chain_key()) rules_.erase(*key);
    } else if (take_word("rule")) {
      if (const auto key = chain_key()) unknown_.insert(*key);
    }
    skip_statement();
  }

  void table() {
    ChainKey key;
    key.family = family();
    const auto table_name = name();
    if (!table_name) {
      lost_ = true;
      return;
    }
    key.table = *table_name;
    if (!at(Kind::open)) {
      skip_statement();
      return;
    }
    if (tables_with_rules_.contains({key.family, key.table})) divisible_ = false;
    advance();
    while (token_ && !at(Kind::close) && !lost_) {
      if (at(Kind::end)) {
        advance();
      } else if (at_word("include")) {
        lost_ = true;
      } else if (take_word("chain")) {
        const auto chain = name();
        if (!chain) {
          lost_ = true;
          return;
        }
        key.chain = *chain;
        chain_block(key);
      } else {
        skip_statement();
      }
    }
    if (token_) advance();
  }

  // "{ ... }" behind the name of a chain; nothing when there is no block.
  void chain_block(const ChainKey& key) {
    if (!at(Kind::open)) return;
    advance();
    while (token_ && !at(Kind::close) && !lost_) {
      if (at(Kind::end)) {
        advance();
      } else if (at_word("include")) {
        lost_ = true;
      } else if (at_one_of(definitions) || at_one_of(declarations)) {
        skip_statement();
      } else {
        rule(key, *token_, adjacent_);
      }
    }
    if (token_) advance();
  }

  // The rule at hand, in a statement that begins with `first`.
  void rule(const ChainKey& key, Token first, bool adjacent) {
    if (last_ == nullptr || last_->first != key) {
      last_ = &*rules_.try_emplace(key).first;
      // Rules are listed chain by chain.
      if (!last_->second.empty()) divisible_ = false;
      tables_with_rules_.emplace(key.family, key.table);
    }
    last_->second.push_back({first.line, first.column});
    const std::size_t end = skip_rule();
    extents_.push_back({.begin = first.offset, .end = end, .adjacent = adjacent});
    adjacent_ = true;
  }

  Tokenizer tokenizer_;
  std::size_t size_;
  std::optional<Token> token_;  // at hand; no value behind the last one
  bool lost_ = false;           // nothing that was scanned can be believed
  bool adjacent_ = false;       // nothing but ends of statements since the last rule
  bool divisible_ = true;
  std::set<ChainKey> unknown_;
  std::map<ChainKey, std::vector<RulePlace>> rules_;
  std::pair<const ChainKey, std::vector<RulePlace>>* last_ = nullptr;  // of the rule before
  std::set<std::pair<Family, std::string>> tables_with_rules_;
  std::vector<RuleExtent> extents_;
};

}  // namespace

ScannedScript scan_script(std::string_view script) {
  return Scanner(script).run();
}

}  // namespace weir::frontend::nft
