# What can be made here: `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Parts share the virtual environment, the cache and the practice hosts.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

COLLECTIONS := $(CURDIR)/build/collections
COLLECTION := $(COLLECTIONS)/ansible_collections/ecsops/intrusion_response

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- set-up ------------------------------------------------------------------------------------

.PHONY: base link controller venv
base:
	@tests/tools/packages.sh requirements/debian.txt

link: base
	@mkdir -p $(dir $(COLLECTION)) && ln -sfn ../../../.. $(COLLECTION)

controller: link ## what the playbooks need: virtual environment and collection path
	@python3 tests/tools/environment.py .venv requirements/controller.txt

venv: link ## the same with everything for the tests
	@python3 tests/tools/environment.py .venv requirements/controller.txt requirements/test.txt

# ---- the main job ------------------------------------------------------------------------------

.PHONY: site
site: controller ## clean an intruded practice host before your eyes; INVENTORY=hosts.ini: your own hosts
	@tests/range/site $(INVENTORY)

# ---- tests -------------------------------------------------------------------------------------

.PHONY: test lint specs sanity unit galaxy molecule prove
test: venv ## all of the following, and a table of how they came out
	@python tests/tools/everything.py

lint: venv specs ## ansible-lint, ruff, yamllint, changelog fragments, specs
	@python tests/tools/lint.py

specs: venv ## do the roles' defaults, argument_specs and README agree?
	@python tests/tools/check_specs.py roles

sanity: venv ## ansible-test sanity, no ignore entries; ARGS="--test pep8 plugins/modules/x.py"
	@python tests/tools/sanity.py -- $(ARGS)

unit: venv ## unit tests on every Python 3.6 to 3.13; ON=3.6,controller ARGS="-k quarantine"
	@tests/tools/packages.sh requirements/debian-test.txt
	@python tests/tools/unit.py --only "$(ON)" -- $(ARGS)

galaxy: venv ## build the collection and let the Galaxy importer judge it
	@python tests/tools/galaxy.py

molecule: venv ## scenarios on real hosts; SCENARIO=name,name COMMAND=converge
	@tests/range/host ensure
	@python tests/tools/scenarios.py --only "$(SCENARIO)" --command "$(or $(COMMAND),test)"

prove: controller ## plan, run, second run, undo byte for byte, sudo, -c local; PART="undo sudo local"
	@tests/range/host ensure
	@tests/range/prove $(PART)

# ---- figures -----------------------------------------------------------------------------------

.PHONY: benchmark
benchmark: venv ## measure into build/benchmark.json; ONLY=name,name
	@python tests/benchmark/run.py --only "$(ONLY)"

# ------------------------------------------------------------------------------------------------

.PHONY: changelog clean
changelog: venv ## CHANGELOG.md from the fragments, for the version in galaxy.yml
	@antsibull-changelog release --reload-plugins --refresh-plugins --update-existing

clean: ## remove what was made here: practice hosts, build/, caches, virtual environment (not incidents/)
	@if command -v podman >/dev/null && [ -d build/range ]; then tests/range/host destroy-everything; fi
	@rm -rf build .cache .venv collections tests/output
