# PasteTrader. Needs git, make and a python3; everything else is fetched into this folder.
# uv is taken from the PATH, else installed from PyPI into .tools/uv. It makes .venv with the Python of .python-version.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# It is tried, not only looked up: the shim of a version manager may have nothing behind it.
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .tools/uv/bin/uv)
PYTHON := .venv/bin/python
MANAGE := $(PYTHON) manage.py
SYNCED := .venv/.synced

HOST ?= 127.0.0.1
PORT ?= 8000
# The tests of the embedded default run on it, whatever the environment says.
SQLITE := sqlite:///$(CURDIR)/var/pastetrader.sqlite3
# Processes that run tests at the same time; one that has nothing left takes from the others.
JOBS ?= 3

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: demo-data ## set everything up and run the demo workflow on real prices
	@$(MANAGE) run_workflow rsi-screen

.PHONY: serve
serve: sync ## the same set-up, then daphne on :8000 with the admin and a demo user
	@exec $(PYTHON) -m pastetrader.serve --host $(HOST) --port $(PORT)

.PHONY: test
test: sync ## set everything up and run every test: all on SQLite, what needs a database on PostgreSQL again
	@DATABASE_URL=$(SQLITE) .venv/bin/pytest -n $(JOBS) --dist worksteal $(ARGS)
	@$(MAKE) --no-print-directory test-postgresql

.PHONY: test-postgresql
test-postgresql: sync ## the tests to which the database matters, on the PostgreSQL of DATABASE_URL, or on one that comes and goes
	@$(PYTHON) -m tests.postgresql .venv/bin/pytest -n $(JOBS) --dist worksteal -m "not one_database" $(ARGS) \
		tests/integration tests/acceptance tests/crash tests/fleet

.PHONY: check
check: sync check-javascript ## lint, format, types, import contracts, Django's checks, migrations
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/basedpyright
	.venv/bin/lint-imports
	$(MANAGE) check
	$(MANAGE) makemigrations --check --dry-run

.PHONY: check-javascript
check-javascript: node_modules/.installed ## types of the pages' scripts
	PATH="$(CURDIR)/.venv/bin:$$PATH" node node_modules/typescript/bin/tsc -p tsconfig.json

# Node and npm come from a wheel.
node_modules/.installed: package.json package-lock.json | $(SYNCED)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --silent
	@touch $@

.PHONY: test-full
test-full: ## every test in full size: thorough properties, hundreds of kills; takes an hour
	@HYPOTHESIS_PROFILE=thorough CRASH_SIZE=full $(MAKE) --no-print-directory test

.PHONY: reliability
reliability: sync ## kill, stop and crash everything, at length, on both databases, and simulate; the figures go to docs/figures
	@$(PYTHON) -m tests.crash.reliability

.PHONY: bench
bench: sync ## measure the engine against its floors and the API against a plain site, on both databases
	@$(PYTHON) -m benchmarks $(ARGS)
	@$(PYTHON) -m benchmarks --database postgresql $(ARGS)

.PHONY: bench-fleet
bench-fleet: sync ## measure one, two and four workers with each dispatcher; docs/scaling.md and docs/figures get the figures
	@$(PYTHON) -m benchmarks.fleet $(ARGS)

.PHONY: screenshots
screenshots: sync ## take a picture of every page into docs/images; needs Debian's chromium
	@$(PYTHON) -m tests.browser.screenshots

.PHONY: format
format: sync ## sort imports and format the source
	@.venv/bin/ruff check --select I --fix --quiet
	@.venv/bin/ruff format

.PHONY: messages
messages: sync ## bring the Korean catalogues up to date with the texts of the source, and compile them
	@$(PYTHON) -m tests.translations

.PHONY: sync
sync: $(SYNCED) ## make the environment in .venv, or bring it up to date

# Done again only when what it depends on has changed.
$(SYNCED): pyproject.toml uv.lock .python-version | $(UV)
	@echo "Installing the environment into .venv (the first time takes a minute)"
	@$(UV) sync --frozen --all-extras --quiet
	@touch $@

# python3 is called from outside this folder: inside, pyenv insists on .python-version, and here any python3 will do.
.tools/uv/bin/uv:
	@echo "There is no uv on the PATH: installing it into .tools/uv"
	@cd / && python3 -m venv "$(CURDIR)/.tools/uv" || { \
		echo "python3 cannot make a virtual environment: install its venv module, or uv." >&2; exit 1; }
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

.PHONY: demo-data
demo-data: sync
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) import_workflow demo/*.yaml
