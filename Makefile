# make train            installs into .venv and trains LeNet-5 on digits; ARGS="data=mnist seed=1" are passed on
# make test             installs the test extras and runs the whole suite but what is slow; make test-all: all of it
# make check-lowest     the quick part of the suite with the lowest versions that pyproject.toml allows
# make check-newest     the same with the newest, release candidates of Hydra and OmegaConf included
# make docs             builds the site, docs/_build/html/index.html; what is wrong with a page ends it
# make benchmark        measures speed against peers; ARGS="lenet5_epoch" for one of them
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

# What a dependency's version can break: composing, checking, training, sweeps, tables, decoding, packaging.
QUICK := tests/config tests/test_train.py tests/test_describe.py tests/test_report.py tests/test_sweep.py \
  tests/test_packaging.py tests/sweeps/test_launcher.py tests/data/test_images.py tests/training

.PHONY: train test test-all check-lowest check-newest docs benchmark check browser clean

train: $(VENV)/.train
	$(BIN)/python -m cnnlit.train $(ARGS)

test: $(VENV)/.test browser
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

test-all: $(VENV)/.test browser
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check-lowest check-newest: check-%: .venv-%/.test
	.venv-$*/bin/python -m pytest -n 2 --dist worksteal -m "not slow" $(QUICK) $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -b html -W --keep-going docs docs/_build/html $(ARGS)

benchmark: $(VENV)/.benchmark
	$(BIN)/python -m benchmarks $(ARGS)

check: $(VENV)/.test
	PATH="$(abspath $(BIN)):$$PATH" pre-commit run --all-files

# The page of a report is seen in a browser. On a CI machine without one Debian's is installed; elsewhere its owner
# decides, and the tests that want a browser say that they were skipped.
browser:
	@if [ -n "$$CI" ] && [ "$$(id -u)" = 0 ] && ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || \
	  echo "no browser could be installed: the tests that need one are skipped" >&2; fi

# A stamp is newer than pyproject.toml as long as what it states is installed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "cnnlit needs Python 3.11 or newer, $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(VENV)/.train $@

$(VENV)/.docs: $(VENV)/.train
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(VENV)/.benchmark: $(VENV)/.train
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[benchmarks]'
	@touch $@

# Without --upgrade, what is newer than a lowest version that was just raised would stay.
.venv-lowest/.test: UV_OPTIONS := --resolution lowest-direct
.venv-newest/.test: UV_OPTIONS := 'hydra-core>=1.4.0rc1' 'omegaconf>=2.4.0rc1'
.venv-%/.test: pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-$*/bin/uv pip install --quiet --python .venv-$*/bin/python --upgrade $(UV_OPTIONS) --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest dist build docs/_build docs/reference
