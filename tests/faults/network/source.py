"""Telemetry that stops at its source in mid-incident: raw samples of a service that leaks, all the roles behind them, and then nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from cli.demo.stack import Stack
from cli.watch import Watch
from schemas import topics
from schemas.approvals import Decision, DecisionOutcome
from schemas.outcomes import NoticeKind
from tests.faults.ledger import length
from tests.faults.network.clocks import EXPIRES_S, Told, change
from tests.faults.network.history import LEAK_B_S, LEVEL, sample
from tests.faults.points.acting_world import configuration
from tests.faults.points.groups import until

ROLES = ("normalise", "detect", "dedup", "control")
SERVICES = ("orders", "inventory", "payments")
WELL_S = 45  # past the history that a judgement needs
PROPOSED_WITHIN_S = 90.0
ENDED_WITHIN_S = EXPIRES_S + 60.0
RAW = (topics.RAW_METRICS, topics.RAW_ALERTS, topics.RAW_CHANGES)


class SourceBench:
    """Everything from raw samples to notices; use as a context. What is proposed is good for EXPIRES_S."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._bootstrap = bootstrap
        self._folder = folder
        self._exit = contextlib.ExitStack()
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
        self._leaked = 0.0
        self.told = Told()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)  # what has been started, if the rest does not start
            config = configuration(self._folder, "config")
            change(config / "runbooks.yaml", "proposing", expires_s=EXPIRES_S)
            self.stack = self._exit.enter_context(Stack(self._folder / "run", {"config_dir": config}, self._bootstrap, roles=ROLES))
            self.stack.start_roles()
            watch = Watch(self.stack.kafka.confluent(), self.told.take)
            watch.start()
            self._exit.callback(watch.stop)
            self.stack.wait_ready(ROLES[:-1])
            self.stack.arm(3600.0)
            guard.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def until_proposed(self) -> str:
        """Write samples of services that are well, then let one leak until a cure is proposed; return the incident."""
        for _ in range(WELL_S):
            self._second(0.0)
        until(lambda: bool(self.told.proposals), PROPOSED_WITHIN_S, "a cure is proposed", lambda: self._second(LEAK_B_S))
        return next(iter(self.told.proposals))

    def written(self) -> int:
        """Return how many records the raw topics have had."""
        return sum(length(self._bootstrap, topic.name) for topic in RAW)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for a condition, or for so long that it will not come."""
        with contextlib.suppress(RuntimeError):
            until(reached, ENDED_WITHIN_S, "it")

    def not_ready(self) -> list[str]:
        return [f"{role} is not ready" for role in ROLES if not self.stack._ready(role, {})]

    def _second(self, leaks: float) -> None:
        begun, now = time.monotonic(), int(time.time())
        self._leaked += leaks
        for service in SERVICES:
            value = LEVEL + (self._leaked if service == SERVICES[0] else 0.0)
            record = sample(service, "process_resident_memory_bytes", now, value)
            self._producer.produce(topics.RAW_METRICS.name, record, service.encode())
        if self._producer.flush(10):
            raise RuntimeError("the samples were not acknowledged")
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))


def expired(told: Told, key: str) -> list[tuple[Decision, int]]:
    """Return the decisions of an incident that the clock alone made, each with its time on the log."""
    return [(one, at) for one, at in told.decided.get(key, ()) if one.outcome is DecisionOutcome.EXPIRED]


def late_s(told: Told, key: str) -> tuple[list[float], list[str]]:
    """Return how late the first proposal that nobody decided expired and a human was told, in seconds; and what is wrong with that.

    Another one may follow it: the incident goes on.
    """
    ends, escalated = expired(told, key)[:1], told.when(key, NoticeKind.ESCALATED)[:1]
    wrong = [what for what, found in (("nothing expired", ends), ("nobody was told", escalated)) if not found]
    if not ends or (due := told.due.get(ends[0][0].proposal)) is None:
        return [], wrong or ["what expired was never proposed"]
    return [(at - due) / 1000 for at in (ends[0][1], *escalated)], wrong
