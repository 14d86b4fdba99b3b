// SPDX-License-Identifier: BSD-2-Clause
//
// Allocation and emission: functions of the flow level do in the engine what the flow interpreter
// says, values that live at once never share a place, and jumps reach however far they must.
#include "backend/emitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "engine/engine.h"
#include "engine/map.h"
#include "flow/liveness.h"
#include "isa/isa.h"
#include "unit/passes/flow_generator.h"
#include "unit/passes/flow_machine.h"

namespace weir::test {
namespace {

using backend::Location;
using flow::BlockId;
using flow::ContextKey;
using flow::Op;
using flow::Reg;
using flow::Terminator;

constexpr isa::MapIndex counters{std::size_t{0}};
constexpr std::size_t counter_count = 8;

std::uint64_t& fact(World& world, ContextKey key) {
  return world.context.at(static_cast<std::size_t>(key));
}

// A world that a netfilter hook can be in: facts that fit one another.
World possible_world(Random& random) {
  World world = random_world(random);
  world.packet.resize(std::max<std::size_t>(20, world.packet.size()), 7);
  fact(world, ContextKey::mark) &= 0xffffffff;
  fact(world, ContextKey::pkttype) &= 7;
  fact(world, ContextKey::protocol) &= 0xffff;
  fact(world, ContextKey::ct_info) &= 15;
  fact(world, ContextKey::length) = world.packet.size();
  fact(world, ContextKey::linear_length) = 20 + random() % (world.packet.size() - 19);
  for (const auto& [index, name] : {std::pair{ContextKey::iif, ContextKey::iifname0},
                                    std::pair{ContextKey::oif, ContextKey::oifname0}}) {
    fact(world, index) &= 0xffffffff;
    const bool there = fact(world, index) != 0;
    const bool long_name = random() % 2 == 0;
    auto* words = &fact(world, name);
    words[0] = there ? load_native(Bytes{'e', 't', 'h', '0', '.', '4', '0', '9'}) : 0;
    words[1] = there && long_name ? load_native(Bytes{'4', 'x', 0, 0, 0, 0, 0, 0}) : 0;
  }
  return world;
}

std::string name_of(std::uint64_t low, std::uint64_t high) {
  Bytes bytes = native_bytes(low, 8);
  const Bytes rest = native_bytes(high, 8);
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return {bytes.begin(), std::ranges::find(bytes, 0)};
}

engine::Input input(World& world) {
  engine::Input in;
  in.bytes = world.packet;
  in.linear_length = static_cast<std::uint32_t>(fact(world, ContextKey::linear_length));
  in.mark = static_cast<std::uint32_t>(fact(world, ContextKey::mark));
  in.iif = static_cast<std::uint32_t>(fact(world, ContextKey::iif));
  in.oif = static_cast<std::uint32_t>(fact(world, ContextKey::oif));
  in.iifname = name_of(fact(world, ContextKey::iifname0), fact(world, ContextKey::iifname1));
  in.oifname = name_of(fact(world, ContextKey::oifname0), fact(world, ContextKey::oifname1));
  in.pkttype = static_cast<std::uint8_t>(fact(world, ContextKey::pkttype));
  in.protocol = static_cast<std::uint16_t>(fact(world, ContextKey::protocol));
  in.ct_info = fact(world, ContextKey::ct_info) & 7;
  in.has_connection = (fact(world, ContextKey::ct_info) & 8) != 0;
  return in;
}

// The program of a function, and what a run of it leaves behind.
class Emitted {
 public:
  // In one piece, or in parts of about `part_size` instructions.
  static Result<Emitted> make(const flow::Function& function, const backend::Profile& profile,
                              std::uint32_t part_size = 0) {
    auto emitted = part_size == 0
                       ? backend::emit(function, profile)
                       : backend::emit(backend::split(function, {.part_size = part_size}), profile);
    if (!emitted) return input_error("more than the stack holds");
    isa::Program program = std::move(*emitted);
    program.name = "test";
    isa::Object object{.maps = function.maps, .programs = {program}};
    WEIR_TRY(loaded, engine::Engine::load(object));
    return Emitted(std::move(loaded), profile, std::move(program));
  }

  // Verdict, and by counter {packets, bytes}.
  struct Left {
    bool accepted = false;
    std::array<std::array<std::uint64_t, 2>, counter_count> counted{};
    friend bool operator==(const Left&, const Left&) = default;
  };

