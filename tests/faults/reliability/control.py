"""The limits of one control worker: records a second of each stage, intents a second of each effector, how soon the standby acts."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from cli import logs as cli_logs
from cli.processes import role_command
from schemas import topics
from streams.harness.app import group_of
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.ledger import read_all
from tests.faults.load import control_logs
from tests.faults.load.control_logs import Stamped
from tests.faults.points.groups import Groups, until
from tests.faults.points.victim import Victim
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, single
from tests.faults.reliability.ledger import REPO
from tests.faults.reliability.report import percentile
from tests.faults.site import Site

RECORDS = 20_000
INTENTS = {"execute": 400, "tell": 1_000, "llm": 800}  # of the last no more wait than it keeps
SAMPLE = 20  # the short form takes one in so many
TAKEOVERS = 10
TAKEOVER_GOAL_S = 10.0
TAKEN_WITHIN_S = 60.0
STANDBY_WITHIN_S = 120.0
STAGES = ("correlate", "reason", "approve", "admit", "report", "verify")
GROUPS = (*STAGES, "execute", "tell")  # of one control worker without an LLM


def rates(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Fold a long log with each control stage alone, on Apache Kafka, snapshots and outputs included; then perform with each effector."""
    if todo := [name for name in STAGES if name not in done]:
        yield from _stages(ground, todo)
    for name, count in INTENTS.items():
        if name not in done:
            yield _effector(ground, name, count // SAMPLE if ground.sample else count)


def _stages(ground: Ground, todo: Sequence[str]) -> Iterator[Finding]:
    count = RECORDS // SAMPLE if ground.sample else RECORDS
    cli_logs.configure("error", "bench")
    logs = {
        topics.SIGNALS.name: list(control_logs.signals(count)),
        topics.INCIDENTS.name: list(control_logs.incidents(count)),
        **control_logs.acted(count),
    }
    bootstrap = ground.kafka().bootstrap
    create_topics(KafkaSettings(bootstrap), topics.CATALOGUE, 1)
    for name in todo:
        log, topic = logs[control_logs.stages()[name]().topic], f"rate-{name}-{time.monotonic_ns()}"
        _write(bootstrap, topic, log)
        measured = _measured(ground, "tests.faults.load.rate", bootstrap, name, topic, len(log))
        letters = sum(1 for record in read_all(bootstrap, topics.DLQ.name) if record.header("airra.error.topic") == topic.encode())
        yield folded(name, log, measured, letters)


def folded(name: str, log: Sequence[Stamped], measured: Mapping[str, Any], letters: int) -> Finding:
    """Say how many records a second a stage folds. A dead letter is a record that it did not fold, and no output of its fold."""
    size = sum(len(record.output.value) for record in log) / len(log)
    count, outputs = len(log) - letters, measured["outputs"] - letters
    failed = [f"{letters} of {len(log)} records became dead letters"] if letters else []
    failed += [] if outputs > 0 else ["it said nothing of what it folded"]
    rate = count / measured["seconds"]
    return Finding(name, 0, notes=f"{rate:,.0f} records/s ({count:,} of {size:,.0f} bytes, {outputs:,} outputs)", failed=tuple(failed))


def _effector(ground: Ground, name: str, count: int) -> Finding:
    with ground.own_kafka() as broker:
        create_topics(KafkaSettings(broker.bootstrap), topics.CATALOGUE, 1)
        return performed(name, count, _measured(ground, "tests.faults.reliability.effect_rate", broker.bootstrap, name, count))


def performed(name: str, count: int, measured: Mapping[str, Any]) -> Finding:
    """Say how many intents a second an effector performs, as the target and the log have them."""
    lost, doubled = count - measured["performed"], measured["asked"] - measured["performed"]
    failed = () if measured["told"] == count else (f"{measured['told']} results of {count} say that it was done",)
    notes = f"{count / measured['seconds']:,.0f} intents/s ({count:,} over a target that answers at once)"
    return Finding(name, 0, lost=lost, doubled=doubled, notes=notes, failed=failed)


def _measured(ground: Ground, module: str, *arguments: object) -> dict[str, Any]:
    folder = ground.new_folder("rate")
    command = [sys.executable, "-m", module, *map(str, arguments), str(folder)]
    with (folder / "log").open("wb") as log:
        found: dict[str, Any] = json.loads(subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, stderr=log, check=True).stdout)
    return found


def _write(bootstrap: str, topic: str, log: Sequence[Stamped]) -> None:
    create_topics(KafkaSettings(bootstrap), [NewLog(topic, 1, {"message.timestamp.type": "CreateTime", "retention.ms": "-1"})])
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for record in log:
        producer.produce(topic, record.output.value, record.output.key, headers=list(record.output.headers), timestamp=record.at)
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the log was not written")


