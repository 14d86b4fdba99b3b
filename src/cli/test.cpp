// SPDX-License-Identifier: BSD-2-Clause
//
// weir test: runs a ruleset over a capture, or over packets told in words, without touching the
// network, and says for each packet what became of it, which rule decided and which rules matched.
#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.h"
#include "cli/verbs.h"
#include "driver/runner.h"
#include "driver/seen.h"
#include "driver/world.h"
#include "kernel/kernel.h"
#include "packet/capture.h"
#include "packet/description.h"
#include "packet/parse.h"

namespace weir::cli {
namespace {

using Verdict = imr::Outcome::Verdict;

struct Options {
  RulesOptions rules;
  std::vector<std::string> limits;
  std::string capture;
  std::vector<std::string> packets;  // in words, instead of a capture
  std::string engine = "interpreter";
  std::string in;
  std::string out;
  std::string accepted;  // where to write the packets that pass
  bool json = false;
};

struct Totals {
  std::uint64_t packets = 0;
  std::uint64_t accepted = 0;
  std::uint64_t dropped = 0;
  std::uint64_t native = 0;
};

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::accept:
      return "accept";
    case Verdict::drop:
      return "drop";
    case Verdict::native:
      return "native";
  }
  throw InvariantError("verdict out of range");
}

Colour colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::accept:
      return Colour::green;
    case Verdict::drop:
      return Colour::red;
    case Verdict::native:
      return Colour::yellow;
  }
  throw InvariantError("verdict out of range");
}

nlohmann::ordered_json rule_json(const imr::Ruleset& ruleset, imr::RuleId id) {
  const imr::Rule& rule = ruleset[id];
  const imr::Chain& chain = ruleset[rule.chain];
  const imr::Table& table = ruleset[chain.table];
  nlohmann::ordered_json out = {{"family", to_string(table.family)},
                                {"table", table.name},
                                {"chain", chain.name},
                                {"handle", rule.origin.handle},
                                {"line", nullptr}};
  if (rule.origin.location.line != 0) out["line"] = rule.origin.location.line;
  return out;
}

void print_json(const imr::Ruleset& ruleset, std::uint64_t number, const imr::Outcome& outcome) {
  nlohmann::ordered_json out = {{"packet", number},
                                {"verdict", word(outcome.verdict)},
                                {"decided_by", nullptr},
                                {"matched", nlohmann::ordered_json::array()}};
  if (outcome.decided_by) out["decided_by"] = rule_json(ruleset, *outcome.decided_by);
  for (const imr::RuleId id : outcome.matched) {
    out["matched"].push_back(ruleset[id].origin.handle);
  }
  fmt::print("{}\n", out.dump());
}

void print_row(const imr::Ruleset& ruleset, std::uint64_t number, const packet::Packet& packet,
               const imr::Outcome& outcome) {
  std::string decider = "(policy)";
  if (outcome.decided_by) {
    const imr::Rule& rule = ruleset[*outcome.decided_by];
    decider = ruleset[rule.chain].name + ": " + rule.origin.text;
  }
  fmt::print(
      "{:>5}  {:<56}  {}  {}\n", number, packet::summary(packet),
      painted(fmt::format("{:<6}", word(outcome.verdict)), colour_of(outcome.verdict), stdout),
      decider);
}

void count(Totals& totals, Verdict verdict) {
  ++totals.packets;
  if (verdict == Verdict::accept) ++totals.accepted;
  if (verdict == Verdict::drop) ++totals.dropped;
  if (verdict == Verdict::native) ++totals.native;
}

Result<driver::World> make_world(const Options& options, const Hook& hook,
                                 const imr::Ruleset& ruleset) {
  std::optional<driver::DeviceOption> in;
  std::optional<driver::DeviceOption> out;
  if (!options.in.empty()) {
    WEIR_TRY(device, driver::parse_device(options.in));
    in = device;
  }
  if (!options.out.empty()) {
    WEIR_TRY(device, driver::parse_device(options.out));
    out = device;
  }
  return driver::World::create(hook, in, out, ruleset.interfaces);
}

// Where packets come from, one after another. What a description says of connections and marks
// outweighs the world that the packet is put into.
class Source {
 public:
  static Result<Source> open(const Options& options) {
    Source source;
    if (options.packets.empty()) {
      WEIR_TRY(reader, packet::CaptureReader::open(options.capture));
      source.capture_.emplace(std::move(reader));
    }
    for (const std::string& text : options.packets) {
      WEIR_TRY(description, packet::parse_description(text));
      source.described_.push_back(std::move(description));
    }
    return source;
  }

  [[nodiscard]] bool has_link_header() const { return !capture_ || capture_->has_link_header(); }

  // Nothing behind the last one.
  Result<std::optional<packet::Packet>> next(driver::World& world) {
    if (capture_) {
      WEIR_TRY(packet, capture_->next());
      if (packet) world.place(*packet);
      return std::move(packet);
    }
    if (next_ == described_.size()) return std::nullopt;
    const packet::Description& description = described_[next_++];
    packet::Packet packet = description.packet;
    world.place(packet);
    packet.mark = description.packet.mark;
    packet.type = description.packet.type;
    if (description.connection) {
      packet.has_connection = description.connection->exists;
      packet.ct_info = description.connection->info;
    }
    return packet;
  }

