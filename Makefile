# make demo    train the census model and draw its learning curve
# make test    everything that CI runs: check, docs, then the tests and the examples in the docstrings, and once more,
#              without lamina-onednn, those of the formulas that it replaces
# make check   lint, format, types, and the order of the folders
# make docs    the reference of all public names and the guides, as pages in out/docs; a warning is an error
# make site    the same in out/site, with the gallery, the table of all names and that of speed
# make coverage  the tests once, and which lines they do not reach, also as pages in out/coverage
# make nightly the tests that take minutes, and those of lamina-onednn with the compiler's sanitizers
# make wheels  both packages as files that pip installs, in dist/
# make release-check  the files of a release are built twice, read, and installed with each Python and JAX there is
# make bench   this library beside Keras and torch; benchmarks/README.md says what is measured
# make clean   remove all that these commands made

.DEFAULT_GOAL := demo
.PHONY: demo test check docs site coverage nightly sanitized threads wheels release-check bench clean
.DELETE_ON_ERROR:

# The first Python there is that is new enough; PYTHON=... names another one.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p $(NEW_ENOUGH) 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

demo: .venv/demo.installed .venv/native.tried
	$(BIN)/python examples/census.py

# CI measures which lines run in this same run, with COVER=--cov, and fails below the least share of them that
# pyproject.toml names.
test: .venv/dev.installed .venv/docs.installed .venv/native.tried
	$(MAKE) --no-print-directory -j 2 check docs
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(COVER)
	LAMINA_KERNELS=xla $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/test_layers.py \
		-k "(Conv or LSTM or GRU or Bidirectional) and (equals_keras or finite)"

check: .venv/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

docs: .venv/docs.installed .venv/native.tried
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # with --quiet it would take no notice of warnings

site: .venv/docs.installed .venv/native.tried
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file mkdocs-site.yml

coverage: .venv/dev.installed .venv/native.tried
	$(BIN)/python -m pytest -q -n 2 --cov --cov-report=term --cov-report=html

nightly: .venv/dev.installed .venv/native.tried sanitized
	$(BIN)/python -m pytest -q -n 2 -m nightly

# lamina-onednn once more, in a folder of its own: each access to memory and each operation of its C++ is checked, though
# not those within oneDNN. The sanitizer must be there before Python loads anything. What threads do at the same time
# another one checks, in a program without Python and XLA, whose threads it does not know.
SANITIZED := $(CURDIR)/out/sanitized
sanitized: .venv/dev.installed threads
	@asan=$$($${CXX:-c++} -print-file-name=libasan.so) || exit 0; \
	if [ ! -e "$$asan" ]; then echo "No test with sanitizers: the compiler has no libasan.so."; exit 0; fi; \
	set -e; CXXFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g" \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(SANITIZED) ./native; \
	LD_PRELOAD="$$asan $$($${CXX:-c++} -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(SANITIZED) \
		$(BIN)/python -m pytest -q -n 2 tests/test_native.py tests/test_native_limits.py tests/test_native_processes.py \
		tests/test_bfloat16_products.py tests/test_convolution_pooled.py tests/test_normalization_pooled.py

DRIVER := $(CURDIR)/out/threads
threads: .venv/dev.installed .venv/native.tried
	@tsan=$$($${CXX:-c++} -print-file-name=libtsan.so) || exit 0; \
	if [ ! -e "$$tsan" ]; then echo "No test of threads: the compiler has no libtsan.so."; exit 0; fi; \
	set -e; CXXFLAGS="-fsanitize=thread -g" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--upgrade --target $(DRIVER) -C cmake.define.LAMINA_THREADS_DRIVER=ON ./native; \
	LD_LIBRARY_PATH=$$($(BIN)/python -c "import importlib.metadata as m; print(next( \
		f.locate().resolve().parent for f in m.files('onednn-cpu-gomp') if f.name == 'libdnnl.so.3'))") \
		$(DRIVER)/lamina_onednn/lamina_onednn

# A wheel of lamina-onednn is for every version of Python, on Linux for x86-64 with the glibc of this machine or newer.
wheels: $(BIN)/python
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist . ./native

# In an environment of its own: the tools' requirements are not those of the tests.
RELEASE := $(CURDIR)/out/release
release-check: $(BIN)/python
	$(BIN)/python -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check '.[release]'
	PATH="$(RELEASE)/bin:$$PATH" python tools/release_check.py

bench: $(BIN)/python
	$(BIN)/python benchmarks/run.py --write-readme

clean:
	rm -rf .venv build dist out native/build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* benchmarks/.env-*
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The package with what a command needs, once; and again where pyproject.toml has changed.
.venv/%.installed: pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# lamina-onednn, where a C++17 compiler stands. Without it XLA's own operations do the same, slower.
.venv/native.tried: $(wildcard native/* native/src/* native/lamina_onednn/*.py) $(BIN)/python
	@if ! echo 'int main() {}' | $${CXX:-c++} -std=c++17 -fsyntax-only -x c++ - 2>/dev/null; then \
		echo "lamina-onednn is not built: there is no C++17 compiler."; \
	elif ! $(BIN)/python -m pip install --quiet --disable-pip-version-check ./native; then \
		echo "lamina-onednn is not built: pip's message above says why."; \
	fi
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Lamina needs Python 3.11 or later, and there is none on the PATH." >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
