// SPDX-License-Identifier: BSD-2-Clause
//
// Function to text. The grammar is in docs/flow.md; parse.cpp reads it back.
#include <cstdio>

#include "base/bytes.h"
#include "flow/flow.h"
#include "flow/text.h"

namespace weir::flow {

namespace {

// Numbers of one digit look the same in both notations; the others are mostly masks and addresses.
std::string number(std::uint64_t value) {
  if (value < 10) return std::to_string(value);
  std::array<char, 24> buffer{};
  (void)std::snprintf(buffer.data(), buffer.size(), "0x%llx",
                      static_cast<unsigned long long>(value));
  return buffer.data();
}

std::string reg(Reg r) {
  return r.valid() ? "v" + std::to_string(r.value) : "v?";
}
std::string block(BlockId b) {
  return b.valid() ? "b" + std::to_string(b.value) : "b?";
}
std::string map(isa::MapIndex m) {
  return m.valid() ? "map" + std::to_string(m.value) : "map?";
}

// The second operand: a register, or an immediate where there is none.
std::string second(Reg b, std::uint64_t imm) {
  return b.valid() ? reg(b) : number(imm);
}

// "v1 + 4", "v1 - 4", "v1", or "4" without a register.
std::string place(Reg base, std::uint64_t offset) {
  if (!base.valid()) return std::to_string(offset);
  if (offset == 0) return reg(base);
  if (static_cast<std::int64_t>(offset) < 0) return reg(base) + " - " + std::to_string(-offset);
  return reg(base) + " + " + std::to_string(offset);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      std::array<char, 8> buffer{};
      (void)std::snprintf(buffer.data(), buffer.size(), "\\x%02x", byte);
      out += buffer.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string list(const std::vector<Reg>& regs) {
  std::string out;
  for (const Reg r : regs) {
    if (!out.empty()) out += ", ";
    out += reg(r);
  }
  return out;
}

std::string_view type_name(isa::MapType type) {
  for (const MapTypeName& row : map_type_names) {
    if (row.type == type) return row.name;
  }
  throw InvariantError("a map type without a name");
}

std::string print_map(std::size_t index, const isa::MapSpec& spec) {
  std::string out = "map " + std::to_string(index) + " " + quoted(spec.name) + " " +
                    std::string(type_name(spec.type)) + " key " + std::to_string(spec.key_size) +
                    " value " + std::to_string(spec.value_size) + " entries " +
                    std::to_string(spec.max_entries);
  if (spec.flags != 0) out += " flags " + number(spec.flags);
  out += "\n";
  for (const isa::MapEntry& entry : spec.entries) {
    out += "  " + to_hex(entry.key) + " " + to_hex(entry.value) + "\n";
  }
  return out;
}

}  // namespace

std::string print(const Instruction& i) {
  const std::string name(to_string(i.op));
  switch (i.op) {
    case Op::constant:
      return reg(i.dst) + " = " + name + " " + number(i.imm);
    case Op::copy:
    case Op::swap16:
    case Op::swap32:
    case Op::swap64:
      return reg(i.dst) + " = " + name + " " + reg(i.a);
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::and_:
    case Op::or_:
    case Op::xor_:
    case Op::shl:
    case Op::shr:
      return reg(i.dst) + " = " + name + " " + reg(i.a) + ", " + second(i.b, i.imm);
    case Op::load:
      return reg(i.dst) + " = " + name + std::to_string(i.size * 8) + " " + place(i.a, i.imm);
    case Op::context:
      return reg(i.dst) + " = " + name + " " +
             std::string(to_string(static_cast<ContextKey>(i.imm)));
    case Op::lookup:
    case Op::insert:
      return reg(i.dst) + " = " + name + " " + map(i.map) + "[" + list(i.args) + "] of " +
             std::to_string(i.key_size);
    case Op::opaque_zero:
    case Op::map_value:
      return reg(i.dst) + " = " + name + " " + map(i.map) +
             (i.imm == 0 ? "" : " + " + std::to_string(i.imm));
    case Op::count:
      return name + " " + map(i.map) + "[" + second(i.b, i.imm) + "], " + reg(i.a);
    case Op::record:
      return name + " " + map(i.map) + "[" + second(i.b, i.imm) + "], " + list(i.args);
    case Op::answer:
      return reg(i.dst) + " = " + name + " " + map(i.map) + ", " + reg(i.a) + ", " + reg(i.b);
    case Op::trace:
      return name + " " + map(i.map) + ", " + second(i.b, i.imm);
    case Op::clock:
    case Op::coarse_clock:
    case Op::random:
    case Op::entered:
      return reg(i.dst) + " = " + name;
    case Op::word:
      return reg(i.dst) + " = " + name + " " + map(i.map) + "[" + number(i.imm) + "]";
    case Op::exchange:
      return reg(i.dst) + " = " + name + " " + map(i.map) + "[" + number(i.imm) + "], " + reg(i.a) +
             ", " + reg(i.b);
    case Op::fetch_add:
      return reg(i.dst) + " = " + name + " " + map(i.map) + "[" + number(i.imm) + "], " + reg(i.a);
    case Op::word_at:
      return reg(i.dst) + " = " + name + " " + place(i.a, i.imm);
    case Op::exchange_at:
      return reg(i.dst) + " = " + name + " " + place(i.a, i.imm) + ", " + reg(i.b) + ", " +
             list(i.args);
    case Op::fetch_add_at:
      return reg(i.dst) + " = " + name + " " + place(i.a, i.imm) + ", " + reg(i.b);
    case Op::erase:
      return name + " " + map(i.map) + "[" + list(i.args) + "] of " + std::to_string(i.key_size);
    case Op::sweep:
      return name + " " + map(i.map) + ", " + reg(i.a);
    case Op::set_mark:
    case Op::set_priority:
    case Op::set_pkttype:
    case Op::forward:
    case Op::duplicate:
      return name + " " + reg(i.a);
    case Op::store:
      return name + std::to_string(i.size * 8) + " " + place(i.a, i.imm) + ", " + reg(i.b);
    case Op::put_at:
    case Op::add_to_sum:
    case Op::add_to_pseudo_sum:
    case Op::add_to_tcp_sum:
      return name + " " + place(i.a, i.imm) + ", " + reg(i.b);
    case Op::site:
      return reg(i.dst) + " = " + name + " " + std::to_string(i.imm);
    case Op::recall:
      return reg(i.dst) + " = " + name + std::to_string(i.size * 8) + " " + std::to_string(i.imm);
    case Op::keep:
      return name + std::to_string(i.size * 8) + " " + std::to_string(i.imm) + ", " + reg(i.a);
  }
  throw InvariantError("no such operation");
}

std::string print(const Terminator& end) {
  const std::string targets = " ? " + block(end.yes) + " : " + block(end.no);
  switch (end.kind) {
    case Terminator::Kind::none:
      return "none";
    case Terminator::Kind::jump:
      return "jump " + block(end.yes);
    case Terminator::Kind::branch:
      return "branch " + reg(end.a) + " " + std::string(to_string(end.condition)) + " " +
             second(end.b, end.imm) + targets;
    case Terminator::Kind::window:
      return "window " + reg(end.dst) + " = " + std::to_string(end.imm2) + " at " +
             place(end.a, end.imm) + targets;
    case Terminator::Kind::ret:
      return "ret " + std::string(verdict_names.at(end.imm));
    case Terminator::Kind::dispatch: {
      std::string out = "dispatch " + reg(end.a);
      for (const Site& site : end.sites) {
        out += (out.ends_with(reg(end.a)) ? ": " : ", ") + std::to_string(site.number) + " " +
               block(site.block);
      }
      return out;
    }
    case Terminator::Kind::leave:
      return "leave " + second(end.a, end.imm);
  }
  throw InvariantError("no such terminator");
}

std::string print(const Function& function) {
  std::string out = "function " + quoted(function.name) + "\n";
  for (std::size_t m = 0; m < function.maps.size(); ++m) out += print_map(m, function.maps[m]);
  for (std::size_t r = 0; r < function.rule_names.size(); ++r) {
    out += "rule " + std::to_string(r) + " " + quoted(function.rule_names[r]) + "\n";
  }
  for (std::size_t b = 0; b < function.blocks.size(); ++b) {
    const Block& current = function.blocks[b];
    out += "b" + std::to_string(b) + ":";
    if (current.rule >= 0) out += " rule " + std::to_string(current.rule);
    out += "\n";
    for (const Instruction& instruction : current.instructions) {
      out += "  " + print(instruction) + "\n";
    }
    out += "  " + print(current.end) + "\n";
  }
  return out;
}

}  // namespace weir::flow
