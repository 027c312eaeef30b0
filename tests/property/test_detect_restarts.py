"""Whatever comes, and whenever detect is stopped and goes on from its snapshot: what it says and what it ends with are the same."""

from __future__ import annotations

import random

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.kinds import Kind
from schemas.samples import SeriesDef
from streams.detect import stage
from streams.harness.stage import Output
from tests.unit.detect_feed import CONFIG, T0, Log, series

HASTY = CONFIG.model_copy(
    update={"min_history": 3, "history_points": 10, "forget_s": 8.0, "health_s": 1.0, "health_watched_s": 1.0, "recent_s": 5.0}
)
CROWDED = HASTY.model_copy(update={"max_series": 10})
KINDS = (Kind.MEMORY, Kind.SATURATION, Kind.POOL)
SECONDS = 100


def log_of(seed: int) -> Log:
    """Services that come and go, leave their bands, and are said to be others while rows of them wait."""
    chance, log = random.Random(seed), Log()
    services = [f"s{chance.randrange(1000)}" for _ in range(4)]
    beat = series("beat", Kind.CPU)
    log.define(beat)
    known: dict[str, list[SeriesDef]] = {}
    alive: set[str] = set()
    level: dict[str, float] = {}
    for second in range(SECONDS):
        if chance.random() < 0.15:
            service = chance.choice(services)
            if service in alive:
                alive.discard(service)
            else:
                alive.add(service)
                known[service] = [series(service, kind, metric=f"{kind.value}_{service}_{chance.randrange(2)}") for kind in KINDS]
                log.define(*known[service])
        if chance.random() < 0.1 and alive:
            service = chance.choice(sorted(alive))
            known[service] = [msgspec.structs.replace(one, service=f"{one.service}x") for one in known[service]]
            log.define(*known[service])
        rows = [(beat, T0 + 1000 * second, 1.0)]
        for service in sorted(alive):
            if chance.random() < 0.1:
                level[service] = chance.choice([0, 0, 50])
            rows += [(one, T0 + 1000 * second, 5 + chance.gauss(0, 0.05) + level.get(service, 0)) for one in known[service]]
        chance.shuffle(rows)
        log.rows(rows)
    return log


def folded(log: Log, crowded: bool, every: int) -> tuple[list[list[Output]], bytes]:
    """Fold a log; after so many records each time, go on from the snapshot. 0: never."""
    one = stage(CROWDED if crowded else HASTY)
    state, said = one.restore(None), []
    for number, record in enumerate(log.records, 1):
        said.append(list(one.apply(state, record, record.timestamp)))
        if every and number % every == 0:
            state = one.restore(one.snapshot(state))
    return said, one.snapshot(state)


@example(7, 1, False)
@example(15, 7, False)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.sampled_from([1, 7, 30]), st.booleans())
def test_a_restart_changes_nothing_of_what_is_said(seed: int, every: int, crowded: bool) -> None:
    log = log_of(seed)
    assert folded(log, crowded, every) == folded(log, crowded, 0)
