"""SIGKILL of every role and at every step of the loop, on Apache Kafka, over the live sandbox.

Run as `make kill-loop`, or `python -m tests.faults.kill_loop [CASE …]`. What counts is the sandbox's own log: exactly one effect;
then one outcome row in ClickHouse and every record of the loop there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from cli.config import ConfigError
from cli.demo.command import DEFAULT_SCENARIO, ROOT
from cli.demo.run import Plan, Run
from cli.demo.sandbox import Sandbox, faults
from cli.demo.stack import Stack
from cli.demo.story import met
from cli.reading import read
from schemas import topics
from schemas.actions import Finished, Grant, Started
from schemas.approvals import Decision, Proposal
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Mode
from streams.harness.errors import Fatal, Retryable
from tests.faults.reliability.case import Finding
from tests.kafka.broker import KafkaBroker

FAULT = "leak"
STORED_S = 15.0  # the sink flushes every second or so; after a kill it rejoins its group first
DELAY_S = 4.0  # how long the sandbox holds an action, so that a kill falls while it is in flight


@dataclass(frozen=True)
class Case:
    """Kill `role` when `when` first holds for a record; `delay` makes the target slow, before or after its effect."""

    name: str
    role: str
    when: Callable[[Run, object], bool]
    delay: str | None = None


def opened(_: Run, event: object) -> bool:
    return isinstance(event, Incident) and event.phase is IncidentPhase.OPENED


def proposed(_: Run, event: object) -> bool:
    return isinstance(event, Proposal) and event.chosen is not None


def decided(_: Run, event: object) -> bool:
    return isinstance(event, Decision)


def granted(_: Run, event: object) -> bool:
    return isinstance(event, Grant)


def started(_: Run, event: object) -> bool:
    return isinstance(event, Started)


def finished(_: Run, event: object) -> bool:
    return isinstance(event, Finished)


def half_verified(run: Run, event: object) -> bool:
    return isinstance(event, Incident) and bool(run.story.finished) and not run.story.outcomes


CASES = (
    Case("control-after-proposal", "control", proposed),
    Case("control-after-decision", "control", decided),
    Case("control-after-granted", "control", granted),
    Case("control-after-started", "control", started),
    Case("control-effect-not-yet-sent", "control", started, delay="before"),
    Case("control-effect-sent", "control", started, delay="after"),
    Case("control-after-finished", "control", finished),
    Case("control-verification-half-over", "control", half_verified),
    Case("normalise-mid-loop", "normalise", opened),
    Case("detect-mid-loop", "detect", opened),
    Case("dedup-mid-loop", "dedup", opened),
    Case("sink-mid-loop", "sink", proposed),
    Case("api-mid-loop", "api", proposed),
)


class Killer:
    """Kills once, from the thread that reads the records."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.killed: int | None = None
        self.wrong: list[str] = []

    def __call__(self, run: Run, event: object) -> None:
        if self.killed is not None or not self.case.when(run, event):
            return
        assert run.stack is not None
        assert run.stack.supervisor is not None
        if self.case.delay is not None and not self._effect_in_hand(run):
            self.wrong.append(f"the target had nothing in hand within {DELAY_S:.0f} s: the kill did not fall where the case says")
        pid = run.stack.supervisor.pid(self.case.role)
        assert pid is not None, f"{self.case.role} does not run"
        self.killed = pid
        os.kill(pid, signal.SIGKILL)

    def _effect_in_hand(self, run: Run) -> bool:
        """Wait until the target has the action in hand, so that the kill falls between the sending and the answer."""
        deadline = time.monotonic() + DELAY_S
        while time.monotonic() < deadline:
            if effects(run):
                return True
            threading.Event().wait(0.05)
        return False


def target(run: Run) -> httpx2.Client:
    return httpx2.Client(base_url=run.control_url, headers={"Authorization": f"Bearer {run.control_token}"}, timeout=5.0)


def effects(run: Run) -> list[dict[str, Any]]:
    with target(run) as client:
        log: list[dict[str, Any]] = client.get("/log").json()["effects"]
    return log


def run_case(
    case: Case,
    bootstrap: str,
    directory: Path,
    say: Callable[[str], None],
    scenario: Path = DEFAULT_SCENARIO,
    seed: int = 1,
    look: Callable[[Run], list[str]] = lambda _: [],
) -> Finding:
    """Run one loop with one kill; count effects in the sandbox's own log, and records and rows in the store.

    `look` is asked at the end, when the sandbox has fallen silent and every role still runs.
    """
    killer = Killer(case)
    fault = next(fault for fault in faults(scenario) if fault["name"] == FAULT or fault["kind"] == "memory_leak")

    def approve(run: Run, proposal: Proposal) -> Mode:
        del proposal
        if case.delay is not None:
            with target(run) as client:
                client.post("/test/delay", json={"seconds": DELAY_S, "where": case.delay}).raise_for_status()
        return Mode.LIVE

    plan = Plan(scenario, fault, seed, None, directory, bootstrap, ROOT / "config", test_hooks=True)
    run = Counted(plan, say, approve, killer)
    run.look = look
    result = run.run()
    begun = {started.action for started in run.story.started}
    failed = [*met(run.story, result), *killer.wrong, *run.looked, *([] if killer.killed else ["nothing was killed"])]
    return judged(case.name, run.effects, begun, run.missing, run.rows, failed)


