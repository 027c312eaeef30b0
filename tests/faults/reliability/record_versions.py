"""Records of several versions on one log: a stage reads those of its major version, and dead-letters the others with the reason."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from schemas.base import SCHEMA_HEADER
from schemas.topics import ALERTS, DLQ, SIGNALS
from streams import dedup
from streams.harness.kafka import KafkaSettings
from streams.harness.producer import KafkaAppender
from streams.harness.stage import Output, Record
from streams.harness.topics import create_topics
from tests.faults.reliability.case import Case, Finding, Ground, single
from tests.faults.serving import collecting, serving, until
from tests.unit.test_dedup import notification

RECORDS = 400
VERSIONS = (None, b"1.0", b"1.9", b"2.0")  # the last is of a major version that is not known
ITEM = f"{RECORDS} alerts of four versions"


def alerts() -> list[Output]:
    """Return alerts whose versions take turns; those of later versions hold what this release does not know."""
    made = []
    for number in range(RECORDS):
        version = VERSIONS[number % len(VERSIONS)]
        body = json.loads(notification(number * 1000, number, name=f"alert-{number % 40}").model_dump_json())
        if version == b"1.9":
            body |= {"tenant": "of a later minor version", "source": {**body["source"], "cluster": "a"}}
        if version == b"2.0":
            body["at"] = {"seconds": body["at"] // 1000}
        headers = (("airra.type", b"alert_event"), *(((SCHEMA_HEADER, version),) if version else ()))
        made.append(Output(ALERTS.name, None, json.dumps(body).encode(), headers, partition=0))
    return made


def told(records: list[Record]) -> set[bytes]:
    """Return what dedup says of this log when the records of the unknown version are not there."""
    state = dedup.restore(None)
    known = [record for record in records if record.header(SCHEMA_HEADER) != VERSIONS[-1]]
    return {output.value for record in known for output in dedup.apply(state, record, record.timestamp)}


async def _mixed(kafka: KafkaSettings, folder: Path) -> Finding:
    create_topics(kafka, [ALERTS, SIGNALS, DLQ])
    appender = await KafkaAppender(kafka).start()
    refused = RECORDS // len(VERSIONS)
    async with (
        collecting(kafka, ALERTS.name) as log,
        collecting(kafka, SIGNALS.name) as signals,
        collecting(kafka, DLQ.name) as letters,
        serving(kafka, folder, [dedup.stage()]),
    ):
        await appender(alerts())
        await until(lambda: len(letters) >= refused)
        await until(lambda: told([record for record in log if record.partition == 0]) <= {record.value for record in signals})
        await appender.stop()
    expected = told([record for record in log if record.partition == 0])
    reasons = {record.header("airra.error.reason") for record in letters}
    failed = [] if reasons == {b"unknown_schema"} else [f"reasons {reasons}"]
    return Finding(
        ITEM,
        RECORDS,
        lost=refused - len(letters),
        wrong=len({record.value for record in signals} - expected),
        notes=f"{refused} dead letters with the reason unknown_schema, {len(expected)} alerts told as without them",
        failed=tuple(failed),
    )


def mixed(ground: Ground) -> Finding:
    with ground.own_kafka() as broker:
        return asyncio.run(_mixed(KafkaSettings(broker.bootstrap), ground.new_folder("records")))


CASE = Case(
    "records",
    "records without a version, of this one, of a later minor and of an unknown major one, on one log: the last are dead letters",
    single(ITEM, mixed),
    minutes=0.5,
)
