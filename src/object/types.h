// SPDX-License-Identifier: BSD-2-Clause
//
// BTF under construction: the types that programs and maps need, each made once. libbpf writes the
// format; running out of memory is all that can go wrong in it, and that throws.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

struct btf;

namespace weir::object {

enum class Linkage : std::uint8_t { local = 0, global = 1, external = 2 };  // enum btf_func_linkage

class Types {
 public:
  Types();

  // "unsigned int" and its like, of 1, 2, 4 or 8 bytes.
  std::uint32_t unsigned_integer(std::uint32_t size);
  std::uint32_t signed_integer();  // int
  std::uint32_t pointer(std::uint32_t pointee);
  std::uint32_t array(std::uint32_t element, std::uint32_t count);
  // A structure of which nothing but the name is known.
  std::uint32_t opaque_structure(const std::string& name);
  // {char data[size]}, called "bytes_SIZE".
  std::uint32_t memory(std::uint32_t size);

  struct Member {
    std::string name;
    std::uint32_t type = 0;
    std::uint32_t offset = 0;  // bytes
    std::uint32_t bits = 0;    // of bit fields
  };
  std::uint32_t structure(const std::string& name, std::uint32_t size,
                          const std::vector<Member>& members);

  struct Parameter {
    std::string name;
    std::uint32_t type = 0;
  };
  std::uint32_t function(const std::string& name, Linkage linkage, std::uint32_t result,
                         const std::vector<Parameter>& parameters);

  std::uint32_t variable(const std::string& name, std::uint32_t type);  // of global linkage
  struct Place {
    std::uint32_t type = 0;  // a variable or function
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  std::uint32_t section(const std::string& name, std::uint32_t size,
                        const std::vector<Place>& content);

  // Its offset among the strings.
  std::uint32_t text(const std::string& text);

  [[nodiscard]] Bytes bytes() const;

 private:
  struct Free {
    void operator()(::btf* btf) const;
  };
  std::unique_ptr<::btf, Free> btf_;
  std::map<std::string, std::uint32_t, std::less<>> known_;  // by what they are, in words
  std::uint32_t once(const std::string& what, auto make);
};

}  // namespace weir::object
