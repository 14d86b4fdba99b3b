// SPDX-License-Identifier: BSD-2-Clause
#include "driver/elements.h"

#include "backend/dynamic_sets.h"
#include "imr/dynamic_sets.h"
#include "isa/expiry.h"

namespace weir::driver {

std::optional<LivingElement> living_element(const imr::Ruleset& ruleset, imr::SetId set,
                                            ByteView key, ByteView value, std::uint64_t now) {
  constexpr std::size_t word_size = 8;
  const imr::Set& described = ruleset[set];
  const backend::ElementLayout layout = backend::layout_of(described);
  const auto word = [&](std::size_t at) { return load_native(value.subspan(at, word_size)); };
  LivingElement out{.set = set, .key = Bytes(key.begin(), key.end())};
  if (const std::uint64_t expires = word(0); expires != 0) {
    if (expires <= now + isa::expiry_epoch) return std::nullopt;
    out.expires = expires - now - isa::expiry_epoch;
  }
  std::size_t at = layout.statements;
  for (const imr::ElementStatement& statement : described.dynamic->statements) {
    const auto* meter = std::get_if<imr::MeterState>(&statement);
    const bool limit = meter != nullptr && meter->kind != imr::MeterState::Kind::quota;
    for (std::size_t i = 0; i < imr::words_of(statement); ++i) {
      out.words.push_back(limit ? 0 : word(at));
      at += word_size;
    }
  }
  if (described.dynamic->timeouts) out.timeout = word(layout.timeout);
  const ByteView data = value.subspan(layout.data, described.data_size);
  out.data.assign(data.begin(), data.end());
  return out;
}

}  // namespace weir::driver
