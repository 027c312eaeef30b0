"""The network cases: a repeat that is not there, or stands under another id, or a notice that never came, is found out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.faults.network.toxics import ANSWERS_LOST, KILLED, LATENCY, REQUESTS_LOST
from tests.faults.network.trouble import Lived, Trouble
from tests.faults.reliability import network
from tests.faults.reliability.case import Finding, Ground
from tests.network.recorder import Heard


class Proxy:
    """Writes down what is done to it."""

    def __init__(self, did: list[str]) -> None:
        self._did = did

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
        self.proxies = dict.fromkeys(("broker", "receiver"), Proxy(did))
        self.llm = type("Llm", (), {"requests": ()})()
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
        return Lived("inc-1")

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


def found(case: str, item: str, folder: Path, monkeypatch: pytest.MonkeyPatch, did: list[str], **told: Any) -> Finding:
    """Run one item of a case over such a bench."""

    @contextlib.contextmanager
    def proxied(_: Ground) -> Iterator[tuple[None, None, Proxy]]:
        yield None, None, Proxy(did)

    monkeypatch.setattr(network, "proxied", proxied)
    monkeypatch.setattr(network, "NetworkBench", lambda *_: Bench(did, **told))
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
