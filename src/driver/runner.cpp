// SPDX-License-Identifier: BSD-2-Clause
#include "driver/runner.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "backend/profile.h"
#include "backend/records.h"
#include "driver/attached.h"
#include "driver/facts.h"
#include "driver/reads.h"
#include "driver/seen.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "engine/ring_buffer.h"
#include "isa/expiry.h"
#include "kernel/kernel.h"
#include "kernel/netns.h"
#include "kernel/ring.h"

namespace weir::driver {
namespace {

constexpr std::array<std::pair<EngineKind, std::string_view>, 3> engine_names = {{
    {EngineKind::evaluator, "evaluator"},
    {EngineKind::interpreter, "interpreter"},
    {EngineKind::kernel, "kernel"},
}};

// What BPF_PROG_TEST_RUN takes at most: a page less its head and tail room (net/bpf/test_run.c).
constexpr std::size_t largest_test_packet = 3712;
constexpr std::size_t link_header_size = 14;  // of Ethernet, without tags

using Verdict = imr::Outcome::Verdict;

// What the profile of the hook makes of the verdicts: XDP_PASS and XDP_DROP, and so on.
struct Returned {
  Verdict verdict = Verdict::accept;
  // What became of a dropped packet. A program may return the same for both; sent is either.
  bool answered = false;
  bool forwarded = false;
  [[nodiscard]] bool sent() const { return answered || forwarded; }
};
Returned decode_verdict(const Hook& hook, std::uint64_t result) {
  const backend::Profile& profile = backend::profile_for(hook, {});
  const auto returned = static_cast<std::int32_t>(result);
  const Returned out{.verdict = returned == profile.accept ? Verdict::accept : Verdict::drop,
                     .answered = profile.emit_answer != nullptr && returned == profile.answered,
                     .forwarded = profile.forwards && returned == profile.forwarded};
  invariant(returned == profile.accept || returned == profile.drop || out.sent(),
            "a program at " + to_string(hook) + " returned none of its verdicts");
  return out;
}

std::optional<Nfproto> nfproto_of(const packet::Packet& packet) {
  if (packet.ethertype == 0x0800) return Nfproto::ipv4;
  if (packet.ethertype == 0x86dd) return Nfproto::ipv6;
  return std::nullopt;
}

// What eth_type_trans() makes of a frame at the loopback device, whose address is all zero.
packet::PacketType type_by_address(ByteView frame) {
  const ByteView destination = frame.first(6);
  const auto all = [&](std::uint8_t wanted) {
    return std::ranges::all_of(destination, [=](std::uint8_t byte) { return byte == wanted; });
  };
  if (all(0xff)) return packet::PacketType::broadcast;
  if ((destination[0] & 1) != 0) return packet::PacketType::multicast;
  return all(0) ? packet::PacketType::host : packet::PacketType::otherhost;
}

// The same of a test run, which takes the link header off what a socket filter gets, and says that
// the network header is where the rest begins (bpf_prog_test_run_skb() in net/bpf/test_run.c). To
// rules that read neither link header nor length it is all the same; counters lack the header of
// each packet.
bool tests_frames(const Hook& hook) {
  return sees_frames(hook) && hook.kind != Hook::Kind::socket;
}

// Frames at TC hold a network header if they are to be IP packets.
std::size_t smallest_test_packet(const Hook& hook, const packet::Packet& packet) {
  if (hook.kind == Hook::Kind::xdp) return link_header_size;
  const std::size_t link = tests_frames(hook) ? link_header_size : 0;
  if (packet.ethertype == 0x86dd) return link + 40;
  if (packet.ethertype == 0x0800) return link + 20;
  return hook.kind == Hook::Kind::socket ? 0 : link + 1;
}

void append(imr::Outcome& whole, const imr::Outcome& part) {
  whole.verdict = part.verdict;
  whole.decided_by = part.decided_by;
  whole.matched.insert(whole.matched.end(), part.matched.begin(), part.matched.end());
  whole.counted.insert(whole.counted.end(), part.counted.begin(), part.counted.end());
  whole.counted_bytes = std::max(whole.counted_bytes, part.counted_bytes);
  if (part.mark) whole.mark = part.mark;
  if (part.priority) whole.priority = part.priority;
  if (part.type) whole.type = part.type;
  if (part.bytes) whole.bytes = part.bytes;
  if (part.sent) {
    whole.sent = part.sent;
    whole.bytes.reset();
  }
  whole.sent_known = whole.sent_known && part.sent_known;
  whole.duplicates.insert(whole.duplicates.end(), part.duplicates.begin(), part.duplicates.end());
  whole.duplicates_known = whole.duplicates_known && part.duplicates_known;
  whole.logged.insert(whole.logged.end(), part.logged.begin(), part.logged.end());
  whole.bytes_known = whole.bytes_known && part.bytes_known;
  whole.logged_known = whole.logged_known && part.logged_known;
}

// Whether a program leaves a mark behind that the kernel goes on with. At XDP there is none yet,
// and at netfilter hooks and packet sockets programs cannot write it.
bool leaves_mark(const Hook& hook) {
  return hook.kind != Hook::Kind::xdp && hook.kind != Hook::Kind::netfilter &&
         hook.kind != Hook::Kind::socket;
}

// Whether it may write to the packet.
bool hands_on_frames(const Hook& hook) {
  return sees_frames(hook) && hook.kind != Hook::Kind::socket;
}

// As imr::Outcome has it.
template <typename T>
std::optional<T> changed(const T& before, T left) {
  return left == before ? std::nullopt : std::optional(std::move(left));
}

// Reads the trace format of driver/compile.h into matched and decided_by. A deciding rule that has
// something native in it decided by its stand-in.
void read_trace(const imr::Ruleset& ruleset, ByteView trace, imr::Outcome& outcome) {
  const auto word = [&](std::size_t index) {
    return static_cast<std::uint32_t>(load_native(trace.subspan(index * 4, 4)));
  };
  const std::uint32_t count = std::min(word(0), trace_capacity);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t entry = word(i + 1);
    if (entry == trace_policy) {
      outcome.decided_by.reset();
      continue;
    }
    const imr::RuleId rule(std::size_t{entry & ~trace_decided});
    if ((entry & trace_decided) == 0) {
      outcome.matched.push_back(rule);
      continue;
    }
    outcome.decided_by = rule;
    if (imr::translation(ruleset[rule]) == imr::Translation::full) {
      outcome.matched.push_back(rule);
    } else {
      outcome.verdict = Verdict::native;
    }
  }
}

// Appends what programs left in the ring of driver/compile.h.
void read_records(const std::vector<Bytes>& records, imr::Outcome& outcome) {
  for (const Bytes& bytes : records) {
    const auto record = backend::decode_record(bytes);
    invariant(record.has_value(), "a record that no program leaves");
    outcome.logged.push_back({.rule = imr::RuleId(std::size_t{record->header.rule}),
                              .number = static_cast<std::uint8_t>(record->header.number),
                              .length = record->header.length,
                              .bytes = Bytes(record->bytes.begin(), record->bytes.end())});
  }
}

// Whether the rules read what BPF_PROG_TEST_RUN supplies to no packet.
bool test_run_lacks(const Reads& reads, const std::vector<Attachment>& attachments) {
  using imr::MetaKey;
  const auto read = [&](MetaKey key) { return reads.meta.contains(key); };
  if (reads.connection || read(MetaKey::iif) || read(MetaKey::oif) || read(MetaKey::iifname) ||
      read(MetaKey::oifname)) {
    return true;
  }
  return std::ranges::any_of(attachments, [&](const Attachment& attachment) {
    // Programs that are run on frames know without asking that these are of Ethernet devices.
    if (read(MetaKey::iiftype) && !tests_frames(attachment.hook)) return true;
    return attachment.hook.kind == Hook::Kind::socket &&
           (reads.link_header || read(MetaKey::length));
  });
}

// Neither a test run nor a scratch namespace gives a packet these as they are asked for.
Status check_suppliable(const Reads& reads) {
  using imr::MetaKey;
  for (const MetaKey key :
       {MetaKey::iifgroup, MetaKey::oifgroup, MetaKey::iifkind, MetaKey::oifkind, MetaKey::priority,
        MetaKey::cpu, MetaKey::skuid, MetaKey::skgid, MetaKey::cgroup, MetaKey::rtclassid,
        MetaKey::rtipsec, MetaKey::time, MetaKey::hour}) {
    if (!reads.meta.contains(key)) continue;
    return input_error("the rules read meta " + std::string(to_string(key)) +
                       ", which only --engine interpreter and evaluator give to packets of a file");
  }
  if (reads.next_hop) {
    return input_error(
        "the rules read next hops of routes, which only --engine interpreter and evaluator give to "
        "packets of a file");
  }
  if (!reads.connection_details) return {};
  return input_error(
      "the rules read more of connections than ct state, which only --engine "
      "interpreter and evaluator give to packets of a file");
}

// What is the same for whoever runs the same packets in the same order: limits go by the times of
// the packets, where these do not go back, and random numbers are drawn anew for each.
class PacketClock {
 public:
  std::uint64_t chance() { return ++runs_; }
  std::uint64_t at(const packet::Packet& packet) {
    return now_ = std::max(now_,
                           static_cast<std::uint64_t>(std::max<std::int64_t>(packet.time_ns, 0)));
  }
  [[nodiscard]] std::uint64_t now() const { return now_; }

