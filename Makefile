# One command per chore; CI calls the same ones. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
LOCK ?= $(if $(shell command -v nvidia-smi),requirements-gpu.lock,requirements-cpu.lock)
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed-$(LOCK)
INSTALL_LOG := var/install.log
# One line that counts up on a terminal, and stands once in a log.
COUNTED = { n=0; while read -r word _; do \
	[[ $$word != Collecting ]] || { n=$$((n + 1)); [[ ! -t 1 ]] || printf '\r   %d packages' $$n; }; done; \
	[[ ! -t 1 ]] || printf '\r'; echo "   $$n packages"; }

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast check up down psql bench gpu-check night docs lock

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 17

# What is imported is compiled then and kept: a sixth of the files, in seconds where pip takes more than a minute for all.
unexport PYTHONDONTWRITEBYTECODE
$(INSTALLED): $(LOCK)
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {v}: make PYTHON=python3.11")'
	@mkdir -p $(dir $(INSTALL_LOG)) && $(PYTHON) -m venv $(VENV)
	@echo "Installing $(LOCK) into $(VENV)/ (one to two minutes, once; its log is $(INSTALL_LOG))"
	@$(RUN) -m pip install --disable-pip-version-check --progress-bar off --no-compile -r $(LOCK) 2>&1 | tee $(INSTALL_LOG) | $(COUNTED) \
		|| { echo "pip failed; $(INSTALL_LOG) ends with:"; tail -n 20 $(INSTALL_LOG); exit 1; }
	@touch $@

demo: $(INSTALLED) ## Two versions on real data, co-clicks and ECLARE; Airflow stays up to look at them (6 minutes)
	@$(RUN) -m local demo

# As many files at a time as keep two cores busy while some wait for a server, so each process computes with one thread.
PYTEST = env OMP_NUM_THREADS=1 $(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder
test: $(INSTALLED) ## All tests, three files at a time
	$(PYTEST)

test-fast: $(INSTALLED) ## The tests that are not marked slow
	$(PYTEST) -m "not slow"

check: $(INSTALLED) ## Lint, format, types, contracts between folders, dependencies
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m pip check

up: $(INSTALLED) ## Airflow's user interface on this machine, or where it is up; TCP=1: and a login for analysts' tools
	@$(RUN) -m local up $(if $(TCP),--tcp)

down: $(INSTALLED) ## Stop Airflow and the embedded PostgreSQL
	@$(RUN) -m local down

psql: $(INSTALLED) ## Open psql on the recommendation tables
	@$(RUN) -m local psql

bench: $(INSTALLED) ## Seconds and peak memory of every step of a night
	@$(RUN) -m benchmarks.night

# By the host's own Python: where there is no network, torch is there and nothing can be installed.
gpu-check: ## Is this host's GPU right, fast and busy? Under 10 minutes: make gpu-check [CHECK="--minutes 5"]
	@$(PYTHON) -m benchmarks.gpu_check $(CHECK)

night: $(INSTALLED) ## One night without Airflow: make night NIGHT=2017-06-30 [SINCE=2017-05-01]
	@$(RUN) -m local night --night "$(NIGHT)" $(if $(SINCE),--since "$(SINCE)")

# In an environment of its own: nothing that runs needs it, and its packages would be in every lock.
DOCS := var/docs-venv
$(DOCS)/.installed: requirements-docs.lock
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --disable-pip-version-check --quiet -r requirements-docs.lock
	@touch $@

docs: $(DOCS)/.installed ## The docs as a site in var/site; a link that leads nowhere fails
	rm -rf var/docs && mkdir -p var/docs
	cp -r --parents README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs benchmarks/README.md benchmarks/log.md var/docs
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build   # not -q, which finds no broken link

# Every Python from 3.11 on gets its markers. Where pip finds a CPU wheel of torch, the CPU lock leaves CUDA out;
# the local version of that wheel is cut off, because the index has none of that name.
COMPILE = $(RUN) -m uv pip compile -q --no-header --no-emit-index-url --no-emit-find-links
EXTRAS := --extra s3 --extra gcs --extra kubernetes
LOCKED = $(COMPILE) --universal --python-version 3.11 pyproject.toml $(EXTRAS) --extra demo --extra dev --extra spark --extra text
# Images have one Python and one platform, no test tools, and what the tests have of all else.
IMAGE = $(COMPILE) --python-version $(PYTHON_OF_IMAGE) --python-platform x86_64-manylinux_2_28 --no-annotate --generate-hashes
PYTHON_OF_IMAGE = $(shell sed -n 's/^FROM python:\([0-9.]*\).*/\1/p' Dockerfile)
CPU_WHEELS = $(addprefix --find-links ,$(PIP_FIND_LINKS))
lock: $(INSTALLED) ## Compile the locks from pyproject.toml: of checkouts, then of images
	$(LOCKED) --extra cpu $(CPU_WHEELS) | sed 's/+cpu//' > requirements-cpu.lock
	$(LOCKED) --extra gpu > requirements-gpu.lock
	$(IMAGE) pyproject.toml $(EXTRAS) --extra cpu $(CPU_WHEELS) -c requirements-cpu.lock --no-emit-package torch > requirements-image-cpu.lock
	$(IMAGE) pyproject.toml $(EXTRAS) --extra gpu -c requirements-gpu.lock > requirements-image-gpu.lock
	$(IMAGE) - -c requirements-cpu.lock <<< pyspark > requirements-image-spark.lock
	$(IMAGE) - -c requirements-cpu.lock $(CPU_WHEELS) --no-emit-package torch <<< sentence-transformers > requirements-image-text.lock
	$(COMPILE) --universal --python-version 3.11 - <<< mkdocs-material > requirements-docs.lock
