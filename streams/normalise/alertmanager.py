"""Alertmanager's webhook, version 4: one call tells of a group of alerts; each becomes an alert event.

Fields that AIRRA does not use are ignored, whatever they hold: newer versions add some, and Grafana adds more.
A firing alert's event time is its record's Kafka timestamp, for `startsAt` stays the same in every repeat and `endsAt` is
0001-01-01 while it fires. A resolved alert's event time is `endsAt`, never later than its record. In a webhook with one bad
alert the others are forwarded, and the record is dead-lettered for the bad one.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from models.alerts.fingerprint import fingerprint
from schemas.alerts import AlertEvent
from schemas.base import Position, derive_id
from schemas.kinds import Severity
from streams.harness.redelivery import ranges, skipped
from streams.harness.stage import Record
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.jsons import decode
from streams.normalise.series import Resolver
from streams.normalise.times import NEWEST_MS, Reach, parse_time

MAX_WEBHOOK_BYTES = 8 * 1024 * 1024  # a group of ten thousand alerts; the raw topic carries no more than 10 MB
SUMMARY_CHARS = 500  # what a signal carries of a text that anybody may write
LABEL_CHARS = 16_384  # of one alert's labels together: events must fit the topic

_CRITICAL = ("critical", "crit", "fatal", "emergency", "alert", "page", "error", "high", "p1", "p2", "sev1", "sev2")
_INFO = ("info", "information", "informational", "notice", "none", "low", "ok", "debug", "p5", "sev5")
_SEVERITIES = {**dict.fromkeys(_CRITICAL, Severity.CRITICAL), **dict.fromkeys(_INFO, Severity.INFO)}


class _Alert(msgspec.Struct):
    status: str
    labels: dict[str, str]
    startsAt: str  # noqa: N815 - the producer's name
    annotations: dict[str, str] = {}
    endsAt: str = ""  # noqa: N815 - the producer's name


class _Webhook(msgspec.Struct):
    alerts: list[msgspec.Raw]


_WEBHOOK = msgspec.json.Decoder(_Webhook)
_ALERT = msgspec.json.Decoder(_Alert)


@dataclass(frozen=True, slots=True)
class Webhook:
    """The events of one raw record, and why the record is dead-lettered although they are forwarded, if it is."""

    events: tuple[AlertEvent, ...]
    rejection: Rejection | None = None
    taken: str = ""  # where some are refused: which of its alerts have been forwarded, now or before, as ranges


def decode_webhook(record: Record, resolver: Resolver, reach: Reach) -> Webhook:
    """Decode one raw record; what is wrong with it is in the answer, never raised."""
    try:
        alerts = decode(_WEBHOOK, record.value, MAX_WEBHOOK_BYTES).alerts
    except Rejected as refused:
        return Webhook((), refused.rejection)
    events: list[AlertEvent] = []
    bad: Rejection | None = None
    before = skipped(record.headers)  # a replayed letter: these were forwarded when the others were refused
    for index, raw in enumerate(alerts):
        if index in before:
            continue
        try:
            events.append(_event(decode(_ALERT, raw, MAX_WEBHOOK_BYTES), record, index, resolver, reach))
        except Rejected as refused:
            found = refused.rejection
            bad = bad or Rejection(found.reason, f"alert {index + 1} of {len(alerts)}: {found.detail}")
    forwarded = before.union(event.index for event in events) if bad is not None else ()
    return Webhook(tuple(events), bad, ranges(sorted(forwarded)))


def severity_of(labels: dict[str, str]) -> Severity:
    """Read the conventional label; what it does not say, or says in a word of its own, is a warning."""
    return _SEVERITIES.get(labels.get("severity", "").lower(), Severity.WARNING)


def _event(alert: _Alert, record: Record, index: int, resolver: Resolver, reach: Reach) -> AlertEvent:
    if alert.status not in {"firing", "resolved"}:
        raise Rejected(Reason.WRONG_TYPE, f"status {alert.status[:64]!r} is neither firing nor resolved")
    name = alert.labels.get("alertname", "")
    if not name:
        raise Rejected(Reason.MISSING_FIELD, "no label alertname")
    if sum(len(label) + len(value) for label, value in alert.labels.items()) > LABEL_CHARS:
        raise Rejected(Reason.TOO_LARGE, f"labels of more than {LABEL_CHARS} characters")
    service = resolver.service(alert.labels)
    if not service:
        raise Rejected(Reason.NO_SERVICE, f"{name}: no label names the service")
    firing = alert.status == "firing"
    starts_at = _time("startsAt", alert.startsAt)
    at = _event_time(alert, record.timestamp, reach, firing=firing, starts_at=starts_at)
    source = Position(topic=record.topic, partition=record.partition, offset=record.offset)
    return AlertEvent(
        id=derive_id("ale", source, index),
        fingerprint=fingerprint(service, name, alert.labels),
        service=service,
        name=name,
        severity=severity_of(alert.labels),
        firing=firing,
        labels=alert.labels,
        starts_at=starts_at,
        at=at,
        summary=next((text for key in ("summary", "message", "description") if (text := alert.annotations.get(key))), "")[:SUMMARY_CHARS],
        source=source,
        index=index,
    )


def _event_time(alert: _Alert, record_ms: int, reach: Reach, *, firing: bool, starts_at: int) -> int:
    latest = min(record_ms + NEWEST_MS, reach.latest) if record_ms > 0 else reach.latest
    if not 0 <= starts_at <= latest:  # long ago is ordinary: an alert may fire for months
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"startsAt {alert.startsAt[:64]!r}")
    if record_ms > 0 and not reach.holds(record_ms, record_ms):
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"its record was written at {record_ms} ms and now is {reach.now} ms")
    if firing:
        return record_ms if record_ms > 0 else starts_at
    ends_at = _time("endsAt", alert.endsAt)
    if ends_at <= 0:  # 0001-01-01: some senders never fill it in
        ends_at = record_ms if record_ms > 0 else starts_at
    if not reach.holds(ends_at, record_ms):
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"endsAt {alert.endsAt[:64]!r}")
    return min(ends_at, record_ms) if record_ms > 0 else ends_at


def _time(field: str, text: str) -> int:
    at = parse_time(text)
    if at is None:
        raise Rejected(Reason.WRONG_TYPE, f"{field} {text[:64]!r} is not RFC 3339")
    return at
