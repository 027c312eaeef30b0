"""Readings of a counter while it grows, and the rate that they show."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from streams.harness.errors import Fatal

READ_EVERY_S = 0.25  # a reading costs the role some milliseconds
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    at: float  # time.monotonic
    count: float


class Unmeasured(Fatal):
    """There is no figure, and why."""


def rate(readings: Sequence[Reading], total: float) -> float:
    """Return how many a second, from the first reading that shows any to the first that shows the total: no start-up is in it.

    Raises Unmeasured where the readings do not show it.
    """
    begun = next((one for one in readings if one.count > 0), None)
    ended = next((one for one in readings if one.count >= total), None)
    if begun is None or ended is None:
        raise Unmeasured(f"counted {readings[-1].count if readings else 0:,.0f} of {total:,.0f}")
    if ended.at <= begun.at:
        raise Unmeasured(f"all {total:,.0f} were counted between two readings: too few to tell a rate")
    return (ended.count - begun.count) / (ended.at - begun.at)


def follow(count: Callable[[], float], total: float, within_s: float, alive: Callable[[], bool] = lambda: True) -> list[Reading]:
    """Read until the total is there; raise Unmeasured where it is not in time, or who counts has ended."""
    readings: list[Reading] = []
    deadline = time.monotonic() + within_s
    while not readings or readings[-1].count < total:
        if time.monotonic() > deadline or not alive():
            told = "it has ended" if not alive() else f"{within_s:.0f} s are over"
            raise Unmeasured(f"{readings[-1].count if readings else 0:,.0f} of {total:,.0f} counted, and {told}")
        readings.append(Reading(time.monotonic(), count()))
        time.sleep(READ_EVERY_S)
    return readings


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return a role's /metrics: values by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(port: int, name: str, **labels: str) -> float:
    """Return the sum of a metric's values over all labels but those given; 0 where nobody answers yet."""
    try:
        found = scrape(port)
    except OSError:
        return 0.0
    return sum(value for (metric, given), value in found.items() if metric == name and labels.items() <= dict(given).items())
