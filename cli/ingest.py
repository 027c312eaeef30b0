"""`airra ingest`: what AIRRA reads of a producer's records, why not, and which series would be made."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, rows, say, write_json
from cli.reading import messages, record_of
from cli.settings import read_settings
from cli.wiring import choice, configuration
from schemas import topics
from schemas.config.metrics import MetricsMapping
from schemas.samples import TYPE_HEADER, decode_series
from schemas.settings import Settings
from streams.harness.errors import Retryable
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.kafka import KafkaSettings, check
from streams.harness.redelivery import letter_of
from streams.harness.stage import Headers, Record
from streams.normalise.core import Core
from streams.normalise.raw import by_index
from streams.normalise.times import Reach, of_history

ingest = typer.Typer(no_args_is_help=True, help="What AIRRA reads of a producer's records.")

SHOWN = 20  # series and reasons that a terminal shows; --json has all
BYTE = re.compile(rb"\\x([0-9A-Fa-f]{2})")  # in the value of a --header: no shell hands a NUL over


@ingest.callback()
def _ingest() -> None:
    """Keep `check` a word of its own: Typer takes a single command for the group."""


@dataclass
class Looked:
    """What would become of the records."""

    records: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    samples: Counter[tuple[str, str]] = field(default_factory=Counter)  # by format and fate
    refused: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)  # for a schema that nobody gives now
    series: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, core: Core, record: Record, value: bytes | None, now: int) -> None:
        """Let normalise's own code take one record, and note what it makes of it; `value` is its value where None is not empty."""
        historical = record.header(BACKFILL_HEADER) is not None
        known = {"record": f"{record.partition}@{record.offset}", "begins": repr(record.value[:48])}
        self.records += 1
        try:
            taken = core.take_samples(
                (record.topic, record.partition),
                [value],
                [record.offset],
                [max(record.timestamp, 0)],
                lambda _: record,
                of_history(now) if historical else Reach(now),
                by_index([record.headers]),
            )
        except Retryable as away:
            self.fates["waits"] += 1
            self.waiting.append({**known, "reason": str(away)})
            return
        self.samples += Counter({(name, str(fate)): count for (name, fate), count in taken.samples.items()})
        told = {"accepted": taken.accepted, "unmapped": taken.unmapped, "empty": taken.empty, "dead_letter": len(taken.refused)}
        self.fates += Counter(told)
        for output in taken.outputs:
            kind = dict(output.headers).get(TYPE_HEADER)
            if output.topic == topics.SERIES.name and kind == b"series":
                for one in decode_series(output.value):
                    self.series[one.id] = {
                        "mapped": one.mapped, "service": one.service, "metric": one.metric, "part": one.part, "kind": str(one.kind),
                        "type": str(one.type), "unit": one.unit, "delta": one.delta, "labels": one.labels,
                    }  # fmt: skip
            elif output.topic == topics.DLQ.name:
                letter = letter_of(Record(output.topic, 0, 0, now, output.key, output.value, output.headers))
                if letter is not None:
                    self.refused.append({**known, "reason": letter.reason, "detail": letter.detail})

    def told(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "fates": {name: count for name, count in self.fates.items() if count},
            "samples": [{"format": name, "fate": fate, "samples": count} for (name, fate), count in sorted(self.samples.items())],
            "refused": self.refused,
            "waiting": self.waiting,
            "series": sorted(
                self.series.values(), key=lambda one: (one["service"], one["metric"], one["part"], sorted(one["labels"].items()))
            ),
        }


