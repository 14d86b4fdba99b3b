# SPDX-License-Identifier: BSD-2-Clause
#
# The way in for people and for CI; CMake and its presets do the work.
#   make           build/bin/weir, after installing missing packages where that is allowed
#   make test      every test; the last line says how many passed and failed
#   make demo      the tour: checks, compiles, runs and (as root) enforces a ruleset
#   make bench     cost per packet against the kernel's nft (as root)
#   make fuzz      each fuzzer for FUZZ_SECONDS (60)
#   make install   to PREFIX (/usr/local), DESTDIR respected
#   make format    formats all sources
#   make clean
BUILD := build
PREFIX := /usr/local
FUZZ_SECONDS := 60
JOBS := $(shell nproc)

.PHONY: all demo test bench fuzz install format clean packages with-tests
all: packages
	@test -f $(BUILD)/build.ninja || cmake --preset release -DWEIR_TESTS=OFF
	cmake --build $(BUILD) --target weir -j $(JOBS)

packages:
	@packaging/install-packages build

# Tests are added to the build directory once, and stay in it.
with-tests:
	@packaging/install-packages build test
	@grep -qs '^WEIR_TESTS:BOOL=ON' $(BUILD)/CMakeCache.txt && test -f $(BUILD)/build.ninja \
	  || cmake --preset release -DWEIR_TESTS=ON

test: with-tests
	cmake --build $(BUILD) -j $(JOBS)
	@tests/run $(BUILD)

demo: all
	@packaging/install-packages build test
	@examples/demo.sh

bench: with-tests
	cmake --build $(BUILD) -j $(JOBS)
	@tests/bench/run

fuzz:
	@packaging/install-packages build fuzz
	cmake --preset fuzz
	cmake --build build/fuzz --target fuzzers -j $(JOBS)
	@tests/fuzz/run build/fuzz $(FUZZ_SECONDS)

install: all
	cmake --install $(BUILD) --prefix $(PREFIX)

format:
	@packaging/install-packages tools
	git ls-files '*.cpp' '*.h' | xargs clang-format-19 -i

clean:
	rm -rf $(BUILD)