def takeovers(ground: Ground) -> Finding:
    """Kill the control worker that the groups call active; what falls ill then must have its effect in the target's own log."""
    turns = 2 if ground.sample else TAKEOVERS
    folder = ground.new_folder("takeover")
    took: list[float] = []
    calm: list[float] = []
    keys: list[str] = []
    shares: Counter[int] = Counter()
    with (
        ground.own_kafka() as broker,
        Site(broker.bootstrap, ground.new_folder("site")) as site,
        contextlib.closing(Workers(site, folder)) as workers,
    ):
        workers.start(0)
        site.arm()
        workers.start(1)
        for _ in range(turns):
            calm.append(_acted(site, keys, time.monotonic()))  # the loop works
            active, share = workers.active()
            shares[share] += 1
            killed = time.monotonic()
            workers.kill(active)
            took.append(_acted(site, keys, killed))
            workers.start(active)
            ground.say(f"    worker {active} had {share} of {len(GROUPS)} groups; the effect came {took[-1]:.1f} s after its death")
        counts = [site.of(key) for key in keys]
        lost, doubled, wrong = counts.count(0), sum(count - 1 for count in counts if count), len(site.effects()) - sum(counts)
    late = sum(1 for each in took if each > TAKEOVER_GOAL_S)
    failed = (f"{late} of {turns} took more than {TAKEOVER_GOAL_S:.0f} s",) if late else ()
    had = ", ".join(f"{count} times {share} of {len(GROUPS)}" for share, count in shares.items())
    notes = (
        f"the active one had the log of {had} groups; from a fault to its effect it takes {percentile(calm, 0.5):.1f} s while nobody dies"
    )
    return Finding("standby", turns, lost, doubled, wrong, recovery_s=tuple(round(each, 1) for each in took), notes=notes, failed=failed)


def _acted(site: Site, keys: list[str], since: float) -> float:
    """Let something fall ill and wait for its effect and its outcome; return the seconds from `since` until the target was acted upon."""
    keys.append(key := site.fall_ill())
    until(lambda: site.of(key) > 0, TAKEN_WITHIN_S, f"{key} has its effect", site.renew)
    at = time.monotonic()
    site.heal(key)
    return at - since


class Workers:
    """Two control workers without a supervisor: what is killed stays away."""

    def __init__(self, site: Site, folder: Path) -> None:
        plain = site.control._env
        self._slots = [
            Victim(
                role_command("control"),
                {**plain, "AIRRA_INSTANCE": str(number), "AIRRA_DATA_DIR": str(folder / f"data-{number}")},
                folder / f"control-{number}.log",
            )
            for number in (0, 1)
        ]
        self._groups = Groups(site.kafka.bootstrap)
        self._renew = site.renew

    def start(self, number: int) -> None:
        self._slots[number].start()

    def kill(self, number: int) -> None:
        if (code := self._slots[number].code) is not None:
            raise RuntimeError(f"control worker {number} has ended by itself with {code}")
        self._slots[number].kill()

    def active(self) -> tuple[int, int]:
        """Wait until both are in every group and each log is with one of them; return who has the most, and how many."""
        found: list[Counter[int]] = []

        def known() -> bool:
            shares = shared({name: self._groups.owners(group_of(name)) for name in GROUPS})
            found[:] = [] if shares is None else [shares]
            return bool(found)

        until(known, STANDBY_WITHIN_S, "both workers are in every group", self._renew)
        return found[0].most_common(1)[0]

    def close(self) -> None:
        for slot in self._slots:
            slot.kill()


def shared(owners: Mapping[str, Mapping[str, int] | None]) -> Counter[int] | None:
    """Return by worker of how many groups it has the log; None while one of two is not in each of them, or a log is with nobody."""
    shares: Counter[int] = Counter()
    for members in owners.values():
        if members is None or len(members) != 2:
            return None
        standby, active = sorted(members, key=members.__getitem__)
        if members[active] == members[standby]:
            return None
        shares[int(active.rpartition("-")[2])] += 1  # of a stage the changelog counts, too, and the standby follows it: 2 and 1
    return shares


CHAPTER = Chapter(
    "control",
    "Limits of one control worker",
    (
        Case(
            "rates",
            "records a second of each control stage and intents a second of each effector, alone, on Apache Kafka",
            Listed((*STAGES, *INTENTS), rates),
            minutes=8,
        ),
        Case(
            "takeover",
            "the control worker that is active dies and stays away: what falls ill then has its effect within 10 s",
            single("standby", takeovers),
            minutes=10,
        ),
    ),
)