def judged(
    name: str,
    done: Sequence[Mapping[str, Any]],
    begun: Collection[str],
    missing: Mapping[str, int],
    rows: Mapping[str, int],
    failed: Sequence[str],
) -> Finding:
    """Say what a kill has led to, given what was done to the target, the actions begun, and what the store lacks and has.

    One effect of an action that was begun is due, and one row of each count.
    """
    due = sum(1 for effect in done if effect["status"] == "done" and effect["key"] in begun)
    counts = (due, *(rows[each] for each in COUNTS))
    told = [*failed]
    if due != 1 or len(done) != 1:
        told.append(f"exactly one effect was expected, the sandbox's log has: {json.dumps(done)}")
    if missing:
        told.append(f"in the topics and not in the store: {missing}")
    told += [f"{each}: expected 1 row, found {rows[each]}" for each in COUNTS if rows[each] != 1]
    lost, doubled = counts.count(0) + sum(missing.values()), sum(max(0, count - 1) for count in counts)
    return Finding(name, 1, lost, doubled, len(done) - due, failed=tuple(told))


class Counted(Run):
    """Looks at the target and the store while they still run, and then lets the sandbox fall silent."""

    effects: list[dict[str, Any]]
    missing: dict[str, int]
    rows: dict[str, int]
    look: Callable[[Run], list[str]]
    looked: list[str]

    def _start(self, stack: Stack, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        super()._start(stack, sandbox)

    def _read_back(self) -> dict[str, Any] | None:
        row = super()._read_back()
        self.effects = effects(self)
        self.missing = self._missing()
        self.rows = {name: self.query(query)[0]["n"] for name, query in COUNTS.items()}
        self._sandbox.stop()
        self.looked = self.look(self)
        return row

    def _missing(self) -> dict[str, int]:
        """Count, for each kind of record, the ids that stand in the topics and not in the store."""
        assert self.stack is not None
        told: dict[str, set[str]] = {kind: set() for kind in TABLES}
        for topic in (topics.INCIDENTS, topics.APPROVALS, topics.ACTIONS, topics.OUTCOMES, topics.NOTICES):
            for record in read(self.stack.kafka, topic.name):
                kind = (record.header("airra.type") or b"").decode()
                if kind in TABLES:
                    told[kind].add(json.loads(record.value)["id"])
        deadline = time.monotonic() + STORED_S
        while True:
            found = {kind: told[kind] - {row["id"] for row in self.query(f"SELECT id FROM {TABLES[kind]}")} for kind in TABLES}
            if not any(found.values()) or time.monotonic() > deadline:
                return {kind: len(ids) for kind, ids in found.items() if ids}
            threading.Event().wait(0.3)


# The table of each kind of record.
TABLES = {
    "incident": "incidents",
    "proposal": "proposals",
    "command": "commands",
    "decision": "decisions",
    "grant": "actions",
    "started": "actions",
    "finished": "actions",
    "outcome": "outcomes",
    "notice": "notices",
}
COUNTS = {
    "outcomes": "SELECT count() AS n FROM outcomes FINAL",
    "decisions": "SELECT count() AS n FROM decisions FINAL WHERE outcome = 'approved'",
    "started": "SELECT uniqExact(action) AS n FROM actions FINAL WHERE event = 'started'",
    "finished": "SELECT uniqExact(action) AS n FROM actions FINAL WHERE event = 'finished'",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(case.name for case in CASES)}; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep each run's logs in this folder")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}")
    results: list[tuple[str, list[str], float]] = []
    for case in CASES:
        if arguments.cases and case.name not in arguments.cases:
            continue
        began = time.monotonic()
        print(f"== {case.name}", flush=True)
        scratch = Path(tempfile.mkdtemp(prefix="airra-kill-"))
        directory = arguments.keep / case.name if arguments.keep else scratch
        with KafkaBroker(scratch / "kafka") as broker:
            try:
                found = run_case(case, broker.bootstrap, directory, lambda line: print(f"   {line}", flush=True), seed=arguments.seed)
                wrong = list(found.failed)
            except (RuntimeError, ConfigError, Fatal, Retryable) as error:
                wrong = [str(error)]
        if not wrong:
            shutil.rmtree(scratch, ignore_errors=True)  # of what failed, the logs stay
        results.append((case.name, wrong, time.monotonic() - began))
        print(f"   {'ok' if not wrong else 'FAILED: ' + '; '.join(wrong)}", flush=True)
    print(f"\n{'case':34} {'effects once, nothing missing':30} seconds")
    for name, wrong, seconds in results:
        print(f"{name:34} {'ok' if not wrong else 'FAILED':30} {seconds:.0f}")
    return int(any(wrong for _, wrong, _ in results))


if __name__ == "__main__":
    sys.exit(main())
