// SPDX-License-Identifier: BSD-2-Clause
#include "engine/engine.h"

#include <vector>

#include "engine/checker.h"
#include "engine/executable.h"
#include "engine/machine.h"
#include "engine/map.h"

namespace weir::engine {
namespace {

std::unique_ptr<Executable> make_executable(Backend backend, const Code& code,
                                            const Machine& machine) {
  switch (backend) {
    case Backend::interpreter:
      return make_interpreter(code, machine);
  }
  throw InvariantError("engine: a way of running programs that does not exist");
}

}  // namespace

struct Engine::Impl {
  struct Loaded {
    std::unique_ptr<Machine> machine;
    std::unique_ptr<Executable> executable;
  };
  std::vector<std::unique_ptr<Map>> maps;
  std::vector<Loaded> programs;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<Engine> Engine::load(const isa::Object& object, Backend backend) {
  auto impl = std::make_unique<Impl>();
  std::vector<Map*> maps;
  for (const isa::MapSpec& spec : object.maps) {
    WEIR_TRY(map, Map::create(spec));
    maps.push_back(map.get());
    impl->maps.push_back(std::move(map));
  }
  for (std::size_t index = 0; index < object.programs.size(); ++index) {
    WEIR_TRY(code, decode(object, index));
    std::uint64_t processed = 0;
    WEIR_CHECK(check_paths(code, processed_limit, processed));
    auto machine = std::make_unique<Machine>(object.programs[index].type, maps);
    auto executable = make_executable(backend, code, *machine);
    impl->programs.push_back({std::move(machine), std::move(executable)});
  }
  return Engine(std::move(impl));
}

std::uint64_t Engine::run(std::size_t index, const Input& input) {
  invariant(index < impl_->programs.size(), "Engine::run: no such program");
  const Impl::Loaded& program = impl_->programs[index];
  program.machine->prepare(input);
  return program.executable->run(*program.machine);
}

Output Engine::output(std::size_t index) const {
  invariant(index < impl_->programs.size(), "Engine::output: no such program");
  const kernel_structs::SkBuff& skb = impl_->programs[index].machine->skb();
  return {.mark = skb.mark,
          .priority = skb.priority,
          .pkttype = impl_->programs[index].machine->packet_type()};
}

Bytes Engine::packet(std::size_t index) const {
  invariant(index < impl_->programs.size(), "Engine::packet: no such program");
  return impl_->programs[index].machine->changed_bytes();
}

const Sent& Engine::sent(std::size_t index) const {
  invariant(index < impl_->programs.size(), "Engine::sent: no such program");
  return impl_->programs[index].machine->sent();
}

Map& Engine::map(isa::MapIndex index) {
  invariant(index.index() < impl_->maps.size(), "Engine::map: no such map");
  return *impl_->maps[index.index()];
}

std::uint64_t Engine::executed() const {
  std::uint64_t total = 0;
  for (const Impl::Loaded& program : impl_->programs) total += program.machine->executed;
  return total;
}

}  // namespace weir::engine
