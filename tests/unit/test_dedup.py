"""dedup: given notifications, when they are folded, then these alerts and this reason."""

from __future__ import annotations

import pytest

from models.alerts.fingerprint import fingerprint
from schemas.alerts import AlertEvent
from schemas.base import Position, canonical
from schemas.kinds import Severity
from schemas.signals import SIGNALS, Alert, AlertReason, Tick
from streams import dedup
from streams.dedup import DedupState, apply, restore, snapshot
from streams.harness.emit import parse
from streams.harness.errors import Poison
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import Output, Record

T0 = 1_795_489_200_000
S = 1000
DAY = 86_400 * S


def notification(at: int, offset: int, name: str = "A", partition: int = 0, index: int = 0, **change: object) -> AlertEvent:
    event = AlertEvent(
        id=f"ale-{partition}-{offset}-{index}",
        fingerprint=fingerprint("orders", name, {}),
        service="orders",
        name=name,
        severity=Severity.WARNING,
        firing=True,
        starts_at=T0,
        at=T0 + at,
        source=Position(topic="alerts", partition=partition, offset=offset),
        index=index,
    )
    return event.model_copy(update=change)


class Log:
    """Feeds one state, as the harness does."""

    def __init__(self, capacity: int = dedup.CAPACITY) -> None:
        self.state = restore(None)
        self.offset = 0
        self.capacity = capacity

    def add(self, event: AlertEvent | Tick, now: int | None = None) -> list[Alert]:
        now = event.at if now is None else now
        record = Record("airra.alerts.v1", 1, self.offset, now, None, canonical(event))
        self.offset += 1
        return decoded(apply(self.state, record, now, self.capacity))

    def feed(self, *events: AlertEvent) -> list[Alert]:
        return [alert for event in events for alert in self.add(event)]


def decoded(outputs: list[Output]) -> list[Alert]:
    found = [parse(SIGNALS, Record(output.topic, 0, 0, 0, output.key, output.value)) for output in outputs]
    return [alert for alert in found if isinstance(alert, Alert)]


def told(alerts: list[Alert]) -> list[tuple[AlertReason, int, bool]]:
    return [(alert.reason, alert.count, alert.firing) for alert in alerts]


def test_the_first_notification_is_told_at_once_and_repeats_at_most_every_thirty_seconds() -> None:
    alerts = Log().feed(*(notification(at * S, at) for at in range(0, 70, 5)))

    assert told(alerts) == [(AlertReason.FIRST, 1, True), (AlertReason.REPEATED, 7, True), (AlertReason.REPEATED, 13, True)]
    assert (alerts[-1].first, alerts[-1].last) == (T0, T0 + 60 * S)


def test_a_rise_of_severity_is_told_at_once_and_the_highest_stays() -> None:
    log = Log()

    alerts = log.feed(notification(0, 0), notification(S, 1, severity=Severity.CRITICAL), notification(2 * S, 2, severity=Severity.INFO))
    assert told(alerts) == [(AlertReason.FIRST, 1, True), (AlertReason.SEVERITY, 2, True)]
    assert log.add(notification(40 * S, 3))[0].severity is Severity.CRITICAL


def test_a_resolve_is_told_at_once_and_so_is_firing_again() -> None:
    alerts = Log().feed(notification(0, 0), notification(S, 1, firing=False), notification(2 * S, 2, firing=False), notification(3 * S, 3))

    assert told(alerts) == [(AlertReason.FIRST, 1, True), (AlertReason.RESOLVED, 2, False), (AlertReason.REFIRED, 4, True)]


def test_a_resolve_of_an_alert_long_forgotten_is_told() -> None:
    log = Log()
    log.feed(notification(0, 0), notification(1_000 * S, 1, name="B"))
    assert fingerprint("orders", "A", {}) not in log.state.tracked

    assert told(log.feed(notification(1_001 * S, 2, firing=False))) == [(AlertReason.RESOLVED, 1, False)]


def test_after_three_hundred_seconds_the_next_notification_begins_another_window() -> None:
    alerts = Log().feed(notification(0, 0), notification(299 * S, 1), notification(300 * S, 2))

    assert [(alert.reason, alert.count, alert.first - T0) for alert in alerts] == [
        (AlertReason.FIRST, 1, 0),
        (AlertReason.REPEATED, 2, 0),
        (AlertReason.FIRST, 1, 300 * S),
    ]


