"""Telemetry of another time: a day that is backfilled, and a producer whose clock leaps."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Self

from confluent_kafka import Producer

from cli.conserve.logs import LiveLogs
from cli.demo.command import ROOT
from cli.demo.stack import Stack
from schemas import topics
from schemas.kinds import Kind
from streams.harness.app import group_of
from streams.harness.fold import BACKFILL_HEADER
from streams.normalise.consumer import GROUP
from tests.faults.ledger import length, read_all
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.network.plane import PlaneBench
from tests.faults.reliability.case import Finding, Ground

ROLES = ("normalise", "detect", "dedup", "control")
DAY_S, STEP_S = 86_400, 10
LEAK_S = 3_600  # before the end of the day memory begins to grow, and it grows to the end
LIVE = Shape(60)
BEFORE_S, AFTER_S = 45, 60  # of live traffic: past the history that a judgement needs, and past the opening of incidents
OLD = ("old0", "old1", "old2", "old3")  # services that only history knows
LIVE_ONE, LEVEL, LEAK_B_S = "live0", 60e6, 10e6  # a live service, its memory, and how that grows when it leaks
OPENS_WITHIN_S = 60
READ_WITHIN_S = 240
BACKFILLS = {"beside a live stream": True, "before any live stream": False}
YEAR_S = 365 * 86_400
# By how much the samples' times leap, and whether their records are stamped so too: a broker refuses stamps more than an hour ahead.
LEAPS = {
    "+1 year": (YEAR_S, False),
    "+1 year, records too": (YEAR_S, True),
    "-1 year": (-YEAR_S, False),
    "-1 year, records too": (-YEAR_S, True),
    "+1 min, records too": (60, True),
}
BELIEVED_S = 300  # what normalise takes: a clock may be five minutes ahead
LEAPING = 5  # series
LEAP_S = 20.0  # so long


def sample(service: str, name: str, at_s: int, value: float, instance: str = "i:1") -> bytes:
    """Return one sample as prometheus-kafka-adapter writes it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    labels = {"__name__": name, "service": service, "instance": instance}
    return json.dumps({"labels": labels, "name": name, "timestamp": stamp, "value": f"{value:.1f}"}).encode()


class DayBench:
    """Everything from raw samples to proposals; use as a context."""

    def __init__(self, bootstrap: str, folder: Any) -> None:
        self._bootstrap = bootstrap
        self._folder = folder
        self._exit = contextlib.ExitStack()
        self._leaks, self._leaked = False, 0.0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)
            self.stack = self._exit.enter_context(Stack(self._folder, {"config_dir": ROOT / "config"}, self._bootstrap, roles=ROLES))
            self.stack.start_roles()
            self.stack.wait_ready([role for role in ROLES if role != "control"])
            self.stack.arm(3600.0)
            guard.pop_all()
        self._live = Traffic(self._bootstrap, LIVE)
        self._producer = Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "linger.ms": 20, "log_level": 0})
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def live(self, seconds: int) -> None:
        for _ in range(seconds):
            begun, now = time.monotonic(), int(time.time())
            self._live.second(now)
            self._leaked += LEAK_B_S * self._leaks
            record = sample(LIVE_ONE, "process_resident_memory_bytes", now, LEVEL + self._leaked)
            self._producer.produce(topics.RAW_METRICS.name, record, LIVE_ONE.encode())
            self._producer.poll(0)
            time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
        self._live.flush()

    def backfill(self) -> int:
        """Write a day that ended an hour ago, marked as history, in the order of its time; return how many samples it has."""
        end, sent = int(time.time()) - 3_600, 0
        for at in range(end - DAY_S, end, STEP_S):
            for service in OLD:
                grown = max(0, at - (end - LEAK_S)) * 100_000 if service == OLD[0] else 0
                for name, value in (("process_resident_memory_bytes", 60e6 + grown), ("http_requests_in_flight", 1.0)):
                    self._producer.produce(
                        topics.RAW_METRICS.name, sample(service, name, at, value), service.encode(), headers=[(BACKFILL_HEADER, b"1")]
                    )
                    sent += 1
            self._producer.poll(0)
        if self._producer.flush(60):
            raise RuntimeError("the history was not acknowledged")
        return sent

    def drained(self, *, live: bool) -> bool:
        """Wait until normalise has taken the history in, and detect what came of it: beside a live stream that may be no signal at all."""
        groups = ((GROUP.format(lane="normalise"), topics.RAW_METRICS), (group_of("detect"), topics.SAMPLES))
        return all(self._read_on(group, topic, live=live) for group, topic in groups)

    def _read_on(self, group: str, topic: topics.TopicSpec, *, live: bool) -> bool:
        """Wait until a group has committed what stands on a topic now, while life goes on, or before it begins."""
        logs, deadline = LiveLogs(self.stack.kafka), time.monotonic() + READ_WITHIN_S
        ends = {(topic.name, number): bounds.following for number, bounds in logs.bounds(topic.name).items() if bounds.following}
        while time.monotonic() < deadline:
            if live:
                self.live(1)
            else:
                time.sleep(0.5)
            taken = logs.taken(group, [topic.name])
            if all(taken.get(place, 0) >= end for place, end in ends.items()):
                return True
        return False

    def opens(self) -> float | None:
        """Let the live service leak; return after how many seconds an incident of it is told, None where none is."""
        self._leaks, begun = True, time.monotonic()
        while time.monotonic() - begun < OPENS_WITHIN_S:
            self.live(1)
            records = read_all(self._bootstrap, topics.INCIDENTS.name)
            if any(LIVE_ONE in json.loads(one.value)["services"] for one in records if one.header("airra.type") == b"incident"):
                return time.monotonic() - begun
        return None

    def signals(self, *, historical: bool) -> Iterator[dict[str, Any]]:
        for record in read_all(self._bootstrap, topics.SIGNALS.name):
            if record.header("airra.type") != b"tick" and (record.header(BACKFILL_HEADER) is not None) is historical:
                yield json.loads(record.value)

    def count(self, topic: str, kind: bytes) -> int:
        return sum(1 for record in read_all(self._bootstrap, topic) if record.header("airra.type") == kind)


