"""The control role behind, the data plane beside it: how old a sample's row and a service's reading are when they stand on their logs.

Times are the broker's: what normalise and detect say of themselves is not asked. How long a reading takes when nothing is amiss is
measured first; windows and lateness are in it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from confluent_kafka import Producer

from cli.demo.stack import Stack
from schemas.samples import TYPE_HEADER, decode_batch
from schemas.topics import INCIDENTS, SAMPLES, SIGNALS
from streams.harness.app import group_of
from tests.faults.ledger import committed, length
from tests.faults.load.control_logs import incidents
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.poison.tally import messages

STEADY = Shape(500)
USUAL_S = 60.0  # of load before control stops: readings come each 10 s
STEADY_S = 30.0  # of it, the last: what comes at the beginning waits for the roles to have begun
LATER_S = 2.0  # that a row, or a reading beside what is usual, may come later
WORKED_OFF_S = 600.0
STAGES = ("reason", "verify")  # of the control role, which read the log that the backlog stands on


@dataclass(frozen=True)
class Size:
    records: int  # of the backlog
    stopped_s: float


FULL, SAMPLE = Size(30_000, 60.0), Size(2_000, 20.0)


class Steady:
    """Writes a second of samples each second, in a thread, until it is left."""

    def __init__(self, stack: Stack) -> None:
        self._traffic = Traffic(stack.bootstrap, STEADY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.sent: dict[int, float] = {}  # when the samples of a second were sent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._traffic.flush()

    def _write(self) -> None:
        second = int(time.time())
        while not self._stop.wait(max(0.0, second + 1 - time.time())):
            second += 1
            self.sent[second] = time.time()
            self._traffic.second(second)


@dataclass
class Delays:
    """Seconds until rows stand on their log, and until readings do, by when each was due."""

    rows: dict[float, float] = field(default_factory=dict)
    readings: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    delays: Delays
    unsent: int  # seconds of samples that have no row
    begun: float
    ended: float
    behind: int
    took_s: float
    failed: tuple[str, ...] = ()

    def late(self) -> list[str]:
        """Return what came late while control was behind."""
        usual = [took for at, took in self.delays.readings.items() if self.begun - STEADY_S <= at < self.begun]
        rows, readings = self._meanwhile(self.delays.rows), self._meanwhile(self.delays.readings)
        failed = [f"no {what} came while control was behind" for what, found in (("row", rows), ("reading", readings)) if not found]
        failed += [] if usual else ["no reading came before control was stopped"]
        if rows and max(rows) > LATER_S:
            failed.append(f"rows took up to {max(rows):.1f} s while control was behind")
        if readings and usual and max(readings) > max(usual) + LATER_S:
            failed.append(f"readings took up to {max(readings):.1f} s while control was behind, {max(usual):.1f} s before")
        if self.unsent:
            failed.append(f"{self.unsent} seconds of samples have no row")
        return failed

    def words(self) -> str:
        rows, readings = self._meanwhile(self.delays.rows), self._meanwhile(self.delays.readings)
        return f"rows worst {max(rows, default=0.0):.2f} s, readings worst {max(readings, default=0.0):.1f} s"

    def _meanwhile(self, delays: dict[float, float]) -> list[float]:
        return [took for at, took in delays.items() if self.begun <= at <= self.ended]


def stopped(stack: Stack, steady: Steady, size: Size, say: Callable[[str], None]) -> Found:
    """Stop control, write the backlog, wait, let it go on, and wait until it has worked all of it off."""
    time.sleep(USUAL_S)  # of load: what is usual is being measured
    assert stack.supervisor is not None
    pid = stack.supervisor.pid("control")
    assert pid is not None, "control does not run"
    begun = time.time()
    os.kill(pid, signal.SIGSTOP)
    try:
        write(stack.bootstrap, size.records)
        time.sleep(max(0.0, begun + size.stopped_s - time.time()))
        end = length(stack.bootstrap, INCIDENTS.name)
        amount = end - worked_off(stack.bootstrap)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    say(f"  {amount:,} records behind")
    going_on = time.time()
    while worked_off(stack.bootstrap) < end and time.time() < going_on + WORKED_OFF_S:
        time.sleep(1.0)
    ended = time.time()
    failed = [] if worked_off(stack.bootstrap) >= end else [f"control has not worked it off within {WORKED_OFF_S:.0f} s"]
    if amount < size.records:
        failed.append(f"{amount} records were behind, of {size.records} that were written")
    delays, unsent = measured(stack.bootstrap, steady.sent, ended)
    return Found(delays, unsent, begun, ended, amount, ended - going_on, tuple(failed))


def write(bootstrap: str, count: int) -> None:
    """Append so many records to the incidents log, as correlate would."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
    for told in itertools.islice((one.output for one in incidents(count) if one.output.key != b"tick"), count):
        producer.produce(told.topic, told.value, told.key, partition=0, headers=list(told.headers))
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the backlog was not acknowledged")


def worked_off(bootstrap: str) -> int:
    """Return how many records of the incidents log every stage of the control role that reads it has committed."""
    return min(committed(bootstrap, group_of(stage), INCIDENTS.name) for stage in STAGES)


def measured(bootstrap: str, sent: dict[int, float], until: float) -> tuple[Delays, int]:
    """Read the logs of rows and readings; return the delays, and how many seconds of samples sent by then have no row."""
    delays = Delays()
    for message in messages(bootstrap, SAMPLES.name):
        if dict(message.headers() or ()).get(TYPE_HEADER) == b"samples":
            at = message.timestamp()[1] / 1000
            for second in np.unique(decode_batch(message.value()).time // 1000).tolist():
                if due := sent.get(second):
                    delays.rows[due] = max(delays.rows.get(due, 0.0), at - due)
    for message in messages(bootstrap, SIGNALS.name):
        if dict(message.headers() or ()).get(TYPE_HEADER) == b"health":
            due = json.loads(message.value())["at"] / 1000
            delays.readings[due] = max(delays.readings.get(due, 0.0), message.timestamp()[1] / 1000 - due)
    return delays, sum(1 for due in sent.values() if due < until - LATER_S and due not in delays.rows)
