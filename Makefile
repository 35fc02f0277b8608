# make run    predict the structures of $(FORMULA): the main job
# make test   style, types, tests and coverage
#
# Both need python3 (3.11 or 3.12) with pip, and set up $(VENV) on their first run. Where pip would
# fetch a CUDA build of torch that is not wanted, name PyTorch's CPU wheel index in the environment
# variable PIP_EXTRA_INDEX_URL.

PYTHON ?= python3
VENV ?= .venv
FORMULA ?= LiAlCl4
# of the README's example; others have their own
OPTIONS ?= $(if $(filter LiAlCl4,$(FORMULA)),--z 4 --dispersion d3zero)
# More than cores: the tests on a cluster mostly wait.
JOBS ?= 3

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
TORCH := $(shell grep '^torch==' constraints.txt)
PACKAGES := workflows nnp search launch
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test lint types unit install install-dev install-gpaw install-sevennet \
	install-browser constraints clean

run: install
	$(BIN)/devitrify run $(FORMULA) $(OPTIONS)

test: lint types unit

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev
	$(BIN)/mypy $(PACKAGES)

# A file's tests stay in one process, where they share what is slow to start, a cluster for one.
# Lines are counted in the fast tests alone: counting doubles the time of the slow ones, which run
# whole campaigns. The last pass runs the compiled kernels as plain Python, to count theirs.
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

unit: install-dev install-browser
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow" --cov --cov-report=
	OMP_NUM_THREADS=1 $(PYTEST) -m slow
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n $(JOBS) -m kernels --cov --cov-report= --cov-append
	$(BIN)/coverage report --fail-under=75

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

# Debian's python3 may come without ensurepip: then the system's pip puts one into the environment.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install pip; \
	}
	test -x $@

# torch first and alone, so that its version does not depend on what else is asked for.
$(VENV)/.installed: $(BIN)/pip pyproject.toml constraints.txt
	$(PIP) install $(TORCH)
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev,sevennet]'
	touch $@

# GPAW, built for this machine; as root on Debian with the libraries that it needs. Python.h may come
# with the interpreter or with python3-dev.
install-gpaw: install
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	  [ -e "$$include/Python.h" ] && headers= || headers=python3-dev; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	    --no-install-recommends g++ libxc-dev libopenblas-dev libfftw3-dev $$headers >/dev/null; \
	fi
	GPAW_CONFIG=$(CURDIR)/launch/templates/gpaw_siteconfig.py \
	  $(PIP) install -c constraints.txt --no-binary gpaw -e '.[gpaw]'

# SevenNet, with its weights.
install-sevennet: install
	$(PIP) install -c constraints.txt -e '.[sevennet]'

# A browser for the tests of the page that people look at, as root on Debian; elsewhere, and where it
# cannot be had, they are skipped.
install-browser:
	if [ "$$(id -u)" = 0 ] && ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then \
	  DEBIAN_FRONTEND=noninteractive timeout 300 sh -c 'apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends chromium >/dev/null' || \
	    echo "Chromium cannot be installed: the tests of the page are skipped"; \
	fi

# Write down the versions now installed; torch without its build tag, which not every index has.
constraints: install-dev install-gpaw
	$(PIP) freeze --exclude-editable | sed '/^devitrify==/d; s/^\(torch==[^+]*\)+.*/\1/' > constraints.txt
	touch $(VENV)/.installed $(VENV)/.installed-dev

clean:
	rm -rf $(VENV) build *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache
