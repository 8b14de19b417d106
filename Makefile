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

.PHONY: base controller venv link
base:
	@tests/tools/packages.sh base

link: base
	@mkdir -p $(dir $(COLLECTION)) && ln -sfn ../../../.. $(COLLECTION)

controller: link ## what the playbooks need: virtual environment and collection path
	@python3 tests/tools/venv.py .venv requirements/controller.txt

venv: link ## the same with everything for the tests
	@python3 tests/tools/venv.py .venv requirements/controller.txt requirements/test.txt

# ---- the main job ------------------------------------------------------------------------------

.PHONY: site
site: controller ## clean an intruded practice host before your eyes; INVENTORY=hosts.ini: your own hosts
	@tests/range/site $(INVENTORY)

.PHONY: clean
clean: ## remove what was made here: build/, caches, the virtual environment (not incidents/)
	@rm -rf build .cache .venv collections tests/output
