"""Wrong clocks and silence: a host clock that is set, telemetry that stops or comes a day late, a producer in another year."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from schemas.actions import RefusalReason
from schemas.approvals import Decision, DecisionOutcome, Proposal
from schemas.base import derive_id
from schemas.kinds import Kind
from schemas.outcomes import NoticeKind
from schemas.signals import Phase
from tests.faults.network.clocks import EVIDENCE_S, NO_CURE_S, PATIENCE_S, ClockBench
from tests.faults.network.history import BACKFILLS, LEAPS, backfilled, leapt
from tests.faults.network.source import SourceBench, expired, late_s
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, NotRun, Run
from tests.network import faketime
from tests.unit.incident_world import anomaly, health

HOUR_S = 3600.0
REFUSED = {"+1 h": HOUR_S, "-1 h": -HOUR_S, "+10 s": 10.0, "-10 s": -10.0}
ALLOWED = {"+3 s": 3.0, "-3 s": -3.0}  # within the 5 s that clocks may be apart
ASKED = {"+1 h, the API's": HOUR_S, "-1 h, the API's": -HOUR_S}
AT_SOURCE = "at the source"
BLIND_S = 5.0  # the target answers no look-up
LATE_S = 3.0  # what expires or escalates does so this soon after it is due: a tick a second, and its way through two logs


@contextmanager
def _bench(ground: Ground, *, wrong: bool = True) -> Iterator[ClockBench]:
    try:
        if wrong:
            faketime.fetch()
    except faketime.Missing as lacking:
        raise NotRun(str(lacking)) from lacking
    with ground.own_kafka() as broker, ClockBench(broker.bootstrap, ground.new_folder("clock"), wrong=wrong) as bench:
        yield bench


def _each(items: dict[str, Callable[[ClockBench, str], Finding]], *, wrong: bool = True) -> Run:
    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        todo = {name: find for name, find in items.items() if name not in done}
        if ground.sample:
            todo = dict(list(todo.items())[:1])
        if todo:
            with _bench(ground, wrong=wrong) as bench:
                for name, find in todo.items():
                    yield find(bench, name)

    return Listed(tuple(items), run)


def _refuses(bench: ClockBench, name: str) -> Finding:
    """Set the clock when the action is proposed: refused, and said so; done once when the clock is right again."""
    patient = bench.fresh()
    key = patient.key
    bench.drive(patient, lambda: key in bench.seen.proposals, approving=False)
    bench.clock.step(REFUSED[name])
    set_at = time.monotonic()
    refused = bench.drive(patient, lambda: bool(bench.told.when(key, NoticeKind.REFUSED)), approving=True)
    took = time.monotonic() - set_at
    reasons = {one.reason for one in bench.told.refused.get(key, ())}
    wrong = [] if refused and reasons == {RefusalReason.CLOCK_SKEW} else [f"refused for {sorted(reasons) or 'nothing'}"]
    acted = len(bench.told.started.get(key, ()))
    bench.clock.step(0)
    right_at = time.monotonic()
    wrong += bench.ended(patient)
    notes = f"refused and told {took:.1f} s after the clock was set, of which {PATIENCE_S:.0f} s are patience"
    return Finding(name, 1, wrong=acted, recovery_s=(time.monotonic() - right_at,), notes=notes, failed=tuple(wrong))


def _allows(bench: ClockBench, name: str) -> Finding:
    bench.clock.step(ALLOWED[name])
    wrong = bench.ended(bench.fresh())
    bench.clock.step(0)
    return Finding(name, 1, failed=tuple(wrong))


def _asks(bench: ClockBench, name: str) -> Finding:
    """Set the API's clock when a person approves: the log's time decides, so what is decided is what a right clock would have led to."""
    patient, wrong = bench.fresh(), []
    bench.drive(patient, lambda: patient.key in bench.seen.proposals, approving=False)
    bench.api_clock.step(ASKED[name])
    try:
        wrong = bench.ended(patient)
    finally:
        bench.api_clock.step(0)
    proposal, decided = bench.seen.proposals.get(patient.key), bench.told.decided.get(patient.key, [])
    wrong += wrong_decision(proposal, decided)
    return Finding(name, 1, failed=tuple(wrong), notes="approved once, by the log's time")


def wrong_decision(proposal: Proposal | None, decided: Sequence[tuple[Decision, int]]) -> list[str]:
    """Return what differs from one approval of this proposal, dated by the log it stands on."""
    if proposal is None:
        return ["nothing was proposed"]
    found = [(one.id, one.outcome) for one, _ in decided]
    wrong = [] if found == [(derive_id("dec", proposal.id), DecisionOutcome.APPROVED)] else [f"decided: {found}"]
    return wrong + [f"dated {(one.at - at) / 1000:.0f} s from its log's time" for one, at in decided if abs(one.at - at) > LATE_S * 1000]


def _in_flight(step_s: float) -> Callable[[ClockBench, str], Finding]:
    """Set the clock while the target acts: one effect, and an outcome that does not mind."""

    def find(bench: ClockBench, name: str) -> Finding:
        bench.target.meanwhile = lambda heard: bench.clock.step(step_s) if heard.method == "POST" else None
        try:
            wrong = bench.ended(bench.fresh())
        finally:
            bench.target.meanwhile = lambda _: None
            bench.clock.step(0)
        return Finding(name, 1, failed=tuple(wrong))

    return find


def _looked_up(step_s: float) -> Callable[[ClockBench, str], Finding]:
    """Set the clock while a begun action is being looked up: no end is made up, and the effect stays one."""

    def find(bench: ClockBench, name: str) -> Finding:
        before, patient = len(bench.target.heard), bench.fresh()
        bench.target.refuses = lambda heard: heard.path.startswith("/actions")
        bench.target.meanwhile = lambda heard: bench.clock.step(step_s) if heard.method == "POST" else None
        try:
            bench.drive(patient, lambda: bool(bench.target.of("POST", "/actions")[before:]), approving=True)
            bench.drive(patient, lambda: False, approving=False, within_s=BLIND_S)
            bench.target.refuses = lambda _: False
            wrong = bench.ended(patient)
        finally:
            bench.target.refuses, bench.target.meanwhile = lambda _: False, lambda _: None
            bench.clock.step(0)
        finished = bench.finished(patient.key)
        wrong += [] if finished and finished.looked_up else ["it was not looked up"]
        return Finding(name, 1, failed=tuple(wrong))

    return find


def _expires(bench: ClockBench, name: str) -> Finding:
    """Say one anomaly, then nothing at all: the proposal expires when it says, and that is told."""
    key = _silent(bench, "inventory", Kind.MEMORY, 200e6)
    bench.until(lambda: key() in bench.seen.proposals)
    proposal = bench.seen.proposals.get(key())
    if proposal is None:
        return Finding(name, 1, failed=("nothing was proposed",))
    bench.until(lambda: any(one.proposal == proposal.id for one, _ in bench.told.decided.get(key(), ())))
    decided = [(one, at) for one, at in bench.told.decided.get(key(), ()) if one.proposal == proposal.id]
    told = bench.told.when(key(), NoticeKind.ESCALATED)
    late = [(at - proposal.expires_at) / 1000 for at in (*(at for _, at in decided), *told[:1])]
    wrong = [] if [one.outcome for one, _ in decided] == [DecisionOutcome.EXPIRED] else [f"decided: {decided}"]
    wrong += [] if len(late) == 2 and all(0 <= each <= LATE_S for each in late) else [f"late by {late} s"]
    return Finding(name, 1, recovery_s=tuple(late), failed=tuple(wrong), notes="seconds: from due to decided, and to told")


def _stale(bench: ClockBench, name: str) -> Finding:
    """Approve in the silence: correlate tells the incident again and again, but nothing was heard of it."""
    key = _silent(bench, "orders", Kind.MEMORY, 200e6)
    bench.until(lambda: len(bench.told.of(key())) > 1)  # told again by the clock alone, and older than evidence may be
    bench.until(lambda: bench.approve_newest(key()))
    bench.until(lambda: bool(bench.told.refused.get(key())) or key() in bench.told.started)
    reasons = {one.reason for one in bench.told.refused.get(key(), ())}
    wrong = [] if reasons == {RefusalReason.EVIDENCE_STALE} else [f"refused for {sorted(reasons) or 'nothing'}"]
    return Finding(
        name, 1, wrong=len(bench.told.started.get(key(), ())), failed=tuple(wrong), notes=f"evidence may be {EVIDENCE_S:.0f} s old"
    )


def _escalates(bench: ClockBench, name: str) -> Finding:
    """Say one anomaly that no runbook cures, then nothing: a human is told when patience ends."""
    key = _silent(bench, "payments", Kind.ERRORS, 0.6)
    bench.until(lambda: bool(bench.told.when(key(), NoticeKind.ESCALATED)))
    told = bench.told.when(key(), NoticeKind.ESCALATED)
    if not told:
        return Finding(name, 1, failed=("nobody was told",))
    late = (told[0] - bench.told.of(key())[0]) / 1000 - NO_CURE_S
    return Finding(name, 1, recovery_s=(late,), failed=() if 0 <= late <= LATE_S else (f"late by {late:.1f} s",))


def _silence(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Let nothing be heard on the signals log any more; and, with all the roles before it at work, nothing on the raw topics."""
    yield from _each(SILENCES, wrong=False)(ground, done)
    if AT_SOURCE not in done and not ground.sample:
        with ground.own_kafka() as broker, SourceBench(broker.bootstrap, ground.new_folder("source")) as bench:
            yield _stops(bench)


