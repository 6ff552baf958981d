# Few targets, each short; what they run is configured in pyproject.toml.
.PHONY: serve test check fmt docs dist bench bench-live bench-long bench-hbase model sim chaos hbase-up hbase-down
bin := .venv/bin
js := node_modules
types = $(node) $(js)/.bin/tsc --project . --noEmit false --declaration --emitDeclarationOnly --rootDir api --outDir $(js)/.types
node := PATH="$(CURDIR)/$(bin):$$PATH"    # Node is one of our dev dependencies: what stands in node_modules/.bin finds it

# Tests start hundreds of processes: compiling all modules for each of them anew takes a third of its start.
unexport PYTHONDONTWRITEBYTECODE

serve: .venv/run.stamp       # start Rowbox on this machine: make serve args="--port 9000"
	@$(bin)/rowbox serve $(args)

test: .venv/dev.stamp        # all tests, side by side; or some: make test args="tests/unit -k config"
	@$(bin)/pytest --install-tools $(or $(args),$(side_by_side))

side_by_side := -n 2 --dist loadgroup --no-loadscope-reorder --slowest-files 10    # tests/support/side_by_side.py

check: .venv/dev.stamp $(js)/.package-lock.json    # format, lint and types; writes nothing
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(node) $(js)/.bin/biome lint --error-on-warnings --log-level=warn
	@$(types)
	@$(node) $(js)/.bin/tsc --project tsconfig.worker.json
	@$(node) $(js)/.bin/tsc --project tests
	@diff -u api/web/client/rowbox.d.ts $(js)/.types/web/client/rowbox.d.ts || \
		{ echo "api/web/client/rowbox.d.ts is not what api/web/client/rowbox.js says: make fmt" >&2; exit 1; }

fmt: .venv/dev.stamp $(js)/.package-lock.json      # format, and mend what the linter can mend
	@$(bin)/ruff check --fix --exit-zero --quiet .
	@$(bin)/ruff format .
	@$(node) $(js)/.bin/biome lint --write --log-level=warn || true
	@$(types) >/dev/null; cp $(js)/.types/web/client/rowbox.d.ts api/web/client/

docs: .venv/dev.stamp        # what the code says of itself, into docs/reference and the examples of the API
	@$(bin)/python -m tests.house.reference

dist: .venv/dev.stamp        # what a release consists of, in ./dist: sdist and wheel, and the JavaScript client
	@rm -rf dist
	@$(bin)/python -m build --quiet --no-isolation --outdir dist >/dev/null
	@$(node) npm pack --silent --pack-destination dist ./api/web/client >/dev/null
	@ls dist

bench: .venv/dev.stamp       # measure, beside the ceilings
	@$(bin)/python -m bench $(args)

bench-live: .venv/dev.stamp  # sockets beside long polls
	@$(bin)/python -m bench.live $(args)

bench-long: .venv/dev.stamp  # what size costs, and memory over minutes
	@$(bin)/python -m bench.long $(args)

bench-hbase: .venv/dev.stamp # the same over a real HBase
	@$(bin)/python -m bench.hbase $(args)

model: .venv/dev.stamp       # the large search of the ownership protocol
	@$(bin)/python -m tests.model $(args)

sim: .venv/dev.stamp         # clusters in virtual time: make sim args="--seeds 2000", or args="--mutants"
	@$(bin)/python -m tests.simulation.cluster $(args)

chaos: .venv/dev.stamp       # break a cluster of real processes, and judge it: make chaos args="--minutes 30"
	@$(bin)/python -m tests.integration.cluster $(args)

hbase-up:                    # start a real HBase on this machine: make hbase-up args="--region-servers 2"
	$(need_python)
	@$(python) -m deploy.hbase up $(args)

hbase-down:                  # stop it; its data stay in ./hbase-data
	$(need_python)
	@$(python) -m deploy.hbase down $(args)

# A stamp is newer than pyproject.toml exactly when what that file asks for is installed.
.venv/run.stamp: pyproject.toml
	$(call install,.)

.venv/dev.stamp: pyproject.toml
	$(call install,.[dev])
	@touch .venv/run.stamp

# What checks the JavaScript. npm writes this file itself, when all that the lock names is there.
$(js)/.package-lock.json: package.json package-lock.json | .venv/dev.stamp
	@echo "Installing into node_modules (once, and again when package-lock.json changes) ..."
	@$(node) npm ci --silent
	@touch $@

# `true`: make forgets all that was printed where the last one is not there (exit 127).
suits := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
python = $(firstword $(shell for p in $(PYTHON) python3 python3.11 python3.12 python3.13; do $$p -c '$(suits)' 2>&- && echo $$p; done; true))

need_python = @test -n "$(python)" || \
	{ echo "Rowbox needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }

define install
	$(need_python)
	@echo "Installing into .venv (once, and again when pyproject.toml changes) ..."
	@$(python) -m venv .venv
	@$(bin)/pip install --quiet --disable-pip-version-check --editable '$(1)'
	@touch $@
endef
