"""The approvals book as a fold: repeats, restarts at any point, and what other incidents do, change nothing; one decision each."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.approvals import ApprovalBook, CommandFate, fold, restore, snapshot
from schemas.approvals import ApprovalEvent, CommandVerb, Decision, Proposal, Withdrawal, WithdrawalReason
from schemas.base import Position
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import Mode
from schemas.signals import Tick
from tests.acting_world import T0, arming, command, in_force, proposal

POLICIES = (
    Policy(),
    Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.LIVE),)),
    Policy(rules=(Rule(decide=Ruling.FORBIDDEN),)),
)
PROPOSALS = [proposal(f"inc-{incident}", version, expires_at=T0 + 40_000) for incident in (1, 2) for version in (1, 2)]


def withdrawal(incident: str) -> Withdrawal:
    source = Position(topic="airra.incidents.v1", partition=0, offset=9)
    return Withdrawal(id=f"wdr-{incident}", incident=incident, reason=WithdrawalReason.RESOLVED, at=T0, source=source)


events = st.one_of(
    st.sampled_from(PROPOSALS),
    st.builds(
        lambda of, verb, mode, subject, wrong: command(of, verb, mode=mode, subject=subject, **({"digest": "wrong"} if wrong else {})),
        st.sampled_from(PROPOSALS),
        st.sampled_from(CommandVerb),
        st.sampled_from(Mode),
        st.sampled_from(["ann", "bob"]),
        st.booleans(),
    ),
    st.just(Tick(at=T0)),
    st.builds(lambda n: withdrawal(f"inc-{n}"), st.integers(1, 2)),
    st.builds(lambda armed, name: arming(armed=armed, name=name), st.booleans(), st.sampled_from("123")),
)
# a log: each event with the seconds since the one before
logs = st.lists(st.tuples(events, st.sampled_from([0, 0, 1, 5, 15])), max_size=40)


def timed(log: list[tuple[ApprovalEvent, int]]) -> list[tuple[ApprovalEvent, int, Position]]:
    now, out = T0, []
    for offset, (event, gap) in enumerate(log, start=1):
        now += gap * 1000
        out.append((event, now, Position(topic="airra.approvals.v1", partition=0, offset=offset)))
    return out


def under(policy: Policy) -> ApprovalBook:
    """A book whose log began with this policy."""
    book = ApprovalBook()
    fold(book, in_force(policy), T0, Position(topic="airra.approvals.v1", partition=0, offset=0))
    return book


def run(book: ApprovalBook, log: list[tuple[ApprovalEvent, int, Position]]) -> list[Decision]:
    return [decision for event, now, position in log for decision in fold(book, event, now, position)]


def said(decisions: list[Decision]) -> list[tuple]:
    return [(d.id, d.outcome, d.mode, d.digest, d.subject, d.at) for d in decisions]


@settings(max_examples=60, deadline=None)
@given(log=logs, policy=st.sampled_from(POLICIES))
def test_every_proposal_has_at_most_one_decision_and_every_winner_is_its_decider(log: list, policy: Policy) -> None:
    book = under(policy)
    decisions = run(book, timed(log))
    assert len({decision.proposal for decision in decisions}) == len(decisions)
    deciders = {decision.proposal: decision.subject for decision in decisions}
    winners = [verdict for verdict in book.verdicts.values() if verdict.fate is CommandFate.WON]
    assert len({verdict.proposal for verdict in winners}) == len(winners)
    assert all(deciders[verdict.proposal] == verdict.subject for verdict in winners)
    proposed = {event.id for event, _ in log if isinstance(event, Proposal)}
    assert proposed == set(deciders) | set(book.open.values())


@settings(max_examples=60, deadline=None)
@given(log=logs, policy=st.sampled_from(POLICIES), cuts=st.sets(st.integers(0, 40), max_size=4))
def test_a_restart_at_any_point_gives_the_same_decisions_and_the_same_book(log: list, policy: Policy, cuts: set[int]) -> None:
    straight, restarted = under(policy), under(policy)
    expected = run(straight, timed(log))
    decisions = []
    for index, record in enumerate(timed(log)):
        if index in cuts:
            restarted = restore(snapshot(restarted))
        decisions += run(restarted, [record])
    assert decisions == expected
    assert snapshot(restarted) == snapshot(straight)


@settings(max_examples=60, deadline=None)
@given(log=logs, policy=st.sampled_from(POLICIES), back=st.integers(0, 40), at=st.integers(0, 40))
def test_a_stretch_of_the_log_read_again_changes_nothing(log: list, policy: Policy, back: int, at: int) -> None:
    straight, again = under(policy), under(policy)
    records = timed(log)
    expected = run(straight, records)
    at = min(at, len(records))
    assert run(again, [*records[:at], *records[max(0, at - back) : at], *records[at:]]) == expected
    assert snapshot(again) == snapshot(straight)


@settings(max_examples=60, deadline=None)
@given(log=logs, policy=st.sampled_from(POLICIES), repeats=st.sets(st.integers(0, 39)) | st.just(set(range(40))))
def test_a_record_appended_again_under_a_new_offset_decides_nothing(log: list, policy: Policy, repeats: set[int]) -> None:
    """A producer that repeats: the same ids come again right after the original."""
    once = under(policy)
    twice = under(policy)
    doubled = [
        pair for index, (event, gap) in enumerate(log) for pair in ([(event, gap), (event, 0)] if index in repeats else [(event, gap)])
    ]
    assert said(run(twice, timed(doubled))) == said(run(once, timed(log)))
    assert {name: v.fate for name, v in twice.verdicts.items()} == {name: v.fate for name, v in once.verdicts.items()}


@settings(max_examples=60, deadline=None)
@given(log=logs, policy=st.sampled_from(POLICIES))
def test_what_happens_to_one_incident_does_not_depend_on_another(log: list, policy: Policy) -> None:
    """Merge: the decisions on inc-1 are the same when all that concerns inc-2 becomes a tick."""
    theirs = {of.id for of in PROPOSALS if of.incident == "inc-2"} | {withdrawal("inc-2").id}
    alone = [(Tick(at=T0), gap) if _of(e) in theirs else (e, gap) for e, gap in log]
    together = [decision for decision in run(under(policy), timed(log)) if decision.incident == "inc-1"]
    assert run(under(policy), timed(alone)) == together


def _of(event: ApprovalEvent) -> str:
    return getattr(event, "proposal", getattr(event, "id", ""))


changes = st.one_of(events, st.builds(in_force, st.sampled_from(POLICIES), st.sampled_from("1234")))


@settings(max_examples=60, deadline=None)
@given(log=st.lists(st.tuples(changes, st.sampled_from([0, 0, 1, 5])), max_size=40), own=st.sampled_from(POLICIES))
def test_every_reader_of_a_log_with_changing_policies_agrees_whatever_its_own_file_says(log: list, own: Policy) -> None:
    one, other = ApprovalBook(), ApprovalBook(policy=own)
    assert run(one, timed(log)) == run(other, timed(log))
    assert snapshot(one) == snapshot(other)