 private:
  std::uint64_t now_ = 0;
  std::uint64_t runs_ = 0;
};

std::vector<std::pair<imr::SetId, isa::MapIndex>> dynamic_maps(const imr::Ruleset& ruleset,
                                                               const Compilation& compilation) {
  std::vector<std::pair<imr::SetId, isa::MapIndex>> out;
  for (const auto& [name, place] : compilation.dynamic_sets->all()) {
    const auto found = std::ranges::find_if(ruleset.sets, [&](const imr::Set& set) {
      return set.table == name.first && set.name == name.second;
    });
    out.emplace_back(static_cast<std::size_t>(found - ruleset.sets.begin()), place.map);
  }
  return out;
}

// ---- The engines
// ---------------------------------------------------------------------------------

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) = 0;
  virtual Result<std::vector<CounterTotal>> counters() = 0;
  virtual Result<std::vector<LivingElement>> elements() = 0;
};

class EvaluatorBackend final : public Backend {
 public:
  EvaluatorBackend(const imr::Ruleset& ruleset, const Compilation& compilation)
      : ruleset_(ruleset), totals_(ruleset.counters.size()), meters_(ruleset, 0) {
    for (const CompiledProgram& program : compilation.programs) {
      units_.push_back(program.units);
      // The units may hold stand-ins; the evaluator judges what was written.
      for (imr::Unit& unit : units_.back()) unit.ruleset = ruleset;
    }
    for (const auto& [set, map] : dynamic_maps(ruleset, compilation)) dynamic_sets_.push_back(set);
  }

