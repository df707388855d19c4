# Two commands matter: `make tune` and `make test`. Both set up everything from a bare clone and are quick afterwards.
# the newest that runs here and that the pins hold for
PYTHON ?= $(shell for one in python3.13 python3.12 python3.11 python3; do $$one -c "" 2>/dev/null && echo $$one && break; done)
FAMILY ?= endoscopy
TRIALS ?=
WORKERS ?=
BIN := $(CURDIR)/.venv/bin
FAST := tests/unit tests/contracts tests/numerics tests/properties tests/distributed tests/fuzz
CORES ?= 2
# searches wait for processes more than they compute: beside the worker that runs them, one for each core
BESIDE_SEARCHES := $(shell expr $(CORES) + 1)
export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# nobody gives MLflow jobs to run: eight idle processes beside its server
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
# where bytecode is not kept, every process of a search compiles the project anew, half a second each
unexport PYTHONDONTWRITEBYTECODE
export MLFLOW_TRACKING_URI ?= sqlite:///$(CURDIR)/mlflow.db

.PHONY: tune test test-long test-faults fuzz check docs audit golden mlproject setup data ui
.DEFAULT_GOAL := tune

tune: data  ## search, then register the winner
	vaeforge tune --family $(FAMILY) $(if $(TRIALS),--trials $(TRIALS)) $(if $(WORKERS),--workers $(WORKERS))

test: data  ## the full test suite: searches on one worker, the rest on the others
	pytest tests/faults tests/e2e $(FAST) -n $(BESIDE_SEARCHES) --dist loadfile --no-loadscope-reorder -m "not long"

test-long: data  ## the rest, minutes each: searches on one worker, what starts none on the others
	test -d .notebooks || pip install --disable-pip-version-check --quiet --target .notebooks --constraint requirements.lock -r docs/notebooks/requirements.txt
	pytest tests/faults tests/e2e $(FAST) -n $(CORES) --dist loadfile --no-loadscope-reorder -m long

test-faults: data  ## every fault, in its long form: docs/reliability.md
	pytest tests/faults

check: data  ## lint, types and unit tests
	ruff check platform models tests benchmarks
	ruff format --check platform models tests benchmarks
	mypy
	pytest $(FAST) -n $(CORES) --dist loadfile -m "not long and not slow"

fuzz: setup  ## 10,000 inputs for each parser, and for the server: more than an hour on two cores
	test -d .fuzz || pip install --disable-pip-version-check --quiet --no-deps --target .fuzz -r tests/fuzz/requirements.txt
	PYTHONPATH=.fuzz FUZZ_EXAMPLES=10000 pytest tests/fuzz -p no:schemathesis -n $(CORES) --dist load

docs: setup  ## the documentation as pages, strictly: site/index.html
	test -d .docs || pip install --disable-pip-version-check --quiet --target .docs -r docs/requirements.txt
	PYTHONPATH=.docs python -m mkdocs build --strict --quiet

audit: setup  ## licences, known advisories and an SBOM (audit/sbom.json) of the pinned packages
	python audit/audit.py
	test -x .venv-audit/bin/cyclonedx-py || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --disable-pip-version-check --quiet cyclonedx-bom==7.5.0
	.venv-audit/bin/cyclonedx-py environment --output-reproducible --of JSON -o audit/sbom.json $(BIN)/python

golden: setup  ## write the kept losses of every family anew
	PYTHONPATH=platform:models:tests python tests/golden/compute.py

mlproject: setup  ## generate MLproject from the command line
	PYTHONPATH=platform:models python -m vaeforge.cli.mlproject > MLproject.new && mv MLproject.new MLproject

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	pip install --disable-pip-version-check --quiet -r requirements.lock
	pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	touch $@

data: .venv/.pulled

.venv/.pulled: .venv/.installed data.dvc
	dvc pull --quiet data.dvc
	touch $@

ui: setup  ## runs and registry in a browser, for this machine only
	mlflow ui --backend-store-uri "$(MLFLOW_TRACKING_URI)" --host 127.0.0.1
