// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/programs.h"

#include <algorithm>

#include "kernel/support/netns.h"

namespace weir::test {

std::vector<driver::CounterTotal> Programs::counters(const imr::Ruleset& ruleset) const {
  std::vector<driver::CounterTotal> totals(ruleset.counters.size());
  if (!compilation.counters.valid()) return totals;
  const kernel::Fd& map = loaded.maps.at(compilation.counters.index());
  for (std::size_t i = 0; i < totals.size(); ++i) {
    const Bytes value = expect(kernel::read_element(map, native_bytes(i, 4), 16, true));
    for (std::size_t cpu = 0; cpu + 16 <= value.size(); cpu += 16) {
      totals[i].packets += load_native(ByteView(value).subspan(cpu, 8));
      totals[i].bytes += load_native(ByteView(value).subspan(cpu + 8, 8));
    }
  }
  return totals;
}

Result<Programs> make_programs(const imr::Ruleset& ruleset, const std::optional<Hook>& hook,
                               const driver::Options& options) {
  WEIR_TRY(attachments, driver::plan(ruleset, hook, {}));
  return make_programs(ruleset, attachments, options);
}

Result<Programs> make_programs(const imr::Ruleset& ruleset,
                               const std::vector<driver::Attachment>& attachments,
                               const driver::Options& options) {
  WEIR_TRY(compilation, driver::compile(ruleset, attachments, options));
  WEIR_TRY(loaded, kernel::load(compilation.object));
  return Programs{.compilation = std::move(compilation), .loaded = std::move(loaded)};
}

std::vector<driver::ChainName> base_chains_in_order(const imr::Ruleset& ruleset) {
  std::vector<const imr::Chain*> bases;  // in their order
  for (const imr::Chain& chain : ruleset.chains) {
    if (!chain.base) continue;
    const auto later = [&](const imr::Chain* other) {
      return other->base->priority >= chain.base->priority;
    };
    bases.insert(std::ranges::find_if(bases, later), &chain);
  }
  std::vector<driver::ChainName> names;
  for (const imr::Chain* chain : bases) {
    const imr::Table& table = ruleset[chain->table];
    names.push_back({.family = table.family, .table = table.name, .chain = chain->name});
  }
  return names;
}

}  // namespace weir::test