  Left run(World& world) {
    Left left;
    for (std::uint32_t i = 0; i < counter_count; ++i) std::fill_n(counter(i), 16, std::uint8_t{0});
    left.accepted = engine_.run(0, input(world)) == static_cast<std::uint64_t>(profile_->accept);
    for (std::uint32_t i = 0; i < counter_count; ++i) {
      left.counted[i] = {load_native(ByteView(counter(i), 8)),
                         load_native(ByteView(counter(i) + 8, 8))};
    }
    return left;
  }
  static Left expected(const flow::Function& function, const World& world) {
    const Outcome outcome = test::run(function, world);
    Left left{.accepted = outcome.accepted};
    for (const auto& [index, bytes] : outcome.counts) {
      left.counted.at(index)[0] += 1;
      left.counted.at(index)[1] += bytes;
    }
    return left;
  }
  [[nodiscard]] const isa::Program& program() const { return program_; }

 private:
  Emitted(engine::Engine engine, const backend::Profile& profile, isa::Program program)
      : engine_(std::move(engine)), profile_(&profile), program_(std::move(program)) {}
  std::uint8_t* counter(std::uint32_t index) {
    return engine_.map(counters).lookup(native_bytes(index, 4).data());
  }

  engine::Engine engine_;
  const backend::Profile* profile_;
  isa::Program program_;
};

// A random function whose trace has the room that emission counts on.
flow::Function function_with_room(Random& random) {
  flow::Function function = random_function(random);
  for (isa::MapSpec& map : function.maps) {
    if (map.name == "trace") map.value_size = 4 + 4 * 4096;
  }
  // Netfilter programs cannot write marks.
  for (flow::Block& block : function.blocks) {
    std::erase_if(block.instructions,
                  [](const flow::Instruction& i) { return i.op == flow::Op::set_mark; });
  }
  return function;
}

// The checker refuses some (a table read at a computed place, say); what it takes runs right.
TEST(Emission, DoesWhatTheFlowInterpreterSays) {
  Random random(1);
  int taken = 0;
  int in_parts = 0;
  for (int i = 0; i < 200; ++i) {
    const flow::Function function = function_with_room(random);
    const backend::Profile& profile =
        i % 2 == 0 ? backend::netfilter_profile : backend::netfilter_slices_profile;
    Result<Emitted> program = Emitted::make(function, profile, i % 3 == 2 ? 40 : 0);
    if (!program) continue;
    ++taken;
    in_parts += program->program().subprograms.size() > 2 ? 1 : 0;
    for (int run = 0; run < 20; ++run) {
      World world = possible_world(random);
      const auto expected = Emitted::expected(function, world);
      const auto found = program->run(world);
      ASSERT_TRUE(found == expected) << "packet " << to_hex(world.packet) << "\nexpected "
                                     << testing::PrintToString(expected.counted) << "\nfound    "
                                     << testing::PrintToString(found.counted) << "\n"
                                     << flow::print(function);
    }
  }
  EXPECT_GT(taken, 60);
  EXPECT_GT(in_parts, 10);
}

// ---- Allocation ---------------------------------------------------------------------------------

auto place(const Location& location) {
  return location.in_register ? std::pair{1, int{location.reg}} : std::pair{0, int{location.slot}};
}

// Whether no two registers of `live` share a place.
testing::AssertionResult all_apart(const std::vector<Reg>& live, const backend::Allocation& made) {
  std::map<std::pair<int, int>, Reg> owners;
  for (const Reg reg : live) {
    const auto [at, fresh] = owners.emplace(place(made.locations[reg.index()]), reg);
    if (!fresh) {
      return testing::AssertionFailure()
             << "v" << reg.value << " and v" << at->second.value << " share "
             << (at->first.first != 0 ? "r" : "slot ") << at->first.second;
    }
  }
  return testing::AssertionSuccess();
}

flow::RegSet set_of(const std::vector<Reg>& regs, const flow::Function& function) {
  flow::RegSet set(function.registers);
  for (const Reg reg : regs) set.add(reg);
  return set;
}

std::vector<Reg> without(std::vector<Reg> regs, Reg gone) {
  std::erase(regs, gone);
  return regs;
}

// Follows liveness backwards through every block, and looks at each point: what lives there lies
// apart, and what lives across a call lies where calls leave it.
void expect_sound(const flow::Function& function) {
  const backend::Allocation made = backend::allocate(function, 0);
  const auto live_in = flow::live_at_start(function, flow::Reads::all);
  const auto survives = [&](Reg reg) {
    const Location& location = made.locations[reg.index()];
    return !location.in_register || location.reg >= 6;
  };
  for (const BlockId id : made.order) {
    const flow::Block& block = function[id];
    std::set<Reg> behind;
    for (const BlockId next : flow::successors(block.end)) {
      behind.insert(live_in[next.index()].begin(), live_in[next.index()].end());
    }
    std::vector<Reg> live(behind.begin(), behind.end());
    EXPECT_TRUE(all_apart(live, made)) << "behind b" << id.value;
    const auto cross = [&](Reg written) {
      for (const Reg reg : without(live, written)) {
        EXPECT_TRUE(survives(reg)) << "v" << reg.value << " in b" << id.value;
      }
    };
    if (backend::clobbers(block.end)) cross(block.end.dst);
    flow::RegSet set = set_of(live, function);
    flow::step_back(block.end, set);
    live = set.take();
    for (std::size_t i = block.instructions.size(); i-- > 0;) {
      EXPECT_TRUE(all_apart(live, made)) << "behind instruction " << i << " of b" << id.value;
      if (backend::clobbers(block.instructions[i])) cross(block.instructions[i].dst);
      set = set_of(live, function);
      flow::step_back(block.instructions[i], set);
      live = set.take();
    }
  }
}

// In 32 bits a shift takes counts below 32 only, however few bits the value has.
TEST(Emission, ShiftsNarrowValuesByMoreThanTheirBits) {
  const auto function = flow::parse(R"(function "shifts"
map 0 "counters" percpu_array key 4 value 16 entries 8
b0:
  v0 = context mark
  v1 = shr v0, 32
  branch v1 eq 0 ? b1 : b2
b1:
  ret accept
b2:
  ret drop
)",
                                    "shifts");
  ASSERT_TRUE(function) << function.error().text();
  auto emitted = Emitted::make(*function, backend::netfilter_profile);
  ASSERT_TRUE(emitted) << emitted.error().text();
  World world;
  world.context.at(static_cast<std::size_t>(ContextKey::mark)) = 0xffffffff;
  EXPECT_TRUE(emitted->run(world).accepted);
}

TEST(Allocation, KeepsLiveValuesApartAndAcrossCalls) {
  Random random(2);
  for (int i = 0; i < 150 && !testing::Test::HasFailure(); ++i) {
    const flow::Function function = random_function(random);
    expect_sound(function);
    if (testing::Test::HasFailure()) ADD_FAILURE() << flow::print(function);
  }
}

// Loads `values` bytes of the packet, keeps them all across a call, and counts each, last first.
flow::Function many_values(std::size_t values) {
  std::string text =
      "function \"many\"\nmap 0 \"counters\" percpu_array key 4 value 16 entries 8\n"
      "b0:\n  window v0 = 64 at 0 ? b1 : b2\nb1:\n";
  for (std::size_t i = 1; i <= values; ++i) {
    text += "  v" + std::to_string(i) + " = load8 v0 + " + std::to_string(i - 1) + "\n";
  }
  text += "  v" + std::to_string(values + 1) + " = context mark\n";
  for (std::size_t i = values; i > 0; --i) {
    text += "  v" + std::to_string(values + 1) + " = add v" + std::to_string(values + 1) + ", v" +
            std::to_string(i) + "\n";
    if (i % 5 == 0) {
      text += "  count map0[" + std::to_string(i / 5 % 8) + "], v" + std::to_string(i) + "\n";
    }
  }
  text += "  count map0[0], v" + std::to_string(values + 1) + "\n  ret accept\nb2:\n  ret drop\n";
  Result<flow::Function> function = flow::parse(text, "many");
  invariant(function.has_value(), function ? "" : function.error().text());
  flow::verify(*function);
  return std::move(*function);
}

TEST(Allocation, SpillsWhatFindsNoRegister) {
  Random random(3);
  const flow::Function function = many_values(40);
  const backend::Allocation made = backend::allocate(function, -16);
  const auto spilled = std::ranges::count(made.locations, false, &Location::in_register);
  EXPECT_GT(spilled, 30);
  EXPECT_LE(made.lowest, -16 - 8 * 30);
  for (const backend::Profile* profile : {&backend::netfilter_profile, &backend::xdp_profile}) {
    flow::Function body = function;
    if (profile == &backend::xdp_profile) {
      // XDP knows no mark.
      for (flow::Instruction& i : body.blocks[1].instructions) {
        if (i.op == Op::context) i.imm = static_cast<std::uint64_t>(ContextKey::length);
      }
    }
    Result<Emitted> program = Emitted::make(body, *profile);
    ASSERT_TRUE(program.has_value()) << program.error().text();
    for (const std::size_t size : {64U, 100U, 63U}) {
      World world = possible_world(random);
      world.packet.resize(size, 3);
      fact(world, ContextKey::length) = fact(world, ContextKey::linear_length) = size;
      EXPECT_TRUE(program->run(world) == Emitted::expected(body, world)) << size << " bytes";
    }
  }
}

// 512 bytes are all that the kernel gives.
TEST(Allocation, OfMoreThanTheStackHoldsIsRefused) {
  EXPECT_FALSE(backend::emit(many_values(64), backend::netfilter_profile).has_value());
}

// ---- Jumps --------------------------------------------------------------------------------------

// A function of `blocks` blocks that each change a number, some by a side way. The first one can
// leap over all others, and the last one back to the second; each may leave to the end.
flow::Function long_function(std::size_t blocks) {
  flow::Function function{.name = "long"};
  function.maps.push_back({.name = "counters",
                           .type = isa::MapType::percpu_array,
                           .value_size = 16,
                           .max_entries = counter_count});
  const Reg number = function.new_register();
  const Reg rounds = function.new_register();
  const Reg test = function.new_register();
  const BlockId first = function.new_block();
  std::vector<BlockId> middle;
  for (std::size_t i = 0; i < blocks; ++i) middle.push_back(function.new_block());
  const BlockId last = function.new_block();
  const BlockId leave = function.new_block();
  const BlockId leap = function.new_block();
  function[first].instructions = {
      {.op = Op::context, .dst = number, .imm = static_cast<std::uint64_t>(ContextKey::length)},
      {.op = Op::constant, .dst = rounds, .imm = 0}};
  const auto branch = [](flow::Condition condition, Reg a, std::uint64_t imm, BlockId yes,
                         BlockId no) {
    return Terminator{.kind = Terminator::Kind::branch,
                      .condition = condition,
                      .a = a,
                      .imm = imm,
                      .yes = yes,
                      .no = no};
  };
  function[first].end = branch(flow::Condition::lt, number, 60, leap, middle.front());
  for (std::size_t i = 0; i < blocks; ++i) {
    // The tests are of numbers of their own: what a branch tells of them is soon forgotten, where
    // the checker would else keep a state for each.
    const BlockId next = i + 1 < blocks ? middle[i + 1] : last;
    const BlockId side = function.new_block();
    function[middle[i]].instructions = {
        {.op = Op::add, .dst = number, .a = number, .imm = 0x0102030405060708 + i},
        {.op = Op::xor_, .dst = test, .a = number, .imm = i}};
    function[middle[i]].end = branch(flow::Condition::set, test, 1, side, next);
    function[side].instructions = {{.op = Op::add, .dst = test, .a = test, .imm = i}};
    function[side].end = branch(flow::Condition::eq, test, 0, leave, next);
  }
  function[last].instructions = {{.op = Op::add, .dst = rounds, .a = rounds, .imm = 1}};
  function[last].end = branch(flow::Condition::lt, rounds, 2, middle.front(), leave);
  function[leave].instructions = {{.op = Op::count, .a = number, .imm = 1, .map = counters}};
  function[leave].end = {.kind = Terminator::Kind::ret, .imm = 1};
  function[leap].instructions = {{.op = Op::count, .a = number, .imm = 2, .map = counters}};
  function[leap].end = {.kind = Terminator::Kind::ret, .imm = 0};
  flow::verify(function);
  return function;
}

// Every jump of the program ends at the start of an instruction; how many are of the long form.
std::size_t check_targets(const std::vector<isa::Insn>& insns) {
  std::set<std::int64_t> starts;
  for (std::size_t i = 0; i < insns.size(); ++i) {
    starts.insert(static_cast<std::int64_t>(i));
    if (isa::is_wide(*isa::opcode(insns[i]))) ++i;
  }
  std::size_t far = 0;
  for (const std::int64_t at : starts) {
    const isa::Insn& insn = insns[static_cast<std::size_t>(at)];
    const isa::Opcode opcode = *isa::opcode(insn);
    if (!isa::is_jump(opcode)) continue;
    if (opcode == isa::Opcode::gotol) ++far;
    const std::int64_t target = at + 1 + isa::distance(opcode, insn);
    EXPECT_TRUE(starts.contains(target)) << "slot " << at << " jumps to " << target;
  }
  return far;
}

TEST(Jumps, BeyondTheirReachTakeTheLongForm) {
  const flow::Function function = long_function(6000);
  Result<Emitted> program = Emitted::make(function, backend::xdp_profile);
  ASSERT_TRUE(program.has_value()) << program.error().text();
  const std::vector<isa::Insn>& insns = program->program().insns;
  EXPECT_GT(insns.size(), 40000U);
  const Result<std::vector<isa::Insn>> decoded = isa::decode(isa::encode(insns));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().text();
  EXPECT_GT(check_targets(*decoded), 1000U);
  for (const std::size_t size : {40U, 60U, 80U}) {
    World world{.packet = Bytes(size)};
    fact(world, ContextKey::length) = size;
    EXPECT_TRUE(program->run(world) == Emitted::expected(function, world)) << size << " bytes";
  }
}

TEST(Jumps, WithinTheirReachTakeTheShortForm) {
  const flow::Function function = long_function(100);
  EXPECT_EQ(check_targets(backend::emit(function, backend::xdp_profile)->insns), 0U);
}

}  // namespace
}  // namespace weir::test
