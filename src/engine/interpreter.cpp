// SPDX-License-Identifier: BSD-2-Clause
//
// The interpreter: steps with everything filled in, and one switch over them.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "engine/arithmetic.h"
#include "engine/calls.h"
#include "engine/executable.h"

namespace weir::engine {
namespace {

using isa::Opcode;

struct Step {
  Opcode opcode = Opcode::exit;
  std::uint8_t dst = 0;
  std::uint8_t src = 0;
  bool probed = false;
  FunctionId function = FunctionId::map_lookup_elem;
  std::int32_t off = 0;
  std::uint32_t target = 0;
  std::uint64_t imm = 0;
};

// A function that called another one.
struct Waiting {
  std::array<std::uint64_t, 4> kept = {};  // r6 to r9
  std::uint32_t next = 0;
  // Of loops with a callback: that, what it is given, and the rounds; of those over the entries of
  // a map, that, and which of its places comes next.
  bool looping = false;
  std::uint64_t map = 0;
  std::uint32_t place = 0;
  std::size_t regions = 0;  // of the memory before its first round
  std::uint32_t callback = 0;
  std::uint64_t argument = 0;
  std::uint64_t round = 0;
  std::uint64_t rounds = 0;
};

using Registers = std::array<std::uint64_t, register_count>;

std::uint64_t address(std::uint64_t base, std::int32_t off) {
  return base + static_cast<std::uint64_t>(std::int64_t{off});
}

template <typename T>
T read(const Machine& machine, std::uint64_t at) {
  machine.require(at, sizeof(T), false);
  T value;
  std::memcpy(&value, pointer_to(at), sizeof value);
  return value;
}

template <typename T>
void write(const Machine& machine, std::uint64_t at, std::uint64_t value) {
  machine.require(at, sizeof(T), true);
  const T narrow = static_cast<T>(value);
  std::memcpy(pointer_to(at), &narrow, sizeof narrow);
}

// Sign-extended when T is signed.
template <typename T>
std::uint64_t load(Machine& machine, const Step& step, const Registers& r) {
  const std::uint64_t at = address(r[step.src], step.off);
  if (step.probed && !machine.memory().contains(at, sizeof(T), false)) return 0;
  return static_cast<std::uint64_t>(read<T>(machine, at));
}

template <typename T>
void store(const Machine& machine, const Step& step, const Registers& r, std::uint64_t value) {
  write<T>(machine, address(r[step.dst], step.off), value);
}

// Returns what stood there. One thread runs a machine, so nothing else can come between.
template <std::unsigned_integral U, typename Operation>
U exchange(const Machine& machine, const Step& step, const Registers& r, Operation operation) {
  const std::uint64_t at = address(r[step.dst], step.off);
  machine.require(at, sizeof(U), true);
  const U old = read<U>(machine, at);
  write<U>(machine, at, operation(old, static_cast<U>(r[step.src])));
  return old;
}

template <std::unsigned_integral U>
void compare_exchange(const Machine& machine, const Step& step, Registers& r) {
  const U expected = static_cast<U>(r[0]);
  r[0] = exchange<U>(machine, step, r, [&](U old, U next) { return old == expected ? next : old; });
}

class Interpreter final : public Executable {
 public:
  explicit Interpreter(std::vector<Step> steps) : steps_(std::move(steps)) {}

  std::uint64_t run(Machine& machine) const override;