def test_a_window_that_the_watermark_passes_tells_its_final_count_and_is_forgotten() -> None:
    log = Log()
    log.feed(notification(0, 0), notification(10 * S, 1))

    assert log.feed(notification(359 * S, 2, name="B"))[0].name == "B"
    closing = log.feed(notification(361 * S, 3, name="B"))
    assert [(alert.name, alert.reason, alert.count, alert.last - T0) for alert in closing] == [("A", AlertReason.CLOSED, 2, 10 * S)]
    assert list(log.state.tracked) == [fingerprint("orders", "B", {})]


def test_a_tick_closes_windows_only_after_the_idle_time() -> None:
    log = Log()
    log.feed(notification(0, 0), notification(10 * S, 1))
    before = snapshot(log.state)

    assert log.add(Tick(at=T0 + 69 * S)) == []
    assert snapshot(log.state) == before
    assert log.add(Tick(at=T0 + 300 * S)) == []
    assert told(log.add(Tick(at=T0 + 361 * S))) == [(AlertReason.CLOSED, 2, True)]


def test_ticks_move_event_time_by_what_has_passed_not_to_the_clock() -> None:
    log = Log()
    log.add(notification(0, 0), now=T0 + 10**9)
    log.add(notification(S, 1), now=T0 + 10**9 + S)

    log.add(Tick(at=T0 + 10**9 + 100 * S))
    assert log.state.watermark == T0 + 40 * S


def test_before_any_notification_a_tick_changes_nothing() -> None:
    log = Log()

    assert log.add(Tick(at=T0)) == []
    assert log.state == DedupState()


