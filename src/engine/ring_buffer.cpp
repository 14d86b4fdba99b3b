// SPDX-License-Identifier: BSD-2-Clause
#include "engine/ring_buffer.h"

#include <algorithm>
#include <cerrno>

namespace weir::engine {
namespace {

// With its header, BPF_RINGBUF_HDR_SZ, in whole words.
std::uint64_t taken_by(std::uint64_t size) {
  constexpr std::uint64_t word = 8;
  return (size + word + word - 1) / word * word;
}

}  // namespace

int RingBuffer::store(const std::uint8_t*, const std::uint8_t*, UpdateMode) {
  return ENOTSUP;
}
int RingBuffer::erase(const std::uint8_t*) {
  return ENOTSUP;
}

std::uint8_t* RingBuffer::reserve(std::uint64_t size) {
  if (size > spec().max_entries || used_ + taken_by(size) >= spec().max_entries) return nullptr;
  used_ += taken_by(size);
  return records_.emplace_back(std::make_unique<Record>(Bytes(size)))->bytes.data();
}

bool RingBuffer::submit(const std::uint8_t* record) {
  const auto found =
      std::ranges::find_if(records_, [&](const auto& one) { return one->bytes.data() == record; });
  if (found == records_.end() || (*found)->submitted) return false;
  (*found)->submitted = true;
  return true;
}

std::vector<Bytes> RingBuffer::take() {
  std::vector<Bytes> out;
  auto first_open = std::ranges::find_if(records_, [](const auto& one) { return !one->submitted; });
  for (auto at = records_.begin(); at != first_open; ++at) {
    used_ -= taken_by((*at)->bytes.size());
    out.push_back(std::move((*at)->bytes));
  }
  records_.erase(records_.begin(), first_open);
  return out;
}

}  // namespace weir::engine
