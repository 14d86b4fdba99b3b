// SPDX-License-Identifier: BSD-2-Clause
//
// Maps: creating and filling them, reading and writing their elements.
#include "kernel/maps.h"

#include <linux/bpf.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <fstream>

#include "isa/expiry.h"
#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

bool is_per_cpu(isa::MapType type) {
  return type == isa::MapType::percpu_hash || type == isa::MapType::percpu_array;
}

std::size_t per_cpu_stride(std::size_t value_size) {
  return (value_size + 7) / 8 * 8;
}

int update(const Fd& map, const std::uint8_t* key, const std::uint8_t* value) {
  MapElementAttr attr{.map_fd = static_cast<std::uint32_t>(map.get()),
                      .key = user_pointer(key),
                      .value = user_pointer(value)};
  return bpf(Command::map_update, attr);
}

Status fill_one_by_one(const Fd& map, const isa::MapSpec& spec, std::uint32_t copies) {
  const std::size_t stride = copies == 1 ? spec.value_size : per_cpu_stride(spec.value_size);
  Bytes value(stride * copies);
  for (const auto& entry : spec.entries) {
    for (std::size_t i = 0; i < copies; ++i) {
      std::memcpy(value.data() + i * stride, entry.value.data(), spec.value_size);
    }
    if (const int result = update(map, entry.key.data(), value.data()); result < 0) {
      return system_error("writing element " + to_hex(entry.key) + " of map " + spec.name, -result);
    }
  }
  return {};
}

// One system call for all entries. False where the kernel has no batches for this type of map.
Result<bool> fill_in_batch(const Fd& map, const isa::MapSpec& spec) {
  Bytes keys;
  Bytes values;
  keys.reserve(spec.entries.size() * spec.key_size);
  values.reserve(spec.entries.size() * spec.value_size);
  for (const auto& entry : spec.entries) {
    keys.insert(keys.end(), entry.key.begin(), entry.key.end());
    values.insert(values.end(), entry.value.begin(), entry.value.end());
  }
  MapBatchAttr attr{.keys = user_pointer(keys.data()),
                    .values = user_pointer(values.data()),
                    .count = static_cast<std::uint32_t>(spec.entries.size()),
                    .map_fd = static_cast<std::uint32_t>(map.get())};
  const int result = bpf(Command::map_update_batch, attr);
  constexpr int not_supported = 524;  // ENOTSUPP of the kernel, which libc has no name for
  if (result == -EINVAL || result == -not_supported) return false;
  if (result < 0) {
    return system_error("filling map " + spec.name + ", element " + std::to_string(attr.count),
                        -result);
  }
  return true;
}

Status fill(const Fd& map, const isa::MapSpec& spec) {
  for (const auto& entry : spec.entries) {
    invariant(entry.key.size() == spec.key_size && entry.value.size() == spec.value_size,
              "an entry has not the sizes of its map");
  }
  if (is_per_cpu(spec.type)) {
    if (spec.entries.empty()) return {};
    WEIR_TRY(cpus, possible_cpus());
    return fill_one_by_one(map, spec, cpus);
  }
  if (spec.entries.size() > 1) {
    WEIR_TRY(done, fill_in_batch(map, spec));
    if (done) return {};
  }
  return fill_one_by_one(map, spec, 1);
}

// With times of the clock that programs read.
isa::MapSpec started(isa::MapSpec spec) {
  const std::uint64_t now = clock_now();
  for (isa::MapEntry& entry : spec.entries.edit()) entry.value = isa::started(entry, now);
  return spec;
}

bool is_frozen(const Fd& map) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(map.get()));
  for (std::string line; std::getline(file, line);) {
    if (line == "frozen:\t1") return true;
  }
  return false;
}

}  // namespace

