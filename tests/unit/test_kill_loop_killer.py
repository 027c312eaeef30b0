"""The kill loop's killer: a kill that did not fall where the case says is a failed case."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import kill_loop
from tests.faults.kill_loop import Case, Killer

CASE = Case("control-effect-sent", "control", lambda *_: True, delay="after")


def run(pids: list[int]) -> Any:
    return SimpleNamespace(stack=SimpleNamespace(supervisor=SimpleNamespace(pid=lambda _: pids[0])))


@pytest.mark.parametrize(("effects", "wrong"), [([{"status": "in_progress"}], 0), ([], 1)])
def test_the_effect_must_be_in_hand_when_the_kill_falls(effects: list[Any], wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(kill_loop, "effects", lambda _: effects)
    monkeypatch.setattr(kill_loop, "DELAY_S", 0.1)
    monkeypatch.setattr(kill_loop.os, "kill", lambda pid, _: killed.append(pid))
    killer = Killer(CASE)
    killer(run([42]), object())
    assert killed == [42]
    assert len(killer.wrong) == wrong
