# `make demo` and `make test` need Python 3.11 or newer and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORPUS ?=
TORCH ?= torch==2.13.0

.PHONY: demo test check format docs bench bench-packing test-trainers test-readers test-browser clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("sftcli needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	# For its chat templates alone; its requirements would bring torch.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'trl==1.16.0'
	touch $@

# What trains needs torch; TORCH= names the build to install.
$(VENV)/installed-trainers: $(VENV)/installed-dev
	$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[trainers]'
	touch $@

# The main job on bundled data: 200 grade-school problems, then one row as it was written.
demo: $(VENV)/installed
	$(BIN)/sftcli prepare --config configs/demo.yaml --overwrite
	@echo
	$(BIN)/sftcli inspect out/demo --row 1

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n auto --ignore tests/trainers --ignore tests/browser

# What .ci/run checks besides the tests.
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Runs what the pages of docs/ show, and puts in what it prints. Chromium and torch where there.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/make.py

# sftcli beside what people use instead, in one run: some twenty minutes on two cores. CORPUS=FILE,
# TOKENIZER=FOLDER, MEGABYTES=48,400, RUNS=3, and PAGE= where the result goes (see docs/bench.md). TRL and
# axolotl are left out where they cannot be installed.
PAGE ?= out/bench.md

bench: $(VENV)/installed-dev
	-$(MAKE) --no-print-directory $(VENV)/installed-trainers
	-sh tests/trainers/readers/install.sh $(BIN)/python .readers axolotl
	$(BIN)/python tests/bench/bench.py --output $(PAGE) \
	    $(if $(MEGABYTES),--megabytes $(MEGABYTES)) $(if $(RUNS),--runs $(RUNS))

# How full packed rows get, and how long that takes, beside TRL's packing.
bench-packing: $(VENV)/installed-dev
	$(BIN)/python tests/bench/packing.py $(CORPUS)

test-trainers: $(VENV)/installed-trainers
	# A thread for each process: two processes of two threads wait for one another on two cores.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto tests/trainers

# What other trainers read of a folder, each in an environment of its own: they pin other versions.
# torch is ours, so that none is downloaded that is built for CUDA.
test-readers: test-trainers
	sh tests/trainers/readers/install.sh $(BIN)/python .readers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/trainers/test_readers.py

# The page of `inspect --format html` in a real Chromium: Debian's, installed if missing and possible.
test-browser: $(VENV)/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[browser]'
	sh tests/browser/install_chromium.sh
	$(BIN)/python -m pytest -q tests/browser

clean:
	rm -rf $(VENV) .readers out .mypy_cache .pytest_cache .ruff_cache .hypothesis
