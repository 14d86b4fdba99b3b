// SPDX-License-Identifier: BSD-2-Clause
#include "object/types.h"

#include <bpf/btf.h>

#include <new>

namespace weir::object {
namespace {

// An id or offset, or minus errno.
std::uint32_t good(int result) {
  if (result < 0) throw InvariantError("BTF: error " + std::to_string(-result));
  return static_cast<std::uint32_t>(result);
}

constexpr const char* unsigned_name(std::uint32_t size) {
  switch (size) {
    case 1:
      return "unsigned char";
    case 2:
      return "unsigned short";
    case 4:
      return "unsigned int";
    default:
      return "unsigned long long";
  }
}

}  // namespace

void Types::Free::operator()(::btf* btf) const {
  btf__free(btf);
}

Types::Types() : btf_(btf__new_empty()) {
  if (btf_ == nullptr) throw std::bad_alloc();
}

std::uint32_t Types::once(const std::string& what, auto make) {
  if (const auto it = known_.find(what); it != known_.end()) return it->second;
  const std::uint32_t type = make();
  known_.emplace(what, type);
  return type;
}

std::uint32_t Types::unsigned_integer(std::uint32_t size) {
  const char* name = unsigned_name(size);
  return once(name, [&] { return good(btf__add_int(btf_.get(), name, size, 0)); });
}

std::uint32_t Types::signed_integer() {
  return once("int", [&] { return good(btf__add_int(btf_.get(), "int", 4, BTF_INT_SIGNED)); });
}

std::uint32_t Types::pointer(std::uint32_t pointee) {
  return once("* " + std::to_string(pointee),
              [&] { return good(btf__add_ptr(btf_.get(), static_cast<int>(pointee))); });
}

std::uint32_t Types::array(std::uint32_t element, std::uint32_t count) {
  return once("[] " + std::to_string(element) + " " + std::to_string(count), [&] {
    return good(btf__add_array(btf_.get(), static_cast<int>(signed_integer()),
                               static_cast<int>(element), count));
  });
}

std::uint32_t Types::opaque_structure(const std::string& name) {
  return once("struct " + name, [&] { return good(btf__add_struct(btf_.get(), name.c_str(), 0)); });
}

std::uint32_t Types::memory(std::uint32_t size) {
  const std::string name = "bytes_" + std::to_string(size);
  return once("struct " + name, [&] {
    return structure(name, size, {{.name = "data", .type = array(unsigned_integer(1), size)}});
  });
}

std::uint32_t Types::structure(const std::string& name, std::uint32_t size,
                               const std::vector<Member>& members) {
  const std::uint32_t type = good(btf__add_struct(btf_.get(), name.c_str(), size));
  for (const Member& member : members) {
    good(btf__add_field(btf_.get(), member.name.c_str(), static_cast<int>(member.type),
                        member.offset * 8, member.bits));
  }
  return type;
}

std::uint32_t Types::function(const std::string& name, Linkage linkage, std::uint32_t result,
                              const std::vector<Parameter>& parameters) {
  const int prototype = btf__add_func_proto(btf_.get(), static_cast<int>(result));
  good(prototype);
  for (const Parameter& parameter : parameters) {
    good(btf__add_func_param(btf_.get(), parameter.name.c_str(), static_cast<int>(parameter.type)));
  }
  return good(
      btf__add_func(btf_.get(), name.c_str(), static_cast<btf_func_linkage>(linkage), prototype));
}

std::uint32_t Types::variable(const std::string& name, std::uint32_t type) {
  return good(
      btf__add_var(btf_.get(), name.c_str(), BTF_VAR_GLOBAL_ALLOCATED, static_cast<int>(type)));
}

std::uint32_t Types::section(const std::string& name, std::uint32_t size,
                             const std::vector<Place>& content) {
  const std::uint32_t type = good(btf__add_datasec(btf_.get(), name.c_str(), size));
  for (const Place& place : content) {
    good(btf__add_datasec_var_info(btf_.get(), static_cast<int>(place.type), place.offset,
                                   place.size));
  }
  return type;
}

std::uint32_t Types::text(const std::string& text) {
  return good(btf__add_str(btf_.get(), text.c_str()));
}

Bytes Types::bytes() const {
  std::uint32_t size = 0;
  const auto* data = static_cast<const std::uint8_t*>(btf__raw_data(btf_.get(), &size));
  if (data == nullptr) throw std::bad_alloc();
  return {data, data + size};
}

}  // namespace weir::object
