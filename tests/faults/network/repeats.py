"""What stands on the logs, or reached a receiver, more than once: with the id of the first it is a repeat, with another it is a second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.conserve import folded
from cli.conserve.ended import grants
from cli.conserve.logs import Logs
from schemas.topics import INCIDENTS
from streams.harness.emit import SOURCE_HEADER
from streams.harness.stage import Output, Record, Stage
from tests.network.recorder import Heard

# Of what there is one each: the ids of effectors, of people and of the folds name the same thing by these fields.
ONE_EACH = {
    "proposal": ("incident", "incident_version"),
    "command": ("proposal", "subject", "verb", "mode"),
    "decision": ("proposal",),
    "withdrawal": ("incident",),
    "explanation": ("proposal",),
    "grant": ("proposal", "undo_of"),
    "refused": ("action",),
    "finished": ("action",),
    "undo_request": ("action",),
    "outcome": ("action", "version"),
    "delivery": ("notice", "receiver"),
}  # not "started": a second sending, after the look-up said that the first never arrived, has an id of its own


def _originals(records: Iterable[Record]) -> Iterable[tuple[Record, str]]:
    """Yield what a control log holds with its type, without ticks and without copies of what stands on another log."""
    for record in records:
        kind = (record.header("airra.type") or b"").decode()
        if kind != "tick" and record.header(SOURCE_HEADER) is None:
            yield record, kind


def stand_twice(records: Iterable[Record]) -> tuple[int, list[str]]:
    """Return how many records stand again with the id of an earlier one, and which ids stand there with other bytes."""
    seen: dict[tuple[str, str, str], bytes] = {}
    twice, differing = 0, []
    for record, kind in _originals(records):
        key = (record.topic, kind, str(json.loads(record.value)["id"]))
        twice += key in seen
        if seen.setdefault(key, record.value) != record.value:
            differing.append(" ".join(key))
    return twice, differing


def under_other_ids(records: Iterable[Record]) -> list[str]:
    """Return what stands there under more than one id, of all that there is one each."""
    ids: dict[tuple[str, ...], set[str]] = {}
    for record, kind in _originals(records):
        if fields := ONE_EACH.get(kind):
            content = json.loads(record.value)
            ids.setdefault((kind, *(str(content.get(name)) for name in fields)), set()).add(content["id"])
    return [f"{' '.join(key)} stands under {len(found)} ids" for key, found in ids.items() if len(found) > 1]


def _say_again(_: None, record: Record, __: int) -> Sequence[Output]:
    return [Output(record.topic, record.key, record.value, record.headers)] if record.header("airra.type") == b"incident" else []


def _played() -> Stage[None]:
    """Return what the bench is in correlate's place: whoever says each incident that it wrote."""
    return Stage("bench", INCIDENTS.name, restore=lambda _: None, apply=_say_again, snapshot=lambda _: b"")


def unaccounted(logs: Logs, stages: Sequence[Stage[Any]]) -> list[str]:
    """Fold the control logs again, without correlate; return the accounts that do not add up.

    An output that no stage says is from nowhere: so is one that was repeated under another id.
    """
    wanted = [stage for stage in stages if stage.name not in {"detect", "dedup", "correlate"}]
    found = [*folded.stages(logs, [_played(), *wanted], None), grants(logs)]
    return [f"{one.name} does not add up: {one}" for one in found if not one.holds]


@dataclass(frozen=True)
class Told:
    """What came of the notices of one incident."""

    lost: int  # notices that did not arrive, whatever was said of them
    wrong: int  # keys under which two bodies arrived
    repeated: int  # requests with the key of an earlier one
    failed: tuple[str, ...]


def told(words: Mapping[str, str], heard: Sequence[Heard]) -> Told:
    """Judge what the receiver heard by the words on the log: notice → delivered, failed, or "" for none."""
    arrived: dict[str, set[bytes]] = {}
    for one in heard:
        arrived.setdefault(one.key, set()).add(one.body)
    given_up = sum(1 for word in words.values() if word not in ("", "delivered"))
    silent = sum(1 for word in words.values() if not word)
    failed = [] if words else ["there was no notice at all"]
    failed += [f"{given_up} notices were given up"] * bool(given_up) + [f"{silent} notices have no word of their delivery"] * bool(silent)
    return Told(
        lost=sum(1 for notice in words if notice not in arrived),
        wrong=sum(1 for bodies in arrived.values() if len(bodies) > 1),
        repeated=len(heard) - len(arrived),
        failed=tuple(failed),
    )