  // Elsewhere than at netfilter hooks a program has a unit for each protocol, and each accepts the
  // packets of the others.
  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    imr::Outcome outcome;
    const std::uint64_t now = clock_.at(packet);
    const std::uint64_t chance = clock_.chance();
    if (!elements_) elements_.emplace(ruleset_, now);
    for (const imr::Unit& unit : units_.at(program)) {
      imr::Outcome part = imr::evaluate(
          unit, packet,
          {.meters = &meters_, .elements = &*elements_, .now = now, .chance = chance});
      if (part.bytes == packet.bytes) part.bytes.reset();
      const bool silent = part.verdict == Verdict::accept && part.matched.empty() &&
                          part.counted.empty() && !part.decided_by && !part.mark &&
                          !part.priority && !part.type && !part.bytes && !part.sent &&
                          part.duplicates.empty() && part.logged.empty();
      if (!silent) append(outcome, part);
    }
    for (const imr::CounterId id : outcome.counted) {
      totals_.at(id.index()).packets += 1;
      totals_.at(id.index()).bytes += outcome.counted_bytes;
    }
    return outcome;
  }
  Result<std::vector<CounterTotal>> counters() override { return totals_; }

  Result<std::vector<LivingElement>> elements() override {
    std::vector<LivingElement> out;
    for (const imr::SetId id : dynamic_sets_) {
      if (!elements_) break;
      for (const auto& [key, held] : elements_->living(id, clock_.now())) {
        LivingElement& element = out.emplace_back(id, key);
        if (held.expires) element.expires = *held.expires - clock_.now();
        element.words = held.words(*ruleset_[id].dynamic);
        element.data = held.data;
        element.timeout = held.timeout;
      }
    }
    return out;
  }

 private:
  const imr::Ruleset& ruleset_;
  std::vector<std::vector<imr::Unit>> units_;
  std::vector<CounterTotal> totals_;
  imr::MeterMemory meters_;
  std::vector<imr::SetId> dynamic_sets_;
  std::optional<imr::ElementMemory> elements_;  // from the first packet on
  PacketClock clock_;
};

