# Two commands do all on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test test-kubernetes soak lint bench docs clean
.DELETE_ON_ERROR:

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --requirement requirements/run.txt
	$(RUN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(RUN)/python -m pip install --quiet --requirement requirements/dev.txt
	touch $@

## Run one compute job on private data from beginning to end, and show what came out.
demo: $(VENV)/run.stamp
	@$(RUN)/cove demo $(ARGS)

## Lint, then every test that this machine can run, several at a time: one more than processors, since some wait.
WORKERS ?= $(shell expr $$(nproc) + 1)
test: lint
	$(RUN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

## The suites that need a cluster: that of KUBECONFIG (tests/support/adopted.py says what it must be), or else the one of
## tests/kubernetes/cluster.sh (root, Debian 12; it is left running).
KUBERNETES_SUITE ?= tests/contract/engines tests/functional/kubernetes
KUBERNETES_WORKERS ?= 6
test-kubernetes: $(VENV)/dev.stamp
	$(if $(KUBECONFIG),,tests/kubernetes/cluster.sh up)
	COVE_TEST_KUBERNETES=1 $(RUN)/pytest -n $(KUBERNETES_WORKERS) -k kubernetes $(KUBERNETES_SUITE) $(ARGS)

## Ten minutes of jobs while the service, the daemon, the disk and the database fail (ARGS="--seed N" does the same again).
soak: $(VENV)/dev.stamp
	$(RUN)/python -m tests.soak $(ARGS)

lint: $(VENV)/dev.stamp
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

## Print the figures of docs/performance.md, each beside its reference (ARGS="jobs status" runs some of them).
bench: $(VENV)/dev.stamp
	$(RUN)/python -m benchmarks $(ARGS)

## Write docs/reference/api.md anew, from the OpenAPI document and examples/.
docs: $(VENV)/dev.stamp
	$(RUN)/python -m tools.reference

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
