"""The read model as a fold: repeats change nothing, and it agrees with the stage that decides."""

from hypothesis import given, settings
from hypothesis import strategies as st

from api.read_model import ReadModel
from models.approvals import ApprovalBook, decision_of, fold
from schemas import topics
from schemas.approvals import APPROVAL_EVENTS, Command, CommandVerb, Withdrawal, WithdrawalReason
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import Mode
from schemas.signals import Tick
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Record
from tests.acting_world import in_force
from tests.api_world import NOW, proposal

NAMES = ("prp-1", "prp-2", "prp-3")


@st.composite
def events(draw):
    """Proposals, people's words, ends of incidents, changes of policy and time, in any order."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from(NAMES))
        made = proposal(name, draw(st.sampled_from(("inc-1", "inc-2"))), expires_at=NOW + draw(st.sampled_from((1_000, 60_000))))
        mode = draw(st.sampled_from(list(Mode)))
        said = Command(
            id=f"cmd-{draw(st.integers(0, 6))}",
            proposal=name,
            verb=draw(st.sampled_from(list(CommandVerb))),
            mode=mode,
            digest=draw(st.sampled_from((made.digests.dry_run, made.digests.live))),
            subject=draw(st.sampled_from(("alice", "bob"))),
            at=NOW,
        )
        over = Withdrawal(id=f"wdr-{made.incident}", incident=made.incident, reason=WithdrawalReason.RESOLVED, at=NOW, source=made.source)
        rule = in_force(Policy(rules=(Rule(decide=draw(st.sampled_from(Ruling)), mode=mode),)), str(draw(st.integers(0, 6))))
        found.append((draw(st.sampled_from((made, said, over, rule, Tick(at=NOW)))), draw(st.integers(0, 900))))
    return found


def records(found):
    at = NOW
    for offset, (event, later) in enumerate(found):
        at += later
        output = emit(topics.APPROVALS, "k", event)
        yield Record(output.topic, 0, offset, at, output.key, output.value, output.headers)


@settings(max_examples=60, deadline=None)
@given(events())
def test_the_read_model_decides_as_the_stage_does_however_often_it_reads(found):
    model, book = ReadModel(), ApprovalBook()
    for record in records(found):
        fold(book, parse(APPROVAL_EVENTS, record), record.timestamp, position(record))
        model.fold_approvals(record)
        model.fold_approvals(record)
        assert model.approvals == book
    for name in NAMES:
        assert model.decisions.get(name) == decision_of(book, name)
    assert sum(len(names) for names in model.of_incident) == len(model.proposals)
