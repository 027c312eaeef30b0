"""The data plane with a proxy before the broker: raw samples and alerts in, signals out, every one of them compared with what was sent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Producer

from cli.config import load
from cli.demo.command import ROOT
from cli.demo.stack import Stack
from schemas import topics
from schemas.config.detect import DetectConfig
from schemas.samples import BATCH_HEADER, decode_batches
from schemas.settings import Settings
from streams import dedup, detect
from streams.harness.fold import fold, restore
from streams.harness.stage import Output, Record, Stage
from tests.faults.ledger import difference, length, read_all
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.network.counted import Counted
from tests.faults.network.moving import behind
from tests.faults.network.trouble import FALLS_WITHIN_S
from tests.faults.points.groups import until
from tests.faults.reliability.case import Finding
from tests.kafka.broker import KafkaBroker

Said = tuple[object, object]  # what something on a log is known by, and what it says

ROLES = ("normalise", "detect", "dedup")
SIGNALS_OF = {"detect": {b"anomaly", b"health"}, "dedup": {b"alert"}}  # who writes which types to the same log
PER_SECOND = 60  # series, each with a sample a second
SETTLED_S = 90.0
LOOK_S = 0.05  # how soon it is seen that a row stands on its log
BEFORE_S, AFTER_S = 3, 2  # of traffic round each trouble


class PlaneBench:
    """Use as a context; the broker is its own."""

    def __init__(self, broker: KafkaBroker, kafka: Counted | None, folder: Path) -> None:
        self._broker = broker
        self._proxy = kafka
        self._folder = folder
        self._exit = contextlib.ExitStack()
        self._alerts = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)
            settings = {"config_dir": ROOT / "config"}
            self.stack = self._exit.enter_context(Stack(self._folder / "run", settings, self._broker.bootstrap, roles=ROLES))
            self.stack.start_roles()
            self.stack.wait_ready(list(ROLES))
            guard.pop_all()
        self._traffic = Traffic(self._broker.bootstrap, Shape(PER_SECOND))
        self._producer = Producer({"bootstrap.servers": self._broker.bootstrap, "acks": "all", "log_level": 0})
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def move_behind_proxy(self, role: str) -> None:
        assert self._proxy is not None
        behind(self.stack, role, self._proxy.address)

    def during(self, name: str, begin: Callable[[], None], end: Callable[[], None], lasts_s: float, killed: str | None = None) -> Finding:
        """Let traffic flow before, while and after; then wait until all of it has come out, and compare.

        A role that is `killed` is so at the end of the trouble, as soon as what it writes stands on its log that was not there: where
        answers are late, nobody can have been told that it does.
        """
        assert self.stack.supervisor is not None
        restarts = {role: child.restarts for role, child in self.stack.supervisor.children.items()}
        self._flow(BEFORE_S)
        writer = killed or "normalise"
        repeated = said_again(self._said(writer))[0]
        begin()
        try:
            self._flow(int(lasts_s))
            self._flow_until_met()
            ready = {role: self.stack._ready(role, {}) for role in ROLES}
            if killed is not None:
                self._kill_when_written(killed)
        finally:
            end()
        ended = time.monotonic()
        self._flow(AFTER_S)
        rows, alerts, lost, wrong, twice = self._settled()
        took = time.monotonic() - ended
        again = {role: child.restarts - restarts[role] for role, child in self.stack.supervisor.children.items()}
        deadline = time.monotonic() + (SETTLED_S if killed is not None else 0.0)
        while (found := said_again(self._said(writer)))[0] == repeated and time.monotonic() < deadline:
            time.sleep(0.5)  # nothing is missing of what stands already: who was killed may not be back yet
        said, differing = found
        notes = f"{self._traffic.sent} samples and {self._alerts} alerts sent so far; ready meanwhile: {_words(ready)}"
        notes += (
            f"; started again: {_words({role: count for role, count in again.items() if count})}; {twice} signals with the same id twice"
        )
        failed = self.dead_letters() + [
            f"{-each} more {what} than were sent" for what, each in (("rows", rows), ("alerts", alerts)) if each < 0
        ]
        if killed is not None and said == repeated:
            failed.append("nothing stands again of what was acknowledged to nobody")
        lost += max(0, rows) + max(0, alerts)
        return Finding(
            name,
            1,
            lost=lost,
            wrong=wrong + differing,
            recovery_s=(took,),
            notes=notes,
            failed=tuple(failed),
            repeated=said - repeated,
        )

    def _flow_until_met(self) -> None:
        """Let traffic flow until the proxy has met some of it, if there is one; not for ever."""
        deadline = time.monotonic() + FALLS_WITHIN_S
        while self._proxy is not None and not self._proxy.met and time.monotonic() < deadline:
            self._flow(1)

    def _kill_when_written(self, role: str) -> None:
        """Go on with the traffic until something new of the role stands on its log, and kill it."""
        assert self.stack.supervisor is not None
        before = self._standing(role)
        next_at = time.monotonic()

        def wait() -> None:
            nonlocal next_at
            if time.monotonic() >= next_at:
                self._second()
                next_at += 1.0
            time.sleep(LOOK_S)

        until(lambda: self._standing(role) > before, SETTLED_S, f"something of {role} stands on its log", wait)
        pid = self.stack.supervisor.pid(role)
        assert pid is not None, f"{role} does not run"
        os.kill(pid, signal.SIGKILL)

    def _standing(self, role: str) -> int:
        return sum(1 for _ in self._said(role))

    def _said(self, role: str) -> Iterator[Said]:
        """Yield what the role's log holds: rows by the raw record that they were, signals by their ids."""
        if role == "normalise":
            yield from rows_said(read_all(self._broker.bootstrap, topics.SAMPLES.name))
            return
        for record in read_all(self._broker.bootstrap, topics.SIGNALS.name):
            if record.header("airra.type") in SIGNALS_OF[role]:
                yield json.loads(record.value)["id"], record.value

    def dead_letters(self) -> list[str]:
        """Return what is wrong with the dead letters: there should be none."""
        found = length(self._broker.bootstrap, topics.DLQ.name)
        return [f"{found} dead letters"] if found else []

    def _extra(self) -> None:
        """Send what else belongs to a second of traffic: nothing here."""

    def _flow(self, seconds: int) -> None:
        for _ in range(seconds):
            begun = time.monotonic()
            self._second()
            time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
        self._traffic.flush()
        self._producer.flush(10)

    def _second(self) -> None:
        self._traffic.second(int(time.time()))
        self._producer.produce(topics.RAW_ALERTS.name, _webhook(self._alerts))
        self._extra()
        self._producer.poll(0)
        self._alerts += 1

    def _settled(self) -> tuple[int, int, int, int, int]:
        """Wait until nothing is missing; return missing rows, alerts and signals, wrong signals, and signals that stand twice."""
        deadline = time.monotonic() + SETTLED_S
        while True:
            found = self._missing()
            if not any(missing > 0 for missing in found[:3]) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def _missing(self) -> tuple[int, int, int, int, int]:
        bootstrap = self._broker.bootstrap
        samples, alerts = read_all(bootstrap, topics.SAMPLES.name), read_all(bootstrap, topics.ALERTS.name)
        rows = {(partition, offset) for partition, offset, _ in _rows(samples)}
        events = {json.loads(record.value)["id"] for record in alerts if record.header("airra.type") == b"alert_event"}
        sigma = Settings().anomaly_threshold_sigma
        detecting = detect.stage(load(DetectConfig, ROOT / "config" / "detect.yaml").model_copy(update={"sigma": sigma}))
        wanted = {_id(output): output for output in (*_replayed(detecting, samples), *_replayed(dedup.stage(), alerts))}
        lost, wrong, twice = difference(bootstrap, topics.SIGNALS.name, wanted)
        return self._traffic.sent - len(rows), self._alerts - len(events), lost, wrong, twice


