# Each target sets up what it needs first; `make install PYTHON=/path/to/python3.11` chooses the interpreter.
VENV ?= .venv
export VENV

# The servers are measured where a model has been published.
BENCHMARKS = fixed_costs ingest training time_to_accuracy pareto scale $(if $(wildcard runs/serving/*/*),serving)

.DEFAULT_GOAL := help
.PHONY: help install run test check e2e image e2e-kubeflow bench bench-quick bench-serving results picture docs lock clean

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

install: ## set up .venv, with .venv/bin/fashion
	@scripts/install.sh

run: install ## train on a drawn catalogue and publish the model; ARGS="--recipe ... --data ..." for others
	@$(VENV)/bin/fashion run $(ARGS)

test: install ## run the tests; ARGS="-m 'not slow'" for the quick ones
	@$(VENV)/bin/python -m pytest --ignore=tests/e2e --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

check: install ## lint, formatting, types, import rules
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@cd serving && "$(abspath $(VENV))/bin/mypy" --config-file ../pyproject.toml --python-version 3.10 --package fashion_client
	@$(VENV)/bin/lint-imports

e2e: install ## whole runs, half an hour; FASHION_DATA=archive.zip for those on real data
	@$(VENV)/bin/python -m pytest tests/e2e $(ARGS)

image: install ## the container image, with docker or podman; TARGET=gpu for the one with CUDA
	@scripts/image.sh

e2e-kubeflow: install ## the package for Kubeflow, really run: one container per task, MariaDB for the metadata
	@scripts/e2e_kubeflow.sh

bench: install ## all benchmarks; DATA=archive.zip for real pictures; one alone: make bench-scale
	@$(MAKE) --no-print-directory --jobs=1 $(BENCHMARKS:%=bench-%)

bench-quick: install ## the same tables in small, two at a time, to see that they work
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(BENCHMARKS:%=bench-%) ARGS=--quick

bench-%: install
	@$(VENV)/bin/python -m benchmarks.$* $(if $(filter-out fixed_costs,$*),$(if $(DATA),--data "$(DATA)")) $(ARGS)

bench-serving: install ## the servers against the bare SavedModel; MODEL=runs/serving/<model>/<version>
	@$(VENV)/bin/python -m benchmarks.serving --model "$(or $(MODEL),$(lastword $(sort $(wildcard runs/serving/*/*))))" $(ARGS)

results: install ## the table in docs/results.md; RECIPES="six_class ..." DATA=archive.zip to run them first
	@# A refused model, and weights that cannot be had, are results too.
	@for recipe in $(RECIPES); do \
	  $(VENV)/bin/fashion run --recipe "$$recipe" $(if $(DATA),--data "$(DATA)") $(ARGS) || case $$? in 5|6) ;; *) exit 1 ;; esac; \
	done
	@$(VENV)/bin/fashion results $(foreach root,$(ROOTS),--root "$(root)") --record docs/results.jsonl --write docs/results.md

picture: install ## docs/report.png: the report of a run on the drawn catalogue
	@$(VENV)/bin/fashion run --root runs/picture
	@$(VENV)/bin/python scripts/report_picture.py "$$(ls -td runs/picture/reports/*/index.html | head -1)" docs/report.png

docs: install ## docs/reference/ from the code, and the site in build/site; a dead link ends it
	@$(VENV)/bin/python scripts/reference.py
	@cmp -s docs/requirements.txt build/venv/requirements.txt || { \
	  $(VENV)/bin/python -m venv --clear build/venv && cp docs/requirements.txt build/venv/ && \
	  build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt || { rm -r build/venv; exit 1; }; }
	@build/venv/bin/python scripts/docs_site.py

lock: ## resolve the ranges in setup.py anew into constraints.txt
	@scripts/install.sh lock

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
