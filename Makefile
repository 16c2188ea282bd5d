# Miqyas. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup timescaledb services demo serve test bench fuzz lint lock clean

PYTHON := .venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: ## make .venv with the locked dependencies and the miqyas command
	@scripts/setup.sh

timescaledb: ## install TimescaleDB on Debian 12 or 13 (as root)
	@scripts/timescaledb.sh

services: ## install what the tests use of Debian: mosquitto, Chromium, a font, PostgreSQL (as root)
	@scripts/services.sh

demo: setup ## from simulated meters to billed kWh, reconciled against the truth
	@$(PYTHON) -m console.demo

serve: setup ## the demonstration's database in the browser
	@.venv/bin/miqyas --demo serve

test: setup ## everything, on whatever of TimescaleDB, mosquitto and Chromium can be had
	@scripts/test.sh

bench: setup ## all benchmarks, in one table
	@$(PYTHON) -m benchmarks

fuzz: setup ## every decoder against hostile bytes, SECONDS_EACH=60 for each
	@scripts/fuzz.sh

lint: setup ## style, types and the house's import contracts
	@scripts/lint.sh

lock: ## pin the dependencies of pyproject.toml anew in requirements.lock
	@scripts/lock.sh

clean: ## remove .venv, caches, and the private database
	@scripts/clean.sh