def test_what_normalise_repeats_after_a_crash_does_not_count_twice() -> None:
    log = Log()
    events = [notification(at * S, at // 3, index=at % 3) for at in range(9)]
    log.feed(*events)
    before = snapshot(log.state)

    assert log.feed(*events[3:]) == []
    assert snapshot(log.state) == before


def test_a_late_notification_is_told_alone_unless_a_newer_word_stands() -> None:
    log = Log()
    log.feed(notification(1_000 * S, 0, name="B", partition=1))

    late = log.feed(notification(0, 0), notification(S, 1))
    assert told(late) == [(AlertReason.LATE, 1, True), (AlertReason.LATE, 1, True)]
    assert log.feed(notification(2 * S, 2, name="B", firing=False)) == []


def test_a_notification_of_history_is_told_alone_and_leaves_nothing_behind() -> None:
    log = Log()
    record = Record("airra.alerts.v1", 1, 0, T0, None, canonical(notification(-DAY, 0)), ((BACKFILL_HEADER, b"1"),))
    assert told(decoded(apply(log.state, record, T0))) == [(AlertReason.LATE, 1, True)]
    assert (log.state.tracked, log.state.watermark, log.state.heard_at) == ({}, 0, 0)
    assert decoded(apply(log.state, record, T0)) == [], "a repeat is one for history too"
    assert log.add(Tick(at=T0 + 3600 * S), T0 + 3600 * S) == []


def test_the_newest_word_decides_whether_it_fires_in_whatever_order_it_comes() -> None:
    log = Log()

    alerts = log.feed(notification(50 * S, 0, firing=False, partition=1), notification(20 * S, 0), notification(45 * S, 1))
    assert told(alerts) == [(AlertReason.RESOLVED, 1, False)]
    assert told(log.feed(notification(80 * S, 2)))[0] == (AlertReason.REFIRED, 4, True)


def test_a_full_state_gives_up_the_longest_silent_and_tells_their_counts() -> None:
    log = Log(capacity=3)
    alerts = log.feed(
        notification(0, 0, name="A"), notification(S, 1, name="A"), notification(2 * S, 2, name="B"), notification(3 * S, 3, name="C")
    )
    assert told(alerts) == [(AlertReason.FIRST, 1, True)] * 3

    alerts = log.feed(notification(4 * S, 4, name="D"))
    assert [(alert.name, alert.reason, alert.count) for alert in alerts] == [("A", AlertReason.CLOSED, 2), ("D", AlertReason.FIRST, 1)]
    assert len(log.state.tracked) == 3


def test_an_alert_says_which_record_it_rests_on_and_has_an_id_of_its_own() -> None:
    log = Log()
    alerts = log.feed(*(notification(at * S, at) for at in range(0, 70, 5)))

    assert [alert.source.offset for alert in alerts] == [0, 6, 12]
    assert len({alert.id for alert in alerts}) == 3


def test_what_is_no_alert_event_is_poison_and_changes_nothing() -> None:
    state = restore(None)

    with pytest.raises(Poison, match="invalid_record"):
        apply(state, Record("airra.alerts.v1", 0, 0, T0, None, b'{"type":"alert_event","id":1}'), T0)
    assert state == DedupState()


def test_fingerprints_leave_out_what_differs_between_instances_and_repeats() -> None:
    base = {"path": "/a", "severity": "warning"}
    one = fingerprint("orders", "A", base | {"instance": "1", "pod": "x", "timestamp": "1", "alertstate": "firing"})

    assert one == fingerprint("orders", "A", dict(reversed(base.items())))
    assert one != fingerprint("orders", "A", base | {"path": "/b"})
    assert one != fingerprint("gateway", "A", base)
    assert one != fingerprint("orders", "B", base)


def test_a_notification_overtaken_by_less_than_the_lateness_still_counts_in_its_own_window() -> None:
    log = Log()

    alerts = log.feed(notification(0, 0), notification(340 * S, 0, partition=1), notification(299 * S, 1))
    assert [(alert.reason, alert.count, alert.first - T0) for alert in alerts] == [
        (AlertReason.FIRST, 1, 0),
        (AlertReason.FIRST, 1, 340 * S),
        (AlertReason.REPEATED, 2, 0),
    ]


YEAR = 365 * 86_400 * S


def fate(name: str) -> float:
    return dedup.EVENTS.labels(name)._value.get()


def test_one_alert_from_the_future_leaves_deduplication_of_the_others_as_it_was() -> None:
    log = Log()
    log.feed(notification(0, 0))
    clamped = fate("clamped")

    ahead = log.add(notification(YEAR, 1, name="BAD"), now=T0 + 10 * S)
    assert [(alert.name, alert.reason, alert.first) for alert in ahead] == [("BAD", AlertReason.FIRST, T0 + 10 * S)]
    assert log.state.watermark < T0
    assert fate("clamped") == clamped + 1
    assert told(log.feed(notification(20 * S, 2), notification(40 * S, 3))) == [(AlertReason.REPEATED, 3, True)]


def test_what_came_from_the_future_and_is_repeated_by_a_crash_is_a_repeat() -> None:
    log = Log()
    log.add(notification(YEAR, 0), now=T0)
    before = snapshot(log.state)

    assert log.add(notification(YEAR, 0), now=T0 + 60 * S) == []
    assert snapshot(log.state) == before


def test_a_clock_a_little_ahead_is_believed() -> None:
    log = Log()
    assert log.add(notification(5 * S, 0), now=T0)[0].first == T0 + 5 * S


def test_alerts_of_a_raw_topic_made_anew_are_told_at_once() -> None:
    log = Log()
    log.feed(notification(0, 5_000))
    restarted = dedup.RESTARTED._value.get()

    alerts = log.feed(notification(40 * S, 0), notification(41 * S, 1, name="B"))
    assert [(alert.name, alert.reason) for alert in alerts] == [("A", AlertReason.REPEATED), ("B", AlertReason.FIRST)]
    assert dedup.RESTARTED._value.get() == restarted + 1
    assert log.feed(notification(40 * S, 0), notification(41 * S, 1, name="B")) == []


def test_marks_are_bounded_and_the_longest_unheard_source_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "MARKS", 3)
    log = Log()
    evicted = dedup.EVICTED_MARKS._value.get()
    log.feed(
        *(notification(at * S, 0, partition=at) for at in range(3)),
        notification(4 * S, 1, partition=0),
        notification(5 * S, 0, partition=9),
    )

    assert list(log.state.marks) == ["alerts/2", "alerts/0", "alerts/9"]
    assert dedup.EVICTED_MARKS._value.get() == evicted + 1
    assert list(restore(snapshot(log.state)).marks) == list(log.state.marks)


def test_crafted_labels_are_another_alert() -> None:
    assert fingerprint("s", "A", {"x": "1\x1fy\x1e2"}) != fingerprint("s", "A", {"x": "1", "y": "2"})
    assert fingerprint("s", "A\x1fx\x1e1", {}) != fingerprint("s", "A", {"x": "1"})
