// SPDX-License-Identifier: BSD-2-Clause
//
// Text as instructions: isa::assemble(). Each line is matched against the syntax of each row of the
// table (isa/syntax.h); the first row that fits the whole line is the instruction.
#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "isa/helpers.h"
#include "isa/isa.h"
#include "isa/syntax.h"

namespace weir::isa {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// One attempt to read a line as the instruction of one row.
class Match {
 public:
  Match(std::string_view text, const OpcodeInfo& row, std::span<const MapSpec> maps)
      : text_(text), row_(row), maps_(maps) {}

  [[nodiscard]] bool run() {
    const std::string_view form = syntax(row_.form);
    for (std::size_t i = 0; i < form.size(); ++i) {
      const bool fits = form[i] == '%'   ? operand(form[++i])
                        : form[i] == ' ' ? spaces()
                                         : literal(form[i]);
      if (!fits) return false;
    }
    return at_ == text_.size();
  }

  // How far it got, and what is wrong although the line has the right shape.
  [[nodiscard]] std::size_t reached() const { return at_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

  [[nodiscard]] Insn insn() const {
    return make(row_.opcode, dst_.value_or(0), src_.value_or(0), off_, imm_);
  }
  [[nodiscard]] std::int32_t second_imm() const { return second_imm_; }
  [[nodiscard]] const auto& relocation() const { return relocation_; }
  [[nodiscard]] const std::string& label() const { return label_; }

 private:
  bool literal(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool literals(std::string_view text) {
    return std::ranges::all_of(text, [this](char c) { return literal(c); });
  }

  bool spaces() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    return true;
  }

  bool operand(char what) {
    const char bank = row_.bits == 32 ? 'w' : 'r';
    switch (what) {
      case 'd':
        return reg(bank, dst_);
      case 's':
        return reg(bank, src_);
      case 'D':
        return reg('r', dst_);
      case 'S':
        return reg('r', src_);
      case 'o':
        return literals(row_.symbol);
      case 'b':
        return literals(std::to_string(row_.bits));
      case 'm':
        return displacement();
      case 'i':
        return immediate();
      case 'v':
        return constant();
      case 'p':
        return map();
      case 'q':
        return map_value();
      case 'j':
        return target();
      case 'h':
        return helper();
      case 'k':
        return kernel_function();
      default:
        throw InvariantError("unknown operand in the syntax of an instruction");
    }
  }

  // A register that occurs twice in the text is the same one.
  bool reg(char bank, std::optional<std::uint8_t>& field) {
    if (!literal(bank)) return false;
    const auto number = unsigned_number();
    if (!number || *number > 10) return false;
    if (field && *field != *number) return false;
    field = static_cast<std::uint8_t>(*number);
    return true;
  }

  std::optional<std::uint64_t> unsigned_number() {
    const bool hexadecimal = text_.substr(at_).starts_with("0x");
    const char* begin = text_.data() + at_ + (hexadecimal ? 2 : 0);
    const char* end = text_.data() + text_.size();
    std::uint64_t value = 0;
    const auto [rest, error] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
    if (error != std::errc() || (rest != end && is_word(*rest))) return std::nullopt;
    at_ = static_cast<std::size_t>(rest - text_.data());
    return value;
  }

  // A number between `low` and `high`, with a sign or without.
  std::optional<std::int64_t> number(std::int64_t low, std::int64_t high) {
    const bool negative = at_ < text_.size() && text_[at_] == '-';
    if (negative || (at_ < text_.size() && text_[at_] == '+')) ++at_;
    const auto value = unsigned_number();
    if (!value) return std::nullopt;
    constexpr auto limit = std::uint64_t{1} << 62;
    const auto with_sign =
        negative ? -static_cast<std::int64_t>(*value) : static_cast<std::int64_t>(*value);
    if (*value > limit || with_sign < low || with_sign > high) {
      problem_ =
          "a number out of range, expected " + std::to_string(low) + " to " + std::to_string(high);
      return std::nullopt;
    }
    return with_sign;
  }

  // A number that fits a field of type T.
  template <typename T>
  std::optional<T> fitting() {
    const auto value = number(std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    if (!value) return std::nullopt;
    return static_cast<T>(*value);
  }

  template <typename T>
  static bool store(std::optional<T> value, T& field) {
    if (value) field = *value;
    return value.has_value();
  }

  std::string_view word(std::string_view also = {}) {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (is_word(text_[at_]) || also.find(text_[at_]) != std::string_view::npos)) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  // "sk_buff.mark", "nf_conn.zone.id+2"
  std::optional<FieldOffset> field() {
    const std::size_t begin = at_;
    if (at_ == text_.size() || is_digit(text_[at_])) return std::nullopt;
    const std::string_view name = word(".");
    const std::size_t dot = name.find('.');
    if (dot == 0 || dot == std::string_view::npos || dot + 1 == name.size()) {
      at_ = begin;
      return std::nullopt;
    }
    FieldOffset result{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1)), 0};
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) {
      const auto addend = fitting<std::int32_t>();
      if (!addend) return std::nullopt;
      result.addend = *addend;
    }
    return result;
  }

