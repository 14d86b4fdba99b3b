// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/source_lines.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

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

class Scanner {
 public:
  Scanner(std::string_view script, const std::string& file)
      : tokens_(tokenize(script)), file_(file) {}

  std::map<ChainKey, std::vector<SourceLocation>> run() {
    while (next_ < tokens_.size() && !lost_) command();
    if (lost_) return {};
    for (const ChainKey& key : unknown_) rules_.erase(key);
    return std::move(rules_);
  }

 private:
  [[nodiscard]] bool at(Kind kind) const {
    return next_ < tokens_.size() && tokens_[next_].kind == kind;
  }
  [[nodiscard]] bool at_word(std::string_view word) const {
    return at(Kind::word) && !tokens_[next_].quoted && tokens_[next_].text == word;
  }
  template <std::size_t size>
  [[nodiscard]] bool at_one_of(const std::array<std::string_view, size>& words) const {
    return at(Kind::word) && !tokens_[next_].quoted &&
           std::ranges::find(words, tokens_[next_].text) != words.end();
  }
  bool take_word(std::string_view word) {
    if (!at_word(word)) return false;
    ++next_;
    return true;
  }

  // To behind the end of the statement, over blocks in braces; stops at the brace that closes the
  // block around it.
  void skip_statement() {
    std::size_t depth = 0;
    for (; next_ < tokens_.size(); ++next_) {
      const Kind kind = tokens_[next_].kind;
      if (kind == Kind::open) ++depth;
      if (kind == Kind::close && depth == 0) return;
      if (kind == Kind::close) --depth;
      if (kind == Kind::end && depth == 0) {
        ++next_;
        return;
      }
    }
  }

  // A name as the kernel has it. Names in variables are beyond this scan.
  std::optional<std::string> name() {
    if (!at(Kind::word)) return std::nullopt;
    const std::string_view text = tokens_[next_].text;
    if (text.starts_with('$')) return std::nullopt;
    ++next_;
    return std::string(text);
  }

  Family family() {
    if (at(Kind::word)) {
      if (const Result<Family> known = parse_family(tokens_[next_].text)) {
        ++next_;
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
    if (at(Kind::end) || at(Kind::close)) {
      ++next_;
    } else if (at_word("include") || at_word("rename")) {
      lost_ = true;
    } else if (at_one_of(definitions)) {
      skip_statement();
    } else if (take_word("flush") || take_word("delete") || take_word("destroy") ||
               take_word("reset")) {
      removal();
    } else if (take_word("insert") || take_word("replace")) {
      take_word("rule");
      if (const auto key = chain_key()) unknown_.insert(*key);
      skip_statement();
    } else {
      if (at_one_of(adders)) ++next_;
      addition();
    }
  }

  void addition() {
    if (take_word("table")) {
      table();
    } else if (take_word("chain")) {
      const auto key = chain_key();
      if (key) chain_block(*key);
      skip_statement();
    } else if (take_word("rule")) {
      add_rule();
    } else {
      // Sets, elements, objects; and "add ip t c accept", whose "rule" nft lets people leave out.
      const bool other_object = at_one_of(
          std::array<std::string_view, 12>{"set", "map", "element", "flowtable", "counter", "quota",
                                           "limit", "ct", "secmark", "synproxy", "list", "meter"});
      if (!other_object && at(Kind::word)) {
        add_rule();
      } else {
        skip_statement();
      }
    }
  }

  void add_rule() {
    if (!at(Kind::word)) return skip_statement();
    const std::uint32_t statement_start = statement_first_token();
    const auto key = chain_key();
    if (!key) return;
    if (at_one_of(places)) {
      unknown_.insert(*key);
    } else {
      remember(*key, tokens_[statement_start]);
    }
    skip_statement();
  }

  // Index of the first token of the statement at hand: "add" of "add rule ip t c accept".
  [[nodiscard]] std::uint32_t statement_first_token() const {
    std::size_t first = next_;
    while (first > 0 && tokens_[first - 1].kind == Kind::word) --first;
    return static_cast<std::uint32_t>(first);
  }

  void removal() {
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
    if (!at(Kind::open)) return skip_statement();
    ++next_;
    while (next_ < tokens_.size() && !at(Kind::close) && !lost_) {
      if (at(Kind::end)) {
        ++next_;
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
    ++next_;
  }

  // "{ ... }" behind the name of a chain; nothing when there is no block.
  void chain_block(const ChainKey& key) {
    if (!at(Kind::open)) return;
    ++next_;
    while (next_ < tokens_.size() && !at(Kind::close) && !lost_) {
      if (at(Kind::end)) {
        ++next_;
      } else if (at_word("include")) {
        lost_ = true;
      } else if (at_one_of(definitions) || at_one_of(declarations)) {
        skip_statement();
      } else {
        remember(key, tokens_[next_]);
        skip_statement();
      }
    }
    ++next_;
  }

  void remember(const ChainKey& key, const Token& token) {
    rules_[key].push_back({file_, token.line, token.column});
  }

  std::vector<Token> tokens_;
  const std::string& file_;
  std::size_t next_ = 0;
  bool lost_ = false;  // nothing that was scanned can be believed
  std::set<ChainKey> unknown_;
  std::map<ChainKey, std::vector<SourceLocation>> rules_;
};

}  // namespace

std::map<ChainKey, std::vector<SourceLocation>> rule_lines(std::string_view script,
                                                           const std::string& file) {
  return Scanner(script, file).run();
}

}  // namespace weir::frontend::nft
