# Every task of the project. CI calls the same targets; each one installs what it needs.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Bytecode is compiled at installation: where Python may not write it (containers), each start would compile TensorFlow again.
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url -p 3.11
# Leaves out browser tests and tests of current library behaviour.
LOWEST_TOOLS := pytest pytest-timeout pytest-xdist hypothesis playwright threadpoolctl flask-wtf
LOWEST_TESTS := tests/web/test_predict.py tests/web/test_api.py tests/web/test_inference.py tests/web/test_server.py \
  tests/web/test_refused_requests.py tests/web/test_app_process.py tests/web/test_observer.py tests/web/test_limits.py tests/asking \
  tests/test_dicom.py tests/test_dicom_syntaxes.py tests/test_dicom_series.py tests/test_preprocessing.py tests/test_decoding.py tests/test_body_crop.py \
  tests/test_archives.py tests/test_modeling.py tests/test_cross_validation.py tests/metrics tests/audit tests/pipeline/test_dvc.py
FUZZ_SECONDS ?= 600
CONTAINER_TOOLS := buildah debootstrap docker.io iptables
# .env as the program reads it: the environment wins over it, and its values are not evaluated by a shell.
WITH_ENV := $(BIN)/python -c 'import os, sys, dotenv; dotenv.load_dotenv(".env"); os.execvp(sys.argv[1], sys.argv[1:])'
CONFIGURED := from cnnClassifier.config.loading import load_project; print(load_project().tracking.uri)
MASKED := from cnnClassifier.tracking.client import masked; print(masked(input()))
# $(call debian,CHECK,PACKAGES,WHAT FOR) installs Debian's packages unless the check succeeds.
debian = { $(1); } >/dev/null 2>&1 || { echo "installing Debian's $(2) for $(3)"; \
  $$( [ "$$(id -u)" = 0 ] || echo sudo ) bash -c 'apt-get update -qq && apt-get install -y -qq $(2) >/dev/null'; }
# Markers that have their own targets.
APART := pipeline or real_data or notebooks or slow or cluster or services or packaging or containers or documentation or benchmarks
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help run serve ui tracking-server dagshub test test-pipeline test-slow test-cluster test-services test-packaging test-lowest test-containers \
  test-benchmarks test-docs notebooks test-real fuzz check format lock docs licences sbom audit readme clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

run: .venv/.run  ## run the whole pipeline for the active params.yaml (default: the phantom) and print its results
	@$(BIN)/python main.py

serve: .venv/.run  ## start the web page and API at http://127.0.0.1:8080
	@$(BIN)/python app.py

ui: .venv/.run  ## compare runs in MLflow's web interface at http://127.0.0.1:5000
	@$(WITH_ENV) bash -c 'uri="$${MLFLOW_TRACKING_URI:-$$(python -c "$(CONFIGURED)")}"; case "$$uri" in \
	  http*) echo "your runs are at $$(python -c "$(MASKED)" <<<"$$uri")" ;; \
	  *) MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_BACKEND_STORE_URI="$$uri" exec mlflow ui ;; esac'

tracking-server: .venv/.team  ## start a team's MLflow server on PostgreSQL and S3, configured in .env (docs/team.md)
	@$(WITH_ENV) bash -c 'if [ -z "$${MLFLOW_BACKEND_STORE_URI:-}" ] || [ -z "$${MLFLOW_ARTIFACTS_DESTINATION:-}" ]; then \
	    echo "set MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION in .env (docs/team.md)"; exit 2; fi; \
	  unset MLFLOW_TRACKING_URI; export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false; \
	  exec mlflow server --host "$${TRACKING_HOST:-127.0.0.1}" --port "$${TRACKING_PORT:-5000}" $(OPTIONS)'

dagshub: .venv/.run  ## OWNER=.. REPO=..: use a DagsHub repository as DVC remote and tracking server (docs/dvc.md)
	@$(BIN)/python main.py dagshub "$(OWNER)" "$(REPO)"

test: .venv/.dev .venv-mlflow2/.done browser  ## run every test except those that have their own target below
	@$(BIN)/python -m pytest -m "not ($(APART))" -n 2 --dist loadfile --no-loadscope-reorder

test-pipeline: .venv/.dev .venv-mlflow2/.done  ## test whole pipelines through DVC, small ones: repro, exp, push and pull, a team's server (some minutes)
	@$(BIN)/python -m pytest -m pipeline -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/.dev  ## test large networks: in every format, and compared with each other (ten minutes)
	@$(BIN)/python -m pytest -m slow

test-cluster: .venv/.dev java  ## test a Ray cluster of two nodes, one of which is killed, and the registered model on Spark (some minutes)
	@$(BIN)/python -m pytest -m cluster tests/scoring

test-services: .venv/.dev postgresql promtool  ## test against Debian's PostgreSQL and promtool, and an S3 stand-in
	@$(BIN)/python -m pytest -m services -n 2 --dist loadfile --no-loadscope-reorder tests/services tests/web/test_alerts.py

