# The two commands of a newcomer are `make demo` and `make test`; both set up `.venv` first.
PYTHON ?= python3
DEMO_ARGS ?=
TEST_ARGS ?=
FAULTS_ARGS ?=
AIRRA = .venv/bin/airra

.PHONY: setup demo test demo-all quiet kill-loop campaign faults check bench-setup

setup:
	@$(PYTHON) deploy/setup_venv.py

demo: setup
	@if [ -t 0 ]; then exec $(AIRRA) demo $(DEMO_ARGS); else exec $(AIRRA) demo --yes $(DEMO_ARGS); fi

test: setup
	@exec .venv/bin/python -m pytest -n auto --dist worksteal $(TEST_ARGS)

# Every fault of the shop with three seeds, a table at the end (about an hour). A file of your own, two runs at a time:
# make demo-all DEMO_ARGS="--scenario sandbox/scenarios/clinic.yaml --seeds 1 --jobs 2"; --keep DIR keeps the logs of what was not met;
# --until incident only finds each fault, in half the time. --ledger docs/sandbox.jsonl goes on where it was; --report writes docs/sandbox.md.
# --until watched --calm 300 --ledger docs/watched.jsonl looks at each for 45 s, and repairs none: `airra backtest sandbox docs/watched.jsonl`.
demo-all: setup
	@exec .venv/bin/python -m cli.demo.all $(DEMO_ARGS)

# Ten minutes of the shop without a fault: no incident.
quiet: setup
	@exec $(AIRRA) demo --fault none --seconds 600 $(DEMO_ARGS)

# SIGKILL of every role and at every step of the loop, on Apache Kafka; the sandbox's own log must show one effect each.
kill-loop: setup
	@exec .venv/bin/python -m tests.faults.kill_loop $(TEST_ARGS)

# The long fault campaign of the harness, on Apache Kafka.
campaign: setup
	@exec .venv/bin/python -m tests.faults.campaign --full

# Everything that can go wrong, injected: hours; stop it at any time, it goes on where it was. FAULTS_ARGS="--list" says what there is.
faults: setup
	@exec .venv/bin/python -m tests.faults.reliability $(FAULTS_ARGS)

# What `airra bench` is measured beside, and what draws its plots, in a place of their own: .build/bench.
bench-setup: setup
	@$(PYTHON) -m venv .build/bench && .build/bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r bench/requirements.lock

# Style and types, as CI runs them.
check: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
