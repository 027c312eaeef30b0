"""admit as a fold: one live action a target at any time, no id granted twice, restarts and repeats change nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.admission import Admission, restore, snapshot, take
from models.approvals import ApprovalBook, fold
from schemas.actions import Finished, FinishStatus, Grant, RefusalReason, Refused, Seen, Started
from schemas.approvals import ApprovalEvent, UndoRequest
from schemas.base import Position
from schemas.config.policy import Budget, Lease, Policy
from schemas.kinds import Mode
from schemas.signals import Tick
from tests.acting_world import RESTART, T0, command, proposal

POLICY = Policy(lease=Lease(hold_s=15, wait_s=60), budget=Budget(live_per_hour=3))
MARGIN_MS = 30_000  # twice the allowed skew, and the time for a report
OTHER = RESTART.model_copy(update={"service": "catalog"})
PROPOSALS = [proposal(f"inc-{n}", expires_at=T0 + 90_000) for n in range(4)] + [proposal("inc-9", spec=OTHER, undo=None)]

steps = st.one_of(
    st.tuples(st.just("approve"), st.integers(0, 4), st.sampled_from(Mode)),
    st.tuples(st.just("start"), st.integers(0, 5), st.none()),
    st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from(FinishStatus)),
    st.tuples(st.just("refuse"), st.integers(0, 5), st.none()),
    st.tuples(st.just("undo"), st.integers(0, 5), st.none()),
    st.tuples(st.just("tick"), st.integers(1, 30), st.none()),
)


def log_of(script: list) -> list[tuple[ApprovalEvent, int, Position]]:
    """Play a script against one admit, as the real logs would carry it, and return the approvals log that came of it."""
    log: list[tuple[ApprovalEvent, int, Position]] = []
    state, book = restore(None, POLICY), ApprovalBook(policy=POLICY)
    granted: list[Grant] = []
    now = T0

    def append(event: ApprovalEvent) -> None:
        position = Position(topic="airra.approvals.v1", partition=0, offset=len(log))
        log.append((event, now, position))
        decided = fold(book, event, now, position)
        granted.extend(word for word in take(state, event, now, position) if isinstance(word, Grant))
        for decision in decided:
            append(decision)

    for kind, which, what in script:
        if kind == "tick":
            now += which * 1000
            append(Tick(at=now))
        elif kind == "approve":
            append(PROPOSALS[which])
            append(command(PROPOSALS[which], mode=what))
        elif which < len(granted):
            append(answer(kind, granted[which], what))
    return log


def answer(kind: str, grant: Grant, status: FinishStatus | None) -> ApprovalEvent:
    told = {"action": grant.id, "proposal": grant.proposal, "incident": grant.incident, "at": T0}
    if kind == "undo":
        return UndoRequest(id=f"undo-{grant.id}", reason="worse", **told)
    if kind == "start":
        return Started(id=f"sta-{grant.id}", mode=grant.mode, spec=grant.spec, epoch=0, seen=Seen(), **told)
    if kind == "refuse":
        return Refused(id=f"ref-{grant.id}", mode=grant.mode, spec=grant.spec, reason=RefusalReason.NOT_ARMED, seen=Seen(), **told)
    return Finished(id=f"fin-{grant.id}", mode=grant.mode, spec=grant.spec, status=status, **told)


def run(state: Admission, log: list) -> list[Grant | Refused]:
    return [word for event, now, position in log for word in take(state, event, now, position)]


@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=30))
def test_at_most_one_live_action_holds_a_target_and_no_id_is_granted_twice(script: list) -> None:
    state = restore(None, POLICY)
    held: dict[str, str] = {}
    ids: list[str] = []
    live: list[int] = []
    ended: set[str] = set()
    begun: set[str] = set()
    until: dict[str, int] = {}
    for event, now, position in log_of(script):
        if isinstance(event, Started) and event.action in until and event.action not in ended:
            begun.add(event.action)
            if event.mode is Mode.LIVE:
                held.setdefault(event.spec.service, event.action)
        if isinstance(event, Finished | Refused) and event.action not in ended:
            ended.add(event.action)
            if not (isinstance(event, Finished) and event.status is FinishStatus.UNKNOWN):
                held = {service: action for service, action in held.items() if action != event.action}
        held = {service: action for service, action in held.items() if action in begun | ended or now <= until[action] + MARGIN_MS}
        for word in take(state, event, now, position):
            assert word.id not in ids
            ids.append(word.id)
            if isinstance(word, Grant):
                until[word.id] = word.lease_until
            if isinstance(word, Grant) and word.mode is Mode.LIVE:
                assert word.spec.service not in held
                held[word.spec.service] = word.id
                if word.undo_of is None:
                    live.append(now)
    assert len(live) <= POLICY.budget.live_per_hour


@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=30), cuts=st.sets(st.integers(0, 60), max_size=4), back=st.integers(0, 20))
def test_restarts_and_stretches_read_again_give_the_same_grants(script: list, cuts: set[int], back: int) -> None:
    log = log_of(script)
    straight, restarted = restore(None, POLICY), restore(None, POLICY)
    expected = run(straight, log)
    words = []
    for index, record in enumerate(log):
        if index in cuts:
            restarted = restore(snapshot(restarted), POLICY)
            words += run(restarted, log[max(0, index - back) : index])
        words += run(restarted, [record])
    assert words == expected
    assert snapshot(restarted) == snapshot(straight)


@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=25), repeats=st.sets(st.integers(0, 60), max_size=10))
def test_records_appended_twice_grant_nothing_more(script: list, repeats: set[int]) -> None:
    log = log_of(script)
    doubled = [(event, now) for index, (event, now, _) in enumerate(log) for _ in range(2 if index in repeats else 1)]
    numbered = [
        (event, now, Position(topic="airra.approvals.v1", partition=0, offset=offset)) for offset, (event, now) in enumerate(doubled)
    ]
    once, twice = run(restore(None, POLICY), log), run(restore(None, POLICY), numbered)
    assert [(word.type, word.id, word.at) for word in twice] == [(word.type, word.id, word.at) for word in once]
