// SPDX-License-Identifier: BSD-2-Clause
//
// Reading of ring buffers, by libbpf.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "kernel/kernel.h"

struct ring_buffer;

namespace weir::kernel {

class Ring {
 public:
  // Of a map that is one. The map may be closed then.
  [[nodiscard]] static Result<Ring> open(const Fd& map);
  Ring(Ring&&) noexcept;
  Ring& operator=(Ring&&) noexcept;
  ~Ring();

  // The records that have not been read yet, oldest first; who else reads gets others.
  [[nodiscard]] Result<std::vector<Bytes>> take();
  // The same, after a wait for the first one. None after a signal or when the time is over.
  [[nodiscard]] Result<std::vector<Bytes>> wait(std::chrono::milliseconds most);

 private:
  struct Reader;
  explicit Ring(std::unique_ptr<Reader> reader);
  Result<std::vector<Bytes>> taken(int answer);

  std::unique_ptr<Reader> reader_;
};

}  // namespace weir::kernel