 private:
  std::vector<Step> steps_;
};

#define WEIR_ALU(name, function)                                                 \
  case Opcode::name##64_imm:                                                     \
    r[step.dst] = arithmetic::function<std::uint64_t>(r[step.dst], step.imm);    \
    break;                                                                       \
  case Opcode::name##64_reg:                                                     \
    r[step.dst] = arithmetic::function<std::uint64_t>(r[step.dst], r[step.src]); \
    break;                                                                       \
  case Opcode::name##32_imm:                                                     \
    r[step.dst] = arithmetic::function(static_cast<std::uint32_t>(r[step.dst]),  \
                                       static_cast<std::uint32_t>(step.imm));    \
    break;                                                                       \
  case Opcode::name##32_reg:                                                     \
    r[step.dst] = arithmetic::function(static_cast<std::uint32_t>(r[step.dst]),  \
                                       static_cast<std::uint32_t>(r[step.src])); \
    break;

#define WEIR_JUMP(name)                                                                \
  case Opcode::name##64_imm:                                                           \
    if (arithmetic::name<std::uint64_t>(r[step.dst], step.imm)) next = step.target;    \
    break;                                                                             \
  case Opcode::name##64_reg:                                                           \
    if (arithmetic::name<std::uint64_t>(r[step.dst], r[step.src])) next = step.target; \
    break;                                                                             \
  case Opcode::name##32_imm:                                                           \
    if (arithmetic::name(static_cast<std::uint32_t>(r[step.dst]),                      \
                         static_cast<std::uint32_t>(step.imm))) {                      \
      next = step.target;                                                              \
    }                                                                                  \
    break;                                                                             \
  case Opcode::name##32_reg:                                                           \
    if (arithmetic::name(static_cast<std::uint32_t>(r[step.dst]),                      \
                         static_cast<std::uint32_t>(r[step.src]))) {                   \
      next = step.target;                                                              \
    }                                                                                  \
    break;

#define WEIR_UNARY(name, expression)     \
  case Opcode::name: {                   \
    const std::uint64_t a = r[step.src]; \
    const std::uint64_t d = r[step.dst]; \
    static_cast<void>(a);                \
    static_cast<void>(d);                \
    r[step.dst] = (expression);          \
    break;                               \
  }

#define WEIR_LOAD(name, type)                   \
  case Opcode::name:                            \
    r[step.dst] = load<type>(machine, step, r); \
    break;

#define WEIR_STORE(bits)                                       \
  case Opcode::stx##bits:                                      \
    store<std::uint##bits##_t>(machine, step, r, r[step.src]); \
    break;                                                     \
  case Opcode::st##bits:                                       \
    store<std::uint##bits##_t>(machine, step, r, step.imm);    \
    break;

#define WEIR_ATOMIC(name, bits, function)                                                       \
  case Opcode::atomic_##name##bits:                                                             \
    exchange<std::uint##bits##_t>(machine, step, r, arithmetic::function<std::uint##bits##_t>); \
    break;                                                                                      \
  case Opcode::atomic_fetch_##name##bits:                                                       \
    r[step.src] = exchange<std::uint##bits##_t>(machine, step, r,                               \
                                                arithmetic::function<std::uint##bits##_t>);     \
    break;

#define WEIR_EXCHANGE(bits)                                                                      \
  case Opcode::atomic_xchg##bits:                                                                \
    r[step.src] = exchange<std::uint##bits##_t>(                                                 \
        machine, step, r, [](std::uint##bits##_t, std::uint##bits##_t value) { return value; }); \
    break;                                                                                       \
  case Opcode::atomic_cmpxchg##bits:                                                             \
    compare_exchange<std::uint##bits##_t>(machine, step, r);                                     \
    break;

// bpf_loop() without a round: what it returns then.
std::optional<std::uint64_t> loop_at_once(const Registers& r) {
  constexpr std::uint32_t most_rounds = 1U << 23;  // BPF_MAX_LOOPS
  if (r[4] != 0) return static_cast<std::uint64_t>(-std::int64_t{EINVAL});
  if (static_cast<std::uint32_t>(r[1]) > most_rounds) {
    return static_cast<std::uint64_t>(-std::int64_t{E2BIG});
  }
  if (static_cast<std::uint32_t>(r[1]) == 0) return 0;
  return std::nullopt;
}

// bpf_for_each_map_elem() with flags.
std::optional<std::uint64_t> walk_at_once(const Registers& r) {
  if (r[4] != 0) return static_cast<std::uint64_t>(-std::int64_t{EINVAL});
  return std::nullopt;
}

// Whether there is another round.
bool begin_round(Machine& machine, Waiting& loop, Registers& r) {
  if (loop.map == 0) {
    if (loop.round == loop.rounds) return false;
    r[1] = loop.round;
    r[2] = loop.argument;
    return true;
  }
  const Map& map = machine.map_at(loop.map);
  machine.memory().keep(loop.regions);
  while (loop.place < map.places()) {
    const Map::Entry entry = map.at(loop.place++);
    if (entry.key == nullptr) continue;
    machine.memory().add(entry.key, map.spec().key_size, false);
    machine.memory().add(entry.value, map.spec().value_size, true);
    r[1] = loop.map;
    r[2] = address_of(entry.key);
    r[3] = address_of(entry.value);
    r[4] = loop.argument;
    return true;
  }
  return false;
}

std::uint64_t Interpreter::run(Machine& machine) const {
  using namespace arithmetic;
  Registers r = {};
  r[1] = machine.context();
  r[frame_register] = machine.frame();
  std::array<Waiting, max_frames> waiting;
  std::size_t depth = 0;
  std::uint64_t executed = 0;
  std::uint32_t next = 0;
  for (;;) {
    const Step& step = steps_[next++];
    ++executed;
    switch (step.opcode) {
      WEIR_ALU(add, add)
      WEIR_ALU(sub, sub)
      WEIR_ALU(mul, mul)
      WEIR_ALU(div, div)
      WEIR_ALU(sdiv, sdiv)
      WEIR_ALU(or, bit_or)
      WEIR_ALU(and, bit_and)
      WEIR_ALU(lsh, lsh)
      WEIR_ALU(rsh, rsh)
      WEIR_ALU(mod, mod)
      WEIR_ALU(smod, smod)
      WEIR_ALU(xor, bit_xor)
      WEIR_ALU(arsh, arsh)

      WEIR_UNARY(mov64_imm, step.imm)
      WEIR_UNARY(mov64_reg, a)
      WEIR_UNARY(mov32_imm, low<std::uint32_t>(step.imm))
      WEIR_UNARY(mov32_reg, low<std::uint32_t>(a))
      WEIR_UNARY(neg64, 0 - d)
      WEIR_UNARY(neg32, low<std::uint32_t>(0 - d))
      WEIR_UNARY(movsx8_64, (extended<std::int8_t, std::uint64_t>(a)))
      WEIR_UNARY(movsx16_64, (extended<std::int16_t, std::uint64_t>(a)))
      WEIR_UNARY(movsx32_64, (extended<std::int32_t, std::uint64_t>(a)))
      WEIR_UNARY(movsx8_32, (extended<std::int8_t, std::uint32_t>(a)))
      WEIR_UNARY(movsx16_32, (extended<std::int16_t, std::uint32_t>(a)))
      WEIR_UNARY(le16, low<std::uint16_t>(d))
      WEIR_UNARY(le32, low<std::uint32_t>(d))
      WEIR_UNARY(le64, d)
      WEIR_UNARY(be16, reversed<std::uint16_t>(d))
      WEIR_UNARY(be32, reversed<std::uint32_t>(d))
      WEIR_UNARY(be64, reversed<std::uint64_t>(d))
      WEIR_UNARY(bswap16, reversed<std::uint16_t>(d))
      WEIR_UNARY(bswap32, reversed<std::uint32_t>(d))
      WEIR_UNARY(bswap64, reversed<std::uint64_t>(d))
      WEIR_UNARY(ld_imm64, step.imm)
      WEIR_UNARY(ld_map_fd, step.imm)
      WEIR_UNARY(ld_map_value, step.imm)
      WEIR_UNARY(ld_function, step.target)

      WEIR_LOAD(ldx8, std::uint8_t)
      WEIR_LOAD(ldx16, std::uint16_t)
      WEIR_LOAD(ldx32, std::uint32_t)
      WEIR_LOAD(ldx64, std::uint64_t)
      WEIR_LOAD(ldsx8, std::int8_t)
      WEIR_LOAD(ldsx16, std::int16_t)
      WEIR_LOAD(ldsx32, std::int32_t)
      WEIR_STORE(8)
      WEIR_STORE(16)
      WEIR_STORE(32)
      WEIR_STORE(64)

      WEIR_ATOMIC(add, 64, add)
      WEIR_ATOMIC(add, 32, add)
      WEIR_ATOMIC(or, 64, bit_or)
      WEIR_ATOMIC(or, 32, bit_or)
      WEIR_ATOMIC(and, 64, bit_and)
      WEIR_ATOMIC(and, 32, bit_and)
      WEIR_ATOMIC(xor, 64, bit_xor)
      WEIR_ATOMIC(xor, 32, bit_xor)
      WEIR_EXCHANGE(64)
      WEIR_EXCHANGE(32)

      WEIR_JUMP(jeq)
      WEIR_JUMP(jne)
      WEIR_JUMP(jgt)
      WEIR_JUMP(jge)
      WEIR_JUMP(jlt)
      WEIR_JUMP(jle)
      WEIR_JUMP(jset)
      WEIR_JUMP(jsgt)
      WEIR_JUMP(jsge)
      WEIR_JUMP(jslt)
      WEIR_JUMP(jsle)
      case Opcode::ja:
      case Opcode::gotol:
        next = step.target;
        break;
      case Opcode::call_helper:
        if (calls_back(step.function)) {
          invariant(depth + 1 < max_frames, "engine: calls that are nested too deep");
          const bool walks = step.function == FunctionId::for_each_map_elem;
          if (const auto answer = walks ? walk_at_once(r) : loop_at_once(r)) {
            r[0] = *answer;
            break;
          }
          waiting[depth++] = {.kept = {r[6], r[7], r[8], r[9]},
                              .next = next,
                              .looping = true,
                              .map = walks ? r[1] : 0,
                              .regions = machine.memory().count(),
                              .callback = static_cast<std::uint32_t>(r[2]),
                              .argument = r[3],
                              .rounds = walks ? 0 : static_cast<std::uint32_t>(r[1])};
          if (!begin_round(machine, waiting[depth - 1], r)) {
            r[0] = 0;
            --depth;
            break;
          }
          r[frame_register] -= static_cast<std::uint64_t>(stack_size);
          next = waiting[depth - 1].callback;
          break;
        }
        [[fallthrough]];
      case Opcode::call_kfunc:
        r[0] = call(machine, step.function, {r[1], r[2], r[3], r[4], r[5]});
        break;
      case Opcode::call_local:
        invariant(depth + 1 < max_frames, "engine: calls that are nested too deep");
        waiting[depth++] = {.kept = {r[6], r[7], r[8], r[9]}, .next = next};
        r[frame_register] -= static_cast<std::uint64_t>(stack_size);
        next = step.target;
        break;
      case Opcode::exit: {
        if (depth == 0) {
          machine.executed += executed;
          return r[0];
        }
        Waiting& caller = waiting[depth - 1];
        if (caller.looping) {
          ++caller.round;
          if (r[0] == 0 && begin_round(machine, caller, r)) {
            next = caller.callback;
            break;
          }
          r[0] = caller.round;
        }
        --depth;
        std::ranges::copy(caller.kept, r.begin() + 6);
        r[frame_register] += static_cast<std::uint64_t>(stack_size);
        next = caller.next;
        break;
      }
    }
  }
}

#undef WEIR_ALU
#undef WEIR_JUMP
#undef WEIR_UNARY
#undef WEIR_LOAD
#undef WEIR_STORE
#undef WEIR_ATOMIC
#undef WEIR_EXCHANGE

struct Accesses {
  std::uint32_t size;
  Opcode load;
  Opcode store;
};
constexpr std::array accesses = {
    Accesses{1, Opcode::ldx8, Opcode::stx8},
    Accesses{2, Opcode::ldx16, Opcode::stx16},
    Accesses{4, Opcode::ldx32, Opcode::stx32},
    Accesses{8, Opcode::ldx64, Opcode::stx64},
};

// An access to the context is one to the member where it really stands (the kernel's
// convert_ctx_access()). A part of a member is one of what stands there.
void redirect(Step& step, const Operation& operation, StructureId context) {
  const std::uint32_t size = access_size(operation);
  const Member* member = member_at(context, operation.off, size);
  invariant(member != nullptr, "engine: an access to the context passed the checker");
  const bool whole = size == member->size;
  const auto with_size =
      std::ranges::find(accesses, whole ? member->real_size : size, &Accesses::size);
  invariant(with_size != accesses.end(), "engine: a context member of a size that no load has");
  step.opcode = form(operation) == isa::Form::load ? with_size->load : with_size->store;
  const std::uint32_t within = static_cast<std::uint32_t>(operation.off) - member->offset;
  step.off = static_cast<std::int32_t>(member->real_offset + within);
}

}  // namespace

std::unique_ptr<Executable> make_interpreter(const Code& code, const Machine& machine) {
  const StructureId context = context_of(code.program->type);
  std::vector<Step> steps;
  steps.reserve(code.operations.size());
  for (const Operation& operation : code.operations) {
    Step step{.opcode = operation.opcode,
              .dst = operation.dst,
              .src = operation.src,
              .probed = operation.access == Access::probed,
              .off = operation.off,
              .target = operation.target,
              .imm = operation.imm};
    if (operation.function != nullptr) step.function = operation.function->id;
    if (operation.opcode == Opcode::ld_map_fd) step.imm = address_of(&machine.map(operation.map));
    if (operation.opcode == Opcode::ld_map_value) {
      step.imm += address_of(machine.map(operation.map).block().data());
    }
    if (operation.access == Access::context) redirect(step, operation, context);
    steps.push_back(step);
  }
  return std::make_unique<Interpreter>(std::move(steps));
}

}  // namespace weir::engine
