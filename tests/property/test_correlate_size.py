"""Whatever the signals carry, an incident's record fits its topic, keeps its worst suspect and is the same each time."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from incident_world import SERVICES, T0, change, incident, reading, suspect

from models.correlation.size import MAX_BYTES, fit, trim
from schemas.base import Position, canonical
from schemas.incidents import Incident
from schemas.kinds import ChangeType, Kind, Severity
from schemas.signals import Alert

characters = st.sampled_from(["a", "é", "\U0001f600", "\x01", '"'])
texts = st.builds(lambda character, length: character * length, characters, st.integers(0, 2_000))


@st.composite
def records(draw) -> Incident:
    """Many or few of everything, of long names."""
    name = draw(texts)
    suspects = tuple(
        suspect(reading(SERVICES[i % 5], Kind.LATENCY).model_copy(update={"series": f"{i:016x}", "instance": name}), opened_at=T0 + i)
        for i in range(draw(st.integers(1, 100)))
    )
    long = reading("orders", Kind.CPU).model_copy(update={"metric": name, "points": ((T0, 0.123456789),) * 40})
    labels = {f"l{i}": draw(texts) for i in range(draw(st.integers(0, 8)))}
    alerts = tuple(
        trim(
            Alert(
                id=f"a{i}",
                fingerprint=f"f{i}",
                service="orders",
                name=name,
                severity=Severity.WARNING,
                firing=True,
                count=1,
                first=T0,
                last=T0 + i,
                labels=labels,
                source=Position(topic="t", partition=0, offset=i),
            )
        )
        for i in range(draw(st.integers(0, 50)))
    )
    changes = [change(ChangeType.DEPLOY, "orders", name, name, at=T0 + i) for i in range(draw(st.integers(0, 100)))]
    base = incident(*suspects, changes=changes)
    return base.model_copy(update={"health": (long,) * draw(st.integers(0, 240)), "alerts": alerts})


@settings(max_examples=40, deadline=None)
@given(records(), st.sampled_from([MAX_BYTES, 200_000, 20_000]))
def test_a_record_fits_and_loses_the_least_important_first(record, limit):
    kept, dropped = fit(record, limit)
    assert len(canonical(kept)) <= limit
    assert kept.suspects[0] == record.suspects[0]
    assert fit(record, limit) == (kept, dropped)
    for name in ("alerts", "health", "changes", "suspects"):
        assert len(getattr(kept, name)) + dropped.get(name, 0) == len(getattr(record, name))
    assert kept.alerts == record.alerts[: len(kept.alerts)]
    assert kept.changes == record.changes[len(record.changes) - len(kept.changes) :]
    assert not dropped or len(canonical(record)) > limit
    if "health" in dropped:
        assert not kept.alerts
