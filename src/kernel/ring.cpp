// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/ring.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <utility>

namespace weir::kernel {

struct Ring::Reader {
  struct Free {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };
  std::vector<Bytes> records;
  std::unique_ptr<ring_buffer, Free> ring;

  static int keep(void* reader, void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    static_cast<Reader*>(reader)->records.emplace_back(bytes, bytes + size);
    return 0;
  }
};

Ring::Ring(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Ring::Ring(Ring&&) noexcept = default;
Ring& Ring::operator=(Ring&&) noexcept = default;
Ring::~Ring() = default;

Result<Ring> Ring::open(const Fd& map) {
  auto reader = std::make_unique<Reader>();
  reader->ring.reset(ring_buffer__new(map.get(), &Reader::keep, reader.get(), nullptr));
  if (!reader->ring) return system_error("opening a ring buffer", errno);
  return Ring(std::move(reader));
}

Result<std::vector<Bytes>> Ring::taken(int answer) {
  if (answer < 0 && answer != -EINTR) return system_error("reading a ring buffer", -answer);
  return std::exchange(reader_->records, {});
}

Result<std::vector<Bytes>> Ring::take() {
  return taken(ring_buffer__consume(reader_->ring.get()));
}

Result<std::vector<Bytes>> Ring::wait(std::chrono::milliseconds most) {
  // What is there is there, even where the kernel has not yet said so.
  WEIR_TRY(there, take());
  if (!there.empty() || most.count() == 0) return there;
  return taken(ring_buffer__poll(reader_->ring.get(), static_cast<int>(most.count())));
}

}  // namespace weir::kernel