notebooks: .venv/.dev  ## run the four notebooks of research/ from top to bottom on a small phantom
	@$(BIN)/python -m pytest -m notebooks tests/test_notebooks.py

test-packaging: .venv/.dev  ## build wheel and sdist, install them elsewhere, serve and predict
	@$(BIN)/python -m pytest -m packaging tests/packaging

test-lowest: .venv/.dev  ## test the lowest versions that pyproject.toml allows, all extras, in .venv-lowest (fifteen minutes)
	@$(BIN)/uv pip compile --quiet --resolution lowest-direct -p 3.11 requirements-base.in requirements-serve.in requirements.in -o .venv/lowest.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python -r .venv/lowest.txt $(LOWEST_TOOLS)
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --no-deps --editable .
	@.venv-lowest/bin/python -m pytest -p no:cacheprovider -m "pipeline or not ($(APART))" $(LOWEST_TESTS)

test-containers: .venv/.dev  ## build the images with buildah; run them, Compose and the whole pipeline in them (needs root)
	@$(call debian,command -v buildah && command -v debootstrap && command -v dockerd && command -v docker,$(CONTAINER_TOOLS),the images)
	@tests/containers/get_from_debian_13.sh
	@$(BIN)/python -m pytest -m containers tests/containers

test-benchmarks: .venv/.dev  ## a quick run of every benchmark, so that none breaks unnoticed
	@$(BIN)/python -m pytest -m benchmarks tests/test_benchmarks.py

test-docs: .venv/.dev  ## build docs/ with warnings as errors and run the commands in README and docs/
	@$(BIN)/python -m pytest -m documentation -n 2 --dist loadfile --no-loadscope-reorder

test-real: .venv/.dev  ## train the real chest CT set from ingestion to champion (needs KAGGLEHUB_CACHE or Kaggle)
	@$(BIN)/python -m pytest -m real_data

fuzz: .venv/.dev  ## fuzz the image decoders for ten minutes
	@mkdir -p .cache/fuzz && $(BIN)/python tests/fuzz/decode_fuzzer.py -max_total_time=$(FUZZ_SECONDS) .cache/fuzz .cache/fuzz-seeds

# --no-cache: ruff's cache keeps treating a module as third-party if it was first seen before it existed.
check: .venv/.dev  ## run ruff and mypy
	@$(BIN)/ruff check --no-cache . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/.dev  ## let ruff fix and format the code
	@$(BIN)/ruff check --no-cache --fix . ; $(BIN)/ruff format .

lock: .venv/.dev  ## resolve requirements*.in again, for all platforms, with hashes and without index addresses
	@$(COMPILE) requirements-base.in requirements-serve.in -o requirements-serve.lock
	@$(COMPILE) requirements-base.in requirements-serve.in requirements.in -o requirements.lock
	@for extra in ray team; do $(COMPILE) -c requirements.lock requirements-base.in requirements-$$extra.in -o requirements-$$extra.lock || exit 1; done
	@for name in requirements-dev requirements-mlflow2 requirements-uv; do $(COMPILE) $$name.in -o $$name.lock || exit 1; done

docs: .venv/.dev  ## build docs/ as a site, docs/_build/index.html
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build
	@echo "docs/_build/index.html"

licences: .venv/.dev  ## write docs/licences.md: what requirements.lock installs, and under which terms
	@$(BIN)/python docs/licences.py

sbom: .venv/.dev  ## list the packages of requirements*.lock as CycloneDX, dist/sbom-*.json
	@mkdir -p dist && for name in serve train; do \
	  $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom-$$name.json \
	  $$( [ $$name = serve ] && echo requirements-serve.lock || echo requirements.lock ) || exit 1; done

audit: .venv/.dev  ## look for known vulnerabilities in the locked packages; fails if PyPI's advisories cannot be reached
	@for name in requirements-serve requirements; do $(BIN)/pip-audit --strict --disable-pip --require-hashes -r $$name.lock || exit 1; done

readme: .venv/.run  ## keep the last run's metrics in docs/results/ and rewrite README's results table
	@$(BIN)/python main.py readme

clean:  ## remove what runs produced (not data caches, not mlflow.db)
	rm -rf artifacts .cache/work

.PHONY: browser
browser:
	@$(call debian,command -v chromium,chromium,the browser tests)

.PHONY: java
java:
	@$(call debian,command -v java,default-jre-headless,Spark)

.PHONY: postgresql
postgresql:
	@$(call debian,ls /usr/lib/postgresql/*/bin/initdb,postgresql,the tests)

.PHONY: promtool
promtool:
	@$(call debian,command -v promtool,prometheus,promtool)

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

# DagsHub and Azure run servers older than our client: the tests cover both.
.venv-mlflow2/.done: requirements-mlflow2.lock | .venv/bin/uv
	@echo "making .venv-mlflow2, an old MLflow server for the tests"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mlflow2
	@$(BIN)/uv pip install --quiet --python .venv-mlflow2/bin/python --require-hashes -r requirements-mlflow2.lock
	@touch $@
