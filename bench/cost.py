"""What a sample costs normalise and detect, by how many series there are and how many records are taken at a time: the folds alone.

Without Kafka, in this process, in CPU time: what remains is the code of the folds. The rounds that fill the caches and the baselines
are not measured, nor is the first moment of health, which makes the texts of all series; of those that follow each has its share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from bench.figures import Figure, Goal
from bench.meter import Unmeasured
from cli.wiring import configuration
from schemas.config.detect import DetectConfig
from schemas.config.metrics import MetricsMapping
from schemas.settings import Settings
from schemas.topics import RAW_METRICS, SAMPLES
from streams.detect import stage
from streams.harness.stage import Output, Record
from streams.normalise.core import Core
from streams.normalise.times import Reach
from tests.faults.load.traffic import Shape, texts

SERIES = (100, 1_000, 10_000, 100_000, 1_000_000)
BATCHES = (10, 100, 1_000, 10_000, 100_000)
USUAL_SERIES, USUAL_BATCH = 1_000, 10_000
LEAST_SAMPLES = 200_000  # measured, and whole intervals of health
WARM_ROUNDS = 10  # at most, of a second of event time each
_CAPS = ("max_series", "max_series_per_source", "max_values_per_label")
PARTITIONS = 4
GOALS: tuple[Goal, ...] = ()


@dataclass
class Plan:
    series: Sequence[int] = SERIES
    batches: Sequence[int] = BATCHES
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Measure by number of series at the usual batch, then by batch at the usual number of series."""
    settings = Settings()
    for series in plan.series:
        yield from _measured(settings, series, USUAL_BATCH)
    for batch in plan.batches:
        if batch != USUAL_BATCH:
            yield from _measured(settings, USUAL_SERIES, batch)


def _measured(settings: Settings, series: int, batch: int) -> Iterator[Figure]:
    heads, values = Shape(series).prefixes(), texts(1)
    normalise, detect = _Normalise(settings), _Detect(settings)
    rounds = math.ceil(LEAST_SAMPLES / (series * detect.health_s)) * detect.health_s
    health = (int(time.time()) - rounds - WARM_ROUNDS) // detect.health_s * detect.health_s  # the first moment of it; begun a second before

    def fold(begin: int, end: int) -> None:
        for records in batched(chain.from_iterable(map(written, range(begin, end))), batch):
            detect.take(normalise.take(records))

    def written(at: int) -> list[bytes]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)).encode()
        return [head + stamp + values[(place * 31 + at * 7) % len(values)] for place, head in enumerate(heads)]

    at = health - 1
    while not (ready := detect.told >= health) and at < health + WARM_ROUNDS:
        fold(at, at + 1)
        at += 1
    if detect.series != series or not ready:
        raise Unmeasured(f"detect knows {detect.series:,} of {series:,} series, and told of their health at {detect.told}, not {health}")
    normalise.spent = detect.spent = 0.0
    fold(at, at + rounds)
    under = {"series": float(series), "batch": float(batch)}
    for name, spent in (("normalise", normalise.spent), ("detect", detect.spent)):
        yield Figure("cost", f"{name}, {series:,} series, {batch:,} a time", spent / (series * rounds) * 1e9, "ns/sample", at=under)


def batched(records: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Cut into pieces of so many (itertools has it from Python 3.12 on)."""
    rest = iter(records)
    while piece := list(islice(rest, size)):
        yield piece


class _Normalise:
    def __init__(self, settings: Settings) -> None:
        mapping: Any = configuration(settings, "metrics")
        assert isinstance(mapping, MetricsMapping)
        self._core = Core(mapping, PARTITIONS, PARTITIONS)
        self._offset = 0
        self.spent = 0.0

    def take(self, records: list[bytes]) -> list[Output]:
        now = int(time.time() * 1000)
        offsets = list(range(self._offset, self._offset + len(records)))
        self._offset += len(records)
        begun = time.process_time()
        taken = self._core.take_samples(
            (RAW_METRICS.name, 0), records, offsets, [now] * len(records), lambda _: Record("", 0, 0, 0, None, b""), Reach(now), None
        )
        self.spent += time.process_time() - begun
        if taken.refused:
            raise Unmeasured(f"the load's own samples were refused: {set(taken.refused)}")
        return [output for output in taken.outputs if output.topic == SAMPLES.name]


class _Detect:
    def __init__(self, settings: Settings) -> None:
        config: Any = configuration(settings, "detect")
        assert isinstance(config, DetectConfig)
        self._stage = stage(config.model_copy(update=dict.fromkeys(_CAPS, 10 * max(SERIES))))  # none is to be refused
        self.health_s = round(config.health_s)
        self._states = [self._stage.restore(None) for _ in range(PARTITIONS)]
        self._offset = 0
        self.spent = 0.0

    @property
    def series(self) -> int:
        return sum(state.registry.raws.count for state in self._states)

    @property
    def told(self) -> int:
        """Event time (s) of the newest moment of health that all have passed."""
        return min(state.told for state in self._states if state.registry.raws.count) // 1000 if self.series else 0

    def take(self, outputs: Sequence[Output]) -> None:
        now = int(time.time() * 1000)
        for output in outputs:
            record = Record(SAMPLES.name, output.partition or 0, self._offset, now, output.key, output.value, output.headers)
            self._offset += 1
            begun = time.process_time()
            self._stage.apply(self._states[record.partition], record, now)
            self.spent += time.process_time() - begun
