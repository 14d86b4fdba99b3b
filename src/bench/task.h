// SPDX-License-Identifier: BSD-2-Clause
//
// What is to be measured: rules in the words of all engines, packets, and what becomes of these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hook.h"
#include "bench/rule_sets.h"
#include "driver/compile.h"

namespace weir::bench {

struct Script {
  std::string text;
  std::string file;                            // as messages name it
  std::vector<driver::ChainName> chains = {};  // that decide; empty: the hook tells
};

struct Task {
  std::string name;  // "acl:1000", "office.nft"
  std::size_t rules = 0;
  Script script;  // what weir compiles
  // What others are given. Without it nft is given the script, where it stands at the same hook.
  std::optional<List> list;
  std::string why_no_list;
  std::vector<Bytes> packets;  // from their IP header on
  std::vector<bool> accepted;  // of the same
};

// A generated list, and packets from the inside of its rules (bench/traces.h).
[[nodiscard]] Task task_of(const ListName& name, std::size_t packets, double skew);

// A script at a hook, and packets directed at the values that its rules compare with: different
// ones, that a router takes, judged by the reference evaluator. As many as asked for, or as it
// judges in ten seconds. What a trace cannot have is an input error: connections, and devices by
// index. The hook's device is what the packets come by.
[[nodiscard]] Result<Task> task_of(const Script& script, const Hook& hook, std::size_t packets);

}  // namespace weir::bench
