# The commands of the README. Each sets up what it needs, can be repeated, and is quiet where all is well.
.PHONY: venv packages builders cluster-assets demo break mend test corpus bench bench-quick peers check static suites lock clean
.DEFAULT_GOAL := check

# Commands that the lab and its tests use, each with the Debian package that brings it.
LAB := ip:iproute2 nft:nftables nsenter:util-linux setpriv:util-linux unshare:util-linux
# Real Prometheus and Alertmanager for the lab; without them, scenarios with alerting: prometheus are not applicable.
ALERTING := prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager
# The browser that tests look at the page with.
BROWSER := chromium:chromium
# Commands that build the image in its tests, where neither a container engine nor a registry is at hand.
BUILDERS := buildah:buildah debootstrap:debootstrap
# Draws the corpus: kind, place, rate and overlap.
SEED := 1
# The tools that the bench compares with.
PEERS := fping prometheus-smokeping-prober prometheus-blackbox-exporter

venv: ## the virtual environment .venv with everything installed, by hash
	@set -- $$(scripts/pythons | head -n 1); \
	[ -n "$$2" ] || { echo "no CPython from 3.11 up found on this machine" >&2; exit 1; }; \
	scripts/venv .venv "$$2"

packages: ## the Debian packages that the lab uses, installed as root; else says what is missing
	@scripts/packages "which only the lab and its tests use" $(LAB)
	@scripts/packages "which scenarios with real alerts use, and no service of theirs is started" $(ALERTING)
	@scripts/packages "which only the tests of the page use" $(BROWSER)

builders: ## the Debian packages that the tests of the image use, installed as root; else says what is missing
	@scripts/packages "which only the tests of the image use" $(BUILDERS)

cluster-assets: ## a real control plane for the tests, built with Go once, in some ten minutes; KUBEBUILDER_ASSETS names another
	@scripts/cluster-assets

demo: venv packages ## a cluster of network namespaces with a fault in it; ARGS="--for 40s --json out.json" to end by itself
	@.venv/bin/python -m lab demo $(ARGS)

break: ## closes a path between two namespaces of the demo that runs in another terminal, as a plugin does that went wrong
	@.venv/bin/python -m lab policy apply lab/examples/shop-not-into-pay.yaml --only enforced $(ARGS)

mend: ## opens it again
	@.venv/bin/python -m lab policy delete lab/examples/shop-not-into-pay.yaml --only enforced $(ARGS)

test: ## everything, on real packets and a real control plane; as root, since it builds network namespaces
	@scripts/test

corpus: venv packages ## what incidents are worth: 81 scenarios of the lab and 500 simulated ones; goes on where it was interrupted
	@.venv/bin/python -m lab corpus --jobs 3 --resume corpus-$(SEED).jsonl --seed $(SEED) $(ARGS)

peers: ## the Debian packages of the tools that the bench compares with; no service of theirs is started
	@scripts/peers $(PEERS)

bench: venv packages peers ## every figure, next to other tools and to the truth; writes bench/results.json, fails where a bar is missed
	@.venv/bin/python -m bench $(ARGS)

bench-quick: venv packages peers ## the most telling figures in three minutes
	@.venv/bin/python -m bench --quick $(ARGS)

check: static suites ## the whole gate without the lab and the control plane, in seconds

static: venv ## format, lint, types, import contracts
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports >.import_linter_cache.log || { cat .import_linter_cache.log; exit 1; }

suites: venv ## the tests without the lab and the control plane, on the oldest and the newest CPython from 3.11 up
	@scripts/suites

lock: ## requirements.lock, from pyproject.toml, for each Python and machine
	@scripts/lock

clean: ## removes what these commands have made
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache* build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
