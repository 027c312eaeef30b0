"""What a record becomes in the store: a pure function from one record to rows. The same record always gives the same rows."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, TypeAdapter

from schemas.actions import ACTION_EVENTS, ActionSpec, Epoch, Finished, Grant, Refused, Started
from schemas.approvals import (
    APPROVAL_EVENTS,
    Arming,
    Command,
    Decision,
    Explanation,
    PolicyInForce,
    Proposal,
    UndoRequest,
    Withdrawal,
)
from schemas.base import canonical
from schemas.incidents import INCIDENT_EVENTS, Feedback, Incident
from schemas.outcomes import NOTICE_EVENTS, Delivery, Notice, Outcome
from schemas.signals import Tick
from schemas.topics import ACTIONS, APPROVALS, DLQ, INCIDENTS, NOTICES, OUTCOMES
from streams.harness.emit import parse
from streams.harness.errors import Poison
from streams.harness.redelivery import marked
from streams.harness.stage import Record
from streams.sink import dead
from streams.sink.proposals import proposal_row

TOPICS = (INCIDENTS, APPROVALS, ACTIONS, OUTCOMES, NOTICES, DLQ)

_OUTCOMES: TypeAdapter[Outcome] = TypeAdapter(Outcome)
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    INCIDENTS.name: INCIDENT_EVENTS,
    APPROVALS.name: APPROVAL_EVENTS,
    ACTIONS.name: ACTION_EVENTS,
    OUTCOMES.name: _OUTCOMES,
    NOTICES.name: NOTICE_EVENTS,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 9_223_372_000_000  # DateTime64 of the store ends in 2299; 2262 is where its nanoseconds would overflow
_OFFSET_BITS = 48
_LAST_OFFSET = (1 << _OFFSET_BITS) - 1
# What canonical JSON and the calendar raise for values that a model lets through: NaN, lone surrogates, numbers of 5,000 digits, depth.
_UNSHAPEABLE = (ValueError, OverflowError, RecursionError)
_ACTION_EVENTS = (Grant, Started, Refused, Finished)


class Fate(StrEnum):
    """The one end of each record that the sink takes in."""

    STORED = "stored"
    TICK = "tick"  # time: nothing to keep
    COPY = "copy"  # the original stands on another topic that is read too
    REPLAYED = "replayed"  # the mark that a dead letter was brought in: its letter is stored
    UNKNOWN = "unknown"  # of a newer writer
    DEAD = "dead"  # unreadable: sent to the dead-letter topic


@dataclass(frozen=True, slots=True)
class Row:
    table: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Folded:
    fate: Fate
    rows: tuple[Row, ...] = field(default=())


def moment(ms: int) -> datetime:
    """Convert milliseconds to what the store keeps; raise Poison for a time that it cannot hold."""
    if not 0 <= ms <= _LAST_MS:
        raise Poison("time_out_of_range", f"{ms} ms is no time that the store can hold")
    return _EPOCH + timedelta(milliseconds=ms)


def text(value: BaseModel | dict[str, Any] | None) -> str:
    """Serialise to canonical JSON; nothing is an empty object."""
    return canonical(value if value is not None else {}).decode()


def row_version(model_version: int, offset: int) -> int:
    """Order the rows of one id: a newer model version wins; within one, the first record in the log, as for every reader of it."""
    if not 0 <= model_version < 1 << 15:
        raise Poison("version_out_of_range", f"version {model_version}")
    return (model_version << _OFFSET_BITS) | (_LAST_OFFSET - offset)


def fold(record: Record) -> Folded:
    """Turn one record into its fate and rows; raise Poison for what never will be readable."""
    if record.topic == DLQ.name and marked(record) is not None:
        return Folded(Fate.REPLAYED)
    if record.topic == DLQ.name:
        return Folded(Fate.STORED, (_shaped("dead_letters", record, 0, dead.values, record),))
    adapter = _ADAPTERS.get(record.topic)
    if adapter is None:
        return Folded(Fate.UNKNOWN)
    try:
        event = parse(adapter, record)
    except Poison:
        if _is_of_a_newer_writer(record):
            return Folded(Fate.UNKNOWN)
        raise
    if isinstance(event, Tick):
        return Folded(Fate.TICK)
    if isinstance(event, _ACTION_EVENTS) and record.topic != ACTIONS.name:
        return Folded(Fate.COPY)
    table, values = _SHAPES[type(event)]
    version = event.version if isinstance(event, Outcome) else 0
    return Folded(Fate.STORED, (_shaped(table, record, version, values, event),))


def rows(record: Record) -> list[Row]:
    """Return the rows of one record: none for ticks, copies and unknown types; raise Poison for an unreadable one."""
    return list(fold(record).rows)


def _is_of_a_newer_writer(record: Record) -> bool:
    """Tell a well-formed record of a type that this reader does not know from an unreadable one."""
    try:
        kind = json.loads(record.value)["type"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return False
    return isinstance(kind, str) and kind not in _known_types(record.topic)


@functools.cache
def _known_types(topic: str) -> frozenset[str]:
    schema = _ADAPTERS[topic].json_schema()
    return frozenset(schema["discriminator"]["mapping"]) if "discriminator" in schema else frozenset({Outcome.model_fields["type"].default})


def _shaped(table: str, record: Record, model_version: int, values: Callable[[Any], dict[str, Any]], event: object) -> Row:
    """Shape one row; whatever a valid record carries that no row can (NaN in a free-form object, say) makes it poison."""
    try:
        return _row(table, record, model_version, values(event))
    except _UNSHAPEABLE as error:
        raise Poison("unstorable_value", f"{type(error).__name__}: {error}") from error


def _row(table: str, record: Record, model_version: int, values: dict[str, Any]) -> Row:
    tail = {
        "source_topic": record.topic,
        "source_partition": record.partition,
        "source_offset": record.offset,
        "logged_at": moment(max(record.timestamp, 0)),  # a broker without append times says -1
        "row_version": row_version(model_version, record.offset),
    }
    times = {name: moment(values[name]) for name in _TIMES if values.get(name) is not None}
    return Row(table, {**values, **times, **tail})


_TIMES = frozenset({"at", "opened_at", "expires_at", "until", "lease_until", "started_at", "finished_at"})


def _fields(*names: str) -> Callable[[Any], dict[str, Any]]:
    """Shape a model whose columns are its own fields."""
    return lambda event: {name: getattr(event, name) for name in names}


def _spec(spec: ActionSpec) -> dict[str, Any]:
    return {"action_name": spec.action.value, "service": spec.service, "params": text(spec.params)}


def _incident(event: Incident) -> dict[str, Any]:
    return {
        **_fields("id", "incident", "phase", "version", "title", "severity", "opened_at", "at")(event),
        "services": list(event.services),
        "suspects": [
            {
                **_fields("anomaly", "reason")(suspect),
                **_fields("series", "service", "metric", "kind", "value", "baseline", "low", "high", "z")(suspect.evidence),
                "opener": suspect.opener,
                "open": suspect.open,
                "opened_at": moment(suspect.opened_at),
            }
            for suspect in event.suspects
        ],
        "alerts": [alert.name for alert in event.alerts],
        "changes": [change.id for change in event.changes],
        "signals": [str(source) for source in event.sources],
    }


def _action(event: Grant | Started | Refused | Finished) -> dict[str, Any]:
    shared = {**_fields("id", "proposal", "incident", "mode", "undo_of", "at")(event), **_spec(event.spec), "event": event.type}
    blank = {"decision": "", "status": "", "reason": "", "detail": "", "epoch": None, "looked_up": False}
    blank |= {"before": "{}", "after": "{}", "seen": "{}", "lease_until": None}
    blank["action"] = event.id if isinstance(event, Grant) else event.action
    if isinstance(event, Grant):
        own = _fields("decision", "lease_until")(event)
    elif isinstance(event, Started):
        own = {"epoch": event.epoch, "seen": text(event.seen)}
    elif isinstance(event, Refused):
        own = {**_fields("reason", "detail", "epoch")(event), "seen": text(event.seen)}
    else:
        own = {**_fields("status", "detail", "epoch", "looked_up")(event), "before": text(event.before), "after": text(event.after)}
    return {**shared, **blank, **own}


def _outcome(event: Outcome) -> dict[str, Any]:
    names = "id version action proposal incident mode service cause action_name verdict confidence correct confirmed_by"
    metric = _fields("series", "service", "metric", "before", "after", "improvement", "in_band", "points")
    return {**_fields(*names.split(), "started_at", "finished_at", "at")(event), "metrics": [metric(each) for each in event.metrics]}


def _decision(event: Decision) -> dict[str, Any]:
    shared = _fields("id", "proposal", "incident", "outcome", "mode", "digest", "subject", "reason", "at")(event)
    return {**shared, "command": None if event.source is None else str(event.source)}


def _withdrawal(event: Withdrawal) -> dict[str, Any]:
    return {**_fields("id", "incident", "reason", "at")(event), "ended_by": str(event.source)}


def _policy(event: PolicyInForce) -> dict[str, Any]:
    return {**_fields("id", "digest", "at")(event), "content": text(event.content)}


def _explanation(event: Explanation) -> dict[str, Any]:
    names = "id proposal provider model status text agrees error input_tokens output_tokens at"
    return {**_fields(*names.split())(event), "order": list(event.order), "missing_evidence": list(event.missing_evidence)}


_Shape = tuple[str, Callable[[Any], dict[str, Any]]]
_SHAPES: dict[type[BaseModel], _Shape] = {
    Incident: ("incidents", _incident),
    Feedback: ("feedback", _fields("id", "incident", "subject", "confirmed_service", "confirmed_cause", "note", "at")),
    Proposal: ("proposals", proposal_row),
    Command: ("commands", _fields("id", "proposal", "verb", "mode", "digest", "subject", "role", "reason", "at")),
    Decision: ("decisions", _decision),
    Withdrawal: ("withdrawals", _withdrawal),
    PolicyInForce: ("policies", _policy),
    Arming: ("arming", _fields("id", "armed", "by", "cluster", "until", "at")),
    UndoRequest: ("undo_requests", _fields("id", "action", "proposal", "incident", "reason", "at")),
    Explanation: ("explanations", _explanation),
    Grant: ("actions", _action),
    Started: ("actions", _action),
    Refused: ("actions", _action),
    Finished: ("actions", _action),
    Epoch: ("epochs", _fields("id", "owner", "at")),
    Outcome: ("outcomes", _outcome),
    Notice: ("notices", _fields("id", "kind", "incident", "severity", "title", "text", "at")),
    Delivery: ("deliveries", _fields("id", "notice", "receiver", "status", "attempts", "detail", "at")),
}
