"""The book of incidents: newest version, open ones, operators' words, bounded."""

from incident_world import T0, incident, reading, suspect

from models.incidents.book import ACTIONS_KEPT, FEEDBACK_KEPT, IncidentBook
from schemas.actions import ActionSpec, Finished, FinishStatus
from schemas.base import Position
from schemas.incidents import Feedback, IncidentPhase
from schemas.kinds import ActionName, Kind, Mode

AT = Position(topic="airra.incidents.v1", partition=0, offset=1)


def version(number: int, phase: IncidentPhase = IncidentPhase.UPDATED, key: str = "inc-1"):
    return incident(suspect(reading("orders", Kind.LATENCY, 1.0, z=9)), version=number, phase=phase, key=key)


def test_the_newest_version_counts_and_repeats_do_not():
    book = IncidentBook()
    assert [book.apply(version(n), AT, T0 + n) for n in (1, 2, 2, 1, 3)] == [True, True, False, False, True]
    assert book.latest("inc-1").version == 3
    assert (book.get("inc-1").first_appended_at, book.get("inc-1").appended_at) == (T0 + 1, T0 + 3)


def test_a_resolved_incident_is_closed_for_good():
    book = IncidentBook()
    book.apply(version(1), AT, T0)
    book.apply(version(2, IncidentPhase.RESOLVED), AT, T0)
    assert book.open() == ()
    assert not book.apply(version(3), AT, T0)


def test_feedback_is_kept_once_and_only_for_known_incidents():
    book = IncidentBook()
    book.apply(version(1), AT, T0)
    word = Feedback(id="f1", incident="inc-1", subject="ann", at=T0)
    assert [book.apply(word, AT, T0), book.apply(word, AT, T0)] == [True, False]
    assert not book.apply(word.model_copy(update={"incident": "inc-9"}), AT, T0)
    assert book.feedback("inc-1") == (word,)


def test_above_capacity_the_oldest_resolved_one_goes_and_is_counted():
    book = IncidentBook(capacity=2)
    book.apply(version(1, key="open"), AT, T0)
    book.apply(version(1, key="done"), AT, T0 + 1)
    book.apply(version(2, IncidentPhase.RESOLVED, key="done"), AT, T0 + 2)
    book.apply(version(1, key="new"), AT, T0 + 3)
    assert (set(book.pages), book.evicted) == ({"open", "new"}, 1)


def test_words_and_actions_above_their_cap_go_and_are_counted():
    book = IncidentBook()
    book.apply(version(1), AT, T0)
    word = Feedback(id="f", incident="inc-1", subject="ann", at=T0)
    for number in range(FEEDBACK_KEPT + 3):
        book.apply(word.model_copy(update={"id": f"f{number}"}), AT, T0)
    assert (len(book.feedback("inc-1")), book.evicted) == (FEEDBACK_KEPT, 3)
    told = {"action": "a", "proposal": "p", "incident": "inc-1", "mode": Mode.LIVE, "status": FinishStatus.FAILED, "at": T0}
    spec = ActionSpec(action=ActionName.RESTART, service="orders")
    for number in range(ACTIONS_KEPT + 2):
        book.apply(Finished(id=f"fin-{number}", spec=spec, **told), AT, T0)
    assert (len(book.get("inc-1").actions), book.evicted) == (ACTIONS_KEPT, 5)
