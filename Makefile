# Every task of the project. CI calls the same targets; each does the set-up it needs.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Compiled at once: where Python may not write bytecode (containers), each start would compile TensorFlow again.
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help run serve ui tracking-server dagshub test test-slow test-cluster test-services notebooks test-real fuzz check \
  format lock readme clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

run: .venv/.run  ## the whole pipeline for the active params.yaml (default: the phantom), then its results
	@$(BIN)/python main.py

serve: .venv/.run  ## the web page and API at http://127.0.0.1:8080
	@$(BIN)/python app.py

ui: .venv/.run  ## compare runs in MLflow's pages at http://127.0.0.1:5000
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; case "$${MLFLOW_TRACKING_URI:-}" in \
	  http*) echo "your runs are at $$MLFLOW_TRACKING_URI" ;; \
	  *) MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" ;; esac

tracking-server: .venv/.team  ## a team's MLflow server on PostgreSQL and S3, as .env says (docs/team.md)
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; \
	  if [ -z "$${MLFLOW_BACKEND_STORE_URI:-}" ] || [ -z "$${MLFLOW_ARTIFACTS_DESTINATION:-}" ]; then \
	    echo "set MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION in .env (docs/team.md)"; exit 2; fi; \
	  unset MLFLOW_TRACKING_URI; export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false; \
	  exec $(BIN)/mlflow server --host "$${TRACKING_HOST:-127.0.0.1}" --port "$${TRACKING_PORT:-5000}" $(OPTIONS)

dagshub: .venv/.run  ## OWNER=.. REPO=..: a DagsHub repository as DVC remote and tracking server (docs/dvc.md)
	@$(BIN)/python main.py dagshub "$(OWNER)" "$(REPO)"

test: .venv/.dev .venv-mlflow2/.done browser  ## every test but the slow ones, the notebooks and those on the real data set
	@$(BIN)/python -m pytest -m "not real_data and not notebooks and not slow and not cluster and not services" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/.dev  ## every large network in every format (ten minutes)
	@$(BIN)/python -m pytest -m slow

test-cluster: .venv/.dev java  ## score on a Ray cluster of two nodes, and the registered model on Spark (some minutes)
	@$(BIN)/python -m pytest -m cluster tests/scoring

test-services: .venv/.dev postgresql promtool  ## on Debian's PostgreSQL and promtool, and an S3 stand-in
	@$(BIN)/python -m pytest -m services tests/services tests/web/test_alerts.py

notebooks: .venv/.dev  ## run the four notebooks of research/ from top to bottom on a small phantom
	@$(BIN)/python -m pytest -m notebooks tests/test_notebooks.py

test-real: .venv/.dev  ## train the real chest CT set from ingestion to champion (needs KAGGLEHUB_CACHE or Kaggle)
	@$(BIN)/python -m pytest -m real_data

fuzz: .venv/.dev  ## damaged files for ten minutes, more than the tests have time for
	@mkdir -p .cache/fuzz && $(BIN)/python tests/fuzz/decode_fuzzer.py -max_total_time=600 .cache/fuzz .cache/fuzz-seeds

check: .venv/.dev  ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/.dev  ## let ruff mend and format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: .venv/.dev  ## resolve requirements*.in again; hashes, all platforms, no index in the files
	@cd $(CURDIR) && for name in requirements requirements-ray requirements-team requirements-dev requirements-serve requirements-mlflow2 requirements-uv; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url -p 3.11 $$name.in -o $$name.lock; done

readme: .venv/.run  ## keep the last run's metrics in docs/results/ and rewrite README's results table
	@$(BIN)/python main.py readme

clean:  ## remove what runs made (not data caches, not mlflow.db)
	rm -rf artifacts .cache/work

.PHONY: browser
browser:
	@command -v chromium >/dev/null || { echo "installing Debian's chromium for the browser tests"; \
	  $$( [ "$$(id -u)" = 0 ] || echo sudo ) bash -c 'apt-get update -qq && apt-get install -y -qq chromium >/dev/null'; }

.PHONY: java
java:
	@command -v java >/dev/null || { echo "installing Debian's Java for Spark"; \
	  $$( [ "$$(id -u)" = 0 ] || echo sudo ) bash -c 'apt-get update -qq && apt-get install -y -qq default-jre-headless >/dev/null'; }

.PHONY: postgresql
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { echo "installing Debian's PostgreSQL for the tests"; \
	  $$( [ "$$(id -u)" = 0 ] || echo sudo ) bash -c 'apt-get update -qq && apt-get install -y -qq postgresql >/dev/null'; }

.PHONY: promtool
promtool:
	@command -v promtool >/dev/null || { echo "installing Debian's prometheus for promtool"; \
	  $$( [ "$$(id -u)" = 0 ] || echo sudo ) bash -c 'apt-get update -qq && apt-get install -y -qq prometheus >/dev/null'; }

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; say where: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock

.venv/.run: requirements.lock | .venv/bin/uv
	@echo "installing requirements.lock (about 1 GB to download the first time)"
	@$(UV) -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.team: requirements-team.lock .venv/.run
	@echo "installing requirements-team.lock"
	@$(UV) -r requirements-team.lock
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	@echo "installing requirements-dev.lock"
	@$(UV) -r requirements-dev.lock
	@touch $@

# The server that DagsHub and Azure run is older than our client: tests run both.
.venv-mlflow2/.done: requirements-mlflow2.lock | .venv/bin/uv
	@echo "making .venv-mlflow2, an old MLflow server for the tests"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mlflow2
	@$(BIN)/uv pip install --quiet --python .venv-mlflow2/bin/python --require-hashes -r requirements-mlflow2.lock
	@touch $@