 private:
  std::optional<packet::CaptureReader> capture_;
  std::vector<packet::Description> described_;
  std::size_t next_ = 0;
};

// All packets, from the first to the last.
class Session {
 public:
  Session(const Options& options, const Hook& hook, const imr::Ruleset& ruleset,
          driver::World world, driver::Runner runner, Source source)
      : options_(options),
        hook_(hook),
        ruleset_(ruleset),
        world_(std::move(world)),
        runner_(std::move(runner)),
        source_(std::move(source)) {}

  Result<Totals> run() {
    if (!options_.accepted.empty()) {
      const auto kind = source_.has_link_header() ? packet::CaptureWriter::Kind::ethernet
                                                  : packet::CaptureWriter::Kind::raw_ip;
      WEIR_TRY(writer, packet::CaptureWriter::open(options_.accepted, kind));
      writer_.emplace(std::move(writer));
    }
    if (!options_.json)
      fmt::print("{:>5}  {:<56}  {:<6}  {}\n", "#", "packet", "verdict", "decided by");
    for (;;) {
      WEIR_TRY(packet, source_.next(world_));
      if (!packet) break;
      WEIR_CHECK(step(*packet));
    }
    if (writer_) WEIR_CHECK(writer_->close());
    return totals_;
  }

 private:
  Status step(packet::Packet& packet) {
    const auto outcome = runner_.run(packet);
    const std::uint64_t number = totals_.packets + 1;
    if (!outcome) {
      Diagnostic error = outcome.error();
      error.message = fmt::format("packet {}: {}", number, error.message);
      return std::unexpected(error);
    }
    if (options_.json) {
      print_json(ruleset_, number, *outcome);
    } else {
      print_row(ruleset_, number, packet, *outcome);
    }
    count(totals_, outcome->verdict);
    if (!writer_ || outcome->verdict != Verdict::accept) return {};
    if (!outcome->bytes_known) {
      return system_error(fmt::format(
          "packet {}: what rules wrote to it cannot be had of --engine kernel", number));
    }
    if (!outcome->bytes) return writer_->write(packet);
    WEIR_TRY(left, driver::seen_at(hook_, packet));
    left.bytes = *outcome->bytes;
    return writer_->write(left);
  }

  const Options& options_;
  const Hook& hook_;
  const imr::Ruleset& ruleset_;
  driver::World world_;
  driver::Runner runner_;
  Source source_;
  std::optional<packet::CaptureWriter> writer_;
  Totals totals_;
};

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_TRY(engine, driver::parse_engine(options.engine));
    if (options.capture.empty() && options.packets.empty()) {
      return input_error("nothing to run the ruleset over, expected --pcap FILE or --packet TEXT");
    }
    if (options.accepted == "-") return input_error("-w needs a file: the verdicts are printed");
    WEIR_TRY(rules, load_rules(options.rules));
    WEIR_TRY(hook, parse_hook(options.rules.hook));
    WEIR_TRY(world, make_world(options, hook, rules.ruleset));
    WEIR_TRY(source, Source::open(options));

    driver::Options how;
    WEIR_TRY(limits, backend::parse_limits(options.limits));
    how.limits = limits;
    how.trace = true;
    if (engine == driver::EngineKind::kernel) how.untrusted_memory = kernel::has_untrusted_memory();
    WEIR_TRY(compilation,
             driver::compile(driver::with_stand_ins(rules.ruleset), rules.attachments, how));
    WEIR_TRY(runner, driver::Runner::create(engine, rules.ruleset, compilation));
    Session session(options, hook, rules.ruleset, std::move(world), std::move(runner),
                    std::move(source));
    WEIR_TRY(totals, session.run());
    if (!options.json) {
      fmt::print("{} packets: {} accept, {} drop, {} native\n", totals.packets, totals.accepted,
                 totals.dropped, totals.native);
    }
    return totals.native == 0 ? exit_done : exit_partial;
  });
}

}  // namespace

void add_test(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("test", "run a ruleset over packets, touching no network");
  add_rules_options(*verb, options->rules, HookOption::required);
  auto* capture =
      verb->add_option("--pcap", options->capture, "run over a capture; - is standard input")
          ->type_name("FILE");
  verb->add_option("--packet", options->packets,
                   "run over a packet in words: \"ip saddr 10.0.0.1 tcp dport 22\"; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->excludes(capture);
  verb->add_option("--engine", options->engine,
                   "evaluator, interpreter or kernel (default: interpreter)")
      ->type_name("ENGINE");
  verb->add_option("--iif", options->in, "where packets come in; need not exist")
      ->type_name("NAME[=INDEX]");
  verb->add_option("--oif", options->out, "where packets go out; need not exist")
      ->type_name("NAME[=INDEX]");
  verb->add_option("-w,--write", options->accepted,
                   "write the packets that pass, as rules leave them")
      ->type_name("OUT.pcap");
  verb->add_flag("-j,--json", options->json, "print one JSON object a packet");
  add_limit_option(*verb, options->limits);
  verb->footer("Example: weir test office.nft --hook netfilter:forward --pcap office.pcap");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
