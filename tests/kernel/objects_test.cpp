// SPDX-License-Identifier: BSD-2-Clause
//
// Rulesets as ELF objects: libbpf and bpftool load them, the kernel names the rules, and verdicts
// are those of the evaluator, sets included, which a loader must not leave empty.
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "backend/profile.h"
#include "differential/subject.h"
#include "driver/runner.h"
#include "kernel/elf.h"
#include "kernel/support/root_only.h"
#include "object/elf.h"

namespace weir::test {
namespace {

using differential::RulesetAtHook;

WEIR_ROOT_ONLY();

template <typename T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().text();
    std::abort();
  }
  return std::move(*result);
}

std::string joined(unsigned count, auto element) {
  std::string out;
  for (unsigned i = 0; i < count; ++i) out += (i == 0 ? "" : ", ") + element(i);
  return out;
}

// Sets of each form that lowering has a map for, and more elements than it makes code of. The
// policy and the sets' verdicts differ, so that an empty set shows.
std::string script(const std::string& chain) {
  const auto number = [](unsigned value) { return std::to_string(value); };
  const std::string addresses = joined(
      300, [&](unsigned i) { return "10.0." + number(i * 7 % 250) + "." + number(i % 251); });
  const std::string ports =
      joined(90, [&](unsigned i) { return number(100 + 20 * i) + "-" + number(109 + 20 * i); });
  const std::string hosts =
      joined(40, [&](unsigned i) { return "2001:db8::" + number(i * 3 + 1); });
  const std::string nets =
      joined(40, [&](unsigned i) { return "fd00:" + number(i + 1) + "::/" + number(32 + i); });
  const std::string verdicts = joined(80, [&](unsigned i) {
    return number(5000 + 3 * i) + " : " + (i % 2 == 0 ? "drop" : "accept");
  });
  return "table inet t {\n"
         "  set addresses { type ipv4_addr; elements = { " +
         addresses +
         " }; }\n"
         "  set ports { type inet_service; flags interval; elements = { " +
         ports +
         " }; }\n"
         "  set hosts { type ipv6_addr; elements = { " +
         hosts +
         " }; }\n"
         "  set nets { type ipv6_addr; flags interval; elements = { " +
         nets +
         " }; }\n"
         "  chain c {\n    " +
         chain +
         "\n"
         "    ip saddr @addresses counter drop\n"
         "    ip6 saddr @hosts drop\n"
         "    ip6 daddr @nets drop\n"
         "    udp dport @ports drop\n"
         "    tcp dport vmap { " +
         verdicts +
         " }\n"
         "    ip daddr @addresses accept\n"
         "  }\n}\n";
}

// Concatenations, exact and of intervals, and values that flow on, where the hook can write them.
std::string script_of_tuples(const std::string& chain, bool marks) {
  const auto number = [](unsigned value) { return std::to_string(value); };
  const std::string pairs = joined(100, [&](unsigned i) {
    return "10.0." + number(i) + "." + number(i % 251) + " . " + number(1000 + i);
  });
  const std::string ranges = joined(60, [&](unsigned i) {
    return "10.1." + number(i) + ".0/24 . " + number(1000 + 10 * i) + "-" + number(1005 + 10 * i);
  });
  const std::string hosts = joined(
      60, [&](unsigned i) { return "2001:db8::" + number(i + 1) + " . " + number(900 + i); });
  const std::string values =
      joined(90, [&](unsigned i) { return "10.2.0." + number(i) + " : " + number(i); });
  const std::string networks =
      joined(90, [&](unsigned i) { return "10.3." + number(i) + ".0/24 : " + number(i + 1); });
  std::string out =
      "table inet t {\n"
      "  set pairs { type ipv4_addr . inet_service; elements = { " +
      pairs +
      " }; }\n"
      "  set ranges { type ipv4_addr . inet_service; flags interval; elements = { " +
      ranges +
      " }; }\n"
      "  set hosts { type ipv6_addr . inet_service; elements = { " +
      hosts +
      " }; }\n"
      "  map values { type ipv4_addr : mark; elements = { " +
      values +
      " }; }\n"
      "  map networks { type ipv4_addr : mark; flags interval; elements = { " +
      networks +
      " }; }\n"
      "  chain c {\n    " +
      chain +
      "\n"
      "    ip saddr . udp dport @pairs counter drop\n"
      "    ip saddr . udp dport @ranges drop\n"
      "    ip6 saddr . udp dport @hosts drop\n";
  if (marks) {
    out +=
        "    meta mark set ip saddr map @values\n"
        "    meta mark set ip daddr map @networks\n"
        "    meta mark 40-60 drop\n";
  }
  return out + "  }\n}\n";
}

struct Compiled {
  RulesetAtHook subject;
  driver::Compilation compilation;
  Bytes file;
  std::vector<kernel::ElfProgram> programs;
};

