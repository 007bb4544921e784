# Everything there is to do, on a fresh Debian or Ubuntu: `make demo` and `make test`. Each target checks for what it needs and
# installs it, or says what to install.

CARGO ?= cargo
CXX ?= g++
PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
SESSIONS ?=
PORT ?= 8000
SECONDS ?= 720
TARGETS ?=

LIB_DIR := target/release
VENV := .venv
OLD_WHEEL := target/wheels-3.9/ready
DEMO_SOURCES := $(wildcard examples/demo/*.cpp)
DEMO_HEADERS := $(wildcard examples/demo/*.hpp) include/holdall.h include/holdall.hpp

.PHONY: all demo demo-python demo-node test lint bench torture fuzz wheel node install header abi clean lib rust demo-packages test-packages lint-packages

all: lib

rust:
	@tools/need rust

demo-packages: rust
	@tools/need apt g++ pkg-config libmicrohttpd-dev libjansson-dev

test-packages: demo-packages
	@tools/need python
	@tools/need apt gcc clang libclang-rt-dev valgrind clang-19 libclang-rt-19-dev cmake php-cli chromium chromium-driver strace faketime

lint-packages: test-packages
	@tools/need apt cppcheck clang-format abigail-tools

# libholdall.so and libholdall.a in target/release. Programs ask for the library by its soname.
lib: rust
	$(CARGO) build --release -p holdall-c
	@ln -sf libholdall.so $(LIB_DIR)/libholdall.so.1

build/demo: $(DEMO_SOURCES) $(DEMO_HEADERS) | lib demo-packages
	@mkdir -p build
	$(CXX) -std=c++17 -O2 -Wall -Wextra -pedantic -Iinclude $(DEMO_SOURCES) -o $@ -L$(LIB_DIR) -lholdall \
	  -Wl,-rpath,'$$ORIGIN/../$(LIB_DIR)' $$(pkg-config --cflags --libs libmicrohttpd jansson)

demo: lib build/demo
	build/demo --port $(PORT) $(if $(SESSIONS),--sessions '$(SESSIONS)')

# The same in Python, on the same sessions: `make demo-python PORT=8001` beside it.
demo-python: wheel
	$(VENV)/bin/python examples/demo-python/serve.py --port $(PORT) $(if $(SESSIONS),--sessions '$(SESSIONS)')

# And in Node: `make demo-node PORT=8002`.
demo-node: node examples/demo-node/node_modules/ready
	node examples/demo-node/serve.js --port $(PORT) $(if $(SESSIONS),--sessions '$(SESSIONS)')

$(VENV)/ready: tests/requirements.txt bindings/python/tests/requirements.txt examples/demo-python/requirements.txt | test-packages
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

# The Python package in target/wheels, for every CPython from 3.10 on, and installed where the tests run.
wheel: rust $(VENV)/ready
	rm -rf target/wheels
	$(VENV)/bin/maturin build --quiet --release --manifest-path bindings/python/Cargo.toml \
	  --interpreter $(VENV)/bin/python --target-dir target/python --out target/wheels
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps target/wheels/*.whl

# The native module for the applications on Python 3.9, where there is one; for the tests alone. In the target directory of the other,
# which has most of it compiled, and before it, because cargo gives both one name: it would build the other once more.
$(OLD_WHEEL): $(shell find src bindings/python/src -name '*.rs') $(wildcard Cargo.* bindings/python/*.toml bindings/python/Cargo.lock) \
  | rust $(VENV)/ready
	@mkdir -p $(@D)
	@old=$$(tools/need python3.9); if [ -z "$$old" ]; then echo "There is no Python 3.9: no test runs on it."; else \
	  $(VENV)/bin/maturin build --quiet --release --manifest-path bindings/python/Cargo.toml \
	    --interpreter "$$old" --target-dir target/python --out $(@D); fi
	@touch $@

# What a folder of JavaScript needs from elsewhere. Without scripts: the native half is built below, once.
%/node_modules/ready: %/package-lock.json
	@tools/need node
	npm ci --prefix $* --ignore-scripts --loglevel=error
	@touch $@

# The native half of the Node package, where it lies.
node: rust bindings/node/node_modules/ready
	node bindings/node/build.js

test: test-packages lib build/demo $(OLD_WHEEL) wheel node examples/demo-node/node_modules/ready
	$(VENV)/bin/python tools/test

lint: lint-packages lib wheel node
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	RUSTFLAGS='--cfg holdall_shuttle' CARGO_TARGET_DIR=target/shuttle $(CARGO) clippy --quiet --test interleavings -- -D warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --quiet --manifest-path fuzz/Cargo.toml --lib --tests --target-dir target -- -D warnings
	$(CARGO) fmt --manifest-path benches/speed/Cargo.toml --check
	$(CARGO) clippy --quiet --manifest-path benches/speed/Cargo.toml --target-dir target/speed -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --workspace --no-deps --document-private-items
	$(CARGO) fmt --manifest-path bindings/python/Cargo.toml --check
	PYO3_PYTHON=$(CURDIR)/$(VENV)/bin/python $(CARGO) clippy --quiet --manifest-path bindings/python/Cargo.toml --target-dir target/python -- -D warnings
	$(VENV)/bin/ruff check --quiet tests tools/test tools/torture tools/fuzz bindings/python benches/python examples
	$(VENV)/bin/mypy --strict --no-error-summary --package holdall
	$(VENV)/bin/stubtest --concise holdall._holdall
	$(CARGO) fmt --manifest-path bindings/node/Cargo.toml --check
	$(CARGO) clippy --quiet --manifest-path bindings/node/Cargo.toml --target-dir target/node -- -D warnings
	cd bindings/node && node_modules/.bin/biome check --error-on-warnings . ../../benches/node
	cd examples/demo-node && ../../bindings/node/node_modules/.bin/biome check --error-on-warnings .
	bindings/node/node_modules/.bin/tsc --project bindings/node/tests/types
	bindings/node/node_modules/.bin/tsc --project bindings/node/tests/types/store
	bindings/node/node_modules/.bin/tsc --project bindings/node/tests/types/koa
	bindings/node/node_modules/.bin/tsc --project bindings/node/tests/types/lunox
	clang-format --dry-run --Werror include/holdall.hpp $$(git ls-files '*.c' '*.cpp' 'examples/*.hpp')
	cppcheck --quiet --error-exitcode=1 --std=c++17 --language=c++ --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem -Iinclude examples tests/cpp
	cppcheck --quiet --error-exitcode=1 --std=c99 --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem -Iinclude tests/c benches
	bindings/c/abi/check

# Ours, the floors and the peers in the same rounds; target/bench has the report and the picture. HOLDALL_BENCH_QUICK=1 is short.
bench: rust wheel node benches/node/node_modules/ready
	@tools/need apt php-cli
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r benches/python/requirements.txt
	$(CARGO) run --release --quiet --manifest-path benches/speed/Cargo.toml --target-dir target/speed; engine=$$?; \
	  $(VENV)/bin/python benches/python/speed.py; python=$$?; node benches/node/speed.cjs && exit $$((engine + python))

# The long tests whole, as root for the mounts some of them make; the figures go into docs/reliability.md.
torture: test-packages lib build/demo $(OLD_WHEEL) wheel node
	$(VENV)/bin/python tools/torture

# Ends with 1 where an input failed; CONTRIBUTING.md, "Fuzzing". g++ is for libFuzzer itself.
fuzz: rust
	@tools/need apt g++
	@tools/need python
	$(PYTHON) tools/fuzz $(SECONDS) $(TARGETS)

install: rust
	CARGO='$(CARGO)' bindings/c/install '$(PREFIX)' '$(DESTDIR)'

# Writes include/holdall.h anew from src/ffi; tests/header.rs compares.
header: rust
	HOLDALL_UPDATE_HEADER=1 $(CARGO) test --quiet --test header

# Commits to the C interface as it is now; `make lint` compares.
abi: lint-packages lib
	bindings/c/abi/check write

clean:
	rm -rf target build $(VENV) benches/node/node_modules bindings/node/node_modules bindings/node/holdall.node bindings/node/rust \
	  examples/demo-node/node_modules
