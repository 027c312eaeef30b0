"""Change events, one JSON object a message: what was changed on purpose, for correlate and reason to hold against what broke.

{"type":"deploy","service":"orders","at":1795489200000,"before":"v1","after":"v2","name":"","by":"ci"}
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec

from schemas.base import Position, derive_id
from schemas.kinds import ChangeType
from schemas.signals import Change
from streams.harness.stage import Record
from streams.normalise.fates import Reason, Rejected
from streams.normalise.jsons import decode
from streams.normalise.series import NAME_CHARS
from streams.normalise.times import DAY_MS, LATEST_MS, Reach

STALE_MS = 30 * DAY_MS  # what the raw topic keeps: a first start reads all of it, and the releases that it tells of still run
MAX_CHANGE_BYTES = 65_536
TEXT_CHARS = 1_000  # of one field, as far as a signal carries it


class _Change(msgspec.Struct):
    type: ChangeType
    service: str
    at: Annotated[int, msgspec.Meta(ge=-LATEST_MS, le=LATEST_MS)]
    before: str = ""
    after: str = ""
    name: str = ""
    by: str = ""


_CHANGE = msgspec.json.Decoder(_Change)


def decode_change(record: Record, reach: Reach) -> Change:
    """Decode one raw record; raise Rejected for what is none."""
    reach = replace(reach, before_now=max(reach.before_now, STALE_MS))
    found = decode(_CHANGE, record.value, MAX_CHANGE_BYTES)
    if not found.service:
        raise Rejected(Reason.NO_SERVICE, "service is empty")
    if len(found.service) > NAME_CHARS:
        raise Rejected(Reason.TOO_LARGE, f"a service name of {len(found.service)} characters, at most {NAME_CHARS}")
    if not reach.holds(found.at, record.timestamp):
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, reach.says(found.at, record.timestamp))
    source = Position(topic=record.topic, partition=record.partition, offset=record.offset)
    return Change(
        id=derive_id("chg", source),
        change=found.type,
        service=found.service,
        at=found.at,
        before=found.before[:TEXT_CHARS],
        after=found.after[:TEXT_CHARS],
        name=found.name[:TEXT_CHARS],
        by=found.by[:TEXT_CHARS],
        source=source,
    )
