// SPDX-License-Identifier: BSD-2-Clause
//
// weir log: the packets that the log statements of an installed policy record, as they come.
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <net/if.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.h"
#include "cli/verbs.h"
#include "packet/parse.h"
#include "packet/pcapng.h"
#include "service/packet_log.h"
#include "service/store.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name;
  std::string file;
  std::uint64_t count = 0;  // 0: no end
  bool once = false;
  bool json = false;
};

// Names may be gone by now, and are those of this network namespace.
std::string device_name(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  if (index == 0) return {};
  if (::if_indextoname(index, name.data()) == nullptr) return "#" + std::to_string(index);
  return name.data();
}

std::string rule_words(const service::RuleName& rule) {
  if (rule.table.empty()) return "a rule that is gone";
  return std::string(to_string(rule.family)) + " " + rule.table + " " + rule.chain + " handle " +
         std::to_string(rule.handle);
}

std::string time_words(std::uint64_t time_ns) {
  constexpr std::uint64_t second = 1'000'000'000;
  const auto seconds = static_cast<std::time_t>(time_ns / second);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}", fmt::localtime(seconds),
                     time_ns % second / 1000);
}

packet::Packet parsed(const service::LoggedPacket& logged) {
  return packet::parse_frame(logged.bytes, logged.network_offset == 0 ? packet::LinkType::raw_ip
                                                                      : packet::LinkType::ethernet);
}

void print_text(const service::LoggedPacket& logged) {
  const std::string in = device_name(logged.iif);
  const std::string out = device_name(logged.oif);
  fmt::print("{} {}{}{}{}, {} bytes, by {}\n", time_words(logged.time_ns), logged.statement.prefix,
             in.empty() ? "" : "in " + in + " ", out.empty() ? "" : "out " + out + " ",
             packet::summary(parsed(logged)), logged.length, rule_words(logged.rule));
}

void print_json(const service::LoggedPacket& logged) {
  nlohmann::ordered_json out = {{"time_ns", logged.time_ns},
                                {"policy", logged.policy},
                                {"family", to_string(logged.rule.family)},
                                {"table", logged.rule.table},
                                {"chain", logged.rule.chain},
                                {"handle", logged.rule.handle},
                                {"prefix", logged.statement.prefix},
                                {"group", nullptr},
                                {"iif", device_name(logged.iif)},
                                {"oif", device_name(logged.oif)},
                                {"mark", logged.mark},
                                {"length", logged.length},
                                {"network_offset", logged.network_offset},
                                {"bytes", to_hex(logged.bytes)}};
  if (logged.statement.group) out["group"] = *logged.statement.group;
  fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

Status write(packet::PcapngWriter& file, const service::LoggedPacket& logged) {
  using Link = packet::PcapngWriter::Link;
  std::string comment = logged.statement.prefix;
  comment += (comment.empty() ? "" : " ") + rule_words(logged.rule);
  return file.write({.link = logged.network_offset == 0 ? Link::raw_ip : Link::ethernet,
                     .interface = device_name(logged.iif != 0 ? logged.iif : logged.oif),
                     .time_ns = logged.time_ns,
                     .length = logged.length,
                     .bytes = logged.bytes,
                     .comment = comment});
}

// The one policy that logs, where none is named.
Result<std::string> policy_of(const Options& options, const service::Paths& paths) {
  if (!options.name.empty()) return options.name;
  std::vector<std::string> found;
  for (const std::string& name : service::standing_names(paths)) {
    WEIR_TRY(policy, service::load_policy(name, paths));
    if (service::logs(policy)) found.push_back(name);
  }
  if (found.size() == 1) return found.front();
  return input_error(found.empty() ? "no policy logs packets"
                                   : "several policies log packets, expected the name of one");
}

// `when` they were lost.
Status tell_losses(service::PacketLog& log, const char* when) {
  WEIR_TRY(lost, log.lost());
  if (lost != 0) {
    fmt::print(stderr, "weir: {} packets are not in the log {}: it was full, and nobody read it\n",
               lost, when);
  }
  return {};
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    const service::Paths paths;
    WEIR_TRY(name, policy_of(options, paths));
    WEIR_TRY(log, service::PacketLog::open(name, paths));
    std::optional<packet::PcapngWriter> file;
    if (!options.file.empty()) {
      WEIR_TRY(opened, packet::PcapngWriter::open(options.file));
      file.emplace(std::move(opened));
      WEIR_CHECK(file->flush());
    }
    // How often a policy is looked at whose programs may have been exchanged.
    const std::chrono::milliseconds pause(options.once ? 0 : 500);
    std::uint64_t seen = 0;
    WEIR_CHECK(tell_losses(log, "since its rules came"));
    while (log.follows()) {
      WEIR_TRY(packets, log.wait(pause));
      for (const service::LoggedPacket& logged : packets) {
        if (file) {
          WEIR_CHECK(write(*file, logged));
        } else if (options.json) {
          print_json(logged);
        } else {
          print_text(logged);
        }
        if (++seen == options.count) break;
      }
      if (file) WEIR_CHECK(file->flush());
      std::fflush(stdout);
      WEIR_CHECK(tell_losses(log, "since the last that are"));
      if (options.count != 0 && seen >= options.count) break;
      if (options.once && packets.empty()) break;
    }
    return exit_done;
  });
}

}  // namespace

void add_log(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("log", "the packets that rules with `log` record, as they come");
  verb->add_option("NAME", options->name, "the policy (default: the one that logs)");
  auto* file = verb->add_option("-w", options->file, "write a pcapng FILE instead ('-': stdout)")
                   ->type_name("FILE");
  verb->add_option("-c,--count", options->count, "end after so many packets")->type_name("COUNT");
  verb->add_flag("--once", options->once, "end where no more packets wait to be read");
  verb->add_flag("-j,--json", options->json, "print a JSON object a packet")->excludes(file);
  verb->footer("Example: weir log office -w office.pcapng");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
