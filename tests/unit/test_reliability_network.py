"""The network cases: a repeat that is not there, or stands under another id, or a notice that never came, is found out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from tests.faults.network.counted import Met
from tests.faults.network.toxics import ANSWERS_LOST, CUT_REQUEST, KILLED, LATENCY, REQUESTS_LOST
from tests.faults.network.trouble import Lived, Trouble
from tests.faults.reliability import network
from tests.faults.reliability.case import Finding, Ground
from tests.network.recorder import Heard

MET = Met("dropped", 312, 0, 1)


class Proxy:
    """Writes down what is done to it, and has met what it is told."""

    def __init__(self, did: list[str], met: Met) -> None:
        self._did = did
        self.met = met

    def harm(self, *_: object) -> None:
        self._did.append("harm")

    def heal(self) -> None:
        self._did.append("heal")

    def cut(self) -> None:
        self._did.append("cut")


class Bench:
    """A bench whose incidents pass as `told` says; use as a context."""

    def __init__(self, did: list[str], **told: Any) -> None:
        self._did, self._told = did, told
        self.proxies = dict.fromkeys(("broker", "receiver", "target", "store", "LLM"), Proxy(did, told.get("met", MET)))
        self.llm = SimpleNamespace(requests=[])
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def move_behind_proxy(self, role: str) -> None:
        self._did.append(f"move {role}")

    def live(self, trouble: Trouble) -> Lived:
        trouble.begin()
        assert trouble.over is None or trouble.over("inc-1")
        trouble.end()
        self.llm.requests += self._told.get("questions", [])
        return Lived("inc-1")

    def explained(self, _: str) -> tuple[int, int]:
        return 1, 1

    def granted(self, _: str) -> bool:
        return True

    def kill(self, role: str) -> None:
        self._did.append(f"kill {role}")

    def until_stored(self) -> tuple[float, int, int]:
        return 1.0, 0, 0

    def repeats(self) -> tuple[int, list[str]]:
        self._asked += 1
        earlier = ["explanation exp-1"]  # of the item before: this one did not do it
        again = self._asked > 1
        return 7 + self._told.get("twice", 0) * again, earlier + self._told.get("wrong", []) * again

    def unaccounted(self) -> list[str]:
        return list(self._told.get("unaccounted", ()))

    def until_told(self, _: str) -> tuple[float, dict[str, str]]:
        return 1.0, self._told["words"]

    def heard_of(self, words: dict[str, str]) -> list[Heard]:
        return [one for one in self._told["heard"] if one.key in words]


class Plane:
    """A bench of the data plane on which nothing is lost; use as a context."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def move_behind_proxy(self, _: str) -> None:
        """Nobody is there to be moved."""

    def during(self, name: str, *_: object) -> Finding:
        return Finding(name, 1, notes="9 samples")


def found(case: str, item: str, folder: Path, monkeypatch: pytest.MonkeyPatch, did: list[str], **told: Any) -> Finding:
    """Run one item of a case over such a bench."""

    @contextlib.contextmanager
    def proxied(_: Ground) -> Iterator[tuple[None, None, Proxy]]:
        yield None, None, Proxy(did, told.get("met", MET))

    monkeypatch.setattr(network, "proxied", proxied)
    monkeypatch.setattr(network, "NetworkBench", lambda *_: Bench(did, **told))
    monkeypatch.setattr(network, "PlaneBench", lambda *_: Plane())
    (chosen,) = (one for one in network.CHAPTER.cases if one.name == case)
    others = frozenset(chosen.items or ()) - {item}
    (finding,) = chosen.run(Ground(folder, lambda _: None), others)
    return finding


def test_control_is_killed_before_its_way_is_well_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    finding = found("control-broker", KILLED, tmp_path, monkeypatch, did, twice=2)
    assert (finding.passed, finding.repeated) == (True, 2)
    assert did == ["move control", "harm", "kill control", "cut"]


@pytest.mark.parametrize(
    ("item", "told", "failed"),
    [
        (KILLED, {}, ("nothing stands again of what was acknowledged to nobody",)),
        (ANSWERS_LOST, {"wrong": ["decision prp-1 stands under 2 ids"]}, ("decision prp-1 stands under 2 ids",)),
        (ANSWERS_LOST, {"unaccounted": ["reason does not add up: …"]}, ("reason does not add up: …",)),
        (LATENCY, {"unaccounted": ["grants does not add up: …"]}, ("grants does not add up: …",)),
    ],
)
def test_what_the_control_logs_should_not_hold_fails_the_item(
    item: str, told: dict[str, Any], failed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = found("control-broker", item, tmp_path, monkeypatch, [], **told)
    assert (finding.passed, finding.failed) == (False, failed)


def heard(*keys: str) -> list[Heard]:
    return [Heard("POST", "/notices", key, b"{}") for key in keys]


@pytest.mark.parametrize(
    ("item", "words", "arrived", "failed"),
    [
        (LATENCY, {"n1": "delivered"}, heard("n1", "of another incident"), ()),
        (ANSWERS_LOST, {"n1": "delivered"}, heard("n1", "n1"), ()),
        (ANSWERS_LOST, {"n1": "delivered"}, heard("n1"), ("no notice came again whose answer was lost",)),
        (REQUESTS_LOST, {"n1": "failed"}, heard("n1"), ("1 notices were given up",)),
        (LATENCY, {}, [], ("there was no notice at all",)),
    ],
)
def test_notices_that_are_given_up_or_never_there_fail_the_item(
    item: str, words: dict[str, str], arrived: list[Heard], failed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = found("control-receiver", item, tmp_path, monkeypatch, [], words=words, heard=arrived)
    assert (finding.failed, finding.passed) == (failed, not failed)


@pytest.mark.parametrize(
    "case", ["normalise-broker", "dedup-broker", "control-broker", "sink-broker", "api-broker", "sink-store", "control-llm"]
)
def test_an_item_whose_trouble_met_nothing_fails_and_any_other_says_what_it_met(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"questions": ["why?"]}
    finding = found(case, ANSWERS_LOST, tmp_path, monkeypatch, [], **told)
    assert (finding.failed, finding.notes.endswith("; met: 312 B up dropped on 1 connection")) == ((), True)
    finding = found(case, ANSWERS_LOST, tmp_path, monkeypatch, [], met=Met("dropped"), **told)
    assert finding.failed == ("the trouble met no traffic: nothing was dropped",)
    assert finding.notes.endswith("; met: nothing dropped on 0 connections")


@pytest.mark.parametrize(
    ("item", "met", "questions", "failed"),
    [
        (CUT_REQUEST, Met("cut off", up=240, connections=1), [], ()),  # it was asked, and the question did not arrive
        (ANSWERS_LOST, Met("dropped", down=240, connections=1), ["why?"], ()),
        (ANSWERS_LOST, Met("dropped", down=240, connections=1), [], ("the provider was never asked",)),
    ],
)
def test_a_provider_that_nobody_asked_fails_the_item(
    item: str, met: Met, questions: list[str], failed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("control-llm", item, tmp_path, monkeypatch, [], met=met, questions=questions).failed == failed
