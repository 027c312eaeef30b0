"""Asks every service for /metrics once a second, and says each sample as prometheus-kafka-adapter does; kafka.wire writes it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from sandbox.web.client import CallFailedError, Client

PHASE_S = 0.5  # of every second of the wall clock: what is late by less stays in its second, for the adapter writes whole ones
SOON_S = 0.05  # a clock that wakes up early by less is not asked twice
TIMEOUT_S = 0.9


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    service: str
    host: str
    port: int
    labels: dict[str, str]  # of the target: service and instance, under the names that its owner chose
    names: dict[str, str]  # role → metric name

    @property
    def instance(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one target said at one moment; `up` is false when it said nothing."""

    target: ScrapeTarget
    at: int
    up: bool
    samples: tuple[Sample, ...] = ()

    def value(self, role: str, suffix: str = "") -> float | None:
        name = self.target.names[role] + suffix
        return next((sample.value for sample in self.samples if sample.name == name), None)


def parse(target: ScrapeTarget, text: str) -> tuple[Sample, ...]:
    """Read an exposition; the target's own labels win, as with Prometheus."""
    families = text_string_to_metric_families(text)
    return tuple(
        Sample(sample.name, {**sample.labels, **target.labels}, float(sample.value)) for family in families for sample in family.samples
    )


def number(value: float) -> str:
    """Write a number as Go does without an exponent."""
    if math.isfinite(value):
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def message(sample: Sample, at: int) -> dict[str, Any]:
    """Write a sample as the adapter's JSON serializer does: the value as a string, the time in UTC and whole seconds, cut off."""
    return {
        "timestamp": datetime.fromtimestamp(at // 1000, UTC).isoformat().replace("+00:00", "Z"),
        "value": number(sample.value),
        "name": sample.name,
        "labels": {"__name__": sample.name, **sample.labels},
    }


def messages(scrape: Scrape) -> list[dict[str, Any]]:
    up = Sample("up", scrape.target.labels, 1.0 if scrape.up else 0.0)
    return [message(sample, scrape.at) for sample in (*scrape.samples, up)]


def until_next(now_s: float) -> float:
    """Return how long it is to the next scrape."""
    return math.floor(now_s - PHASE_S + SOON_S) + 1 + PHASE_S - now_s


class Scraper:
    """Scrapes all targets at once, at the same moment of every second."""

    def __init__(self, targets: list[ScrapeTarget], seen: Callable[[list[Scrape]], None]) -> None:
        self._targets = targets
        self._seen = seen
        self._client = Client()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(until_next(time.time()))
            self._seen(list(await asyncio.gather(*map(self._scrape, self._targets))))

    async def _scrape(self, target: ScrapeTarget) -> Scrape:
        at = int(time.time() * 1000)
        try:
            status, body = await self._client.request(target.host, target.port, "GET", "/metrics", timeout_s=TIMEOUT_S)
        except CallFailedError:
            return Scrape(target, at, up=False)
        return Scrape(target, at, up=True, samples=parse(target, body.decode())) if status == 200 else Scrape(target, at, up=False)
