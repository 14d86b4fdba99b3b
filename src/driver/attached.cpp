// SPDX-License-Identifier: BSD-2-Clause
#include "driver/attached.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/observer.h"
#include "driver/stage.h"

namespace weir::driver {
namespace {

constexpr std::uint64_t ct_info_mask = 7;

std::string_view state_name(bool has_connection, packet::CtInfo info) {
  if (info == packet::CtInfo::untracked) return "untracked";
  if (!has_connection) return "invalid";
  switch (info) {
    case packet::CtInfo::established:
    case packet::CtInfo::established_reply:
      return "established";
    case packet::CtInfo::related:
    case packet::CtInfo::related_reply:
      return "related";
    case packet::CtInfo::new_:
    case packet::CtInfo::untracked:
      return "new";
  }
  return "unknown";
}

std::string_view state_name(const Observation& seen) {
  return state_name((seen.connection & ~ct_info_mask) != 0,
                    static_cast<packet::CtInfo>(seen.connection & ct_info_mask));
}

class Comparison {
 public:
  Comparison(const Hook& hook, const Reads& reads, const packet::Packet& asked,
             const Observation& seen)
      : hook_(hook), reads_(reads), asked_(asked), seen_(seen) {}

  // What the packet had at the hook that it was not to have; empty when it was as asked.
  std::string run() {
    using imr::MetaKey;
    compare_bytes();
    if (hook_.kind != Hook::Kind::xdp) {
      if (reads_.meta.contains(MetaKey::mark)) compare("meta mark", asked_.mark, seen_.mark);
      if (reads_.meta.contains(MetaKey::pkttype)) {
        compare("meta pkttype", static_cast<std::uint32_t>(asked_.type), seen_.pkttype);
      }
    }
    if (reads_any({MetaKey::iif, MetaKey::iifname, MetaKey::iiftype})) {
      compare_device("meta iif", asked_.in.index, seen_.iif);
    }
    if (reads_any({MetaKey::oif, MetaKey::oifname})) {
      compare_device("meta oif", asked_.out.index, seen_.oif);
    }
    if (reads_.connection) {
      const auto asked = state_name(asked_.has_connection, asked_.ct_info);
      if (asked != state_name(seen_)) add("ct state", asked, state_name(seen_));
    }
    return std::move(text_);
  }

 private:
  [[nodiscard]] bool reads_any(std::initializer_list<imr::MetaKey> keys) const {
    return std::ranges::any_of(keys, [&](imr::MetaKey key) { return reads_.meta.contains(key); });
  }

  void add(std::string_view what, std::string_view asked, std::string_view seen) {
    if (!text_.empty()) text_ += ", ";
    text_.append(what).append(" is ").append(seen).append(" and not ").append(asked);
  }

  void compare(std::string_view what, std::uint32_t asked, std::uint32_t seen) {
    if (asked != seen) add(what, std::to_string(asked), std::to_string(seen));
  }

  void compare_device(std::string_view what, std::uint32_t asked, std::uint32_t seen) {
    if (asked == 0 && seen != 0) {
      if (!text_.empty()) text_ += ", ";
      text_.append(what).append(" is never 0 there, and no device was named");
    } else {
      compare(what, asked, seen);
    }
  }

  void compare_bytes() {
    const bool frames = hook_.kind != Hook::Kind::netfilter &&
                        hook_.kind != Hook::Kind::cgroup_ingress &&
                        hook_.kind != Hook::Kind::cgroup_egress;
    const ByteView asked = frames ? ByteView(asked_.bytes) : asked_.network();
    compare("its length", static_cast<std::uint32_t>(asked.size()), seen_.length);
    if (seen_.length == asked.size() && !std::ranges::equal(asked, seen_.bytes)) {
      const auto at = std::ranges::mismatch(asked, seen_.bytes).in1 - asked.begin();
      const auto index = static_cast<std::size_t>(at);
      add("byte " + std::to_string(at), to_hex(asked.subspan(index, 1)),
          to_hex(ByteView(seen_.bytes).subspan(std::min(index, seen_.bytes.size() - 1), 1)));
    }
    if (!frames || hook_.kind == Hook::Kind::xdp) return;
    compare("the number of tags in metadata", asked_.vlan ? 1 : 0, seen_.vlan_present ? 1 : 0);
    if (!asked_.vlan || !seen_.vlan_present) return;
    compare("the tag", asked_.vlan->tci, seen_.vlan_tci);
    const Bytes protocol = native_bytes(seen_.vlan_protocol, 2);
    compare("the tag's type", asked_.vlan->protocol,
            static_cast<std::uint32_t>(load_big_endian(protocol)));
  }

