// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of an installed policy, changed as weir rule changes them; and datagrams meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "frontend/nft/nft.h"
#include "kernel/service_world.h"
#include "service/counters.h"
#include "service/listing.h"
#include "service/rule.h"

namespace weir::test {

using Change = service::RuleChange::Kind;

class Rules : public Service {
 protected:
  // `room`: as weir apply does it, with elements for counters to come.
  void compile_policy(const std::string& text, bool room = true,
                      const std::optional<Hook>& hook = std::nullopt) {
    text_ = text;
    compiled_ = {};
    compiled_.ruleset = expect(frontend::nft::read_script(text, "rules.nft"));
    if (room) service::reserve_counters(compiled_.ruleset);
    const auto attachments = expect(driver::plan(compiled_.ruleset, hook, {}));
    compile_at(attachments);
  }
  void compile_at(const std::vector<driver::Attachment>& attachments) {
    compiled_.compilation =
        expect(driver::compile(compiled_.ruleset, attachments,
                               {.untrusted_memory = kernel::has_untrusted_memory(),
                                .updatable_sets = true,
                                .updatable_rules = true,
                                .classifier = classifier_}));
  }
  Result<service::Installed> install(const service::Terms& terms) override {
    service::Request wanted = request();
    wanted.source = text_;
    wanted.terms = terms;
    wanted.classifier = classifier_;
    return service::apply(wanted, paths_);
  }
  void apply_policy(const std::string& text, bool room = true) {
    compile_policy(text, room);
    expect(install({.name = "p"}));
  }
  Status change(Change kind, const std::string& words, const service::StepHook& at_step = {}) {
    return service::change_rules("p", {.kind = kind, .words = words}, paths_, at_step);
  }
  [[nodiscard]] service::PolicyState state() const {
    return expect(service::load_policy("p", paths_));
  }
  // "chain handle N: text" of every rule, in order.
  [[nodiscard]] std::vector<std::string> listed() const {
    std::vector<std::string> out;
    for (const service::ChainState& chain : state().chains) {
      for (const service::RuleState& rule : chain.rules) {
        out.push_back(chain.name + " handle " + std::to_string(rule.handle) + ": " + rule.text);
      }
    }
    return out;
  }
  [[nodiscard]] std::vector<std::uint64_t> packets(const std::string& chain_name) const {
    std::vector<std::uint64_t> out;
    const service::PolicyState policy = state();
    for (const service::ChainState& chain : policy.chains) {
      if (chain.name != chain_name) continue;
      for (const service::RuleState& rule : chain.rules) {
        for (const auto& count : expect(service::live_counts(policy, rule, paths_))) {
          out.push_back(count.packets);
        }
      }
    }
    return out;
  }
  // Of the first rule that has the words in it.
  [[nodiscard]] std::string handle_of(const std::string& words) const {
    const service::PolicyState policy = state();
    for (const service::ChainState& chain : policy.chains) {
      for (const service::RuleState& rule : chain.rules) {
        if (rule.text.find(words) != std::string::npos) return std::to_string(rule.handle);
      }
    }
    give_up("no rule has the words " + words);
  }
  // What is pinned, but for what the BPF file system itself has.
  [[nodiscard]] std::set<std::string> pins() const {
    std::set<std::string> out;
    for (const std::filesystem::directory_entry& entry :
         std::filesystem::directory_iterator(paths_.pins("p"))) {
      const std::string name = entry.path().filename().string();
      if (!name.contains('.')) out.insert(name);
    }
    return out;
  }
  void expect_only_needed_pins() const {
    const service::PolicyState policy = state();
    std::set<std::string> needed;
    for (const service::MapState& map : policy.maps) needed.insert(map.pin);
    for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
      const service::AttachmentState& attachment = policy.attachments[i];
      needed.insert(service::program_pin(policy, i));
      if (!attachment.filter) needed.insert(service::link_pin(attachment));
      if (attachment.forwarded) needed.insert(service::place_pin(attachment));
    }
    EXPECT_EQ(pins(), needed);
  }

  std::string text_;
  std::optional<classify::Kind> classifier_;  // that long lists are searched with
};

// Something that is done again and again beside the test, until stop().
class Meanwhile {
 public:
  template <typename Work>
  explicit Meanwhile(const Work& work)
      : thread_([this, work] {
          while (!over_) work();
        }) {}
  ~Meanwhile() { stop(); }
  Meanwhile(const Meanwhile&) = delete;
  Meanwhile& operator=(const Meanwhile&) = delete;
  void stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace weir::test
