# SPDX-License-Identifier: BSD-2-Clause
#
# One function a kind of target, so that every folder's CMakeLists.txt is a few lines.

add_library(weir_flags INTERFACE)
target_compile_options(weir_flags INTERFACE
  # g++ 12 is the compiler that the sources are held to; others know other warnings.
  $<$<CXX_COMPILER_ID:GNU>:-Werror>
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wimplicit-fallthrough
  # Members that a designated initializer leaves out have defaults that are meant.
  -Wno-missing-field-initializers
  # g++ 12's optimizer sees overlaps, overruns and unset values in std::string, std::vector and
  # std::optional that are not there (GCC bugs 105651, 105329, 105562).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(weir_flags INTERFACE -fsanitize=address,undefined)
endif()
if(WEIR_FUZZ)
  target_compile_options(weir_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(weir_flags INTERFACE -fsanitize=address,undefined)
endif()

# weir_library(NAME sources...): the static library weir_NAME of one folder of src. What it links
# says which folders it may include; tests/check-includes holds the include lines to the same table.
function(weir_library name)
  add_library(weir_${name} STATIC ${ARGN})
  target_include_directories(weir_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(weir_${name} PRIVATE weir_flags)
endfunction()

# weir_test(NAME sources... LINK libraries...): a GoogleTest program that ctest runs.
function(weir_test name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE weir_flags ${arg_LINK} GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# weir_fuzzer(NAME source LINK libraries...): a libFuzzer program; only in builds with WEIR_FUZZ.
function(weir_fuzzer name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE weir_flags ${arg_LINK} -fsanitize=fuzzer)
endfunction()