def backfilled(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Backfill a day with a leak in it; nothing of it may open, propose or act, and what lives still does."""
    for name, beside in BACKFILLS.items():
        if name in done:
            continue
        with ground.own_kafka() as broker, DayBench(broker.bootstrap, ground.new_folder("day")) as bench:
            if beside:
                bench.live(BEFORE_S)
            sent = bench.backfill()
            drained = bench.drained(live=beside)
            bench.live(AFTER_S)
            yield _awake(bench, _judged(bench, name, sent, drained=drained, beside=beside))


def _awake(bench: DayBench, found: Finding) -> Finding:
    """Show that what opened nothing was not asleep: a live fault still opens an incident."""
    took = bench.opens()
    if took is None:
        return dataclasses.replace(found, failed=(*found.failed, f"a live leak opened nothing within {OPENS_WITHIN_S} s"))
    return dataclasses.replace(found, notes=f"{found.notes}; after it a live leak opened an incident within {took:.0f} s")


def _judged(bench: DayBench, name: str, sent: int, *, drained: bool, beside: bool) -> Finding:
    history = list(bench.signals(historical=True))
    now = list(bench.signals(historical=False))
    seen = sum(1 for one in history if one["type"] == "anomaly")
    leaked = [one for one in now if (one["evidence"]["service"] if one["type"] == "anomaly" else one.get("service")) in OLD]
    proposals = bench.count(topics.APPROVALS.name, b"proposal")
    acted = bench.count(topics.ACTIONS.name, b"started") + bench.count(topics.ACTIONS.name, b"grant")
    incidents = bench.count(topics.INCIDENTS.name, b"incident")
    failed = [] if drained else ["the history was not taken in"]
    failed += [f"{proposals} proposals"] * bool(proposals) + [f"{incidents} records of incidents"] * bool(incidents)
    failed += [f"{len(leaked)} live signals of services that only history knows: {leaked[0]['type']}"] if leaked else []
    if not beside and not seen:
        failed.append("the leak in the history was not even seen: this shows nothing")
    newest = max((one["at"] for one in now if one["type"] == "health"), default=0)
    behind = time.time() - newest / 1000
    if behind > 30:
        failed.append(f"the newest live reading is {behind:.0f} s old")
    notes = f"{sent} samples, {len(history)} signals of history, {seen} of them anomalies; live readings {behind:.0f} s old at the end"
    return Finding(name, 1, wrong=acted, notes=notes, failed=tuple(failed))


class LeapBench(PlaneBench):
    """The data plane with one more producer, on a raw partition of its own, whose clock is `leap_s` off."""

    leap: tuple[int, bool] = (0, False)
    own_sent = 0  # that the broker took, and normalise should
    own_refused = 0  # that the broker took, and normalise should not

    def _extra(self) -> None:
        leap_s, stamped = self.leap
        now, counted = time.time(), "own_refused" if abs(leap_s) > BELIEVED_S else "own_sent"
        for number in range(LEAPING):
            value = sample("leaper", "process_resident_memory_bytes", int(now + leap_s), 60e6 + number, f"i:{number}")
            stamp = int((now + leap_s * stamped) * 1000)
            self._producer.produce(
                topics.RAW_METRICS.name,
                value,
                partition=0,
                timestamp=stamp,
                on_delivery=lambda error, _, name=counted: self._sent(error, name),
            )

    def _sent(self, error: object, name: str) -> None:
        if error is None:
            setattr(self, name, getattr(self, name) + 1)

    def _missing(self) -> tuple[int, int, int, int, int]:
        rows, *rest = super()._missing()
        return (rows + self.own_sent, *rest)  # type: ignore[return-value]

    def dead_letters(self) -> list[str]:
        """Return what is wrong with the dead letters: every refused sample, and nothing else, is one."""
        found = length(self._broker.bootstrap, topics.DLQ.name)
        return [] if found == self.own_refused else [f"{found} dead letters for {self.own_refused} samples out of reach"]

    def newest(self) -> float:
        """Return how far the newest signal of the others is ahead of now, in seconds: below zero is behind."""
        signals = (json.loads(record.value) for record in read_all(self._broker.bootstrap, topics.SIGNALS.name) if record.value)
        times = [one["at"] for one in signals if one["type"] == "health" and one["service"] != "leaper" and one["kind"] != Kind.UP]
        return max(times, default=0) / 1000 - time.time()


def leapt(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Let one producer's clock leap and come back, beside others whose clocks are right."""
    todo = [name for name in LEAPS if name not in done]
    if not todo:
        return
    with ground.own_kafka() as broker, LeapBench(broker, None, ground.new_folder("leap")) as bench:
        for name in todo:
            found = bench.during(name, partial(setattr, bench, "leap", LEAPS[name]), partial(setattr, bench, "leap", (0, False)), LEAP_S)
            ahead = bench.newest()
            failed = [] if -60 < ahead < 10 else [f"the newest reading of the others is {ahead:.0f} s from now"]
            notes = f"{found.notes}; the newest reading of the others is {-ahead:.0f} s old"
            yield dataclasses.replace(found, failed=(*found.failed, *failed), notes=notes)