def _rows(samples: list[Record]) -> Iterator[tuple[int, int, object]]:
    """Yield partition and offset of the raw record of every row, and what the row says."""
    for record in samples:
        if record.header("airra.type") == b"samples":
            for source, batch in decode_batches(record.value, record.header(BATCH_HEADER)).parts():
                said = zip(batch.series.tolist(), batch.time.tolist(), batch.value.tolist(), strict=True)
                for offset, row in zip(batch.offset.tolist(), said, strict=True):
                    yield source.partition, offset, row


def rows_said(samples: list[Record]) -> Iterator[Said]:
    """Yield each row by the raw record that it was."""
    for partition, offset, row in _rows(samples):
        yield (partition, offset), row


def said_again(found: Iterable[Said]) -> tuple[int, int]:
    """Return how much is said again on a log, and how much of it is not what was said first."""
    first: dict[object, object] = {}
    again = differing = 0
    for name, what in found:
        again += name in first
        differing += first.setdefault(name, what) != what
    return again, differing


def _replayed(stage: Stage[Any], records: list[Record]) -> Iterator[Output]:
    """Fold a log linearly, partition by partition: what an uninterrupted run would have given."""
    parts: dict[int, Any] = {}
    for record in records:
        part = parts.setdefault(record.partition, restore(stage, record.partition, None, record.offset))
        yield from fold(stage, part, record)


def _id(output: Output) -> str:
    found: str = json.loads(output.value)["id"]
    return found


def _webhook(number: int) -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    labels = {"alertname": f"A{number}", "service": f"svc{number % 5}", "severity": "warning"}
    return json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels, "startsAt": stamp}]}).encode()


def _words(counted: dict[str, Any]) -> str:
    told = Counter({name: value for name, value in counted.items() if value})
    return ", ".join(f"{name} {value}" if value is not True else name for name, value in told.items()) or "none"