Result<Fd> create_map(const isa::MapSpec& spec) {
  MapCreateAttr attr{.map_type = static_cast<std::uint32_t>(spec.type),
                     .key_size = spec.key_size,
                     .value_size = spec.value_size,
                     .max_entries = spec.max_entries,
                     .map_flags = spec.flags};
  // trie_alloc() takes no trie without it.
  if (spec.type == isa::MapType::lpm_trie) attr.map_flags |= BPF_F_NO_PREALLOC;
  copy_object_name(spec.name, attr.map_name);
  Fd map(bpf(Command::map_create, attr));
  if (!map.valid()) {
    return system_error(
        "creating map " + spec.name + " of " + std::to_string(spec.max_entries) + " elements",
        -map.get());
  }
  WEIR_CHECK(fill(map, spec.expires ? started(spec) : spec));
  return map;
}

std::uint64_t clock_now() {
  constexpr std::uint64_t nanoseconds = 1'000'000'000;
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * nanoseconds +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Result<std::uint32_t> possible_cpus() {
  // "0-3,8-11": the values of a per-CPU element follow the highest number (num_possible_cpus() of
  // them; the kernel numbers possible CPUs without gaps where per-CPU maps are concerned).
  constexpr const char* path = "/sys/devices/system/cpu/possible";
  std::ifstream file(path);
  std::string text;
  if (!std::getline(file, text)) return system_error(std::string("cannot read ") + path);
  std::uint32_t count = 0;
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    const char* const end = text.data() + text.size();
    std::uint32_t first = 0;
    auto parsed = std::from_chars(at, end, first);
    std::uint32_t last = first;
    if (parsed.ptr != end && *parsed.ptr == '-')
      parsed = std::from_chars(parsed.ptr + 1, end, last);
    if (parsed.ec != std::errc() || last < first) {
      return system_error(std::string(path) + " holds '" + text + "', not a list of CPUs");
    }
    count += last - first + 1;
    at = parsed.ptr;
  }
  return count;
}

Result<Bytes> read_element(const Fd& map, ByteView key, std::size_t value_size, bool per_cpu) {
  std::size_t size = value_size;
  if (per_cpu) {
    WEIR_TRY(cpus, possible_cpus());
    size = per_cpu_stride(value_size) * cpus;
  }
  Bytes value(size);
  MapElementAttr attr{.map_fd = static_cast<std::uint32_t>(map.get()),
                      .key = user_pointer(key.data()),
                      .value = user_pointer(value.data())};
  const int result = bpf(Command::map_lookup, attr);
  if (result < 0) return system_error("reading map element " + to_hex(key), -result);
  return value;
}

Status write_element(const Fd& map, ByteView key, ByteView value) {
  const int result = update(map, key.data(), value.data());
  if (result < 0) return system_error("writing map element " + to_hex(key), -result);
  return {};
}

Status delete_element(const Fd& map, ByteView key) {
  MapElementAttr attr{.map_fd = static_cast<std::uint32_t>(map.get()),
                      .key = user_pointer(key.data())};
  const int result = bpf(Command::map_delete, attr);
  if (result < 0) return system_error("deleting map element " + to_hex(key), -result);
  return {};
}

Result<std::vector<Bytes>> keys(const Fd& map, std::size_t key_size) {
  bpf_map_info info{};
  WEIR_CHECK(object_info(map, &info, sizeof(info)));
  std::vector<Bytes> found;
  // Where a key was deleted, the kernel begins again.
  while (found.size() < info.max_entries) {
    Bytes next(key_size);
    MapElementAttr attr{.map_fd = static_cast<std::uint32_t>(map.get()),
                        .key = found.empty() ? 0 : user_pointer(found.back().data()),
                        .value = user_pointer(next.data())};
    const int result = bpf(Command::map_next_key, attr);
    if (result == -ENOENT) return found;
    if (result < 0) return system_error("listing the keys of a map", -result);
    found.push_back(std::move(next));
  }
  return found;
}

Status freeze(const Fd& map) {
  MapFreezeAttr attr{.map_fd = static_cast<std::uint32_t>(map.get())};
  const int result = bpf(Command::map_freeze, attr);
  // The kernel says the same of maps that are mapped for writing somewhere.
  if (result == -EBUSY && is_frozen(map)) return {};
  if (result < 0) return system_error("freezing a map", -result);
  return {};
}

Result<std::uint32_t> map_id(const Fd& map) {
  bpf_map_info info{};
  WEIR_CHECK(object_info(map, &info, sizeof(info)));
  return info.id;
}

}  // namespace weir::kernel
