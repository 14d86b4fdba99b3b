// SPDX-License-Identifier: BSD-2-Clause
//
// The back end as a whole, for its tests: units in text become a program that runs in the engine,
// and what it does is told in the words of the reference evaluator.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/profile.h"
#include "backend/set_maps.h"
#include "backend/set_update.h"
#include "engine/engine.h"
#include "flow/flow.h"
#include "imr/evaluator.h"
#include "imr/imr.h"
#include "isa/program.h"
#include "packet/packet.h"

namespace weir::test {

struct CompileOptions {
  bool imr_passes = false;  // all of them, or only what lowering relies on
  bool flow_passes = true;
  bool untrusted_memory = true;
  bool drop_unparsable = true;
  bool small_parts = false;  // split, as far as it can be
  backend::Limits limits = {};
  bool updatable_sets = false;
};

// Throws InvariantError with the error, if the text has one.
[[nodiscard]] imr::Unit parse_unit(const std::string& text);

class Compiled {
 public:
  // Units of one hook: one, or at XDP one of each protocol out of one ruleset.
  [[nodiscard]] static Result<Compiled> make(std::vector<imr::Unit> units,
                                             const CompileOptions& options = {});

  // Verdict, deciding rule and matched rules. Of hooks with a struct sk_buff, the first
  // `linear_length` bytes are in its linear part; the packet is as the hook sees it.
  [[nodiscard]] imr::Outcome run(const packet::Packet& packet,
                                 std::uint32_t linear_length = 0xffffffff);
  // Whether what the kernel would give the program passes.
  [[nodiscard]] bool accepts(const engine::Input& input);
  // Packets that a counter has counted so far.
  [[nodiscard]] std::uint64_t packets(std::size_t counter);

  [[nodiscard]] const flow::Function& function() const { return function_; }
  [[nodiscard]] const isa::Object& object() const { return object_; }
  [[nodiscard]] const backend::SetMaps& sets() const { return *sets_; }
  // The mark that the packet of the last run went on with.
  [[nodiscard]] std::uint32_t mark() const { return engine_.output(0).mark; }
  void write(const backend::MapWrite& write);

 private:
  Compiled(flow::Function function, const backend::Profile& profile, isa::Object object,
           std::shared_ptr<const backend::SetMaps> sets, engine::Engine engine)
      : function_(std::move(function)),
        profile_(profile),
        object_(std::move(object)),
        sets_(std::move(sets)),
        engine_(std::move(engine)) {}

  flow::Function function_;
  backend::Profile profile_;
  isa::Object object_;
  std::shared_ptr<const backend::SetMaps> sets_;
  engine::Engine engine_;
};

// What a test with one unit in text needs most: the program, or an InvariantError with the reason.
[[nodiscard]] Compiled compile(const std::string& unit, const CompileOptions& options = {});

// "drop by #3, matched #1 #3"
[[nodiscard]] std::string describe(const imr::Outcome& outcome);
// The same of what the program does with the packet.
[[nodiscard]] std::string told(Compiled& program, const packet::Packet& packet);
// And of what the unit means for it.
[[nodiscard]] std::string meant(const imr::Unit& unit, const packet::Packet& packet,
                                const imr::EvaluatorOptions& options = {});

}  // namespace weir::test
