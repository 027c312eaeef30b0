"""The cases of clocks and silence: a decision that follows a wrong clock, an expiry that comes late or never, sleep after a backfill."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.approvals import Decision, DecisionOutcome
from tests.faults.network import history
from tests.faults.reliability import timing
from tests.faults.reliability.case import Finding
from tests.unit.test_telemetry_faults import PROPOSAL, decision, escalated, told

DUE = PROPOSAL.expires_at


class Asked:
    """A bench in which the API's clock is set and a person approves."""

    def __init__(self, decided: list[tuple[Decision, int]], wrong: list[str]) -> None:
        self.steps: list[float] = []
        self.api_clock = SimpleNamespace(step=self.steps.append)
        self.seen = SimpleNamespace(proposals={"inc-1": PROPOSAL})
        self.told = SimpleNamespace(decided={"inc-1": decided})
        self._wrong = wrong

    def fresh(self) -> Any:
        return SimpleNamespace(key="inc-1")

    def drive(self, *_: object, **__: object) -> bool:
        return True

    def ended(self, _: object) -> list[str]:
        assert self.steps == [3600.0]  # the clock is wrong while it is approved
        return self._wrong


@pytest.mark.parametrize(
    ("decided", "wrong", "passes"),
    [
        ([(decision(at=1_000), 1_500)], [], True),
        ([(decision(at=3_601_000), 1_000)], [], False),
        ([(decision(DecisionOutcome.EXPIRED), 1_000)], [], False),
        ([(decision(at=1_000), 1_500)], ["no outcome within 90 s"], False),
    ],
)
def test_a_decision_that_follows_the_api_s_wrong_clock_is_found(
    decided: list[tuple[Decision, int]], wrong: list[str], passes: bool
) -> None:
    bench = Asked(decided, wrong)
    assert timing._asks(bench, "+1 h, the API's").passed is passes  # type: ignore[arg-type]
    assert bench.steps == [3600.0, 0]


class Silent:
    """A bench whose telemetry stops."""

    def __init__(self, *events: tuple[object, int], written: tuple[int, int] = (9, 9), not_ready: tuple[str, ...] = ()) -> None:
        self.told = told(*events)
        self._written, self._not_ready = list(written), list(not_ready)

    def until_proposed(self) -> str:
        return "inc-1"

    def written(self) -> int:
        return self._written.pop(0)

    def until(self, reached: Callable[[], bool]) -> None:
        reached()

    def not_ready(self) -> list[str]:
        return self._not_ready


ON_TIME = ((decision(DecisionOutcome.EXPIRED), DUE + 500), (escalated(), DUE + 1_500))


@pytest.mark.parametrize(
    ("bench", "failed"),
    [
        (Silent(*ON_TIME), ()),
        (Silent(), ("nothing expired", "nobody was told")),
        (Silent(ON_TIME[0], (escalated(), DUE + 9_000)), ("late by [0.5, 9.0] s",)),
        (Silent((decision(DecisionOutcome.EXPIRED), DUE - 500), ON_TIME[1]), ("late by [-0.5, 1.5] s",)),
        (Silent(*ON_TIME, written=(9, 10)), ("the raw topics were not silent",)),
        (Silent(*ON_TIME, not_ready=("detect is not ready",)), ("detect is not ready",)),
    ],
)
def test_an_expiry_that_is_late_or_no_silence_at_all_is_found(bench: Silent, failed: tuple[str, ...]) -> None:
    assert timing._stops(bench).failed == failed  # type: ignore[arg-type]


def test_a_backfill_that_leaves_everything_asleep_is_found() -> None:
    quiet = Finding("beside a live stream", 1)
    awake, asleep = SimpleNamespace(opens=lambda: 9.0), SimpleNamespace(opens=lambda: None)
    assert history._awake(awake, quiet).passed  # type: ignore[arg-type]
    assert history._awake(asleep, quiet).failed == ("a live leak opened nothing within 60 s",)  # type: ignore[arg-type]