// A packet is at its input device until ip_output() and ip6_output(), which come in front of
// postrouting; one that this host sends is at none before.
engine::Input::At place_of_skb(const Hook& hook) {
  using At = engine::Input::At;
  if (hook.kind != Hook::Kind::netfilter) return At::output_else_input;
  if (hook.nf_hook == NfHook::postrouting) return At::output;
  return hook.nf_hook == NfHook::output ? At::none : At::input;
}

class InterpreterBackend final : public Backend {
 public:
  InterpreterBackend(const imr::Ruleset& ruleset, const Compilation& compilation,
                     engine::Engine engine)
      : ruleset_(ruleset), compilation_(compilation), engine_(std::move(engine)) {}

  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    const Hook& hook = compilation_.programs.at(program).attachment.hook;
    std::uint8_t* trace = nullptr;
    if (compilation_.trace.valid()) {
      trace = value(compilation_.trace, 0);
      std::fill_n(trace, 4, std::uint8_t{0});
    }
    imr::Outcome outcome;
    engine::Input given = input(hook, packet);
    given.now = clock_.at(packet);
    given.wall_offset = packet.time_ns - static_cast<std::int64_t>(*given.now);
    given.chance = clock_.chance();
    start_elements();
    const Returned returned = decode_verdict(hook, engine_.run(program, given));
    outcome.verdict = returned.verdict;
    if (leaves_mark(hook) && !returned.sent()) {
      const engine::Output left = engine_.output(program);
      outcome.mark = changed(packet.mark, left.mark);
      outcome.priority = changed(packet.priority, left.priority);
      if (left.pkttype != static_cast<std::uint8_t>(packet.type)) {
        outcome.type = static_cast<packet::PacketType>(left.pkttype);
      }
    }
    const engine::Sent& sent = engine_.sent(program);
    if (returned.sent()) {
      // What goes back at XDP takes no call.
      const bool called = returned.forwarded;
      outcome.sent = {.device = called ? sent.device : packet.in.index,
                      .bytes = engine_.packet(program)};
    } else if (hands_on_frames(hook)) {
      outcome.bytes = changed(packet.bytes, engine_.packet(program));
    }
    for (const engine::Sent::Copy& copy : sent.copies) {
      outcome.duplicates.push_back({.device = copy.device, .bytes = copy.bytes});
    }
    if (trace != nullptr) read_trace(ruleset_, ByteView(trace, (trace_capacity + 1) * 4), outcome);
    if (compilation_.log.valid()) {
      auto* ring = dynamic_cast<engine::RingBuffer*>(&engine_.map(compilation_.log));
      invariant(ring != nullptr, "a log that is no ring buffer");
      read_records(ring->take(), outcome);
    }
    return outcome;
  }

  Result<std::vector<LivingElement>> elements() override {
    std::vector<LivingElement> out;
    for (const auto& [set, index] : dynamic_maps(ruleset_, compilation_)) {
      const engine::Map& map = engine_.map(index);
      for (std::uint32_t place = 0; place < map.places(); ++place) {
        const engine::Map::Entry entry = map.at(place);
        if (entry.key == nullptr) continue;
        auto living = living_element(ruleset_, set, ByteView(entry.key, map.spec().key_size),
                                     ByteView(entry.value, map.spec().value_size), clock_.now());
        if (living) out.push_back(std::move(*living));
      }
    }
    return out;
  }

  Result<std::vector<CounterTotal>> counters() override {
    std::vector<CounterTotal> totals(ruleset_.counters.size());
    if (!compilation_.counters.valid()) return totals;
    for (std::uint32_t i = 0; i < totals.size(); ++i) {
      const std::uint8_t* at = value(compilation_.counters, i);
      totals[i] = {load_native(ByteView(at, 8)), load_native(ByteView(at + 8, 8))};
    }
    return totals;
  }

 private:
  // Elements that the sets are written with expire so long after the first packet.
  void start_elements() {
    if (std::exchange(started_, true)) return;
    for (std::size_t i = 0; i < compilation_.object.maps.size(); ++i) {
      const isa::MapSpec& spec = compilation_.object.maps[i];
      if (!spec.expires) continue;
      for (const isa::MapEntry& entry : spec.entries) {
        const Status status =
            engine_.map(isa::MapIndex(i)).update(entry.key, isa::started(entry, clock_.now()));
        invariant(status.has_value(), "an element of the compilation that its map does not take");
      }
    }
  }

  std::uint8_t* value(isa::MapIndex map, std::uint32_t index) {
    std::uint8_t* found = engine_.map(map).lookup(native_bytes(index, 4).data());
    invariant(found != nullptr, "an array of the compilation is too short");
    return found;
  }

  static engine::Input input(const Hook& hook, const packet::Packet& packet) {
    engine::Input in;
    in.bytes = sees_frames(hook) ? ByteView(packet.bytes) : packet.network();
    in.network_offset = sees_frames(hook) ? packet.network_offset : 0;
    give_facts(packet, in);
    in.at = place_of_skb(hook);
    return in;
  }

  const imr::Ruleset& ruleset_;
  const Compilation& compilation_;
  engine::Engine engine_;
  bool started_ = false;
  PacketClock clock_;
};

