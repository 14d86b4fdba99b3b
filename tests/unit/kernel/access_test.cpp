// SPDX-License-Identifier: BSD-2-Clause
//
// The engine's checker and the kernel's verifier agree on who may load and store what in struct
// __sk_buff and behind it, who may call what, and return what.
#include "engine/engine.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

struct Width {
  std::int16_t bytes;
  Opcode load;
  Opcode store;
};
constexpr Width widths[] = {{1, Opcode::ldx8, Opcode::stx8},
                            {2, Opcode::ldx16, Opcode::stx16},
                            {4, Opcode::ldx32, Opcode::stx32},
                            {8, Opcode::ldx64, Opcode::stx64}};

bool kernel_takes(const isa::Object& object) {
  return load(object).has_value();
}
bool engine_takes(const isa::Object& object) {
  return engine::check(object, 0).has_value();
}

isa::Object ending(Code& code, ProgramType type) {
  return object_of(code.add(Opcode::mov64_imm, 0).add(Opcode::exit).program(type));
}

isa::Object accessing(ProgramType type, const Width& width, std::int16_t offset, bool store) {
  Code code;
  code.add(Opcode::mov64_imm, 2);
  if (store) {
    code.add(width.store, 1, 2, offset);
  } else {
    code.add(width.load, 2, 1, offset);
  }
  return ending(code, type);
}

class ViewAccess : public testing::TestWithParam<ProgramType> {};

TEST_P(ViewAccess, IsTakenByTheKernelWhereTheEngineTakesIt) {
  constexpr std::int16_t size_of_context = 192;
  int taken = 0;
  for (const bool store : {false, true}) {
    for (const Width& width : widths) {
      for (std::int16_t offset = 0; offset < size_of_context; ++offset) {
        const auto object = accessing(GetParam(), width, offset, store);
        if (!engine_takes(object)) continue;
        ++taken;
        EXPECT_TRUE(kernel_takes(object))
            << (store ? "store of " : "load of ") << width.bytes << " at " << offset;
      }
    }
  }
  EXPECT_GT(taken, 20);
}

TEST_P(ViewAccess, OfWholeMembersIsTheSame) {
  struct Row {
    const char* name;
    std::int16_t offset;
  };
  for (const auto& [name, offset] :
       {Row{"len", 0}, Row{"pkt_type", 4}, Row{"mark", 8}, Row{"protocol", 16},
        Row{"vlan_present", 20}, Row{"vlan_tci", 24}, Row{"vlan_proto", 28}, Row{"priority", 32},
        Row{"ingress_ifindex", 36}, Row{"ifindex", 40}, Row{"cb[0]", 48}, Row{"cb[4]", 64},
        Row{"hash", 68}, Row{"data", 76}, Row{"data_end", 80}}) {
    for (const bool store : {false, true}) {
      const auto object = accessing(GetParam(), widths[2], offset, store);
      EXPECT_EQ(engine_takes(object), kernel_takes(object))
          << (store ? "store of " : "load of ") << name;
    }
  }
}

constexpr ProgramType views[] = {ProgramType::sched_cls, ProgramType::cgroup_skb,
                                 ProgramType::socket_filter};
INSTANTIATE_TEST_SUITE_P(Skb, ViewAccess, testing::ValuesIn(views));

// r7 = the packet, of which 8 bytes are proven; r6 = the context.
Code with_packet() {
  Code code;
  code.add(Opcode::mov64_reg, 6, 1)
      .add(Opcode::ldx32, 7, 1, 76)
      .add(Opcode::ldx32, 3, 1, 80)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::mov64_reg, 4, 7)
      .add(Opcode::add64_imm, 4, 0, 0, 8)
      .add(Opcode::jle64_reg, 4, 3, 1)
      .add(Opcode::exit);
  return code;
}

// r2 to r5 as 8 bytes of the stack at offset 0, from the start of the packet.
Code& call(Code& code, std::int32_t helper) {
  return code.add(Opcode::mov64_imm, 2)
      .add(Opcode::mov64_reg, 3, 10)
      .add(Opcode::add64_imm, 3, 0, 0, -8)
      .add(Opcode::mov64_imm, 4, 0, 0, 8)
      .add(Opcode::mov64_imm, 5)
      .add(Opcode::call_helper, 0, 0, 0, helper);
}

