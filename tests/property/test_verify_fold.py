"""verify as a fold: one outcome an action, the same over restarts at any point, repeats, and whatever other incidents do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.verification import Verification, restore, snapshot, take
from schemas.actions import ActionSpec, Finished, FinishStatus, RefusalReason, Refused, Seen, Started
from schemas.base import Position
from schemas.config.policy import Verification as Bounds
from schemas.incidents import Feedback, IncidentEvent, IncidentPhase
from schemas.kinds import ActionName, Cause, Mode
from schemas.signals import Tick
from tests.acting_world import T0, UNSCALE, evidence, incident

BOUNDS = Bounds(settle_s=3, deadline_s=20, points=3)
SPEC = ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 4})

steps = st.tuples(
    st.sampled_from(["incident", "incident", "incident", "resolved", "started", "finished", "refused", "feedback", "tick", "tick"]),
    st.sampled_from(["inc-1", "inc-2"]),
    st.sampled_from([0.9, 1.0, 2.0, 4.0, 8.0]),
    st.integers(0, 12),
)
logs = st.lists(steps, max_size=40)
meanwhile = st.lists(
    st.tuples(st.sampled_from(["incident", "tick", "started"]), st.just("inc-1"), st.sampled_from([1.0, 8.0]), st.integers(0, 6)),
    max_size=12,
)


def records(script: list) -> list[tuple[IncidentEvent, int, Position]]:
    out: list[tuple[IncidentEvent, int, Position]] = []
    now = T0
    for offset, (kind, name, value, gap) in enumerate(script):
        now += gap * 1000
        out.append(
            (event_of(kind, name, value, gap, now, offset + 1), now, Position(topic="airra.incidents.v1", partition=0, offset=offset))
        )
    return out


def event_of(kind: str, name: str, value: float, gap: int, now: int, version: int) -> IncidentEvent:
    told = {"action": f"act-{name}", "proposal": f"prp-{name}", "incident": name, "mode": Mode.LIVE, "spec": SPEC, "at": now}
    match kind:
        case "incident" | "resolved":
            phase = IncidentPhase.RESOLVED if kind == "resolved" else IncidentPhase.UPDATED
            noisy = [value, *[value if gap % 2 else 1.3] * (gap % 3), *[value] * 3]
            return incident(version, [evidence(noisy, now, name="a"), evidence(noisy[::-1], now, name="b")], name=name, phase=phase)
        case "started":
            return Started(id=f"sta-{name}-{now}", undo=UNSCALE, cause=Cause.CPU_SPIKE, confidence=0.9, epoch=0, seen=Seen(), **told)
        case "finished":
            status = FinishStatus.UNKNOWN if value > 4 else FinishStatus.SUCCEEDED
            return Finished(id=f"fin-{name}", status=status, epoch=0, **told)
        case "refused":
            return Refused(id=f"ref-{name}", reason=RefusalReason.NOT_ARMED, seen=Seen(), **told)
        case "feedback":
            cause = Cause.CPU_SPIKE if value < 2 else Cause.DATABASE
            return Feedback(id=f"fee-{name}-{value}", incident=name, subject="ann", at=now, confirmed_cause=cause)
    return Tick(at=now)


def run(state: Verification, log: list) -> list:
    said = []
    for event, now, position in log:
        taken = take(state, event, now, position, BOUNDS)
        said += [*taken.outcomes, *taken.undos, *taken.notices]
    return said


@settings(max_examples=60, deadline=None)
@given(script=logs)
def test_an_action_has_one_outcome_whose_versions_rise_and_every_finished_one_gets_it(script: list) -> None:
    log = records(script)
    end = (Tick(at=0), log[-1][1] + 60_000 if log else T0, Position(topic="airra.incidents.v1", partition=0, offset=len(log)))
    state = Verification()
    outcomes = [one for one in run(state, [*log, end]) if one.type == "outcome"]
    for action in {one.action for one in outcomes}:
        assert [one.version for one in outcomes if one.action == action] == list(
            range(1, 1 + sum(one.action == action for one in outcomes))
        )
    refused: set[str] = set()
    due: set[str] = set()
    for event, _, _ in log:
        if isinstance(event, Refused) and event.action not in due:
            refused.add(event.action)
        if isinstance(event, Finished) and event.action not in refused:
            due.add(event.action)
    assert {one.action for one in outcomes} == due


@settings(max_examples=60, deadline=None)
@given(script=logs, cuts=st.sets(st.integers(0, 40), max_size=4), back=st.integers(0, 20))
def test_restarts_and_stretches_read_again_say_the_same(script: list, cuts: set[int], back: int) -> None:
    log = records(script)
    straight, restarted = Verification(), Verification()
    expected = run(straight, log)
    said = []
    for index, record in enumerate(log):
        if index in cuts:
            restarted = restore(snapshot(restarted))
            said += run(restarted, log[max(0, index - back) : index])
        said += run(restarted, [record])
    assert said == expected
    assert snapshot(restarted) == snapshot(straight)


@settings(max_examples=60, deadline=None)
@given(script=logs, repeats=st.sets(st.integers(0, 40), max_size=10))
def test_a_record_appended_twice_says_nothing_more(script: list, repeats: set[int]) -> None:
    log = records(script)
    doubled = [(event, now) for index, (event, now, _) in enumerate(log) for _ in range(2 if index in repeats else 1)]
    numbered = [
        (event, now, Position(topic="airra.incidents.v1", partition=0, offset=offset)) for offset, (event, now) in enumerate(doubled)
    ]
    once, twice = run(Verification(), log), run(Verification(), numbered)
    assert [(one.type, one.id, one.at) for one in twice] == [(one.type, one.id, one.at) for one in once]


@settings(max_examples=100, deadline=None)
@given(ran=meanwhile, after=logs, back=st.integers(1, 12), late=st.integers(0, 12))
def test_copies_that_a_crash_of_report_repeats_change_no_word(ran: list, after: list, back: int, late: int) -> None:
    """Given an action that runs for a while, when the newest copies come once more, in their order, then the same is said of it."""
    begun = [("incident", "inc-1", 4.0, 3), ("started", "inc-1", 4.0, 0)]
    ended = [("finished", "inc-1", 1.0, 1), ("incident", "inc-1", 1.0, 9)]
    log = records([*begun, *ran, *ended, *after, ("tick", "inc-1", 1.0, 20)])
    at = len(begun) + late
    earlier, rest = log[:at], log[at:]
    copies = [(event, earlier[-1][1]) for event, _, _ in earlier[-back:] if isinstance(event, Started | Finished | Refused)]
    told = [*((event, now) for event, now, _ in earlier), *copies, *((event, now) for event, now, _ in rest)]
    again = [(event, now, Position(topic="airra.incidents.v1", partition=0, offset=offset)) for offset, (event, now) in enumerate(told)]

    def words(said: list) -> list:
        return [one.model_copy(update={"source": None}) if one.type == "outcome" else one for one in said]

    assert words(run(Verification(), again)) == words(run(Verification(), log))


@settings(max_examples=60, deadline=None)
@given(script=logs)
def test_what_is_said_of_one_incident_does_not_depend_on_another(script: list) -> None:
    """Merge: all that concerns inc-2 replaced by ticks leaves every word on inc-1 as it was."""
    log = records(script)
    alone = [(Tick(at=0) if getattr(event, "incident", "") == "inc-2" else event, now, position) for event, now, position in log]
    together = [one for one in run(Verification(), log) if one.incident == "inc-1"]
    assert run(Verification(), alone) == together
