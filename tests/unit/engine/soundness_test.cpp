// SPDX-License-Identifier: BSD-2-Clause
//
// The checker against the interpreter: random programs grow instruction by instruction, keeping
// only what the checker accepts, and then run on packets and maps of random content. A fault, which
// the interpreter throws, means that the checker believed something false.
//
// WEIR_SEED=N in the environment chooses other programs.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>

#include "engine/map.h"
#include "unit/engine/programs.h"

namespace weir::engine {
namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  // Text without its last two lines, which `finished` adds.
  std::string program() {
    std::string text =
        "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r8 = *(u32 *)(r1 + 12)\n"
        "r9 = map[one][0]+0\n r0 = 0\n r1 = 1\n r2 = 8\n r3 = r8\n r4 = r6\n r5 = r9\n"
        "*(u64 *)(r10 - 8) = r8\n *(u64 *)(r10 - 16) = 3\n";
    int refused = 0;
    for (int kept = 0; kept < 30 && refused < 400;) {
      const std::string longer = text + element();
      if (check(object_of(isa::ProgramType::xdp, finished(longer)), 0)) {
        text = longer;
        ++kept;
      } else {
        ++refused;
      }
    }
    return finished(text);
  }

  // The same with a function that gets a number and a part of the stack, by a call or round by
  // round in a loop. Both grow.
  std::string program_with_function() {
    std::string main =
        "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r8 = *(u32 *)(r1 + 12)\n"
        "r9 = map[one][0]+0\n *(u64 *)(r10 - 8) = r8\n *(u64 *)(r10 - 16) = 3\n"
        "*(u64 *)(r10 - 24) = r6\n" +
        others();
    std::string function =
        "r6 = r2\n r8 = r1\n r7 = *(u64 *)(r2 + 8)\n r9 = map[one][0]+0\n"
        "*(u64 *)(r10 - 8) = r8\n *(u64 *)(r10 - 16) = 3\n *(u64 *)(r10 - 24) = r6\n" +
        others();
    int refused = 0;
    for (int kept = 0; kept < 24 && refused < 300;) {
      const bool grow_main = random_() % 2 == 0;
      std::string& grown = grow_main ? main : function;
      std::string longer = grown;
      if (grow_main && random_() % 3 == 0) {
        longer += call();
      } else if (!grow_main && random_() % 2 == 0) {
        longer += on_callers_stack();
      } else {
        longer += element();
      }
      const std::string whole = joined(grow_main ? longer : main, grow_main ? function : longer);
      if (check(object_of(isa::ProgramType::xdp, whole), 0)) {
        grown = std::move(longer);
        ++kept;
      } else {
        ++refused;
      }
    }
    return joined(main, function);
  }

  std::uint64_t number() {
    constexpr std::array<std::uint64_t, 12> telling = {
        0, 1, 7, 8, 15, 63, 64, 255, 0x7fff, 0x7fffffff, 0xffffffff, ~std::uint64_t{0}};
    switch (random_() % 3) {
      case 0:
        return telling[random_() % telling.size()];
      case 1:
        return random_() % 80;
      default:
        return random_() >> random_() % 64;
    }
  }

  Bytes bytes(std::size_t size) {
    Bytes result(size);
    for (std::size_t i = 0; i < size; ++i) {
      result[i] = static_cast<std::uint8_t>(random_() % 3 == 0 ? random_() : number());
    }
    return result;
  }

 private:
  static std::string finished(const std::string& text) { return text + "r0 = 0\n exit\n"; }

  // A first call makes the function part of the program.
  static std::string joined(const std::string& main, const std::string& function) {
    return main + "r1 = 1\n r2 = r10\n r2 += -24\n call f\n" + finished("") + "f:\n" + function +
           "r1 = *(u64 *)(r6 + 0)\n r0 = 0\n if r8 == 2 goto last\n r0 = 1\nlast:\n exit\n";
  }
  static std::string others() { return "r0 = 0\n r1 = 1\n r2 = 8\n r3 = r8\n r4 = 7\n r5 = r9\n"; }
  std::string call() {
    if (random_() % 3 == 0) return "r1 = 2\n r2 = r10\n r2 += -24\n call f\n" + others();
    return "r1 = " + digits(6) +
           "\n r2 = function f\n r3 = r10\n r3 += -24\n r4 = 0\n call loop\n" + others();
  }
  std::string on_callers_stack() {
    const std::string place = "(r6 + " + std::to_string(8 * (random_() % 3)) + ")";
    if (random_() % 2 == 0) return "r" + scalar_register() + " = *(u64 *)" + place + "\n";
    return "*(u64 *)" + place + " = r" + any_register() + "\n";
  }

  template <std::size_t N>
  std::string one_of(const std::array<const char*, N>& texts) {
    return texts[random_() % N];
  }
  std::string digits(std::uint64_t limit) { return std::to_string(random_() % limit); }
  std::string scalar_register() { return digits(6); }
  std::string any_register() { return digits(10); }
  std::string constant() {
    return std::to_string(static_cast<std::int32_t>(static_cast<std::uint32_t>(number())));
  }
  std::string size() { return one_of(std::array{"u8", "u16", "u32", "u64", "s8", "s16", "s32"}); }
  std::string width() { return one_of(std::array{"r", "r", "w"}); }
  std::string offset() {
    return random_() % 4 == 0 ? " - " + digits(24) : " + " + digits(random_() % 3 == 0 ? 70 : 9);
  }
  std::string slot() { return "(r10 - " + std::to_string(8 * (1 + random_() % 3)) + ")"; }