Compiled compiled(const std::string& text, const std::string& hook_text) {
  auto scratch = must(frontend::nft::ScratchNamespace::create());
  const Hook hook = must(parse_hook(hook_text));
  Compiled out = {.subject = must(differential::read_at_hook(scratch, text, hook))};
  driver::Options options;
  options.self_contained = true;
  options.untrusted_memory = false;
  out.compilation = must(driver::compile(out.subject.ruleset, out.subject.attachments, options));
  const isa::Object& object = out.compilation.object;
  const std::vector<Hook> hooks(object.programs.size(), hook);
  out.file = must(object::to_elf(object, hooks, "note"));
  const std::vector<std::string> names = object::program_names(object);
  for (std::size_t i = 0; i < names.size(); ++i) {
    out.programs.push_back({.name = names[i],
                            .type = object.programs[i].type,
                            .direction = object.programs[i].direction});
  }
  return out;
}

class Objects : public testing::TestWithParam<const char*> {
 protected:
  static std::string chain() {
    const std::string hook = GetParam();
    return "type filter hook " + (hook == "netfilter:output" ? "output" : std::string("forward")) +
           " priority 0; policy accept;";
  }
};

void judge(const Compiled& made, std::size_t packets, unsigned least) {
  const Hook& hook = made.subject.hook;
  const kernel::LoadedElf elf = must(kernel::load_elf(made.file, made.programs));
  auto evaluator = must(driver::Runner::create(driver::EngineKind::evaluator, made.subject.ruleset,
                                               made.compilation));
  std::mt19937_64 random(7);
  const backend::Profile& profile = backend::profile_for(hook, {});
  const bool network = hook.kind == Hook::Kind::netfilter ||
                       hook.kind == Hook::Kind::cgroup_ingress ||
                       hook.kind == Hook::Kind::cgroup_egress || hook.kind == Hook::Kind::socket;
  std::array<unsigned, 2> seen = {0, 0};
  for (const packet::Packet& packet :
       differential::packets_for(made.subject, packets, false, random)) {
    for (std::size_t i = 0; i < made.programs.size(); ++i) {
      const driver::Attachment& place = made.compilation.programs[i].attachment;
      const std::uint16_t wanted_type = place.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd;
      if (hook.kind == Hook::Kind::netfilter && packet.ethertype != wanted_type) continue;
      const auto wanted = must(evaluator.run(packet)).verdict;
      const auto run = must(kernel::test_run(
          elf.loaded.programs[i], made.programs[i].type,
          kernel::TestInput{.packet = network ? packet.network() : ByteView(packet.bytes),
                            .hook = hook.nf_hook,
                            .nfproto = place.nfproto,
                            .ethertype = packet.ethertype,
                            .mark = packet.mark}));
      const bool accepts = wanted == imr::Outcome::Verdict::accept;
      ++seen[accepts ? 1 : 0];
      ASSERT_EQ(static_cast<std::int32_t>(run.result), accepts ? profile.accept : profile.drop)
          << "of packet " << to_hex(packet.bytes);
    }
  }
  EXPECT_GE(seen[0], least) << "dropped";
  EXPECT_GE(seen[1], least) << "accepted";
}

TEST_P(Objects, DecideAsTheEvaluatorDoes) {
  judge(compiled(script(chain()), GetParam()), 3000, 100);
}

TEST_P(Objects, LookTuplesUpAsTheEvaluatorDoes) {
  const std::string hook = GetParam();
  const bool marks = hook.starts_with("tc:") || hook.starts_with("cgroup:");
  judge(compiled(script_of_tuples(chain(), marks), hook), 10000, 10);
}

INSTANTIATE_TEST_SUITE_P(EveryHook, Objects,
                         testing::Values("xdp", "tc:ingress", "tc:egress", "cgroup:ingress",
                                         "cgroup:egress", "socket", "netfilter:forward",
                                         "netfilter:output"));

// What `command` prints, run where BPF file systems can be mounted without a trace.
std::string output_of(const std::string& command, int& status) {
  const std::string whole = "unshare -m sh -ec '" + command + "' 2>&1";
  std::FILE* pipe = ::popen(whole.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), size);
  }
  status = ::pclose(pipe);
  return out;
}

class Bpftool : public testing::TestWithParam<const char*> {};

TEST_P(Bpftool, LoadsThemAndNamesTheRule) {
  const Compiled made =
      compiled(script("type filter hook forward priority 0; policy accept;"), GetParam());
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("weir-object-" + std::to_string(::getpid()) + ".o");
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(made.file.data()),
             static_cast<std::streamsize>(made.file.size()));
  int status = 0;
  const std::string said =
      output_of("mount -t bpf bpf /mnt; bpftool prog loadall " + file.string() +
                    " /mnt/p; ls /mnt/p; "
                    "bpftool prog dump xlated pinned /mnt/p/" +
                    made.programs.front().name + " linum",
                status);
  std::filesystem::remove(file);
  EXPECT_EQ(status, 0) << said.substr(0, 4000);
  EXPECT_THAT(said, testing::HasSubstr("; inet t c handle"));
  EXPECT_THAT(said, testing::HasSubstr("ip saddr @addresses counter"));
  EXPECT_THAT(said, testing::HasSubstr("[file:generated.nft line_num:8"));
}

INSTANTIATE_TEST_SUITE_P(EveryKnownHook, Bpftool,
                         testing::Values("xdp", "tc:ingress", "tc:egress", "cgroup:ingress",
                                         "cgroup:egress", "socket"));

}  // namespace
}  // namespace weir::test
