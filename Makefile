# `make` alone lists what can be done. Needs Python 3.11+, git and make; everything else goes
# into .venv. Paths here are relative, so a clone may stand in any directory.

PORT ?= 8000
DATA ?= data
HOST ?= 127.0.0.1
# Test processes at once, each with a database of its own; many tests wait more than they compute.
JOBS ?= 3
# Extra words for pytest: make test ARGS="-k segments"
ARGS ?=
export PORT DATA HOST
# A browser for the tests that is not on the PATH: make test CHROMIUM=/path/to/chrome
export CHROMIUM

PYTHON := .venv/bin/python
# tests/vllm and tests/trl need environments of their own, with torch.
PYTEST := $(PYTHON) -m pytest -n $(JOBS) --dist loadfile --ignore tests/vllm --ignore tests/trl
# Quiet, never asking, never a file that the hash list does not know.
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-without-browser check format messages lock wheel bench browser clean
.SUFFIXES:

help: ## List these targets
	@echo "IterDPO Studio"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		awk -F'|' '{ printf "  make %-18s %s\n", $$1, $$2 }'
	@echo
	@echo "  make demo PORT=8123 DATA=/some/dir    choose the port and the data directory"
	@echo "  make test ARGS='-k segments'          words for pytest"

demo: .venv/run.stamp ## Start everything with a demo project; Ctrl+C stops it
	@exec $(PYTHON) -m app.cli demo --host "$$HOST" --port "$$PORT" --data "$$DATA"

dev: .venv/dev.stamp ## The demo, restarting the app when its code changes
	@exec $(PYTHON) -m app.cli demo --reload --host "$$HOST" --port "$$PORT" --data "$$DATA"

test: .venv/test.stamp browser ## Install what the tests need and run them all
	@$(PYTEST) $(ARGS)

test-without-browser: .venv/test.stamp
	@$(PYTEST) --ignore tests/browser $(ARGS)

check: .venv/dev.stamp ## Formatting, lint, types, layers, drift, templates, catalogues, docs
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m app.cli migrate --check --data build/drift
	@$(PYTHON) -m pytest tests/project/test_templates.py tests/project/test_repository.py \
		tests/project/test_docs.py tests/project/test_catalogues.py

format: .venv/dev.stamp ## Rewrite the Python files in the one format
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

messages: .venv/run.stamp ## Bring the catalogues in app/locale up to date with what pages say
	@mkdir -p build && .ci/messages build/messages.pot
	@for catalogue in app/locale/*.po; do \
		locale=$$(basename $$catalogue .po); \
		.venv/bin/pybabel -q update --input-file build/messages.pot --output-file $$catalogue \
			--locale $$locale --no-wrap --no-fuzzy-matching --ignore-obsolete \
			--ignore-pot-creation-date || exit 1; \
	done

lock: .venv/dev.stamp ## Resolve the dependencies anew into requirements/*.txt
	@$(LOCK) requirements/build.in -o requirements/build.txt
	@$(LOCK) pyproject.toml -o requirements/run.txt
	@$(LOCK) requirements/test.in -o requirements/test.txt
	@$(LOCK) requirements/dev.in -o requirements/dev.txt
	@$(LOCK) --overrides requirements/train.overrides requirements/train.in -o requirements/train.txt

wheel: .venv/made.stamp ## Build the wheel and the source distribution into dist/
	@.venv/bin/uv build --quiet --no-build-isolation --python $(PYTHON) --out-dir dist
	@ls dist/*

bench: .venv/test.stamp ## Measure workspace, import, export, pages and many annotators here
	@$(PYTHON) -m bench.workspace
	@$(PYTHON) -m bench.import_speed
	@$(PYTHON) -m bench.export
	@$(PYTHON) -m bench.pages
	@$(PYTHON) -m bench.annotators

browser:
	@.ci/chromium

clean: ## Remove .venv, caches and build leftovers; never the data
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis tests/output
	@find app iterdpo worker tests migrations bench -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made from; an interrupted installation leaves none.
.venv/made.stamp: requirements/build.txt
	@.ci/venv
	@$(PIP) -r requirements/build.txt
	@touch $@

.venv/run.stamp: .venv/made.stamp requirements/run.txt pyproject.toml setup.py
	@echo "Installing the dependencies into .venv (once, about a minute) …"
	@$(PIP) -r requirements/run.txt
	@PYTHONWARNINGS="ignore:Editable installation" $(PYTHON) -m pip install --quiet \
		--disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.stamp: .venv/run.stamp requirements/test.txt
	@echo "Installing what the tests need …"
	@$(PIP) -r requirements/test.txt
	@touch $@

.venv/dev.stamp: .venv/test.stamp requirements/dev.txt
	@echo "Installing what the checks need …"
	@$(PIP) -r requirements/dev.txt
	@touch $@

# The contract tests against the real vLLM, on a CPU, in an environment of its own.
.PHONY: test-vllm bench-regeneration
test-vllm: .venv/test.stamp .venv-vllm/made.stamp browser ## Test against the real vLLM, on a CPU
	@$(PYTHON) -m pytest tests/vllm $(ARGS)

bench-regeneration: .venv/test.stamp .venv-vllm/made.stamp ## Measure regenerations against the real vLLM
	@$(PYTHON) -m bench.regeneration

VLLM_SERVER := tests/vllm/server
.venv-vllm/made.stamp: $(VLLM_SERVER)/install $(VLLM_SERVER)/requirements.txt \
		$(wildcard $(VLLM_SERVER)/shims/*/*.*)
	@echo "Installing vLLM for the CPU into .venv-vllm (once, 2.5 GB, minutes) …"
	@$(VLLM_SERVER)/install
	@touch $@

# The exports and `iterdpo train` against the real TRL, on a CPU, in an environment of its own. One
# process: what the tests load, above all torch, costs more than what they compute.
.PHONY: test-trl
test-trl: .venv-trl/made.stamp ## Test against the real TRL, on a CPU
	@.venv-trl/bin/python -m pytest tests/trl $(ARGS)

.venv-trl/made.stamp: .ci/trl .venv/made.stamp requirements/build.txt requirements/train.txt \
		pyproject.toml $(wildcard tests/vllm/server/shims/torchvision-cpu-shim/*.*)
	@echo "Installing TRL for the CPU into .venv-trl (once, 2 GB, a minute) …"
	@.ci/trl
	@touch $@