def _stops(bench: SourceBench) -> Finding:
    """Stop every producer when a cure is proposed: the proposal expires when it says, and a human is told."""
    key = bench.until_proposed()
    written = bench.written()
    bench.until(lambda: bool(expired(bench.told, key)) and bool(bench.told.when(key, NoticeKind.ESCALATED)))
    late, wrong = late_s(bench.told, key)
    wrong += [] if all(0 <= each <= LATE_S for each in late) else [f"late by {late} s"]
    wrong += [] if bench.written() == written else ["the raw topics were not silent"]
    notes = "the raw topics silent, all roles at work; seconds: from due to decided, and to told"
    return Finding(AT_SOURCE, 1, recovery_s=tuple(late), failed=tuple(wrong + bench.not_ready()), notes=notes)


def _silent(bench: ClockBench, service: str, kind: Kind, value: float) -> Callable[[], str]:
    """Open an incident by one anomaly of a service that calls nobody, and return how its id is found."""
    known, now = {version.incident for version, _ in bench.told.versions}, int(time.time() * 1000)
    for other in (Kind.REQUESTS, Kind.ERRORS, Kind.LATENCY, Kind.CPU, Kind.MEMORY):
        if other is not kind:
            bench.signal(health(service, other, now))
    bench.signal(anomaly(service, kind, Phase.OPENED, now, value=value, z=12.0))
    return lambda: next((version.incident for version, _ in bench.told.versions if version.incident not in known), "")