  // One instruction without a jump, a line each.
  std::string simple() {
    const std::string bank = width();
    const std::string dst = scalar_register();
    switch (random_() % 12) {
      case 0:
        return "r" + dst + " = r" + any_register() + "\n";
      case 1:
        return "r" + dst + " = " + constant() + "\n";
      case 2:
      case 3: {
        const std::string operation = one_of(std::array{"+=", "-=", "&=", "|=", "^=", "*="});
        return bank + dst + " " + operation + " " + constant() + "\n";
      }
      case 4: {
        const std::string operation = one_of(
            std::array{"+=", "-=", "&=", "|=", "^=", "*=", "/=", "%=", "<<=", ">>=", "s>>="});
        return bank + dst + " " + operation + " " + bank + any_register() + "\n";
      }
      case 5:
        return bank + dst + " " + one_of(std::array{"<<=", ">>=", "s>>="}) + " " + digits(32) +
               "\n";
      case 6:
        return "r" + dst + " += r" + any_register() + "\n";
      case 7:
      case 8:
        return "r" + dst + " = *(" + size() + " *)(r" + any_register() + offset() + ")\n";
      case 9:
        return "*(" + one_of(std::array{"u8", "u16", "u32", "u64"}) + " *)(r" + any_register() +
               offset() + ") = r" + any_register() + "\n";
      case 10:
        return "*(u64 *)" + slot() + " = r" + any_register() + "\n";
      default:
        return "r" + dst + " = *(u64 *)" + slot() + "\n";
    }
  }

  std::string condition() {
    const std::string compare =
        one_of(std::array{"==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"});
    const std::string bank = width();
    if (random_() % 3 == 0) {
      return "r" + scalar_register() + " " + one_of(std::array{">", ">=", "<", "<="}) + " r7";
    }
    return bank + any_register() + " " + compare + " " +
           (random_() % 2 == 0 ? constant() : bank + any_register());
  }

  // A lookup whose result is compared with 0, or is not.
  std::string lookup() {
    std::string text = "*(u32 *)(r10 - 20) = " + digits(6) + "\n r1 = map[" +
                       one_of(std::array{"array", "hash", "counters"}) +
                       "]\n r2 = r10\n r2 += -20\n call map_lookup_elem\n r1 = 1\n r2 = 2\n"
                       "r3 = r8\n r4 = r6\n r5 = r0\n";
    if (random_() % 3 != 0) text += "if r0 == 0 goto end" + std::to_string(labels_) + "\n";
    text += "r1 = *(u64 *)(r5" + offset() + ")\n";
    return text + "end" + std::to_string(labels_++) + ":\n";
  }

  std::string element() {
    switch (random_() % 6) {
      case 0: {
        const std::string label = "end" + std::to_string(labels_++);
        std::string text = "if " + condition() + " goto " + label + "\n";
        for (std::uint64_t i = 0; i <= random_() % 4; ++i) text += simple();
        return text + label + ":\n";
      }
      case 1: {
        const std::string label = "end" + std::to_string(labels_++);
        return "if " + condition() + " goto " + label + "\n r0 = 0\n exit\n" + label + ":\n";
      }
      case 2:
        return random_() % 3 == 0 ? lookup() : simple();
      default:
        return simple();
    }
  }

  std::mt19937_64 random_;
  int labels_ = 0;
};

std::uint64_t first_seed() {
  const char* text = std::getenv("WEIR_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

// Runs `text` on packets and maps of random content.
void expect_no_fault(const std::string& text, Generator& generator, std::uint64_t seed) {
  constexpr int packets = 20;
  auto engine = Engine::load(object_of(isa::ProgramType::xdp, text));
  ASSERT_TRUE(engine) << "seed " << seed << "\n" << text << engine.error().text();
  for (int i = 0; i < packets; ++i) {
    const Bytes packet = generator.bytes(generator.number() % 100);
    const Bytes key(4);
    ASSERT_TRUE(engine->map(isa::MapIndex(2)).update(key, generator.bytes(64)));
    const Input input = {.bytes = packet, .iif = static_cast<std::uint32_t>(generator.number())};
    ASSERT_NO_THROW(static_cast<void>(engine->run(0, input)))
        << "seed " << seed << ", packet " << to_hex(packet) << ", ifindex " << input.iif << "\n"
        << text;
  }
}

TEST(Soundness, AcceptedProgramsDoNotFault) {
  constexpr std::uint64_t programs = 150;
  for (std::uint64_t seed = first_seed() * programs, end = seed + programs; seed < end; ++seed) {
    Generator generator(seed);
    expect_no_fault(generator.program(), generator, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Soundness, AcceptedFunctionsAndLoopsDoNotFault) {
  constexpr std::uint64_t programs = 100;
  for (std::uint64_t seed = first_seed() * programs, end = seed + programs; seed < end; ++seed) {
    Generator generator(seed);
    expect_no_fault(generator.program_with_function(), generator, seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weir::engine
