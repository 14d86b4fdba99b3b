// SPDX-License-Identifier: BSD-2-Clause
//
// What the rows of flow/ops.def say, as functions: names, shapes, effects, operands.
#include "flow/flow.h"

#include <array>

namespace weir::flow {

namespace {

struct Row {
  std::string_view text;
  std::string_view shape;
};

constexpr auto rows = std::to_array<Row>({
#define WEIR_FLOW_OP(name, text, shape) {text, shape},
#include "flow/ops.def"
#undef WEIR_FLOW_OP
});

const Row& row(Op op) {
  return rows.at(static_cast<std::size_t>(op));
}

struct ContextRow {
  std::string_view text;
  std::uint8_t bits;
  Source source;
};

constexpr auto context_rows = std::to_array<ContextRow>({
#define WEIR_CONTEXT_KEY(name, bits, source) {#name, bits, Source::source},
#include "flow/context.def"
#undef WEIR_CONTEXT_KEY
});

const ContextRow& context_row(ContextKey key) {
  return context_rows.at(static_cast<std::size_t>(key));
}

}  // namespace

std::string_view to_string(Op op) {
  return row(op).text;
}
std::string_view shape(Op op) {
  return row(op).shape;
}

// Most operations are worth running for their destination alone, or have none and act on something.
bool has_effect(Op op) {
  switch (op) {
    case Op::exchange:
    case Op::fetch_add:
    case Op::exchange_at:
    case Op::fetch_add_at:
    case Op::insert:
    case Op::random:
    case Op::answer:
      return true;
    default:
      return !row(op).shape.starts_with('d');
  }
}

bool changes_packet(Op op) {
  return op == Op::store || op == Op::add_to_sum || op == Op::add_to_pseudo_sum ||
         op == Op::add_to_tcp_sum || op == Op::answer || op == Op::duplicate;
}

std::optional<ContextKey> changed_fact(Op op) {
  switch (op) {
    case Op::set_mark:
      return ContextKey::mark;
    case Op::set_priority:
      return ContextKey::priority;
    case Op::set_pkttype:
      return ContextKey::pkttype;
    default:
      return std::nullopt;
  }
}

std::string_view to_string(Condition condition) {
  switch (condition) {
    case Condition::eq:
      return "eq";
    case Condition::ne:
      return "ne";
    case Condition::lt:
      return "lt";
    case Condition::le:
      return "le";
    case Condition::gt:
      return "gt";
    case Condition::ge:
      return "ge";
    case Condition::set:
      return "set";
  }
  throw InvariantError("no such condition");
}

std::string_view to_string(ContextKey key) {
  return context_row(key).text;
}
std::uint8_t width_of(ContextKey key) {
  return context_row(key).bits;
}
Source source_of(ContextKey key) {
  return context_row(key).source;
}

std::vector<Reg> uses(const Instruction& instruction) {
  std::vector<Reg> out;
  if (instruction.a.valid()) out.push_back(instruction.a);
  if (instruction.b.valid()) out.push_back(instruction.b);
  out.insert(out.end(), instruction.args.begin(), instruction.args.end());
  return out;
}

std::vector<Reg> uses(const Terminator& end) {
  std::vector<Reg> out;
  if (end.a.valid()) out.push_back(end.a);
  if (end.b.valid()) out.push_back(end.b);
  return out;
}

std::vector<BlockId> successors(const Terminator& end) {
  switch (end.kind) {
    case Terminator::Kind::none:
    case Terminator::Kind::ret:
    case Terminator::Kind::leave:
      return {};
    case Terminator::Kind::dispatch: {
      std::vector<BlockId> out;
      for (const Site& site : end.sites) out.push_back(site.block);
      return out;
    }
    case Terminator::Kind::jump:
      return {end.yes};
    case Terminator::Kind::branch:
    case Terminator::Kind::window:
      return {end.yes, end.no};
  }
  throw InvariantError("no such terminator");
}

}  // namespace weir::flow
