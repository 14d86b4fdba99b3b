// SPDX-License-Identifier: BSD-2-Clause
//
// What carries rules out, put in force at the end of a wire: weir's programs, nf_tables, iptables;
// and what each of them costs without any rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hook.h"
#include "bench/list_texts.h"
#include "bench/task.h"
#include "bench/wire.h"

namespace weir::bench {

enum class Engine : std::uint8_t { weir, nft, nft_sets, iptables };
[[nodiscard]] std::string_view to_string(Engine engine);  // "nft-sets"
// One of weir's peers; another word is an input error that names them.
[[nodiscard]] Result<Engine> parse_peer(std::string_view name);

// Where rules are carried out.
enum class Site : std::uint8_t {
  driver,       // XDP
  tc,           // tc:ingress
  netdev,       // nf_tables' ingress hook of the device
  prerouting,   // netfilter, priority raw: weir and nf_tables
  iptables_raw  // iptables' table raw, chain PREROUTING
};
[[nodiscard]] std::string_view to_string(Site site);
// The one that is nearest to the hook. An input error where packets cannot be brought to the hook.
[[nodiscard]] Result<Site> site_of(Engine engine, const Hook& hook);
// Of the sites that hold chains of nf_tables, and of weir's.
[[nodiscard]] ChainPlace chain_place(Site site);

// How long it took from the text to packets that meet the rules.
struct Loading {
  double seconds = 0;
  // Of weir, where they went.
  struct Part {
    std::string name;
    double seconds = 0;
  };
  std::vector<Part> parts;
};

struct InForce {
  Wire wire;
  Loading loading;
  std::optional<std::uint64_t> memory;  // bytes, of the kernel's; none where nobody tells
};

// The script's base chain at the hook, as weir compiles it; `wrong`: with a pass that goes wrong.
[[nodiscard]] Result<InForce> put_weir(const Script& script, const Hook& hook, bool wrong = false);
// Behind a device of the hook's name.
[[nodiscard]] Result<InForce> put_nft(const std::string& text, const std::string& device);
[[nodiscard]] Result<InForce> put_iptables(const std::string& text);

// The site without rules: what a packet costs that is accepted, or dropped, at once.
[[nodiscard]] Result<Wire> put_floor(Site site, Engine engine, bool accept);

// Seconds that a script of nft takes, or a command of iptables, where the wire ends.
[[nodiscard]] Result<double> run_nft(const Wire& wire, const std::string& script);
[[nodiscard]] Result<double> run_iptables(const Wire& wire, const std::vector<std::string>& words);

}  // namespace weir::bench
