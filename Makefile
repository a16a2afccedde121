# healing-bot: `make demo` shows it, `make test` proves it.
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: help setup demo test chaos-short chaos lint clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.ready ## system packages, .venv with bytecode, .venv/bin/healer

$(VENV)/.ready: requirements.txt requirements-dev.txt pyproject.toml scripts/setup
	@scripts/setup $(VENV)
	@touch $@

demo: setup ## boot three real hosts, break them, watch them being healed
	@$(PYTHON) -m lab.demo

test: setup ## everything that proves it, with the time of each part
	@scripts/test

chaos-short: setup ## kill it in every way, on real hosts: 4 minutes at most
	@scripts/chaos --short

chaos: setup ## the same at every boundary, 200 kills and more: 75 minutes at most
	@scripts/chaos
	@$(VENV)/bin/pytest -q -m long tests/integration tests/unit

lint: setup ## the house rules alone
	@scripts/test lint

clean: ## take the labs down, remove what was made
	@-$(VENV)/bin/healer lab down
	rm -rf $(VENV) .lab .healing
