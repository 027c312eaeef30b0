"""Each bounded table of the control plane, in each stage that keeps it: full, it stays at its cap, and what goes is counted by table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel

from agents import admit, approve, reason, verify
from agents.execute import Sides
from api.read_model import Kept, ReadModel
from cli.config import load
from models.admission import Admission
from schemas import topics
from schemas.actions import FinishStatus, RefusalReason, Refused, Seen, Started
from schemas.approvals import UndoRequest
from schemas.base import canonical
from schemas.config.policy import Policy
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Feedback
from schemas.kinds import Cause, Mode
from streams.harness.stage import Record
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, RESTART, T0, World, arming, command, in_force, incident, proposal
from tests.conftest import REPO
from tests.unit.approval_log import explanation, withdrawal
from tests.unit.execute_steps import granted_world
from tests.unit.incident_world import Run
from tests.unit.incident_world import incident as sick
from tests.unit.verify_world import finished, started

ROOM = 2
BOOK = ("cases", "open", "forgotten", "over", "verdicts", "armings", "arming", "undos", "policies")
LATER = 10_000  # an epoch above that of every owner in these logs


def counts(metric: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a counter by the values of their labels."""
    of = (sample for family in REGISTRY.collect() for sample in family.samples if sample.name == metric)
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in of}


@contextmanager
def moves(metric: str, *expected: str) -> Iterator[None]:
    """Require that these tables were full meanwhile; `actions open` is the table `open` of the fold `actions`."""
    before = counts(metric)
    yield
    moved = {" ".join(labels) for labels, count in counts(metric).items() if count > before.get(labels, 0.0)}
    assert set(expected) <= moved


def records(topic: str, events: Iterable[BaseModel]) -> list[Record]:
    return [Record(topic, 0, offset, T0 + offset, b"k", canonical(event)) for offset, event in enumerate(events)]


def folding(stage: Any) -> Callable[[Record], object]:
    state = stage.restore(None)
    return lambda record: stage.apply(state, record, record.timestamp)


def said() -> list[BaseModel]:
    """Return an approvals log with more of everything than there is room for."""
    every = range(4 * ROOM)
    proposals = [proposal(f"inc-{number}") for number in every]
    undo = {"action": "", "proposal": "prp-1", "incident": "inc-1", "reason": "worse", "at": T0}
    return [
        *(in_force(Policy(), f"{number}") for number in every),
        *(arming(name=f"{number}", cluster=f"cluster-{number}") for number in every),
        *proposals,
        *(command(one) for one in proposals),
        *(withdrawal(f"inc-{number}") for number in every),
        *(UndoRequest(**{**undo, "id": f"und-{number}", "action": f"act-{number}"}) for number in every),
    ]


def shrink(monkeypatch: pytest.MonkeyPatch, module: str, *names: str, to: int = ROOM) -> None:
    """Set caps where they are read: a package may hold a function of its module's name."""
    for name in names:
        monkeypatch.setattr(importlib.import_module(f"models.{module}"), name, to)


@pytest.fixture
def _small_book(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "approvals.decide", "MAX_CASES", "MAX_FORGOTTEN")
    shrink(monkeypatch, "approvals.opening", "MAX_PENDING", "MAX_OVER", "MAX_POLICIES")
    shrink(monkeypatch, "approvals.book", "MAX_UNDOS", "MAX_COMMANDS", "MAX_ARMINGS", "MAX_CLUSTERS")


@pytest.mark.usefixtures("_small_book")
@pytest.mark.parametrize(
    ("metric", "fold", "tables"),
    [
        ("airra_approve_evicted_entries_total", folding(approve.stage(Policy())), BOOK),
        ("airra_admit_evicted_entries_total", folding(admit.stage(Policy())), BOOK),
        ("airra_execute_evicted_entries_total", Sides(Policy()).fold_approvals, tuple(f"approvals {table}" for table in BOOK)),
        ("airra_api_evictions_total", ReadModel().fold_approvals, ("approvals",)),
    ],
    ids=["approve", "admit", "execute", "api"],
)
def test_every_table_of_the_approvals_book(metric: str, fold: Callable[[Record], object], tables: tuple[str, ...]) -> None:
    with moves(metric, *tables):
        for record in records(APPROVALS, said()):
            fold(record)


@pytest.mark.usefixtures("_small_book")
def test_no_table_of_the_book_grows_above_its_cap() -> None:
    sides = Sides(Policy())
    for record in records(APPROVALS, said()):
        sides.fold_approvals(record)
        assert max(len(getattr(sides.approvals, table)) for table in BOOK) <= ROOM


def admitted(of: Iterable[Any]) -> Admission:
    """Let approve and admit read approvals of these proposals; nobody executes what is granted."""
    world = World(Policy.model_validate({"lease": {"wait_s": 5}}))
    for one in of:
        world.approved(one)
    world.settle()
    world.tick(10)
    state: Admission = world.stages["admit"].state
    return state


def test_targets_and_actions_that_wait_above_their_caps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "admission.take", "MAX_WAITING")
    with moves("airra_admit_evicted_entries_total", "waiting"):
        admitted(proposal(f"inc-{number}") for number in range(2 * ROOM))
    shrink(monkeypatch, "admission.take", "MAX_LEASES", to=1)
    with moves("airra_admit_evicted_entries_total", "leases"):
        assert list(admitted([proposal("inc-1"), proposal("inc-2", spec=RESTART.model_copy(update={"service": "catalog"}))]).leases) == [
            "orders"
        ]


