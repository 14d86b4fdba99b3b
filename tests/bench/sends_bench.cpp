// SPDX-License-Identifier: BSD-2-Clause
//
// ns per frame that is answered, or sent out by another device, instead of being dropped: one chain
// of a device with a rule that does so, in nft and in weir, each beside the same rule with a drop.
// A frame goes into one end of a pair of devices, and the answer comes back to it, or what is sent
// out to the end of another pair, all within the call that sends.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "bench/entry.h"
#include "driver/compile.h"
#include "frontend/nft/scratch.h"
#include "kernel/kernel.h"
#include "kernel/support/netdev_world.h"
#include "kernel/support/netns.h"
#include "packet/builder.h"

namespace weir::bench {
namespace {

constexpr std::uint32_t mtu = 1500;
constexpr std::size_t frames_a_round = 2000;

struct Case {
  std::string_view name;
  std::string_view match;
  std::string_view end;
  packet::TransportHeader transport;
  std::size_t payload = 0;
  bool at_xdp = true;
};

std::vector<Case> cases() {
  return {
      {"reset", "tcp dport 22", "reject with tcp reset", packet::Tcp{.destination_port = 22}},
      {"unreachable, 100 bytes", "udp dport 53", "reject", packet::Udp{}, 58},
      {"unreachable, 1,400 bytes", "udp dport 53", "reject", packet::Udp{}, 1358},
      {"forward, 100 bytes", "udp dport 53", "fwd to \"away0\"", packet::Udp{}, 58},
      {"forward, 1,400 bytes", "udp dport 53", "fwd to \"away0\"", packet::Udp{}, 1358},
      {"copy, 100 bytes", "udp dport 53", "dup to \"away0\" drop", packet::Udp{}, 58, false},
      {"copy, 1,400 bytes", "udp dport 53", "dup to \"away0\" drop", packet::Udp{}, 1358, false},
  };
}

std::string script_of(std::string_view match, std::string_view end) {
  return fmt::format(
      "table netdev t {{\n chain c {{\n  type filter hook ingress device \"eth0\" priority 0; "
      "policy "
      "accept;\n  {} {}\n }}\n}}\n",
      match, end);
}

// A world with the rule, in nft or as weir's program.
class Contender {
 public:
  Contender(const Hook* hook, const std::string& script) {
    if (hook == nullptr) {
      test::expect(world_.load_ruleset(script));
      return;
    }
    const auto index = [&](const std::string& name) {
      return std::optional(name == "away0" ? world_.away_index() : world_.ifindex());
    };
    auto scratch = test::expect(frontend::nft::ScratchNamespace::create());
    const auto ruleset =
        test::expect(scratch.read(script, "bench.nft", {.interface_index = index}));
    const auto attachments = test::expect(driver::plan(ruleset, *hook, {}));
    const auto compilation = test::expect(driver::compile(
        ruleset, attachments, {.untrusted_memory = kernel::has_untrusted_memory()}));
    loaded_ = test::expect(kernel::load(compilation.object));
    const kernel::Fd& program = loaded_.programs.front();
    link_ = test::expect(hook->kind == Hook::Kind::xdp
                             ? world_.attach_xdp(program, kernel::XdpMode::native)
                             : world_.attach_tcx(program));
  }

  // ns per frame, over a round.
  double round(ByteView frame) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < frames_a_round; ++i) static_cast<void>(world_.send(frame));
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / frames_a_round;
  }
  // Whether the last frame was answered, or sent out.
  bool sends() { return world_.answer().has_value() || !world_.sent_away().empty(); }

 private:
  test::NetdevWorld world_{isa::Direction::ingress, mtu};
  kernel::LoadedObject loaded_;
  kernel::Fd link_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The contenders in turn, round by round: what each takes more than its own drop.
std::string row(std::string_view hook_name, const Case& one, int rounds) {
  const Hook hook = test::expect(parse_hook(std::string(hook_name) + "@eth0"));
  const std::string sending = script_of(one.match, one.end);
  const std::string dropping = script_of(one.match, "drop");
  std::array<Contender, 4> contenders = {Contender(nullptr, sending), Contender(nullptr, dropping),
                                         Contender(&hook, sending), Contender(&hook, dropping)};
  packet::Recipe recipe{.link = packet::Ethernet{}, .transport = one.transport};
  recipe.payload.resize(one.payload);
  const Bytes frame = packet::build(recipe).bytes;
  std::array<std::vector<double>, 4> times;
  for (int i = 0; i < rounds; ++i) {
    for (std::size_t c = 0; c < contenders.size(); ++c) {
      times[c].push_back(contenders[c].round(frame));
      invariant(contenders[c].sends() == (c % 2 == 0), "a frame that is sent where it should not");
    }
  }
  std::vector<double> by_nft;
  std::vector<double> by_weir;
  std::vector<double> saved;
  for (std::size_t i = 0; i < times[0].size(); ++i) {
    by_nft.push_back(times[0][i] - times[1][i]);
    by_weir.push_back(times[2][i] - times[3][i]);
    saved.push_back(times[0][i] - times[2][i]);
  }
  return fmt::format("{:<12}{:<26}{:>10.0f}{:>10.0f}{:>10.0f}\n", hook_name, one.name,
                     median(by_nft), median(by_weir), median(saved));
}

std::string measure(const Options& options) {
  std::string out = fmt::format("{:<12}{:<26}{:>10}{:>10}{:>10}\n", "hook", "what is sent",
                                "nft +ns", "weir +ns", "saved ns");
  for (const std::string_view hook : {"tc:ingress", "xdp"}) {
    for (const Case& one : cases()) {
      if (one.at_xdp || hook != "xdp") out += row(hook, one, options.rounds);
    }
  }
  return out + "+ns: more than a drop by the same takes; saved: of the whole way of a frame\n";
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("sends_bench",
                                "ns per frame that rules answer or send out, weir against nft",
                                argc, argv, weir::bench::measure);
}
