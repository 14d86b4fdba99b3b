// SPDX-License-Identifier: BSD-2-Clause
//
// How instructions of each form are written; the printer and the parser both go by it. The style is
// that of the kernel's verifier log and of llvm-objdump.
//
//   %d %s  dst and src, "w3" in operations of 32 bits, else "r3"
//   %D %S  dst and src, always "r3"
//   %o %b  the row's symbol and width
//   %m     off as a displacement: " + 8", " - 4", " + sk_buff.mark"
//   %i     imm
//   %v     the 64-bit constant of both slots
//   %p %q  a map; a byte in a map's first value
//   %j     where a jump goes: "+3" or a label
//   %h %k  a helper; a kernel function
//
// A space stands for any number of spaces; all else for itself.
#pragma once

#include <string_view>

#include "base/error.h"
#include "isa/isa.h"

namespace weir::isa {

[[nodiscard]] inline std::string_view syntax(Form form) {
  switch (form) {
    case Form::alu_imm:
      return "%d %o %i";
    case Form::alu_reg:
      return "%d %o %s";
    case Form::neg:
      return "%d = -%d";
    case Form::mov_sx:
      return "%d = (%o)%s";
    case Form::swap:
      return "%D = %o %D";
    case Form::load:
      return "%D = *(%o *)(%S%m)";
    case Form::store_reg:
      return "*(%o *)(%D%m) = %S";
    case Form::store_imm:
      return "*(%o *)(%D%m) = %i";
    case Form::atomic:
      return "lock *(u%b *)(%D%m) %o %S";
    case Form::atomic_fetch:
      return "%S = %o((u%b *)(%D%m), %S)";
    case Form::atomic_cmpxchg:
      return "r0 = %o((u%b *)(%D%m), r0, %S)";
    case Form::load_imm64:
      return "%D = %v ll";
    case Form::load_map:
      return "%D = %p";
    case Form::load_map_value:
      return "%D = %q";
    case Form::load_function:
      return "%D = function %j";
    case Form::jump:
    case Form::jump_long:
    case Form::call_local:
      return "%o %j";
    case Form::jump_imm:
      return "if %d %o %i goto %j";
    case Form::jump_reg:
      return "if %d %o %s goto %j";
    case Form::call_helper:
      return "%o %h";
    case Form::call_kfunc:
      return "%o kfunc %k";
    case Form::exit:
      return "%o";
  }
  throw InvariantError("a form that is not written in any way");
}

}  // namespace weir::isa
