"""The packed tables of a partition: raw series, what reports (a gauge, a counter, a histogram), histograms, instances.

raw series → unit → derived series (slots). Units of one (service, instance) share an instance, which has derived series of its own:
the error ratio and the restarts. Times are milliseconds: `last_t` of event time, `heard` of the active clock (silence.py).
"""

# ruff: noqa: RUF009 - `column` returns a dataclass field

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.detection.packed import Bools, Floats, Ints, Numbers, Packed, column, wide
from models.joint.past import KINDS

GAUGE, COUNTER, BUCKET, IGNORED = 0, 1, 2, 3  # what a raw series is; of a histogram, sum and count are not needed
NEVER = -(2**62)
NONE = -1  # no row
EVENTS = 6  # of each sort, that an instance remembers


@dataclass
class Pasts(Packed):
    """Of services with more than one kind: how their kinds usually are together (models/joint)."""

    slot: Numbers = column(np.int32, fill=NONE)  # of the distance from it
    seen: Floats = column(np.float64, len(KINDS))
    mean: Floats = column(np.float64, len(KINDS))
    spread: Floats = column(np.float64, len(KINDS), len(KINDS))


@dataclass
class Raws(Packed):
    id: NDArray[np.uint64] = column(np.uint64)
    unit: Numbers = column(np.int32, fill=NONE)
    type: Numbers = column(np.int8, fill=IGNORED)
    bucket: Numbers = column(np.int16)  # place among its histogram's bounds
    last_t: Ints = column(np.int64, fill=NEVER)
    last_v: Floats = column(np.float64)  # of a delta series the sum of all so far
    delta: Bools = column(np.bool_)  # each value counts from the one before it


@dataclass
class Units(Packed):
    primary: Numbers = column(np.int32, fill=NONE)  # slot: value, rate or p95; none of a counter of restarts
    median: Numbers = column(np.int32, fill=NONE)  # slot: p50 of a histogram
    rate: Numbers = column(np.int32, fill=NONE)  # slot: rate of a histogram
    tail: Numbers = column(np.int32, fill=NONE)  # slot: p99 of a histogram; none where it is not wanted, or was not when it was defined
    hist: Numbers = column(np.int32, fill=NONE)
    inst: Numbers = column(np.int32, fill=NONE)
    raw: Numbers = column(np.int32, fill=NONE, follows=True)  # the one that it is made of; of a histogram the first
    up: Bools = column(np.bool_)
    errors: Bools = column(np.bool_)  # counts towards the instance's error ratio,
    requests: Bools = column(np.bool_)  # and its requests
    restarts: Bools = column(np.bool_)  # a counter whose every increase is a restart
    heard: Ints = column(np.int64, fill=NEVER)
    times: Numbers = column(np.int32)  # how often it was heard
    interval: Floats = column(np.float64)
    gone: Bools = column(np.bool_)  # silent, and that is settled: said, or not worth saying


@dataclass
class Hists(Packed):
    bounds: Floats = wide(np.float64, fill=np.inf)
    counts: Floats = wide(np.float64)  # cumulative, since the last quantile
    buckets: Numbers = column(np.int16)
    since: Ints = column(np.int64, fill=NEVER)
    tail: Floats = wide(np.float32)  # as counts, since the last p99
    tail_since: Ints = column(np.int64, fill=NEVER)


@dataclass
class Tallies(Packed):
    """What is counted of an instance. Only where there is anything to count: such an instance has a series of restarts."""

    request_n: Floats = column(np.float64)  # since the last ratio
    error_n: Floats = column(np.float64)
    since: Ints = column(np.int64, fill=NEVER)
    resets: Ints = column(np.int64, EVENTS, fill=NEVER)  # event times, the newest last
    falls: Ints = column(np.int64, EVENTS, fill=NEVER)


@dataclass
class Insts(Packed):
    ratio: Numbers = column(np.int32, fill=NONE)  # slot
    restarts: Numbers = column(np.int32, fill=NONE)  # slot
    service: Numbers = column(np.int32, fill=NONE, follows=True)  # number
    units: Numbers = column(np.int32)  # how many it has
    counted: Bools = column(np.bool_)  # has a counter of requests: otherwise histograms count them
    disjoint: Bools = column(np.bool_)  # one metric tells errors from requests by a label: together they are all requests
    down: Bools = column(np.bool_)  # as its newest `up` says
    tally: Numbers = column(np.int32, fill=NONE)  # row; of those with `restarts`
    begun: Ints = column(np.int64, fill=NEVER)  # active clock of the newest reset
    heard: Ints = column(np.int64, fill=NEVER)
