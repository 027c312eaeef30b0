"""What people are told of an action: done, refused, verified, undone, or now theirs."""

from __future__ import annotations

from schemas.actions import ActionSpec, Finished, Refused
from schemas.base import Millis, derive_id
from schemas.kinds import Mode, Severity
from schemas.outcomes import Notice, NoticeKind, Outcome


def executed(event: Finished, severity: Severity, now: Millis) -> Notice:
    ended = event.status.value if event.mode is Mode.LIVE else f"dry run {event.status.value}: nothing was touched"
    return _notice(NoticeKind.EXECUTED, event, severity, now, f"{named(event.spec)}: {ended}", event.detail)


def undone(event: Finished, severity: Severity, now: Millis) -> Notice:
    title = f"undo of {event.undo_of}, {named(event.spec)}: {event.status.value}"
    return _notice(NoticeKind.UNDONE, event, severity, now, title, event.detail)


def refused(event: Refused, severity: Severity, now: Millis) -> Notice:
    return _notice(NoticeKind.REFUSED, event, severity, now, f"{named(event.spec)} refused: {event.reason.value}", event.detail)


def escalated(event: Finished | Refused, severity: Severity, now: Millis, why: str) -> Notice:
    return _notice(NoticeKind.ESCALATED, event, severity, now, f"{named(event.spec)}: a human must look", why)


def verified(outcome: Outcome, severity: Severity, now: Millis) -> Notice:
    numbers = ", ".join(
        f"{metric.metric} of {metric.service} {_number(metric.before)} → {_number(metric.after)}" for metric in outcome.metrics
    )
    return Notice(
        id=derive_id("ntc", outcome.action, NoticeKind.VERIFIED),
        kind=NoticeKind.VERIFIED,
        incident=outcome.incident,
        severity=severity,
        title=f"{outcome.action_name.value} for {outcome.service}: {outcome.verdict.value}",
        text=numbers or "no readings to judge by",
        at=now,
    )


def named(spec: ActionSpec) -> str:
    return f"{spec.action.value} {spec.service}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _notice(kind: NoticeKind, event: Finished | Refused, severity: Severity, now: Millis, title: str, text: str) -> Notice:
    return Notice(
        id=derive_id("ntc", event.action, kind), kind=kind, incident=event.incident, severity=severity, title=title, text=text, at=now
    )
