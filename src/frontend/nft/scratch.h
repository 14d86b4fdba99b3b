// SPDX-License-Identifier: BSD-2-Clause
//
// A child process that loads nft scripts, each into a network namespace of its own. read_script()
// makes one per call; who reads many scripts keeps one.
#pragma once

#include <optional>
#include <string>

#include "frontend/nft/nft.h"
#include "frontend/nft/wire.h"

namespace weir::frontend::nft {

class ScratchNamespace {
 public:
  // A system error when the kernel does not allow a namespace.
  [[nodiscard]] static Result<ScratchNamespace> create();

  ScratchNamespace(ScratchNamespace&& other) noexcept;
  ScratchNamespace& operator=(ScratchNamespace&& other) noexcept;
  ~ScratchNamespace();

  // As read_script(). Nothing of one script is left for the next. Relative paths in `include`
  // statements start at the directory that was current in create().
  [[nodiscard]] Result<imr::Ruleset> read(const std::string& script, const std::string& file,
                                          const Options& options = {});

  // The same in two steps, without another try: one request, and its answer. Without success when
  // the process is gone.
  [[nodiscard]] bool send(const Request& request);
  [[nodiscard]] std::optional<Answer> receive();

 private:
  ScratchNamespace(int socket, int child) : socket_(socket), child_(child) {}
  void stop() noexcept;

  int socket_ = -1;
  int child_ = -1;
};

}  // namespace weir::frontend::nft
