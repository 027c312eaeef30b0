"""Alertmanager's webhook version 4 as Alertmanager 0.25 posts it, and every way in which one can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.alerts import AlertEvent
from schemas.base import Position
from schemas.config.metrics import MetricsMapping
from schemas.kinds import Severity
from streams.harness.stage import Record
from streams.normalise.alertmanager import Webhook, decode_webhook
from streams.normalise.core import Core
from streams.normalise.fates import Reason
from streams.normalise.series import Resolver
from streams.normalise.times import Reach, of_history

NOW = 1_795_489_200_000  # 2026-11-24T03:00:00Z
MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
RESOLVER = Resolver(MAPPING)
LIVE = Reach(NOW)

# The shape that the tmpl.Data of notify/webhook writes, external fields included.
GOLDEN = (
    b'{"receiver":"airra","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate",'
    b'"instance":"127.0.0.1:1234","service":"orders","severity":"critical"},"annotations":{"summary":"orders fails 40 % of requests"},'
    b'"startsAt":"2026-11-24T02:58:30.123Z","endsAt":"0001-01-01T00:00:00Z",'
    b'"generatorURL":"http://prometheus:9090/graph?g0.expr=rate","fingerprint":"4f2b1c3d5e6f7a8b"},'
    b'{"status":"resolved","labels":{"alertname":"HighLatency","service":"gateway","severity":"warning"},"annotations":{},'
    b'"startsAt":"2026-11-24T02:50:00Z","endsAt":"2026-11-24T02:59:00Z","generatorURL":"","fingerprint":"00112233aabbccdd"}],'
    b'"groupLabels":{"alertname":"HighErrorRate"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager:9093",'
    b'"version":"4","groupKey":"{}:{alertname=\\"HighErrorRate\\"}","truncatedAlerts":0,"a_field_of_tomorrow":[1,2]}'
)


def record(value: bytes, timestamp: int = NOW) -> Record:
    return Record("alerts", 0, 7, timestamp, None, value)


def alert(**change: Any) -> dict[str, Any]:
    found = {"status": "firing", "labels": {"alertname": "A", "service": "orders"}, "startsAt": "2026-11-24T02:58:30Z"}
    return found | {"endsAt": "0001-01-01T00:00:00Z"} | change


def decode(*alerts: object, timestamp: int = NOW, reach: Reach = LIVE) -> Webhook:
    return decode_webhook(record(json.dumps({"alerts": alerts}).encode(), timestamp), RESOLVER, reach)


def only(webhook: Webhook) -> AlertEvent:
    assert webhook.rejection is None
    (event,) = webhook.events
    return event


def test_golden_bytes_become_one_event_an_alert() -> None:
    firing, resolved = decode_webhook(record(GOLDEN), RESOLVER, Reach(NOW)).events

    assert (firing.service, firing.name, firing.severity, firing.firing) == ("orders", "HighErrorRate", Severity.CRITICAL, True)
    assert (firing.starts_at, firing.at, firing.summary) == (NOW - 89_877, NOW, "orders fails 40 % of requests")
    assert (firing.source, firing.index) == (Position(topic="alerts", partition=0, offset=7), 0)
    assert (resolved.service, resolved.firing, resolved.at, resolved.index) == ("gateway", False, NOW - 60_000, 1)
    assert firing.id != resolved.id


def test_the_same_record_gives_the_same_events() -> None:
    assert decode_webhook(record(GOLDEN), RESOLVER, Reach(NOW)) == decode_webhook(record(GOLDEN), RESOLVER, Reach(NOW))


def test_an_alert_resolved_without_an_end_ended_when_it_was_said() -> None:
    assert only(decode(alert(status="resolved"))).at == NOW


def test_an_alert_never_ends_after_its_record() -> None:
    assert only(decode(alert(status="resolved", endsAt="2026-11-24T03:02:00Z"))).at == NOW


def test_an_alert_that_has_fired_for_months_is_no_mistake() -> None:
    assert only(decode(alert(startsAt="2026-06-01T00:00:00Z"))).at == NOW


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("CRITICAL", Severity.CRITICAL),
        ("page", Severity.CRITICAL),
        ("info", Severity.INFO),
        ("warning", Severity.WARNING),
        ("odd", Severity.WARNING),
    ],
)
def test_severities_are_read_from_the_conventional_label(label: str, severity: Severity) -> None:
    assert only(decode(alert(labels={"alertname": "A", "service": "s", "severity": label}))).severity is severity


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("text", Reason.WRONG_TYPE),
        (alert(status="smouldering"), Reason.WRONG_TYPE),
        (alert(labels={"alertname": "A", "service": 1}), Reason.WRONG_TYPE),
        (alert(startsAt="soon"), Reason.WRONG_TYPE),
        ({"status": "firing", "labels": {"alertname": "A", "service": "s"}}, Reason.MISSING_FIELD),
        (alert(labels={"service": "s"}), Reason.MISSING_FIELD),
        (alert(labels={"alertname": "A"}), Reason.NO_SERVICE),
        (alert(startsAt="2027-11-24T02:58:30Z"), Reason.TIMESTAMP_OUT_OF_RANGE),
        (alert(status="resolved", endsAt="2025-11-24T02:58:30Z"), Reason.TIMESTAMP_OUT_OF_RANGE),
        (alert(labels={"alertname": "A", "service": "s", "text": "x" * 20_000}), Reason.TOO_LARGE),
    ],
)
def test_a_bad_alert_dead_letters_its_record_but_not_the_others_in_it(bad: object, reason: Reason) -> None:
    webhook = decode(alert(), bad, alert(labels={"alertname": "B", "service": "s"}))

    assert [event.name for event in webhook.events] == ["A", "B"]
    assert [event.index for event in webhook.events] == [0, 2]
    assert webhook.rejection is not None
    assert webhook.rejection.reason is reason
    assert webhook.rejection.detail.startswith("alert 2 of 3: ")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"{", Reason.NOT_JSON),
        (b"{}", Reason.MISSING_FIELD),
        (b'{"alerts":{}}', Reason.WRONG_TYPE),
        (b" " * 9_000_000, Reason.TOO_LARGE),
    ],
)
def test_what_is_no_webhook_has_its_reason(value: bytes, reason: Reason) -> None:
    webhook = decode_webhook(record(value), RESOLVER, Reach(NOW))

    assert webhook.events == ()
    assert webhook.rejection is not None
    assert webhook.rejection.reason is reason


def test_all_notifications_of_one_alert_go_to_one_partition_under_its_fingerprint() -> None:
    def labels(instance: str) -> dict[str, str]:
        return {"alertname": "A", "service": "orders", "instance": instance}

    value = json.dumps({"alerts": [alert(labels=labels("a:1")), alert(labels=labels("b:2"), status="resolved")]}).encode()
    taken = Core(MAPPING, 4, 4).take_alerts([record(value)], Reach(NOW))

    assert taken.accepted == 1
    assert len(taken.outputs) == 2
    assert len({(output.topic, output.key, output.partition) for output in taken.outputs}) == 1


def test_a_ten_megabyte_webhook_is_dead_lettered_with_its_reason() -> None:
    value = b'{"alerts":[' + b" " * 10_000_000 + b"]}"
    (letter,) = Core(MAPPING, 4, 4).take_alerts([record(value)], Reach(NOW)).outputs

    assert dict(letter.headers)["airra.error.reason"] == b"too_large"
    assert letter.topic == "airra.dlq.v1"


YEAR = 365 * 86_400_000


@pytest.mark.parametrize("off", [-YEAR, YEAR])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_an_alert_of_a_host_whose_clock_is_a_year_off_is_refused(status: str, off: int) -> None:
    webhook = decode(
        alert(status=status, endsAt="2026-11-24T02:59:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"), reach=Reach(NOW - off)
    )

    assert webhook.events == ()
    assert webhook.rejection is not None
    assert webhook.rejection.reason is Reason.TIMESTAMP_OUT_OF_RANGE


def test_alerts_of_a_backlog_and_history_that_says_so_are_taken() -> None:
    assert only(decode(alert(), reach=Reach(NOW + 6 * 86_400_000))).at == NOW
    assert only(decode(alert(), reach=of_history(NOW + YEAR))).at == NOW


def test_a_service_name_that_would_fill_a_record_is_refused() -> None:
    webhook = decode(alert(labels={"alertname": "A", "service": "x" * 513}))
    assert webhook.rejection is not None
    assert webhook.rejection.reason is Reason.TOO_LARGE