SILENCES: dict[str, Callable[[ClockBench, str], Finding]] = {
    "a proposal expires": _expires,
    "approved in the silence": _stale,
    "nothing cures it": _escalates,
}
CHAPTER = Chapter(
    "time",
    "Wrong clocks, silence and history",
    (
        Case(
            "host-clock",
            "the acting host's clock set ±1 h, or 10 s apart, when the action is proposed: refused and told, done once when it is right; 3 s apart: done; the API's clock set ±1 h: decided as ever",
            _each({**dict.fromkeys(REFUSED, _refuses), **dict.fromkeys(ALLOWED, _allows), **dict.fromkeys(ASKED, _asks)}),
            5,
        ),
        Case(
            "clock-in-flight",
            "the clock set ±1 h while the target acts, or while a begun action is looked up: one effect, no end made up",
            _each(
                {
                    "+1 h, in flight": _in_flight(HOUR_S),
                    "-1 h, in flight": _in_flight(-HOUR_S),
                    "+1 h, looked up": _looked_up(HOUR_S),
                    "-1 h, looked up": _looked_up(-HOUR_S),
                }
            ),
            4,
        ),
        Case(
            "silence",
            "all telemetry stops in mid-incident: expiry and escalation on time, and nothing is done on old evidence",
            Listed((*SILENCES, AT_SOURCE), _silence),
            7,
        ),
        Case(
            "backfill",
            "a day of metrics with a fault in it is backfilled: 0 proposals, 0 actions, the live stream goes on, a live fault opens an incident",
            Listed(tuple(BACKFILLS), backfilled),
            7,
        ),
        Case(
            "producer-leap",
            f"one producer's clock leaps ({', '.join(LEAPS)}) and comes back: the others' signals as a replay says",
            Listed(tuple(LEAPS), leapt),
            4,
        ),
    ),
)