def test_actions_that_are_over_make_room_in_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "admission.take", "MAX_KNOWN")
    world = World()
    world.start_execute()
    with moves("airra_admit_evicted_entries_total", "known"):
        for number in range(2 * ROOM):
            world.target.facts = {"workers": 2, "release": "v1"}
            world.approved(proposal(f"inc-{number}"))
            world.settle()
            world.tick()
    assert len(world.stages["admit"].state.known) == ROOM


def begun(number: int) -> Started:
    return started(id=f"sta-{number}", action=f"act-s{number}", epoch=LATER)


def refused(number: int, **changes: Any) -> Refused:
    fields = {"id": f"ref-{number}", "action": f"act-r{number}", "proposal": "prp-1", "incident": f"inc-{number}", "mode": Mode.LIVE}
    return Refused(**{**fields, "spec": RESTART, "reason": RefusalReason.EXPIRED, "detail": "", "seen": Seen(), "at": T0, **changes})


def test_the_log_of_actions_in_report_and_in_both_folds_of_execute() -> None:
    world = granted_world()
    assert world.execute is not None
    logs = (world.stages["report"].state, world.execute._log, world.execute._sides.actions)
    for log in logs:
        log.max_open = log.max_closed = 1
    grant = next(iter(world.execute._log.open.values())).grant
    for number in range(3):
        world.logs.write(ACTIONS, grant.model_copy(update={"id": f"act-g{number}"}))
        world.logs.write(ACTIONS, begun(number))
        world.logs.write(ACTIONS, refused(number))
    tables = ("open", "started", "closed")
    both = [f"{fold} {table}" for fold in ("intents", "actions") for table in tables]
    with moves("airra_report_evicted_entries_total", *tables), moves("airra_execute_evicted_entries_total", *both):
        world.stages["report"].run(world.logs)
        world.fold_execute()
        for record in world.logs.records[ACTIONS]:
            world.execute._sides.fold_actions(record)
    assert [(len(log.open), len(log.started), len(log.closed)) for log in logs] == [(1, 1, 1)] * 3


def word(number: int, of: str = "") -> Feedback:
    name = of or f"inc-{number}"
    return Feedback(id=f"fbk-{number}", incident=name, subject="ann", confirmed_cause=Cause.CPU_SPIKE, at=T0)


def test_pictures_watches_outcomes_and_words_that_verify_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "verification.take", "MAX_INCIDENTS", "MAX_WATCHES", "MAX_OUTCOMES")
    shrink(monkeypatch, "verification.feedback", "MAX_FEEDBACK")
    run = Run(verify.stage(Policy()))
    tables = ("pictures", "watches", "outcomes", "over", "unasked", "feedback", "feedback_ids")
    with moves("airra_verify_evicted_entries_total", *tables):
        for number in range(2 * ROOM):
            failed = finished(id=f"fin-{number}", action=f"act-f{number}", status=FinishStatus.FAILED)  # of a cause that nobody names
            for event in (incident(1, (), name=f"inc-{number}"), begun(number), failed, refused(number), word(number)):
                run.send(event, T0 + number)
    assert [len(getattr(run.state, table)) for table in tables] == [ROOM] * len(tables)


def test_the_pages_of_incidents_that_execute_and_the_api_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "incidents.book", "FEEDBACK_KEPT", "ACTIONS_KEPT")
    sides, model = Sides(Policy()), ReadModel()
    sides.incidents.capacity = model.incidents.capacity = 1
    events: list[BaseModel] = [incident(1, (), name=name) for name in ("inc-0", "inc-1")]
    events += [word(number, "inc-1") for number in range(2 * ROOM)]
    events += [finished(id=f"fin-{number}", incident="inc-1") for number in range(2 * ROOM)]
    whole = tuple(f"incidents {table}" for table in ("pages", "feedback", "actions"))
    with moves("airra_execute_evicted_entries_total", *whole), moves("airra_api_evictions_total", "incidents"):
        for record in records(INCIDENTS, events):
            sides.fold_incidents(record)
            model.fold_incidents(record)


def test_the_incidents_that_reason_follows_and_those_that_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.reason.cases.CASES_KEPT", ROOM)
    run = Run(reason.stage(load(RunbookCatalogue, REPO / "config/runbooks.yaml")))
    with moves("airra_reason_evicted_cases_total", "cases"):
        for number in range(2 * ROOM):
            run.send(sick(key=f"inc-{number}"), T0)
    assert len(run.state.cases) == ROOM


def test_every_table_of_the_read_model() -> None:
    world, model = World(), ReadModel()
    tables = [table for table in vars(model).values() if isinstance(table, Kept)]
    for table in tables:
        table._cap = ROOM
    model.log.max_closed = 1
    world.start_execute()
    for number in range(2 * ROOM):
        world.target.facts = {"workers": 2, "release": "v1"}
        of = world.approved(proposal(f"inc-{number}"))
        world.logs.write(APPROVALS, explanation(of))
        world.settle()
        world.tick(1)
    world.tick(300)
    with moves("airra_api_evictions_total", "actions", *(table._name for table in tables)):
        for topic, fold in (
            (APPROVALS, model.fold_approvals),
            (ACTIONS, model.fold_actions),
            (topics.OUTCOMES.name, model.fold_outcomes),
        ):
            for record in world.logs.records[topic]:
                fold(record)
    assert [len(table) for table in tables] == [ROOM] * len(tables)
