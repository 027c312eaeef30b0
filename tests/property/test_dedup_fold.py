"""The fold of dedup under duplicates, restarts and disorder."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from models.alerts.window import LATENESS_MS, WINDOW_MS
from schemas.alerts import AlertEvent
from schemas.base import Position, canonical
from schemas.kinds import Severity
from schemas.signals import SIGNALS, Alert, AlertReason, Tick
from streams.dedup import DedupState, apply, restore, snapshot
from streams.harness.emit import parse
from streams.harness.stage import Output, Record

T0 = 1_795_489_200_000


def event(at: int, partition: int, offset: int, severity: Severity, firing: bool, name: str) -> AlertEvent:
    return AlertEvent(
        id=f"ale-{partition}-{offset}",
        fingerprint=name,
        service="orders",
        name=name,
        severity=severity,
        firing=firing,
        starts_at=T0,
        at=T0 + at,
        source=Position(topic="alerts", partition=partition, offset=offset),
    )


moments = st.one_of(st.integers(0, 45).map(lambda step: step * 20_000), st.integers(0, 1_500_000))  # a grid, to meet the ends of windows
raw_events = st.tuples(moments, st.integers(0, 2), st.sampled_from(Severity), st.booleans(), st.sampled_from("AB"))


@st.composite
def logs(draw: st.DrawFn) -> list[AlertEvent | Tick]:
    """Events of three source partitions, each with its own rising offsets, with ticks among them."""
    offsets = [0, 0, 0]
    events: list[AlertEvent | Tick] = []
    for at, partition, severity, firing, name in draw(st.lists(raw_events, max_size=25)):
        events.append(event(at, partition, offsets[partition], severity, firing, name))
        offsets[partition] += draw(st.integers(1, 3))
        if draw(st.integers(0, 5)) == 0:
            events.append(Tick(at=T0 + at + draw(st.integers(0, 1_000_000))))
    return events


@st.composite
def ordered(draw: st.DrawFn) -> list[AlertEvent]:
    """Events of 30 source partitions in the order of their times."""
    found = sorted(draw(st.lists(raw_events, min_size=1, max_size=40)), key=lambda one: one[0])
    return [event(at, number, 0, severity, firing, name) for number, (at, _, severity, firing, name) in enumerate(found)]


@st.composite
def disordered(draw: st.DrawFn) -> tuple[list[AlertEvent], list[AlertEvent]]:
    """The same events in order, and each delayed by less than the lateness."""
    events = draw(ordered())
    delays = draw(
        st.lists(st.one_of(st.just(LATENESS_MS - 1), st.integers(0, LATENESS_MS - 1)), min_size=len(events), max_size=len(events))
    )
    moved = sorted(zip(events, delays, strict=True), key=lambda one: one[0].at + one[1])
    return events, [one for one, _ in moved]


def fold(state: DedupState, events: list[AlertEvent | Tick], start: int = 0) -> list[Output]:
    found: list[Output] = []
    for offset, one in enumerate(events, start):
        found += apply(state, Record("airra.alerts.v1", 0, offset, one.at, None, canonical(one)), one.at)
    return found


def alerts(outputs: list[Output]) -> list[Alert]:
    found = [parse(SIGNALS, Record(output.topic, 0, 0, 0, output.key, output.value)) for output in outputs]
    return [alert for alert in found if isinstance(alert, Alert)]


def final_windows(events: list[AlertEvent]) -> set[tuple[str, int, int, int, Severity]]:
    """Return what is known of each window when all have closed: name, first, last, count, severity."""
    last: dict[tuple[str, int], tuple[int, int, Severity]] = {}
    flush = Tick(at=max(one.at for one in events) + 10 * WINDOW_MS)
    for alert in alerts(fold(restore(None), [*events, flush])):
        assert alert.reason is not AlertReason.LATE
        last[alert.name, alert.last] = (alert.first, alert.count, alert.severity)
        for (name, moment), (first, _, _) in list(last.items()):
            if name == alert.name and moment < alert.last and alert.first <= moment < alert.first + WINDOW_MS and first >= alert.first:
                del last[name, moment]  # an earlier word on the same window
    return {(name, first, moment, count, severity) for (name, moment), (first, count, severity) in last.items()}


def true_windows(events: list[AlertEvent]) -> set[tuple[str, int, int, int, Severity]]:
    """Cut the sorted times into windows of 300 s, each from the first notification after the one before."""
    windows: set[tuple[str, int, int, int, Severity]] = set()
    for name in {one.name for one in events}:
        rest = sorted((one for one in events if one.name == name), key=lambda one: one.at)
        while rest:
            inside = [one for one in rest if one.at < rest[0].at + WINDOW_MS]
            highest = max((one.severity for one in inside), key=lambda severity: severity.rank)
            windows.add((name, inside[0].at, inside[-1].at, len(inside), highest))
            rest = rest[len(inside) :]
    return windows


@given(logs(), st.integers(0, 30))
def test_a_restart_at_any_point_gives_the_same_outputs(events: list[AlertEvent | Tick], cut: int) -> None:
    whole = restore(None)
    expected = fold(whole, events)

    first = restore(None)
    found = fold(first, events[:cut])
    second = restore(snapshot(first))
    found += fold(second, events[cut:], start=min(cut, len(events)))

    assert found == expected
    assert second == whole


@given(logs(), st.data())
def test_a_repeated_stretch_of_a_source_changes_nothing(events: list[AlertEvent | Tick], data: st.DataObject) -> None:
    only = [one for one in events if isinstance(one, AlertEvent)]
    cut = data.draw(st.integers(0, len(only)))
    back = data.draw(st.integers(0, cut))
    state = restore(None)
    fold(state, list(only[:cut]))
    before = snapshot(state)

    assert fold(state, list(only[back:cut])) == []
    assert snapshot(state) == before


@settings(max_examples=200)
@given(disordered())
def test_windows_are_the_same_in_any_order_within_the_lateness(pair: tuple[list[AlertEvent], list[AlertEvent]]) -> None:
    in_order, moved = pair

    assert final_windows(in_order) == true_windows(in_order)
    assert final_windows(moved) == true_windows(in_order)


@given(logs())
def test_every_alert_counts_at_least_one_and_lies_within_its_window(events: list[AlertEvent | Tick]) -> None:
    for alert in alerts(fold(restore(None), events)):
        assert alert.count >= 1
        assert 0 <= alert.last - alert.first < WINDOW_MS
