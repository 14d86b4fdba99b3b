// SPDX-License-Identifier: BSD-2-Clause
//
// Lookups in the kernel's BTF. libbpf parses the format; the names are indexed here once, since its
// own search is linear over some hundred thousand types.
#include "kernel/btf.h"

#include <bpf/btf.h>

#include <cerrno>
#include <charconv>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace weir::kernel {

struct KernelBtf::Impl {
  struct Free {
    void operator()(::btf* btf) const { btf__free(btf); }
  };

  std::unique_ptr<::btf, Free> btf;
  // Names point into the BTF's own string section.
  std::unordered_map<std::string_view, std::int32_t> functions;
  std::unordered_map<std::string_view, std::int32_t> structures;
  std::mutex mutex;  // guards `offsets`
  std::unordered_map<std::string, std::uint32_t> offsets;

  void index_names();
  [[nodiscard]] const btf_type* skip_modifiers(std::uint32_t type_id) const;
  struct Place {
    std::uint32_t bit = 0;
    std::uint32_t type_id = 0;
  };
  [[nodiscard]] std::optional<Place> find(const btf_type* structure, std::string_view name) const;
  // By number, or by the name of an enumerator.
  [[nodiscard]] std::optional<Place> element(const btf_type* array, std::string_view index) const;
  [[nodiscard]] std::optional<std::uint32_t> enumerator(std::string_view name) const;
};

void KernelBtf::Impl::index_names() {
  const auto count = btf__type_cnt(btf.get());
  for (std::uint32_t id = 1; id < count; ++id) {
    const btf_type* type = btf__type_by_id(btf.get(), id);
    const bool function = btf_is_func(type);
    if (!function && !btf_is_struct(type) && !btf_is_union(type)) continue;
    const char* name = btf__name_by_offset(btf.get(), type->name_off);
    if (name == nullptr || *name == '\0') continue;
    // The first of several wins, as in btf_find_by_name_kind() of the kernel.
    (function ? functions : structures).emplace(name, static_cast<std::int32_t>(id));
  }
}

const btf_type* KernelBtf::Impl::skip_modifiers(std::uint32_t type_id) const {
  const btf_type* type = btf__type_by_id(btf.get(), type_id);
  while (type != nullptr && (btf_is_mod(type) || btf_is_typedef(type))) {
    type = btf__type_by_id(btf.get(), type->type);
  }
  return type;
}

std::optional<KernelBtf::Impl::Place> KernelBtf::Impl::find(const btf_type* structure,
                                                            std::string_view name) const {
  const btf_member* members = btf_members(structure);
  for (std::uint32_t i = 0; i < btf_vlen(structure); ++i) {
    const std::uint32_t bit = btf_member_bit_offset(structure, i);
    const std::string_view found = btf__name_by_offset(btf.get(), members[i].name_off);
    if (found == name) return Place{.bit = bit, .type_id = members[i].type};
    if (!found.empty()) continue;
    const btf_type* inner = skip_modifiers(members[i].type);
    if (inner == nullptr || !btf_is_composite(inner)) continue;
    if (auto place = find(inner, name)) {
      place->bit += bit;
      return place;
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> KernelBtf::Impl::enumerator(std::string_view name) const {
  const auto count = btf__type_cnt(btf.get());
  for (std::uint32_t id = 1; id < count; ++id) {
    const btf_type* type = btf__type_by_id(btf.get(), id);
    if (!btf_is_enum(type)) continue;
    const struct ::btf_enum* values = btf_enum(type);
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
      const std::string_view found = btf__name_by_offset(btf.get(), values[i].name_off);
      if (found == name) return static_cast<std::uint32_t>(values[i].val);
    }
  }
  return std::nullopt;
}

std::optional<KernelBtf::Impl::Place> KernelBtf::Impl::element(const btf_type* array,
                                                               std::string_view index) const {
  const struct ::btf_array* elements = btf_array(array);
  const std::int64_t size = btf__resolve_size(btf.get(), elements->type);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(index.data(), index.data() + index.size(), number);
  if (error != std::errc() || end != index.data() + index.size()) {
    const auto named = enumerator(index);
    if (!named) return std::nullopt;
    number = *named;
  }
  if (size < 0 || number >= elements->nelems) return std::nullopt;
  return Place{.bit = 8 * number * static_cast<std::uint32_t>(size), .type_id = elements->type};
}

KernelBtf::KernelBtf(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KernelBtf::~KernelBtf() = default;

Result<std::unique_ptr<const KernelBtf>> KernelBtf::read() {
  auto impl = std::make_unique<Impl>();
  impl->btf.reset(btf__load_vmlinux_btf());
  if (impl->btf == nullptr) return system_error("reading the kernel's BTF", errno);
  impl->index_names();
  return std::unique_ptr<const KernelBtf>(new KernelBtf(std::move(impl)));
}

Result<const KernelBtf*> KernelBtf::get() {
  static const Result<std::unique_ptr<const KernelBtf>> kernel = read();
  if (!kernel) return std::unexpected(kernel.error());
  return kernel->get();
}

Result<std::int32_t> KernelBtf::function_id(const std::string& name) const {
  const auto it = impl_->functions.find(name);
  if (it == impl_->functions.end()) {
    return system_error("this kernel has no function " + name + " for BPF programs");
  }
  return it->second;
}

Result<std::int32_t> KernelBtf::structure_id(const std::string& name) const {
  const auto it = impl_->structures.find(name);
  if (it == impl_->structures.end()) return system_error("this kernel has no struct " + name);
  return it->second;
}

Result<std::uint32_t> KernelBtf::member_offset(const std::string& structure,
                                               const std::string& member) const {
  const std::string full = structure + "." + member;
  const std::lock_guard lock(impl_->mutex);
  if (const auto it = impl_->offsets.find(full); it != impl_->offsets.end()) return it->second;

  WEIR_TRY(id, structure_id(structure));
  const btf_type* type = btf__type_by_id(impl_->btf.get(), static_cast<std::uint32_t>(id));
  std::uint32_t bit = 0;
  std::string_view rest = member;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find('.'));
    rest.remove_prefix(name.size() == rest.size() ? name.size() : name.size() + 1);
    std::optional<Impl::Place> place;
    if (type != nullptr && btf_is_composite(type)) place = impl_->find(type, name);
    if (type != nullptr && btf_is_array(type)) place = impl_->element(type, name);
    if (!place) return system_error("this kernel has no member " + full);
    bit += place->bit;
    type = impl_->skip_modifiers(place->type_id);
  }
  return impl_->offsets[full] = bit / 8;
}

}  // namespace weir::kernel
