# Everything runs from .venv, which is filled from the hashed locks in requirements/ and only
# touched again when a lock or pyproject.toml changes. `make help` lists the targets.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
BUS_PORT ?= 8081
CONTROL_PORT ?= 8082
WORKERS ?= 3
PYTEST_ARGS ?=
PEERS_ARGS ?=
FAULTS_ARGS ?=
LOCK_ARGS ?=
ABUSE_ARGS ?=
SOAK_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
FOREIGN := tests/foreign
FIRST := benchmarks/first
JS := clients/js
WEB := web
PAGES := server/tricast_server/web
LOCKS = $(wildcard requirements/*.txt benchmarks/peers/requirements.txt */package-lock.json */*/package-lock.json)
JS_SOURCES = $(shell find $(JS)/src $(JS)/*.json -type f)
WEB_SOURCES = $(shell find $(WEB) -name node_modules -prune -o -type f -print)

# Nothing is built in isolation, as that fetches build tools without looking at any hash. The run
# lock, installed first, has these tools. Of the dependencies only forbiddenfruit lacks a wheel.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
PIP_LOCKED := $(PIP) install --require-hashes --no-build-isolation \
	--only-binary :all: --no-binary forbiddenfruit
PIP_EDITABLE := $(PIP) install --no-deps --no-index --no-build-isolation -e .
UV_LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes

# `make test -j` must not start the tests before the checks have passed.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.stamp-run ## the pages on http://127.0.0.1:8080, with a network to break (PORT=, BUS_PORT=, CONTROL_PORT=)
	@sh scripts/has-node.sh && $(MAKE) --no-print-directory web || echo "The pages need it to be built; the bus does not" >&2
	@exec $(BIN)/tricast demo --port $(PORT) --bus-port $(BUS_PORT) --control-port $(CONTROL_PORT)

.PHONY: serve
serve: $(VENV)/.stamp-run ## the server alone on http://127.0.0.1:8080 (HOST=, PORT=)
	@exec $(BIN)/tricast serve --host $(HOST) --port $(PORT)

.PHONY: web
web: $(PAGES)/index.html ## build the pages, into the server's package
	@:

.PHONY: setup
setup: $(VENV)/.stamp-dev ## install the package and all Python tools into .venv
	@echo "==> $(VENV) is up to date"

.PHONY: check
check: $(VENV)/.stamp-dev $(JS)/node_modules/.stamp $(WEB)/node_modules/.stamp ## formatting, lint and types
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> mypy"
	@$(BIN)/mypy
	@echo "==> tsc and biome: $(JS), $(WEB)"
	@npm run --silent --prefix $(JS) check
	@npm run --silent --prefix $(WEB) check

.PHONY: format
format: $(VENV)/.stamp-dev $(JS)/node_modules/.stamp $(WEB)/node_modules/.stamp ## fix formatting and what lint can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@npm run --silent --prefix $(JS) format
	@npm run --silent --prefix $(WEB) format

.PHONY: tools
tools: $(VENV)/.stamp-dev $(FOREIGN)/node_modules/.stamp $(FIRST)/node_modules/.stamp $(JS)/node_modules/.stamp web ## install what only the tests need: Node packages, Chromium, proxies, other servers
	@sh scripts/get-chromium.sh
	@sh scripts/get-apt-packages.sh
	@sh scripts/get-peers.sh
	@npm run --silent --prefix $(JS) build

.PHONY: test
test: check tools ## the checks, then all tests (WORKERS=, PYTEST_ARGS=)
	@sh scripts/run-tests.sh -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

.PHONY: faults
faults: $(VENV)/.stamp-dev ## 300 clients of three nodes while everything fails, 10 minutes on each engine (FAULTS_ARGS=--help)
	@sh scripts/get-apt-packages.sh
	@$(BIN)/python -m tests.faults.cluster $(FAULTS_ARGS)

.PHONY: vectors
vectors: $(VENV)/.stamp-dev ## record the cases of the fallback and of protobuf anew, for the other languages
	@rm -f tests/vectors/fallback.json
	@TRICAST_RECORD_VECTORS=1 $(BIN)/python -m pytest -q -p no:xdist tests/unit/test_fallback.py tests/unit/test_vectors_protobuf.py

.PHONY: proto
proto: $(VENV)/.stamp-dev $(JS)/node_modules/.stamp ## generate the code of the protobuf format anew, from proto/tricast.proto
	@sh scripts/make-proto.sh $(BIN)/python

.PHONY: bench-peers
bench-peers: $(VENV)/.stamp-dev ## measure the bus beside other servers (PEERS_ARGS=--quick for 6 minutes, else an hour)
	@sh scripts/get-peers.sh
	@$(BIN)/python -m tricast_bench.peers $(PEERS_ARGS)

.PHONY: bench-growth
bench-growth: $(VENV)/.stamp-dev ## measure how the cost grows with clients, topics, sizes and what is kept (8 minutes)
	@$(BIN)/python -m tricast_bench.peers.growth

.PHONY: bench-cluster
bench-cluster: $(VENV)/.stamp-dev ## measure what several workers on one log cost, into docs/deployment.md (6 minutes)
	@sh scripts/get-apt-packages.sh
	@$(BIN)/python -m tricast_bench.peers.cluster --write docs/deployment.md

.PHONY: bench-formats
bench-formats: $(VENV)/.stamp-dev ## measure formats and compression, into docs/formats.md (7 minutes)
	@$(BIN)/python -m tricast_bench.peers.formats --write docs/formats.md

.PHONY: bench-check
bench-check: $(VENV)/.stamp-dev ## fail where a delivery costs 15% more than it did, by its ratio to the floor (2 minutes)
	@$(BIN)/python -m tricast_bench.peers.check

.PHONY: proxies-doc
proxies-doc: $(VENV)/.stamp-dev ## write docs/proxies.md from a run behind real proxies
	@$(BIN)/python -m tests.proxies.table docs/proxies.md

.PHONY: api-doc
api-doc: $(VENV)/.stamp-dev ## write docs/api.md and the table in docs/monitoring.md from the code
	@$(BIN)/python -m tricast_server.describe.tables docs

.PHONY: conformance
conformance: $(VENV)/.stamp-dev ## WebSocket with compression, and the HTTP API at length (about 15 minutes)
	@TRICAST_CONFORMANCE=1 $(BIN)/python -m pytest -q tests/conformance

# S101: asserts say what holds. S105: the name of a subprotocol. S311: random pauses, no secrets. S603: the engine, without a shell.
.PHONY: audit
audit: $(VENV)/.stamp-dev ## security rules over server and clients, and whether the locks have all hashes
	@$(BIN)/ruff check --select S --ignore S101,S105,S311,S603 server clients/python
	@$(BIN)/python scripts/check_locks.py $(LOCKS)

.PHONY: abuse
abuse: $(VENV)/.stamp-dev ## attack a server while others use it, into docs/security.md (7 minutes, ABUSE_ARGS=)
	@$(BIN)/python -m tests.faults.abuse --write docs/security.md $(ABUSE_ARGS)

.PHONY: soak
soak: $(VENV)/.stamp-dev ## clients that come and go for half an hour: nothing lost, nothing twice, no growth (SOAK_ARGS=)
	@$(BIN)/python -m tests.faults.soak $(SOAK_ARGS)

.PHONY: bench-fallback
bench-fallback: $(VENV)/.stamp-dev ## measure the fallback in bad networks (about 10 minutes)
	@$(BIN)/python -m tricast_bench.fallback

.PHONY: bench-first
bench-first: $(VENV)/.stamp-dev $(FIRST)/node_modules/.stamp $(JS)/node_modules/.stamp ## time to the first message beside other clients, into docs/fallback.md (about 11 minutes)
	@npm run --silent --prefix $(JS) build
	@$(BIN)/python -m tricast_bench.fallback --peers --write docs/fallback.md

.PHONY: screenshots
screenshots: $(VENV)/.stamp-dev web ## take pictures of the pages into docs/images
	@sh scripts/get-chromium.sh
	@$(BIN)/python web/screenshots.py docs/images

.PHONY: build
build: $(VENV)/.stamp-dev web ## sdist and wheel in dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation

# The run lock is held to the versions of the dev lock, so that users run what was tested.
.PHONY: lock
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: | $(BIN)/uv ## pin the dependencies anew (LOCK_ARGS=--upgrade for newer ones)
	$(UV_LOCK) $(LOCK_ARGS) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(UV_LOCK) pyproject.toml --group build -c requirements/dev.txt -o requirements/run.txt
	$(UV_LOCK) pyproject.toml --extra cluster --group build -c requirements/dev.txt -o requirements/image.txt
	$(UV_LOCK) $(LOCK_ARGS) benchmarks/peers/requirements.in -o benchmarks/peers/requirements.txt

.PHONY: clean
clean: ## remove build outputs and caches
	rm -rf build dist $(PAGES) $(JS)/dist .coverage htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name node_modules -prune -o -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove .venv and the Node packages too
	rm -rf $(VENV) $(FOREIGN)/node_modules $(JS)/node_modules $(WEB)/node_modules benchmarks/*/node_modules

$(BIN)/pip:
	@PYTHON="$(PYTHON)" sh scripts/make-venv.sh $(VENV)

$(VENV)/.stamp-run: requirements/run.txt pyproject.toml | $(BIN)/pip
	@echo "==> installing what the server needs into $(VENV)"
	@$(PIP_LOCKED) -r requirements/run.txt
	@$(PIP_EDITABLE)
	@touch $@

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-run
	@echo "==> installing the development tools into $(VENV) (about a minute the first time)"
	@$(PIP_LOCKED) -r requirements/dev.txt
	@touch $@

$(BIN)/uv:
	@$(MAKE) --no-print-directory setup

%/node_modules/.stamp: %/package.json %/package-lock.json
	@sh scripts/get-node-packages.sh $*
	@touch $@

$(PAGES)/index.html: $(WEB_SOURCES) $(JS_SOURCES) $(WEB)/node_modules/.stamp
	@echo "==> building the pages"
	@npm run --silent --prefix $(WEB) build
	@touch $@