  const Hook& hook_;
  const Reads& reads_;
  const packet::Packet& asked_;
  const Observation& seen_;
  std::string text_;
};

}  // namespace

struct Attached::Impl {
  const Compilation& compilation;
  Reads reads;
  isa::MapIndex observation;
  kernel::LoadedObject loaded;
  std::map<std::size_t, Stage> stages;  // by program

  Result<Stage*> stage_for(std::size_t program, const packet::Packet& packet);
  Result<Answer> run(std::size_t program, const packet::Packet& packet);
};

// What rules do not ask for is no reason to build another namespace.
Result<Stage*> Attached::Impl::stage_for(std::size_t program, const packet::Packet& packet) {
  const Stage::Shape shape{.in = packet.in, .out = packet.out, .connections = reads.connection};
  const auto found = stages.find(program);
  if (found != stages.end() && found->second.shape() == shape) return &found->second;
  if (found != stages.end()) stages.erase(found);
  WEIR_TRY(stage, Stage::create(compilation.programs.at(program).attachment,
                                loaded.programs.at(program), shape));
  return &stages.emplace(program, std::move(stage)).first->second;
}

Result<Attached::Answer> Attached::Impl::run(std::size_t program, const packet::Packet& packet) {
  const Hook& hook = compilation.programs.at(program).attachment.hook;
  const auto refused = [&](const std::string& why) {
    return system_error("in a scratch network namespace this packet cannot be had at " +
                        to_string(hook) + " as it was asked for: " + why);
  };
  WEIR_TRY(stage, stage_for(program, packet));
  // In this order, another packet that comes by makes a second run of it and never a wrong trace.
  const Bytes key = native_bytes(0, 4);
  const kernel::Fd& map = loaded.maps.at(observation.index());
  WEIR_CHECK(kernel::write_element(map, key, Bytes(observation_size())));
  Answer answer;
  if (compilation.trace.valid()) {
    answer.trace.resize((trace_capacity + 1) * 4);
    WEIR_CHECK(kernel::write_element(loaded.maps.at(compilation.trace.index()), key, answer.trace));
  }
  if (const Status sent = stage->send(packet); !sent) return refused(sent.error().message);
  if (compilation.trace.valid()) {
    WEIR_TRY(trace, kernel::read_element(loaded.maps.at(compilation.trace.index()), key,
                                         answer.trace.size(), false));
    answer.trace = std::move(trace);
  }
  WEIR_TRY(element, kernel::read_element(map, key, observation_size(), false));
  const Observation seen = read_observation(element);
  if (seen.runs == 0) return refused("the stack drops it on its way, or holds it back");
  if (seen.runs != 1) return refused("more than one packet comes there");
  const std::string differences = Comparison(hook, reads, packet, seen).run();
  if (!differences.empty()) return refused(differences);
  answer.returned = seen.verdict;
  answer.mark = seen.left_mark;
  return answer;
}

Attached::Attached(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Attached::Attached(Attached&&) noexcept = default;
Attached& Attached::operator=(Attached&&) noexcept = default;
Attached::~Attached() = default;

Result<Attached> Attached::create(const Compilation& compilation, Reads reads) {
  const Observed made = observed(compilation);
  WEIR_TRY(loaded, kernel::load(made.object));
  return Attached(std::make_unique<Impl>(Impl{.compilation = compilation,
                                              .reads = std::move(reads),
                                              .observation = made.observation,
                                              .loaded = std::move(loaded),
                                              .stages = {}}));
}

Result<Attached::Answer> Attached::run(std::size_t program, const packet::Packet& packet) {
  return impl_->run(program, packet);
}

const kernel::Fd& Attached::map(isa::MapIndex index) const {
  return impl_->loaded.maps.at(index.index());
}

}  // namespace weir::driver