TEST(Access, ToPacketsIsTheSame) {
  for (const auto type : views) {
    for (const bool store : {false, true}) {
      Code code = with_packet();
      if (store) {
        code.add(Opcode::stx64, 7, 0);
      } else {
        code.add(Opcode::ldx64, 1, 7);
      }
      const auto object = ending(code, type);
      EXPECT_EQ(engine_takes(object), kernel_takes(object))
          << (store ? "store " : "load ") << static_cast<unsigned>(type);
    }
  }
  for (const std::int32_t helper : {26, 39}) {
    Code code = with_packet();
    call(code, helper).add(Opcode::ldx8, 1, 7);
    const auto object = ending(code, ProgramType::sched_cls);
    EXPECT_EQ(engine_takes(object), kernel_takes(object)) << "behind helper " << helper;
  }
}

constexpr ProgramType all_types[] = {ProgramType::xdp, ProgramType::netfilter,
                                     ProgramType::sched_cls, ProgramType::cgroup_skb,
                                     ProgramType::socket_filter};

TEST(Access, ToFunctionsIsTheSame) {
  for (const auto type : all_types) {
    for (const std::int32_t helper : {26, 39, 68}) {
      Code code;
      const auto object = ending(call(code, helper), type);
      EXPECT_EQ(engine_takes(object), kernel_takes(object))
          << "helper " << helper << " of " << static_cast<unsigned>(type);
    }
  }
  for (const auto type : views) {
    for (const auto* function : {"bpf_cast_to_kern_ctx", "bpf_dynptr_from_skb"}) {
      Code code;
      code.add(Opcode::mov64_imm, 2)
          .add(Opcode::mov64_reg, 3, 10)
          .add(Opcode::add64_imm, 3, 0, 0, -16)
          .add(Opcode::call_kfunc)
          .with(isa::KfuncReference{.name = function});
      const auto object = ending(code, type);
      EXPECT_TRUE(engine_takes(object)) << function << " of " << static_cast<unsigned>(type);
      EXPECT_TRUE(kernel_takes(object)) << function << " of " << static_cast<unsigned>(type);
    }
  }
}

TEST(Access, VerdictsAreTheSame) {
  for (const auto type : all_types) {
    for (const auto direction : {isa::Direction::ingress, isa::Direction::egress}) {
      for (std::int32_t verdict = -1; verdict <= 4; ++verdict) {
        auto program = returning(type, verdict);
        program.direction = direction;
        const auto object = object_of(program);
        EXPECT_EQ(engine_takes(object), kernel_takes(object))
            << "verdict " << verdict << " of " << static_cast<unsigned>(type);
      }
    }
  }
}

struct Hop {
  const char* structure;
  const char* member;
  Opcode load;
};

isa::Object behind_context(ProgramType type, const std::vector<Hop>& path) {
  Code code;
  code.add(Opcode::call_kfunc).with(isa::KfuncReference{.name = "bpf_cast_to_kern_ctx"});
  for (const auto& [structure, member, load] : path) {
    code.add(load, 0, 0).with(isa::FieldOffset{.structure = structure, .member = member});
  }
  return ending(code, type);
}

TEST(Access, ToKernelStructuresIsTheSame) {
  const auto expect_taken = [](ProgramType type, const std::vector<Hop>& path) {
    const auto object = behind_context(type, path);
    EXPECT_TRUE(engine_takes(object)) << path.back().member << static_cast<unsigned>(type);
    EXPECT_TRUE(kernel_takes(object)) << path.back().member << static_cast<unsigned>(type);
  };
  const Hop dev = {"sk_buff", "dev", Opcode::ldx64};
  for (const auto type : views) {
    for (const Hop& hop :
         {Hop{"sk_buff", "vlan_proto", Opcode::ldx16}, Hop{"sk_buff", "vlan_tci", Opcode::ldx16},
          Hop{"sk_buff", "mark", Opcode::ldx32}, Hop{"sk_buff", "_nfct", Opcode::ldx64},
          Hop{"sk_buff", "mac_len", Opcode::ldx16}, Hop{"sk_buff", "skb_iif", Opcode::ldx32},
          Hop{"sk_buff", "mac_header", Opcode::ldx16},
          Hop{"sk_buff", "network_header", Opcode::ldx16}}) {
      expect_taken(type, {hop});
    }
    expect_taken(type, {dev, {"net_device", "ifindex", Opcode::ldx32}});
    expect_taken(type, {dev, {"net_device", "name", Opcode::ldx64}});
    expect_taken(type, {dev, {"net_device", "type", Opcode::ldx16}});
  }
  expect_taken(ProgramType::xdp, {{"xdp_buff", "rxq", Opcode::ldx64},
                                  {"xdp_rxq_info", "dev", Opcode::ldx64},
                                  {"net_device", "name", Opcode::ldx64}});
}

}  // namespace
}  // namespace weir::kernel::test
