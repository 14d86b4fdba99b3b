// SPDX-License-Identifier: BSD-2-Clause
//
// Text to Function, the inverse of print.cpp; the grammar is in docs/flow.md. Takes what can be
// written down; whether it makes sense is verify()'s business.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/bytes.h"
#include "flow/flow.h"
#include "flow/lexer.h"
#include "flow/text.h"

namespace weir::flow {

namespace {

constexpr std::uint64_t max_registers = 1U << 20U;
constexpr std::uint64_t max_u32 = std::numeric_limits<std::uint32_t>::max();

constexpr std::size_t op_count = std::to_array<int>({
#define WEIR_FLOW_OP(name, text, shape) 0,
#include "flow/ops.def"
#undef WEIR_FLOW_OP
                                                    })
                                     .size();

// The enumerator among the first `count` whose name is `text`.
template <typename Enum>
std::optional<Enum> find_name(std::string_view text, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (to_string(static_cast<Enum>(i)) == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& file)
      : tokens_(std::move(tokens)), file_(file) {}

  Result<Function> run() {
    skip_lines();
    WEIR_CHECK(word("function"));
    WEIR_TRY(name, string());
    function_.name = name;
    WEIR_CHECK(line_end());
    while (peek().text == "map") WEIR_CHECK(map_declaration());
    while (peek().text == "rule") WEIR_CHECK(rule_declaration());
    while (peek().kind != Token::Kind::text_end) WEIR_CHECK(block());
    for (const auto& [target, token] : targets_) {
      if (target.index() >= function_.blocks.size()) {
        return error(token, "there is no block " + token.text);
      }
    }
    return std::move(function_);
  }

 private:
  // ---- Tokens -----------------------------------------------------------------------------------

  [[nodiscard]] const Token& peek() const { return tokens_[position_]; }
  Token take() {
    Token token = peek();
    if (token.kind != Token::Kind::text_end) ++position_;
    return token;
  }

  [[nodiscard]] std::unexpected<Diagnostic> error(const Token& token, std::string message) const {
    return input_error(std::move(message), {file_, token.line, token.column});
  }
  [[nodiscard]] std::unexpected<Diagnostic> expected(const Token& token,
                                                     std::string_view what) const {
    std::string found = "\"" + token.text + "\"";
    if (token.kind == Token::Kind::line_end) found = "the end of the line";
    if (token.kind == Token::Kind::text_end) found = "the end of the text";
    return error(token, "found " + found + ", expected " + std::string(what));
  }

  bool accept(std::string_view sign) {
    if (peek().kind != Token::Kind::sign || peek().text != sign) return false;
    ++position_;
    return true;
  }
  Status sign(std::string_view text) {
    if (accept(text)) return {};
    return expected(peek(), "\"" + std::string(text) + "\"");
  }
  Status word(std::string_view text) {
    const Token token = take();
    if (token.kind == Token::Kind::word && token.text == text) return {};
    return expected(token, text);
  }
  Result<std::string> string() {
    Token token = take();
    if (token.kind != Token::Kind::string) return expected(token, "a quoted string");
    return std::move(token.text);
  }
  Result<std::uint64_t> number(std::uint64_t limit = std::numeric_limits<std::uint64_t>::max()) {
    const Token token = take();
    const auto value = token.kind == Token::Kind::number ? to_number(token.text) : std::nullopt;
    if (!value || *value > limit) {
      return expected(token, "a number up to " + std::to_string(limit));
    }
    return *value;
  }
  Result<Bytes> bytes() {
    const Token token = take();
    Result<Bytes> value = from_hex(token.text);
    if (token.kind != Token::Kind::number || !value) {
      return expected(token, "bytes as hex digits");
    }
    return value;
  }
  Status line_end() {
    if (peek().kind != Token::Kind::line_end && peek().kind != Token::Kind::text_end) {
      return expected(peek(), "the end of the line");
    }
    skip_lines();
    return {};
  }
  void skip_lines() {
    while (peek().kind == Token::Kind::line_end) ++position_;
  }

  // A word of `prefix` and a number below `limit`, "v12".
  Result<std::uint64_t> numbered(const Token& token, std::string_view prefix, std::uint64_t limit,
                                 std::string_view what) const {
    if (token.kind == Token::Kind::word && token.text.starts_with(prefix)) {
      const std::string digits = token.text.substr(prefix.size());
      const auto value = to_number(digits);
      if (value && *value < limit && std::to_string(*value) == digits) return *value;
    }
    return expected(token, what);
  }
  Result<Reg> reg() {
    WEIR_TRY(index, numbered(take(), "v", max_registers, "a register, as v0"));
    function_.registers = std::max(function_.registers, static_cast<std::uint32_t>(index) + 1);
    return Reg(index);
  }
  Result<BlockId> target() {
    const Token token = take();
    WEIR_TRY(index, numbered(token, "b", max_u32, "a block, as b0"));
    targets_.emplace_back(BlockId(index), token);
    return BlockId(index);
  }
  Result<isa::MapIndex> map() {
    WEIR_TRY(index, numbered(take(), "map", function_.maps.size(), "a declared map, as map0"));
    return isa::MapIndex(index);
  }

  // ---- Declarations -----------------------------------------------------------------------------

  Status map_declaration() {
    WEIR_CHECK(word("map"));
    const Token place = peek();
    WEIR_TRY(index, number());
    if (index != function_.maps.size()) {
      return expected(place, std::to_string(function_.maps.size()) + ", the next map");
    }
    isa::MapSpec spec;
    WEIR_TRY(name, string());
    spec.name = name;
    const Token type = take();
    const auto row =
        std::ranges::find(map_type_names, std::string_view(type.text), &MapTypeName::name);
    if (row == map_type_names.end()) return expected(type, "a map type, as hash");
    spec.type = row->type;
    WEIR_CHECK(word("key"));
    WEIR_TRY(key_size, number(max_u32));
    WEIR_CHECK(word("value"));
    WEIR_TRY(value_size, number(max_u32));
    WEIR_CHECK(word("entries"));
    WEIR_TRY(max_entries, number(max_u32));
    spec.key_size = static_cast<std::uint32_t>(key_size);
    spec.value_size = static_cast<std::uint32_t>(value_size);
    spec.max_entries = static_cast<std::uint32_t>(max_entries);
    if (peek().text == "flags") {
      take();
      WEIR_TRY(flags, number(max_u32));
      spec.flags = static_cast<std::uint32_t>(flags);
    }
    WEIR_CHECK(line_end());
    while (peek().kind == Token::Kind::number) {
      WEIR_TRY(key, bytes());
      WEIR_TRY(value, bytes());
      WEIR_CHECK(line_end());
      spec.entries.push_back({std::move(key), std::move(value)});
    }
    function_.maps.push_back(std::move(spec));
    return {};
  }

  Status rule_declaration() {
    WEIR_CHECK(word("rule"));
    const Token place = peek();
    WEIR_TRY(index, number());
    if (index != function_.rule_names.size()) {
      return expected(place, std::to_string(function_.rule_names.size()) + ", the next rule");
    }
    WEIR_TRY(name, string());
    function_.rule_names.push_back(std::move(name));
    return line_end();
  }

  // ---- Blocks -----------------------------------------------------------------------------------

  Status block() {
    const Token label = take();
    const std::string next = "b" + std::to_string(function_.blocks.size());
    if (label.text != next) return expected(label, next + ", the next block");
    WEIR_CHECK(sign(":"));
    Block block;
    if (peek().text == "rule") {
      take();
      WEIR_TRY(rule, number(std::numeric_limits<std::int32_t>::max()));
      block.rule = static_cast<std::int32_t>(rule);
    }
    WEIR_CHECK(line_end());
    while (true) {
      WEIR_TRY(ended, terminator(block.end));
      if (!ended) {
        WEIR_TRY(parsed, instruction());
        block.instructions.push_back(std::move(parsed));
      }
      WEIR_CHECK(line_end());
      if (ended) break;
    }
    function_.blocks.push_back(std::move(block));
    return {};
  }

  // Parses a terminator if there is one.
  Result<bool> terminator(Terminator& end) {
    const std::string name = peek().text;
    if (peek().kind != Token::Kind::word) return false;
    if (name == "jump") {
      take();
      end.kind = Terminator::Kind::jump;
      WEIR_TRY(yes, target());
      end.yes = yes;
    } else if (name == "branch") {
      take();
      end.kind = Terminator::Kind::branch;
      WEIR_CHECK(condition(end));
      WEIR_CHECK(targets(end));
    } else if (name == "window") {
      take();
      end.kind = Terminator::Kind::window;
      WEIR_CHECK(window(end));
      WEIR_CHECK(targets(end));
    } else if (name == "ret") {
      take();
      end.kind = Terminator::Kind::ret;
      const Token verdict = take();
      const auto* const found = std::ranges::find(verdict_names, verdict.text);
      if (found == verdict_names.end()) {
        return expected(verdict, "accept, drop, answered or forwarded");
      }
      end.imm = static_cast<std::uint64_t>(found - verdict_names.begin());
    } else if (name == "dispatch") {
      take();
      end.kind = Terminator::Kind::dispatch;
      WEIR_CHECK(sites(end));
    } else if (name == "leave") {
      take();
      end.kind = Terminator::Kind::leave;
      WEIR_CHECK(register_or_number(end.a, end.imm));
    } else if (name == "none") {
      take();
    } else {
      return false;
    }
    return true;
  }

  Status condition(Terminator& end) {
    WEIR_TRY(a, reg());
    end.a = a;
    const Token name = take();
    const auto found =
        find_name<Condition>(name.text, static_cast<std::size_t>(Condition::set) + 1);
    if (!found) return expected(name, "a condition, as eq");
    end.condition = *found;
    return register_or_number(end.b, end.imm);
  }

  Status window(Terminator& end) {
    WEIR_TRY(dst, reg());
    end.dst = dst;
    WEIR_CHECK(sign("="));
    WEIR_TRY(size, number());
    end.imm2 = size;
    WEIR_CHECK(word("at"));
    return place(end.a, end.imm, true);
  }

  Status sites(Terminator& end) {
    WEIR_CHECK(register_operand(end.a));
    WEIR_CHECK(sign(":"));
    do {
      WEIR_TRY(place, number());
      WEIR_TRY(block, target());
      end.sites.push_back({place, block});
    } while (accept(","));
    return {};
  }

  Status targets(Terminator& end) {
    WEIR_CHECK(sign("?"));
    WEIR_TRY(yes, target());
    WEIR_CHECK(sign(":"));
    WEIR_TRY(no, target());
    end.yes = yes;
    end.no = no;
    return {};
  }

  // ---- Instructions -----------------------------------------------------------------------------

  Result<Instruction> instruction() {
    Instruction out;
    const bool has_destination =
        tokens_.at(std::min(position_ + 1, tokens_.size() - 1)).text == "=";
    if (has_destination) {
      WEIR_TRY(dst, reg());
      out.dst = dst;
      WEIR_CHECK(sign("="));
    }
    const Token name = take();
    WEIR_CHECK(operation(name, out));
    if (has_destination != shape(out.op).starts_with('d')) {
      return error(name, name.text + (has_destination ? " has no result" : " needs a result"));
    }
    WEIR_CHECK(operands(out));
    return out;
  }

  Status operation(const Token& name, Instruction& out) const {
    const auto sized = [](Op op) { return shape(op).contains('s'); };
    if (const auto op = find_name<Op>(name.text, op_count); op && !sized(*op)) {
      out.op = *op;
      return {};
    }
    for (const Op op : {Op::load, Op::store, Op::recall, Op::keep}) {
      for (const unsigned size : {1U, 2U, 4U, 8U}) {
        if (name.text != std::string(to_string(op)) + std::to_string(size * 8)) continue;
        out.op = op;
        out.size = static_cast<std::uint8_t>(size);
        return {};
      }
    }
    return expected(name, "an operation or the end of the block");
  }

  Status operands(Instruction& out) {
    switch (out.op) {
      case Op::constant:
      case Op::site:
      case Op::recall: {
        WEIR_TRY(imm, number());
        out.imm = imm;
        return {};
      }
      case Op::entered:
      case Op::clock:
      case Op::coarse_clock:
      case Op::random:
        return {};
      case Op::word:
      case Op::exchange:
      case Op::fetch_add:
        return shared_word(out);
      case Op::keep: {
        WEIR_TRY(imm, number());
        out.imm = imm;
        WEIR_CHECK(sign(","));
        return register_operand(out.a);
      }
      case Op::set_mark:
      case Op::set_priority:
      case Op::set_pkttype:
      case Op::forward:
      case Op::duplicate:
      case Op::copy:
      case Op::swap16:
      case Op::swap32:
      case Op::swap64:
        return register_operand(out.a);
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
      case Op::and_:
      case Op::or_:
      case Op::xor_:
      case Op::shl:
      case Op::shr:
        WEIR_CHECK(register_operand(out.a));
        WEIR_CHECK(sign(","));
        return register_or_number(out.b, out.imm);
      case Op::store:
      case Op::put_at:
      case Op::fetch_add_at:
      case Op::add_to_sum:
      case Op::add_to_pseudo_sum:
      case Op::add_to_tcp_sum:
        WEIR_CHECK(place(out.a, out.imm, false));
        WEIR_CHECK(sign(","));
        return register_operand(out.b);
      case Op::exchange_at: {
        WEIR_CHECK(place(out.a, out.imm, false));
        WEIR_CHECK(sign(","));
        WEIR_CHECK(register_operand(out.b));
        WEIR_CHECK(sign(","));
        return register_operand(out.args.emplace_back());
      }
      case Op::sweep:
        WEIR_CHECK(map_operand(out));
        WEIR_CHECK(sign(","));
        return register_operand(out.a);
      case Op::load:
      case Op::word_at:
        return place(out.a, out.imm, false);
      case Op::context:
        return context_key(out);
      case Op::lookup:
      case Op::insert:
      case Op::erase:
        return lookup(out);
      case Op::opaque_zero:
        return map_operand(out);
      case Op::map_value: {
        WEIR_CHECK(map_operand(out));
        if (!accept("+")) return {};
        WEIR_TRY(offset, number());
        out.imm = offset;
        return {};
      }
      case Op::count:
        return count(out);
      case Op::record:
        return record(out);
      case Op::answer:
        WEIR_CHECK(map_operand(out));
        WEIR_CHECK(sign(","));
        WEIR_CHECK(register_operand(out.a));
        WEIR_CHECK(sign(","));
        return register_operand(out.b);
      case Op::trace: {
        WEIR_CHECK(map_operand(out));
        WEIR_CHECK(sign(","));
        return register_or_number(out.b, out.imm);
      }
    }
    throw InvariantError("no such operation");
  }

  // "map0[3], v1, v2, v3"
  Status record(Instruction& out) {
    WEIR_CHECK(map_operand(out));
    WEIR_CHECK(sign("["));
    WEIR_CHECK(register_or_number(out.b, out.imm));
    WEIR_CHECK(sign("]"));
    for (std::size_t i = 0; i < record_operands; ++i) {
      WEIR_CHECK(sign(","));
      WEIR_CHECK(register_operand(out.args.emplace_back()));
    }
    return {};
  }

  // "map0[8]", and the registers that the operation has, each behind a comma.
  Status shared_word(Instruction& out) {
    WEIR_CHECK(map_operand(out));
    WEIR_CHECK(sign("["));
    WEIR_TRY(offset, number());
    out.imm = offset;
    WEIR_CHECK(sign("]"));
    for (Reg* const operand : {&out.a, &out.b}) {
      if (!shape(out.op).contains(operand == &out.a ? 'a' : 'b')) continue;
      WEIR_CHECK(sign(","));
      WEIR_CHECK(register_operand(*operand));
    }
    return {};
  }

  Status register_operand(Reg& out) {
    WEIR_TRY(parsed, reg());
    out = parsed;
    return {};
  }
  Status map_operand(Instruction& out) {
    WEIR_TRY(parsed, map());
    out.map = parsed;
    return {};
  }
  Status register_or_number(Reg& out, std::uint64_t& imm) {
    if (peek().kind == Token::Kind::word) return register_operand(out);
    WEIR_TRY(value, number());
    imm = value;
    return {};
  }

  // "v1 + 4", "v1 - 4", "v1", and, without a register where that is allowed, "4".
  Status place(Reg& base, std::uint64_t& offset, bool base_is_optional) {
    if (base_is_optional && peek().kind == Token::Kind::number) {
      WEIR_TRY(absolute, number());
      offset = absolute;
      return {};
    }
    WEIR_CHECK(register_operand(base));
    const bool negative = accept("-");
    if (!negative && !accept("+")) return {};
    WEIR_TRY(distance, number());
    offset = negative ? -distance : distance;
    return {};
  }

  Status context_key(Instruction& out) {
    const Token key = take();
    const auto found = find_name<ContextKey>(key.text, context_keys);
    if (!found) return expected(key, "a key of the context, as mark");
    out.imm = static_cast<std::uint64_t>(*found);
    return {};
  }

  Status lookup(Instruction& out) {
    WEIR_CHECK(map_operand(out));
    WEIR_CHECK(sign("["));
    do {
      WEIR_TRY(word_of_key, reg());
      out.args.push_back(word_of_key);
    } while (accept(","));
    WEIR_CHECK(sign("]"));
    WEIR_CHECK(word("of"));
    WEIR_TRY(size, number(std::numeric_limits<std::uint8_t>::max()));
    out.key_size = static_cast<std::uint8_t>(size);
    return {};
  }

  Status count(Instruction& out) {
    WEIR_CHECK(map_operand(out));
    WEIR_CHECK(sign("["));
    WEIR_CHECK(register_or_number(out.b, out.imm));
    WEIR_CHECK(sign("]"));
    WEIR_CHECK(sign(","));
    return register_operand(out.a);
  }

  std::vector<Token> tokens_;
  const std::string& file_;
  std::size_t position_ = 0;
  Function function_;
  std::vector<std::pair<BlockId, Token>> targets_;
};

}  // namespace

Result<Function> parse(std::string_view text, const std::string& file) {
  WEIR_TRY(tokens, tokenize(text, file));
  return Parser(std::move(tokens), file).run();
}

}  // namespace weir::flow
