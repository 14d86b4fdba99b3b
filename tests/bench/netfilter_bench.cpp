// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of linear rules at the netfilter hook: the kernel's nf_tables and weir's program,
// in one run. docs/benchmarks.md has the method.
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "bench/entry.h"
#include "bench/live_frames.h"
#include "bench/report.h"
#include "bench/subjects.h"

namespace weir::bench {
namespace {

constexpr Shape shapes[] = {Shape::first_fails, Shape::last_fails, Shape::last_matches};
constexpr std::uint32_t rule_counts[] = {1, 10, 100, 1000};

// The same for all: making and freeing the pages of the frames takes some tens of microseconds a
// sample, which only cancel out with the floor's when spread over as many packets.
constexpr std::uint32_t packets = 8192;
constexpr std::uint32_t test_runs = 2000;

struct Contest {
  Subject nft;
  Subject weir;
  Case result;
};

double sample(const LiveFrames& frames, const Subject& subject) {
  return frames.send(subject.netns, packets) / packets;
}

double test_run_sample(const Subject& subject, const Bytes& packet) {
  const auto run =
      test::expect(kernel::test_run(subject.program, isa::ProgramType::netfilter, packet,
                                    NfHook::prerouting, Nfproto::ipv4, test_runs));
  return run.duration_ns;
}

void add(Series& series, double total, double floor) {
  series.total.push_back(total);
  series.net.push_back(total - floor);
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        packet_(test_packet()),
        frames_(packet_),
        chain_(empty_chain()),
        program_(empty_program()) {
    for (const auto shape : shapes) {
      for (const auto rules : rule_counts) add_contest(shape, rules);
    }
  }

  Results run() {
    Floors floors;
    for (int round = 0; round < options_.rounds; ++round) {
      for (auto& contest : contests_) one_round(contest, floors, round % 2 == 0);
    }
    Results results{.floors = std::move(floors)};
    for (auto& contest : contests_) results.cases.push_back(std::move(contest.result));
    return results;
  }

 private:
  void add_contest(Shape shape, std::uint32_t rules) {
    check_shape(frames_, shape, rules);
    Contest contest{.nft = nft_subject(shape, rules),
                    .weir = weir_subject(shape, rules),
                    .result = {.shape = shape, .rules = rules}};
    contest.result.instructions = contest.weir.instructions;
    contests_.push_back(std::move(contest));
  }

  // An engine and its floor stand side by side, in one order and in the other, so that what drifts
  // (clock, cache, neighbours) meets both.
  void one_round(Contest& contest, Floors& floors, bool forth) {
    double chain = 0;
    double nft = 0;
    double weir = 0;
    double program = 0;
    const std::pair<double*, const Subject*> steps[] = {
        {&chain, &chain_}, {&nft, &contest.nft}, {&weir, &contest.weir}, {&program, &program_}};
    for (std::size_t i = 0; i < std::size(steps); ++i) {
      const auto& [value, what] = steps[forth ? i : std::size(steps) - 1 - i];
      *value = sample(frames_, *what);
    }
    const double program_run = test_run_sample(program_, packet_);
    const double weir_run = test_run_sample(contest.weir, packet_);
    add(contest.result.nft, nft, chain);
    add(contest.result.weir, weir, program);
    add(contest.result.test_run, weir_run, program_run);
    floors.chain.push_back(chain);
    floors.program.push_back(program);
    floors.test_run.push_back(program_run);
  }

  Options options_;
  Bytes packet_;
  LiveFrames frames_;
  Subject chain_;
  Subject program_;
  std::vector<Contest> contests_;
};

std::string measure(const Options& options) {
  const Results results = Bench(options).run();
  return options.json ? json_lines(results) : table(results);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("netfilter_bench",
                                "ns per packet of linear rules at the netfilter hook, nft against "
                                "weir",
                                argc, argv, weir::bench::measure);
}