// By BPF_PROG_TEST_RUN; attached, where that does not carry what is read.
class KernelBackend final : public Backend {
 public:
  KernelBackend(const imr::Ruleset& ruleset, const Compilation& compilation)
      : ruleset_(ruleset), compilation_(compilation) {}

  // Programs are loaded at once, so that what the kernel refuses is no packet's fault.
  Status load() {
    std::vector<Attachment> attachments;
    for (const CompiledProgram& program : compilation_.programs) {
      attachments.push_back(program.attachment);
    }
    reads_ = scan_reads(ruleset_, attachments);
    WEIR_CHECK(check_suppliable(reads_));
    always_attached_ = test_run_lacks(reads_, attachments);
    if (always_attached_) return attach();
    WEIR_TRY(loaded, kernel::load(compilation_.object));
    loaded_.emplace(std::move(loaded));
    // A test run sends copies of packets for good.
    if (reads_.duplicates) {
      WEIR_TRY(apart, kernel::Netns::create());
      apart_.emplace(std::move(apart));
    }
    if (!compilation_.log.valid()) return {};
    WEIR_TRY(ring, kernel::Ring::open(map(compilation_.log)));
    ring_.emplace(std::move(ring));
    return {};
  }

  Result<imr::Outcome> run(std::size_t program, const packet::Packet& packet) override {
    const Hook& hook = compilation_.programs.at(program).attachment.hook;
    const bool attached = always_attached_ || !test_run_carries(hook, packet);
    if (attached) WEIR_CHECK(attach());
    WEIR_TRY(answer, attached ? attached_->run(program, packet) : test_run(program, packet));
    imr::Outcome outcome;
    const Returned returned = decode_verdict(hook, answer.returned);
    outcome.verdict = returned.verdict;
    const bool hands_on_facts = leaves_mark(hook) && !returned.sent();
    if (hands_on_facts) outcome.mark = changed(packet.mark, answer.mark);
    if (hands_on_facts && !attached) {
      outcome.priority = changed(packet.priority, answer.priority);
    }
    if (compilation_.log.valid()) {
      // Behind a device, packets are not those of the file to the last byte.
      outcome.logged_known = !attached && !at_socket();
      WEIR_TRY(records, ring_ ? ring_->take() : Result<std::vector<Bytes>>(std::vector<Bytes>()));
      if (outcome.logged_known) read_records(records, outcome);
    }
    outcome.bytes_known = !attached || !reads_.writes_packet;
    // Of frames behind a device, none is known to the last byte.
    outcome.sent_known = !attached || !returned.sent();
    outcome.duplicates_known = false;
    if (returned.sent()) {
      outcome.sent = {.device = std::nullopt, .bytes = std::move(answer.packet)};
    } else if (!answer.packet.empty()) {
      outcome.bytes = changed(packet.bytes, std::move(answer.packet));
    }
    if (!answer.trace.empty()) read_trace(ruleset_, answer.trace, outcome);
    return outcome;
  }

  Result<std::vector<LivingElement>> elements() override {
    std::vector<LivingElement> out;
    const std::uint64_t now = kernel::clock_now();
    for (const auto& [set, index] : dynamic_maps(ruleset_, compilation_)) {
      const isa::MapSpec& spec = compilation_.object.maps.at(index.index());
      for (const kernel::Fd* fd :
           {loaded_ ? &map(index) : nullptr, attached_ ? &attached_->map(index) : nullptr}) {
        if (fd == nullptr) continue;
        WEIR_TRY(keys, kernel::keys(*fd, spec.key_size));
        for (const Bytes& key : keys) {
          const auto value = kernel::read_element(*fd, key, spec.value_size, false);
          if (!value) continue;  // it has just gone
          auto living = living_element(ruleset_, set, key, *value, now);
          if (living) out.push_back(std::move(*living));
        }
      }
    }
    return out;
  }

