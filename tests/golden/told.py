"""What Prometheus has by its own API and what AIRRA has, told alike and compared: each sample as (labels, milliseconds, value)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from schemas.samples import TYPE_HEADER, SeriesDef, decode_batch, decode_series
from streams.harness.stage import Record
from streams.normalise.formats.staleness import is_stale
from tests.golden.messages import Message
from tests.unit.golden_reading import Labels, labelled, read

Told = tuple[Labels, int, float | str]
ENDED, NO_VALUE = "ended", "no value"  # in place of a value: no NaN is like another
SHOWN = 3  # of what differs in one way

STANZA = re.compile(r"^```yaml\n(remote_write:\n.*?)^```", re.DOTALL | re.MULTILINE)
ADDRESS, TOKEN, ONLY_2 = "http://127.0.0.1:8080", "TOKEN", "# protobuf_message:"  # as docs/ingest.md has them


def stanza(docs: str, address: str, token: str, version: str) -> str:
    """Return what docs/ingest.md tells a user to write into prometheus.yml."""
    found = STANZA.search(docs)
    if found is None or not all(part in found[1] for part in (ADDRESS, TOKEN, ONLY_2)):
        raise LookupError("docs/ingest.md has no such stanza of remote_write any more")
    text = found[1].replace(ADDRESS, address).replace(TOKEN, token)
    return text.replace(ONLY_2, ONLY_2.removeprefix("# ")) if version == "2.0" else text


def has(api: Iterable[Any], external: Mapping[str, str]) -> Counter[Told]:
    """Return what Prometheus has to send: each sample, and the end of each series at the first scrape that lacks it.

    `external` are the labels that it adds for those outside. Its API knows no ends: a scrape is where its target's `up` has a sample.
    """
    series = [(one["metric"], {round(at * 1000): float(value) for at, value in one.get("values", [])}) for one in api]
    scrapes = {_target(metric): sorted(values) for metric, values in series if metric["__name__"] == "up"}
    found: Counter[Told] = Counter()
    for metric, values in series:
        labels = labelled(**metric, **external)
        found.update((labels, at, _worth(value)) for at, value in values.items())
        found.update((labels, at, ENDED) for before, at in pairwise(scrapes[_target(metric)]) if before in values and at not in values)
    return found


def written(records: Iterable[Record]) -> Counter[Told]:
    """Return what stands in the requests that the API took."""
    _, found = read([Message(record.value, record.key, record.headers) for record in records])
    return Counter((one.labels, one.at, _worth(one.value)) for one in found)


def stored(records: Iterable[Record]) -> tuple[Counter[Told], Mapping[int, SeriesDef]]:
    """Return what stands on the samples topic: rows, and the definitions that name them."""
    known: dict[int, SeriesDef] = {}
    found: Counter[Told] = Counter()
    for record in records:
        kind = record.header(TYPE_HEADER)
        if kind == b"series":
            known |= {one.id: one for one in decode_series(record.value)}
        elif kind == b"samples":
            rows = decode_batch(record.value)
            for one, at, value in zip(rows.series.tolist(), rows.time.tolist(), rows.value.tolist(), strict=True):
                labels = labelled(**known[one].labels) if one in known else labelled(undefined=f"{one:016x}")
                found[labels, at, _worth(value)] += 1
    return found, known


def of_value(told: Counter[Told], value: str) -> Counter[Told]:
    return Counter({one: count for one, count in told.items() if one[2] == value})


def differing(what: str, expected: Counter[Any], found: Counter[Any]) -> Iterator[str]:
    """Say what is not there, and what is there beyond that."""
    for how, those in (("lacks", expected - found), ("has beyond", found - expected)):
        if those:
            first = [[dict(one[0]), *one[1:]] if isinstance(one, tuple) else one for one in list(those)[:SHOWN]]
            yield f"{what} {how} {those.total()}: {first}"


def _target(metric: Mapping[str, str]) -> tuple[str, str]:
    return metric["job"], metric["instance"]


def _worth(value: float) -> float | str:
    if is_stale(value):
        return ENDED
    return NO_VALUE if math.isnan(value) else value