@ingest.command("check")
def ingest_check(
    topic: Annotated[str, typer.Option(help="The raw topic; with --file the one whose format counts.")] = topics.RAW_METRICS.name,
    last: Annotated[int, typer.Option(help="The newest this many records of each partition.", min=1)] = 100,
    file: Annotated[
        Path | None, typer.Option(help="Look at this file as one record, instead of Kafka.", exists=True, dir_okay=False)
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help=r"A header of --file, as often as it has some; \x00 is a byte.")
    ] = None,
    json_to: JsonTo = None,
) -> None:
    r"""Show what AIRRA reads of the newest records of a topic, why it does not, and which series would be made. Nothing is written.

    Exit 1 where a record would be dead-lettered, or waits for its schema, or there is none.

    Examples:  airra ingest check --topic metrics --last 100  ·  airra ingest check --file record.bin --topic team.metrics --json

    With headers:  --file record.bin --header content-type=text/plain  ·  --header airra.format=collectd  ·
    --header ce_specversion=1.0 --header ce_id=1 --header ce_source=/cart --header ce_type=load  ·
    --header '__value_schema_id=\x00\x00\x00\x00\x07'
    """
    headers = _headers(header or ())
    if headers and file is None:
        raise ConfigError("--header is of a --file: the records of a topic have their own")
    settings = read_settings()
    looked = _look(settings, _of(topic, file, headers) if file is not None else _newest(settings, topic, last))
    told = looked.told()
    if json_to is not None:
        write_json(json_to, told)
    if json_to != STDOUT:
        _show(topic, told)
    raise typer.Exit(0 if looked.records and not looked.refused and not looked.waiting else 1)


def _look(settings: Settings, records: Sequence[tuple[Record, bytes | None]]) -> Looked:
    mapping = configuration(settings, "metrics")
    assert isinstance(mapping, MetricsMapping)  # noqa: S101 - it is what the name stands for
    core, looked, now = Core(mapping, 1, 1, choice=choice(settings)), Looked(), int(time.time() * 1000)
    for record, value in records:
        looked.take(core, record, value, now)
    return looked


def _newest(settings: Settings, topic: str, last: int) -> list[tuple[Record, bytes | None]]:
    kafka = KafkaSettings.of(settings)
    found = (one for number in range(check(kafka, [topic])[topic]) for one in messages(kafka, topic, number, newest=last))
    return [(record_of(one), one.value()) for one in found]


def _headers(told: Sequence[str]) -> Headers:
    """Read NAME=VALUE of each."""
    found = []
    for one in told:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise ConfigError(f"--header {one}: it has to be NAME=VALUE, as in content-type=text/plain")
        found.append((name, BYTE.sub(lambda hexed: bytes.fromhex(hexed[1].decode()), os.fsencode(value))))
    return tuple(found)


def _of(topic: str, file: Path, headers: Headers) -> list[tuple[Record, bytes | None]]:
    try:
        value = file.read_bytes()
        return [(Record(topic, 0, 0, int(time.time() * 1000), None, value, headers), value)]
    except OSError as error:
        raise ConfigError(f"--file {file}: {error.strerror or error}") from error


def _show(topic: str, told: dict[str, Any]) -> None:
    if not told["records"]:
        say(f"{topic} holds no record")
        return
    say(f"{told['records']} records of {topic}: {', '.join(f'{count} {name}' for name, count in told['fates'].items())}")
    rows(None, "samples", ["format", "fate", "samples"], told["samples"])
    if told["refused"]:
        rows(None, "would be dead letters", ["record", "reason", "detail", "begins"], told["refused"][:SHOWN])
        _more(told["refused"])
    if told["waiting"]:
        rows(None, "waits, and its partition with it", ["record", "reason", "begins"], told["waiting"][:SHOWN])
        _more(told["waiting"])
    if told["series"]:
        shown = [{**one, "labels": " ".join(f"{name}={value}" for name, value in one["labels"].items())} for one in told["series"][:SHOWN]]
        rows(None, "series", ["service", "metric", "part", "kind", "type", "unit", "mapped", "labels"], shown)
        _more(told["series"])
    if any(not one["mapped"] for one in told["series"]):
        say("series that are not mapped are counted and passed over: name them in metrics.yaml")


def _more(found: Sequence[object]) -> None:
    if len(found) > SHOWN:
        say(f"… and {len(found) - SHOWN} more; --json has them all")