  Result<std::vector<CounterTotal>> counters() override {
    std::vector<CounterTotal> totals(ruleset_.counters.size());
    if (!compilation_.counters.valid()) return totals;
    if (loaded_) WEIR_CHECK(add_counters(map(compilation_.counters), totals));
    if (at_socket()) {
      for (CounterTotal& total : totals) total.bytes += total.packets * link_header_size;
    }
    if (attached_) WEIR_CHECK(add_counters(attached_->map(compilation_.counters), totals));
    return totals;
  }

 private:
  Status attach() {
    if (attached_) return {};
    WEIR_TRY(attached, Attached::create(compilation_, reads_));
    attached_.emplace(std::move(attached));
    return {};
  }

  Result<Attached::Answer> test_run(std::size_t program, const packet::Packet& packet) {
    const Attachment& attachment = compilation_.programs.at(program).attachment;
    const bool frames = tests_frames(attachment.hook);
    const Bytes key = native_bytes(0, 4);
    std::optional<kernel::Inside> inside;
    if (apart_) {
      WEIR_TRY(entered, kernel::Inside::enter(*apart_));
      inside.emplace(std::move(entered));
    }
    Attached::Answer answer;
    if (compilation_.trace.valid()) {
      answer.trace.resize((trace_capacity + 1) * 4);
      WEIR_CHECK(kernel::write_element(map(compilation_.trace), key, answer.trace));
    }
    WEIR_TRY(result,
             kernel::test_run(
                 loaded_->programs.at(program), compilation_.object.programs.at(program).type,
                 kernel::TestInput{.packet = frames ? ByteView(packet.bytes) : packet.network(),
                                   .hook = attachment.hook.nf_hook,
                                   .nfproto = attachment.nfproto,
                                   .ethertype = packet.ethertype,
                                   .mark = packet.mark,
                                   .priority = packet.priority,
                                   .packet_back = reads_.writes_packet && frames}));
    answer.returned = result.result;
    answer.mark = result.mark;
    answer.priority = result.priority;
    answer.packet = std::move(result.packet);
    if (compilation_.trace.valid()) {
      WEIR_TRY(trace,
               kernel::read_element(map(compilation_.trace), key, answer.trace.size(), false));
      answer.trace = std::move(trace);
    }
    return answer;
  }

  static Status add_counters(const kernel::Fd& map, std::vector<CounterTotal>& totals) {
    for (std::uint32_t i = 0; i < totals.size(); ++i) {
      WEIR_TRY(value, kernel::read_element(map, native_bytes(i, 4), 16, true));
      for (std::size_t cpu = 0; cpu + 16 <= value.size(); cpu += 16) {
        totals[i].packets += load_native(ByteView(value).subspan(cpu, 8));
        totals[i].bytes += load_native(ByteView(value).subspan(cpu + 8, 8));
      }
    }
    return {};
  }

  // A program there has no others beside it.
  [[nodiscard]] bool at_socket() const {
    return !compilation_.programs.empty() &&
           compilation_.programs.front().attachment.hook.kind == Hook::Kind::socket;
  }

  [[nodiscard]] const kernel::Fd& map(isa::MapIndex index) const {
    return loaded_->maps.at(index.index());
  }

  // All test runs have a shortest and a longest packet, and none a tag in metadata. That of
  // netfilter takes the protocol from the version field, and has no mark to give. Programs of IP
  // packets see the packet type that the stack gave it, frames that of their address.
  [[nodiscard]] bool test_run_carries(const Hook& hook, const packet::Packet& packet) const {
    const bool frames = sees_frames(hook);
    const ByteView bytes = tests_frames(hook) ? ByteView(packet.bytes) : packet.network();
    if (bytes.size() < smallest_test_packet(hook, packet) || bytes.size() > largest_test_packet) {
      return false;
    }
    if (packet.vlan) return false;
    if (frames) {
      if (hook.kind == Hook::Kind::xdp || !reads_.meta.contains(imr::MetaKey::pkttype)) return true;
      return packet.type ==
             (tests_frames(hook) ? type_by_address(bytes) : packet::PacketType::host);
    }
    if (bytes[0] >> 4 != (packet.ethertype == 0x0800 ? 4 : 6)) return false;
    const bool carries_mark = hook.kind != Hook::Kind::netfilter;
    if (!carries_mark && reads_.meta.contains(imr::MetaKey::mark) && packet.mark != 0) return false;
    return !reads_.meta.contains(imr::MetaKey::pkttype) || packet.type == packet::PacketType::host;
  }