  bool displacement() {
    spaces();
    const bool negative = at_ < text_.size() && text_[at_] == '-';
    if (!negative && !(at_ < text_.size() && text_[at_] == '+')) return false;
    ++at_;
    spaces();
    if (!negative) {
      if (const auto structure_field = field()) {
        relocation_ = *structure_field;
        return true;
      }
    }
    const auto value = number(0, negative ? 32768 : 32767);
    if (!value) return false;
    off_ = static_cast<std::int16_t>(negative ? -*value : *value);
    return true;
  }

  bool immediate() {
    if (row_.form == Form::alu_imm) {
      if (const auto structure_field = field()) {
        relocation_ = *structure_field;
        return true;
      }
    }
    const auto value =
        number(std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::uint32_t>::max());
    if (!value) return false;
    imm_ = static_cast<std::int32_t>(*value);
    return true;
  }

  bool constant() {
    const auto value = unsigned_number();
    if (!value) return false;
    imm_ = static_cast<std::int32_t>(*value);
    second_imm_ = static_cast<std::int32_t>(*value >> 32);
    return true;
  }

  // "map[" and a map's name or "fd:" and a number, "]"
  std::optional<MapIndex> map_reference() {
    if (!literals("map[")) return std::nullopt;
    if (text_.substr(at_).starts_with("fd:")) {
      at_ += 3;
      if (!store(fitting<std::int32_t>(), imm_) || !literal(']')) return std::nullopt;
      return MapIndex{};
    }
    const std::string_view name = word(".");
    const auto found = std::ranges::find(maps_, name, &MapSpec::name);
    if (found == maps_.end()) {
      problem_ = "unknown map '" + std::string(name) + "'";
      return std::nullopt;
    }
    if (!literal(']')) return std::nullopt;
    return MapIndex(static_cast<std::size_t>(found - maps_.begin()));
  }

  bool map() {
    const auto reference = map_reference();
    if (!reference) return false;
    if (reference->valid()) relocation_ = MapReference{*reference};
    return true;
  }

  bool map_value() {
    const auto reference = map_reference();
    if (!reference || !literals("[0]+")) return false;
    const auto offset = fitting<std::uint32_t>();
    if (!offset) return false;
    if (reference->valid()) {
      relocation_ = MapValueReference{*reference, *offset};
    } else {
      second_imm_ = static_cast<std::int32_t>(*offset);
    }
    return true;
  }

  bool target() {
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) {
      if (row_.form == Form::jump_long || names_function(row_.opcode)) {
        return store(fitting<std::int32_t>(), imm_);
      }
      return store(fitting<std::int16_t>(), off_);
    }
    if (at_ == text_.size() || is_digit(text_[at_])) return false;
    label_ = word();
    return !label_.empty();
  }

  // "map_lookup_elem#1", "#1" or "map_lookup_elem"
  bool helper() {
    const std::string_view name = word();
    if (!name.empty() && !(at_ < text_.size() && text_[at_] == '#')) {
      const auto known = helper_by_name(name);
      if (known) imm_ = static_cast<std::int32_t>(*known);
      return known.has_value();
    }
    if (!literal('#')) return false;
    if (!store(fitting<std::int32_t>(), imm_)) return false;
    if (!name.empty() && name != helper_name(imm_)) {
      problem_ = "helper " + std::to_string(imm_) + " is not '" + std::string(name) + "'";
      return false;
    }
    return true;
  }

  // A name, or "#" and a BTF id, ":" and the module's index in fd_array
  bool kernel_function() {
    if (!literal('#')) {
      const std::string_view name = word();
      if (name.empty()) return false;
      relocation_ = KfuncReference{std::string(name)};
      return true;
    }
    if (!store(fitting<std::int32_t>(), imm_)) return false;
    return !literal(':') || store(fitting<std::int16_t>(), off_);
  }

  std::string_view text_;
  const OpcodeInfo& row_;
  std::span<const MapSpec> maps_;
  std::size_t at_ = 0;
  std::optional<std::uint8_t> dst_;
  std::optional<std::uint8_t> src_;
  std::int16_t off_ = 0;
  std::int32_t imm_ = 0;
  std::int32_t second_imm_ = 0;
  std::optional<decltype(Relocation::what)> relocation_;
  std::string label_;
  std::string problem_;
};

