"""What a recording teaches: of every series, second by second, how much it rose or what it was, and the load at that moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from cli.config import ConfigError
from schemas.kinds import Kind, MetricType
from schemas.samples import SeriesDef
from streams.harness.stage import Record
from streams.normalise.formats.port import Described
from streams.normalise.series import Resolver

LEAST_S = 120  # of a recording
LEAST_SHARE = 0.8  # of its seconds that a series must have a value in
WITH_LOAD = frozenset({Kind.REQUESTS, Kind.ERRORS, Kind.CPU, Kind.POOL, Kind.SATURATION})  # what there is more of where there is more to do

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Message(msgspec.Struct):
    """A sample as prometheus-kafka-adapter writes it."""

    labels: dict[str, str]
    timestamp: datetime
    value: str


_MESSAGE = msgspec.json.Decoder(Message)


@dataclass(frozen=True)
class Fitted:
    """Columns are series, rows are seconds."""

    series: list[SeriesDef]
    service: Ints  # of each series, its place in `services`
    services: list[str]
    counts: Bools  # it only rises
    whole: Bools  # in whole numbers
    group: Ints  # of a histogram's buckets the same: they are rounded together
    loaded: Bools  # it goes with the load
    steps: Floats  # (seconds, series): of one that rises by how much, of another what it is
    load: Floats  # (seconds,): 1 is usual


def fit(records: Iterable[Record], resolver: Resolver) -> Fitted:
    """Learn from the records of raw metrics of a run in which nothing was wrong."""
    values: dict[int, dict[int, float]] = {}
    meant: dict[int, SeriesDef] = {}
    known: dict[tuple[tuple[str, str], ...], SeriesDef | None] = {}
    for record in records:
        try:
            told = _MESSAGE.decode(record.value)
            value = float(told.value)
        except (msgspec.DecodeError, ValueError):
            continue
        key = tuple(sorted(told.labels.items()))
        if key not in known:
            found = resolver.resolve(Described(told.labels))
            known[key] = found if isinstance(found, SeriesDef) else None
        if (one := known[key]) is not None and np.isfinite(value):
            meant[one.id] = one
            values.setdefault(one.id, {})[int(told.timestamp.timestamp())] = value
    seconds = sorted({at for of in values.values() for at in of})
    if len(seconds) < LEAST_S:
        raise ConfigError(f"{len(seconds)} seconds of metrics that the mapping names: a recording of at least {LEAST_S} is needed")
    span = np.arange(seconds[0], seconds[-1] + 1)
    series = sorted((one for one in meant.values() if len(values[one.id]) >= LEAST_SHARE * len(span)), key=lambda one: one.id)
    if not series:
        raise ConfigError("no series has a value in most seconds of the recording")
    table = np.stack([_filled(values[one.id], span) for one in series], axis=1)
    return _fitted(series, table)


def _filled(values: dict[int, float], span: Ints) -> Floats:
    """Return a value for each second: where there is none, the one before it."""
    at = np.array(sorted(values))
    place = np.maximum(np.searchsorted(at, span, side="right") - 1, 0)
    return np.array([values[moment] for moment in at.tolist()])[place]


def _fitted(series: list[SeriesDef], table: Floats) -> Fitted:
    counts = np.array([one.type is not MetricType.GAUGE for one in series])
    steps = np.where(counts, np.maximum(np.diff(table, axis=0), 0.0), table[1:])
    loaded = counts | np.array([one.kind in WITH_LOAD for one in series])
    requests = steps[:, [one.kind is Kind.REQUESTS and one.type is not MetricType.GAUGE for one in series]].sum(axis=1)
    smooth = np.convolve(np.pad(requests, 5, mode="edge"), np.ones(11) / 11, mode="valid")
    load = smooth / smooth.mean() if requests.any() else np.ones(len(steps))
    services = sorted({one.service for one in series})
    return Fitted(
        series=series,
        service=np.array([services.index(one.service) for one in series], np.int64),
        services=services,
        counts=counts,
        whole=(steps == np.rint(steps)).all(axis=0),
        group=np.unique([one.group for one in series], return_inverse=True)[1].astype(np.int64),
        loaded=loaded,
        steps=steps,
        load=np.maximum(load, 0.1),
    )