  const imr::Ruleset& ruleset_;
  const Compilation& compilation_;
  Reads reads_;
  bool always_attached_ = false;
  std::optional<kernel::LoadedObject> loaded_;
  std::optional<kernel::Ring> ring_;    // of what is loaded
  std::optional<kernel::Netns> apart_;  // where test runs are made
  std::optional<Attached> attached_;
};

Result<std::unique_ptr<Backend>> create_kernel_backend(const imr::Ruleset& ruleset,
                                                       const Compilation& compilation) {
  auto backend = std::make_unique<KernelBackend>(ruleset, compilation);
  WEIR_CHECK(backend->load());
  return backend;
}

Result<std::unique_ptr<Backend>> create_backend(EngineKind kind, const imr::Ruleset& ruleset,
                                                const Compilation& compilation) {
  switch (kind) {
    case EngineKind::evaluator:
      return std::make_unique<EvaluatorBackend>(ruleset, compilation);
    case EngineKind::interpreter: {
      WEIR_TRY(loaded, engine::Engine::load(compilation.object));
      return std::make_unique<InterpreterBackend>(ruleset, compilation, std::move(loaded));
    }
    case EngineKind::kernel:
      return create_kernel_backend(ruleset, compilation);
  }
  throw InvariantError("engine out of range");
}

}  // namespace

std::string_view to_string(EngineKind kind) {
  return engine_names.at(static_cast<std::size_t>(kind)).second;
}

Result<EngineKind> parse_engine(std::string_view name) {
  for (const auto& [kind, known] : engine_names) {
    if (known == name) return kind;
  }
  if (name == "jit") {
    return input_error(
        "engine 'jit' is not built yet; there are evaluator, interpreter and kernel");
  }
  return input_error("unknown engine '" + std::string(name) +
                     "', expected evaluator, interpreter or kernel");
}

imr::Ruleset with_stand_ins(const imr::Ruleset& ruleset) {
  imr::Ruleset out = ruleset;
  for (imr::Rule& rule : out.rules.edit()) {
    for (imr::Statement& statement : rule.statements.edit()) {
      if (std::holds_alternative<imr::Native>(statement)) {
        statement = imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop, .chain = {}}};
      }
    }
  }
  return out;
}

struct Runner::Impl {
  const Compilation& compilation;
  std::unique_ptr<Backend> backend;
};

Runner::Runner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() = default;

Result<Runner> Runner::create(EngineKind kind, const imr::Ruleset& ruleset,
                              const Compilation& compilation) {
  invariant(compilation.programs.size() == compilation.object.programs.size(),
            "a compilation without its programs");
  WEIR_TRY(backend, create_backend(kind, ruleset, compilation));
  return Runner(std::make_unique<Impl>(compilation, std::move(backend)));
}

Result<imr::Outcome> Runner::run(const packet::Packet& packet) {
  imr::Outcome whole;
  const std::optional<Nfproto> nfproto = nfproto_of(packet);
  for (std::size_t i = 0; i < impl_->compilation.programs.size(); ++i) {
    const Attachment& attachment = impl_->compilation.programs[i].attachment;
    const bool one_protocol = attachment.hook.kind == Hook::Kind::netfilter;
    if (one_protocol && attachment.nfproto != nfproto) continue;
    WEIR_TRY(seen, seen_at(attachment.hook, packet));
    seen.mark = whole.mark.value_or(packet.mark);
    seen.priority = whole.priority.value_or(packet.priority);
    seen.type = whole.type.value_or(packet.type);
    // All programs that may write are of one hook, and see the packet alike.
    if (whole.bytes) seen.bytes = *whole.bytes;
    WEIR_TRY(part, impl_->backend->run(i, seen));
    append(whole, part);
    if (whole.verdict != Verdict::accept) break;
  }
  return whole;
}

Result<std::vector<LivingElement>> Runner::elements() {
  WEIR_TRY(out, impl_->backend->elements());
  std::ranges::sort(out, {}, [](const LivingElement& one) { return std::pair(one.set, one.key); });
  return out;
}

Result<std::vector<CounterTotal>> Runner::counters() {
  return impl_->backend->counters();
}

}  // namespace weir::driver