class Assembler {
 public:
  Assembler(std::span<const MapSpec> maps, const std::string& file) : maps_(maps), file_(file) {}

  Result<Assembly> run(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      ++line_;
      WEIR_CHECK(line(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    WEIR_CHECK(resolve_labels());
    return std::move(assembly_);
  }

 private:
  struct Use {
    std::size_t insn;
    std::string label;
    std::uint32_t line;
  };

  [[nodiscard]] std::unexpected<Diagnostic> error(std::string message, std::size_t column) const {
    return input_error(std::move(message), {file_, line_, static_cast<std::uint32_t>(column + 1)});
  }

  Status line(std::string_view whole) {
    std::string_view text = trimmed(whole.substr(0, whole.find(';')));
    const std::size_t colon = text.find(':');
    const std::string_view before = text.substr(0, colon == std::string_view::npos ? 0 : colon);
    if (!before.empty() && std::ranges::all_of(before, is_word)) {
      // A number before the colon is the slot's index in a numbered listing: only for the reader.
      if (!std::ranges::all_of(before, is_digit) &&
          !labels_.emplace(before, assembly_.insns.size()).second) {
        return error("label '" + std::string(before) + "' stands twice", 0);
      }
      text = trimmed(text.substr(colon + 1));
    }
    if (text.empty()) return {};
    const auto column = static_cast<std::size_t>(text.data() - whole.data());
    return text.starts_with(".insn") ? raw(text, column) : instruction(text, column);
  }

  Status raw(std::string_view text, std::size_t column) {
    const auto bytes = from_hex(trimmed(text.substr(5)));
    if (!bytes || bytes->size() != 8) return error("expected .insn 0x and 16 digits", column);
    assembly_.insns.push_back(decode_slot(*bytes));
    return {};
  }

  Status instruction(std::string_view text, std::size_t column) {
    std::size_t furthest = 0;
    std::string problem;
    for (const OpcodeInfo& row : opcode_table) {
      Match match(text, row, maps_);
      if (match.run()) {
        take(match, row.opcode);
        return {};
      }
      furthest = std::max(furthest, match.reached());
      if (!match.problem().empty()) problem = match.problem();
    }
    if (!problem.empty()) return error(problem, column + furthest);
    return error("'" + std::string(text) + "' is not an eBPF instruction", column + furthest);
  }

  void take(const Match& match, Opcode opcode) {
    const std::size_t index = assembly_.insns.size();
    if (match.relocation()) {
      assembly_.relocations.push_back({static_cast<std::uint32_t>(index), *match.relocation()});
    }
    if (!match.label().empty()) uses_.push_back({index, match.label(), line_});
    assembly_.insns.push_back(match.insn());
    if (is_wide(opcode)) assembly_.insns.push_back({.imm = match.second_imm()});
  }

  Status resolve_labels() {
    for (const Use& use : uses_) {
      line_ = use.line;
      const auto found = labels_.find(use.label);
      if (found == labels_.end()) return error("no label '" + use.label + "'", 0);
      const std::int64_t distance =
          static_cast<std::int64_t>(found->second) - static_cast<std::int64_t>(use.insn) - 1;
      Insn& insn = assembly_.insns[use.insn];
      const Opcode known = *opcode(insn);
      if (known == Opcode::gotol || names_function(known)) {
        insn.imm = static_cast<std::int32_t>(distance);
        continue;
      }
      insn.off = static_cast<std::int16_t>(distance);
      if (insn.off != distance) {
        return error("label '" + use.label + "' is more than 32767 slots away", 0);
      }
    }
    return {};
  }

  std::span<const MapSpec> maps_;
  const std::string& file_;
  std::uint32_t line_ = 0;
  Assembly assembly_;
  std::map<std::string, std::size_t, std::less<>> labels_;
  std::vector<Use> uses_;
};

}  // namespace

Result<Assembly> assemble(std::string_view text, std::span<const MapSpec> maps,
                          const std::string& file) {
  return Assembler(maps, file).run(text);
}

}  // namespace weir::isa
