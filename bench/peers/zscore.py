"""The work that every peer does with a sample, and how each says how far it is."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from typing import Any

import msgspec

ALPHA = 0.05  # of the exponentially weighted mean and variance
SIGMA = 3.0
WARM = 30  # samples before anything is judged
SAY_EVERY = 5000  # samples

State = tuple[int, float, float]  # samples, mean, variance
FIRST: State = (0, 0.0, 0.0)


class Sample(msgspec.Struct):
    """What prometheus-kafka-adapter writes."""

    labels: dict[str, str]
    name: str
    timestamp: str
    value: str


decode = msgspec.json.Decoder(Sample).decode


def series_of(sample: Sample) -> str:
    """Return a series' identity: its sorted labels."""
    return ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))


def step(state: State, value: float) -> tuple[State, float]:
    """Return the state after this value, and how many deviations the value is from what was expected."""
    count, mean, variance = state
    away = value - mean
    z = away / math.sqrt(variance) if count >= WARM and variance > 0 else 0.0
    return (count + 1, mean + ALPHA * away, (1 - ALPHA) * (variance + ALPHA * away * away)), z


class Progress:
    """Prints a line of JSON every so many samples: how many, and when (CLOCK_MONOTONIC, the same for all processes)."""

    def __init__(self) -> None:
        self.count = 0
        self.alarms = 0

    def add(self, z: float) -> None:
        self.count += 1
        self.alarms += abs(z) > SIGMA
        if self.count % SAY_EVERY == 0:
            reading = {"at": time.monotonic(), "count": self.count, "alarms": self.alarms}
            print(json.dumps(reading), file=sys.__stdout__, flush=True)  # Faust takes sys.stdout


def arguments() -> Any:
    cli = argparse.ArgumentParser()
    cli.add_argument("--bootstrap", required=True)
    cli.add_argument("--topic", required=True)
    cli.add_argument("--folder", required=True, help="for what the peer keeps on disk")
    return cli.parse_args()
