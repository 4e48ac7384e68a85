# Everything runs from .venv, which every target makes and keeps up to date. Only Python 3.11 and make are needed first.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
CODE := src tests deploy
GENERATED := docs/metrics.md docs/schema/rules.schema.json docs/schema/guard.schema.json docs/schema/tests.schema.json
# The pages whose tables are written from the schema, by the tests that hold them to it.
TABLES := tests/docs/test_config_docs.py tests/docs/test_testing_docs.py

# More to hand on:  make test TESTS=tests/core ARGS="-k alert"    make demo KEEP=1 PLAIN=1
TESTS ?=
ARGS ?= -n 2
KEEP ?=
PLAIN ?=
CHAOS_ROUNDS ?= 6
CHAOS_FIGURES ?= chaos.json

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: ## a virtual environment in .venv with the locked dependencies
	@deploy/install/bootstrap.sh

.PHONY: demo
demo: install ## break a small shop and watch the guard mend it (about a minute)
	@deploy/install/programs.sh prometheus
	@$(BIN)/rollback-guard demo $(if $(KEEP),--keep) $(if $(PLAIN),--plain)

.PHONY: test
test: install ## all tests, against real Prometheus and Alertmanager
	@deploy/install/programs.sh prometheus promtool prometheus-alertmanager
	@deploy/install/programs.sh vmalert || echo "Going on without vmalert: nothing is held against it."
	@deploy/install/programs.sh faketime || echo "Going on without faketime: no test sets the clock of a running daemon."
	@deploy/install/programs.sh chromium || echo "Going on without chromium: no test looks at the pages."
	@$(BIN)/pytest $(ARGS) $(TESTS)

.PHONY: chaos
chaos: install ## kill the guard some four hundred times and count what is lost (ten minutes; for the night)
	@deploy/install/programs.sh prometheus promtool faketime
	@rm -f $(CHAOS_FIGURES)
	@CHAOS_ROUNDS=$(CHAOS_ROUNDS) CHAOS_FIGURES=$(CHAOS_FIGURES) $(BIN)/pytest $(ARGS) tests/chaos
	@cat $(CHAOS_FIGURES)

.PHONY: lint
lint: install ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: bench
bench: install ## measure speed and size; prints figures and never fails on them
	@deploy/install/programs.sh prometheus prometheus-alertmanager
	@deploy/install/programs.sh vmalert || echo "Going on without vmalert."
	@for script in $$(grep -l __main__ tests/benchmarks/*.py); do echo "== $$script"; PYTHONPATH=tests $(BIN)/python $$script || exit 1; done

.PHONY: docs
docs: install ## write the generated pages and the JSON Schema anew
	@mkdir -p docs/schema
	@for page in $(GENERATED); do $(MAKE) $$page.new && mv $$page.new $$page || exit 1; done
	@UPDATE_DOCS=1 $(BIN)/pytest -q $(TABLES) >/dev/null || $(BIN)/pytest -q $(TABLES)

docs/metrics.md.new:
	@$(BIN)/python -m rollback_guard.adapters.metrics.document > $@

docs/schema/%.schema.json.new:
	@$(BIN)/rollback-guard schema $* > $@

.PHONY: clean
clean: ## remove all that the other targets made
	@rm -rf $(VENV) dist state .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* demo-*.log chaos.json
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
