"""The cases that say that nothing is acted upon: a place that acts all the same, twice or never, is found out."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from schemas.actions import RefusalReason
from schemas.topics import APPROVALS, SIGNALS
from tests.faults.reliability import broker, lost_control, restored
from tests.faults.reliability.case import Finding, Ground
from tests.unit.test_telemetry_faults import ACTS, OPENED, SAID, WAITS, Control, Place


class Cluster:
    """Brokers by their number; use as a context."""

    def __init__(self, *_: object, **__: object) -> None:
        self.bootstrap = "cluster"
        self.away: set[int] = set()

    def kill(self, *numbers: int) -> None:
        self.away |= set(numbers)

    def restart(self, *numbers: int) -> None:
        self.away -= set(numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""


class Site(Place):
    """A site in memory that does what a right one does, and `wrong` besides."""

    def __init__(self, folder: Path, wrong: str = "", cluster: Cluster | None = None, late_s: float = 0.1) -> None:
        super().__init__(folder / "log", Control(None), *OPENED, ACTS)
        self.wrong, self.cluster, self.late_s = wrong, cluster or Cluster(), late_s
        self.kafka, self.exits, self.bootstrap = self.cluster, Counter[int](), "here"
        self.seen = type("Seen", (), {"proposals": _Any()})()
        self._keys: list[str] = []
        self._asked: list[str] = []
        self._done: list[str] = []
        self._held = self._unarmed = False

    def start(self) -> None:
        """It runs."""

    def fall_ill(self, *, approve: bool = True) -> str:
        self._keys.append(f"inc-{len(self._keys)}")
        self._asked += [self._keys[-1]] * approve
        return self._keys[-1]

    def approve(self, key: str) -> None:
        self._asked.append(key)

    def _do(self, key: str) -> None:
        self._done += [key] * (2 if self.wrong == "twice" else 1) * (key not in self._done)

    def heal(self, key: str) -> float:
        if self.wrong != "never":
            self._do(key)
        return 1.0

    def done_after(self, key: str, _: float) -> float:
        self._do(key)
        return self.late_s

    @contextlib.contextmanager
    def held(self) -> Iterator[threading.Event]:
        reached = threading.Event()
        reached.set()
        self._held = True
        yield reached
        self._held = False

    def granted(self, _: str) -> bool:
        return True

    def refusals(self, _: str) -> set[RefusalReason]:
        return {RefusalReason.EVIDENCE_STALE} if self.wrong == "refused for another reason" else {RefusalReason.NOT_ARMED}

    def pass_time(self, _: float, __: Callable[[], None] | None = None) -> None:
        now = {"held": self._held, "away": len(self.cluster.away) == 2, "unarmed": self._unarmed}
        if now.get(self.wrong):
            self._do(self._asked[-1])

    def renew(self) -> None:
        """Time passes."""

    def step(self) -> None:
        """Time passes."""

    def move(self, bootstrap: str) -> None:
        self.bootstrap, self._unarmed = bootstrap, True
        if self.wrong == "waits":
            self.log.write_text(str(WAITS).replace("'", '"'))

    def armed(self) -> None:
        self._unarmed = False

    def effects(self) -> list[str]:
        return list(self._done)

    def of(self, key: str) -> int:
        return self._done.count(key)


class _Any:
    """Holds whatever is asked for."""

    def __contains__(self, _: object) -> bool:
        return True


def found(case: Callable[[Ground], Finding], folder: Path) -> Finding:
    return case(Ground(folder, lambda _: None))


@pytest.mark.parametrize(
    ("wrong", "late_s", "expected"),
    [
        ("", 0.1, {}),
        ("held", 0.1, {"failed": ("acted while its last look was held",)}),
        ("away", 0.1, {"failed": ("acted while two brokers were away",)}),
        ("twice", 0.1, {"doubled": 6}),
        ("never", 0.1, {"lost": 5}),
        ("", 60.0, {"failed": ("done only 60 s after it was let go",)}),
    ],
)
def test_acting_while_two_of_three_brokers_are_away_is_found(
    wrong: str, late_s: float, expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    monkeypatch.setattr(broker, "KafkaCluster", lambda _: cluster)
    monkeypatch.setattr(broker, "Site", lambda *_: contextlib.nullcontext(Site(tmp_path, wrong, cluster, late_s)))
    finding = found(broker.acting, tmp_path)
    assert finding.passed == (not expected)
    assert {name: getattr(finding, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("", ()),
        ("unarmed", ("acted on another cluster's arming",)),
        ("waits", ("execute waited: this shows nothing of the arming",)),
        ("refused for another reason", ("refused for [<RefusalReason.EVIDENCE_STALE: 'evidence_stale'>]",)),
    ],
)
def test_acting_on_the_arming_of_another_cluster_is_found(
    wrong: str, expected: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, wrong)
    done, half = [site.fall_ill(), site.fall_ill()], [site.fall_ill(approve=False), site.fall_ill(approve=False)]
    for key in done:
        site.heal(key)
    monkeypatch.setattr(restored, "_lived", lambda _: contextlib.nullcontext((site, "there", done, half)))
    monkeypatch.setattr(restored, "mirror", lambda *_: 100)
    monkeypatch.setattr(restored, "mirror_offsets", lambda *_: {0: 9})
    monkeypatch.setattr(restored, "arm", lambda *_: site.armed())
    finding = found(restored._with_offsets, tmp_path)
    assert finding.failed == expected
    assert finding.passed == (not expected)


def lost(site: Site, monkeypatch: pytest.MonkeyPatch, deleted: list[Sequence[str]]) -> Callable[[Ground], Finding]:
    """Return the case of an approvals log that is made anew, over this site."""
    monkeypatch.setattr(lost_control, "Site", lambda *_: contextlib.nullcontext(site))
    monkeypatch.setattr(lost_control, "delete_topics", lambda _, *names: deleted.append(names))
    monkeypatch.setattr(lost_control, "delete_group", lambda _, name: deleted.append((name,)))
    monkeypatch.setattr(lost_control, "create_topics", lambda *_: [])
    monkeypatch.setattr(lost_control, "arm", lambda *_: site.armed())
    monkeypatch.setattr(Ground, "own_kafka", lambda _: Cluster())
    return lambda ground: lost_control._anew(ground, APPROVALS)


class Refusing(Site):
    """Its control role refuses to run, once, and says why."""

    said = SAID
    code = 2

    def pass_time(self, seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
        if not self.exits:
            self.exits[self.code] += 1
            self.log.write_text(self.said)
            raise RuntimeError("control refuses to run")
        super().pass_time(seconds, meanwhile)

    def move(self, bootstrap: str) -> None:
        super().move(bootstrap)
        Place(self.log, self.control, *OPENED, ACTS)


def test_a_control_log_made_anew_is_told_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[Sequence[str]] = []
    finding = found(lost(Refusing(tmp_path), monkeypatch, deleted), tmp_path)
    assert (finding.failed, finding.passed) == ((), True)
    assert deleted == [("airra.approvals.v1",), ("airra-admit-state-changelog",), ("airra-admit",)]


@pytest.mark.parametrize(
    ("changes", "wrong", "expected"),
    [
        ({"said": "airra: no\n"}, "", ("not told which log", "not told what to delete", "not told that acting must be armed")),
        ({"code": 70}, "", ("exits {70: 1}",)),
        ({}, "unarmed", ("acted without arming",)),
        ({}, "refused for another reason", ("refused for [<RefusalReason.EVIDENCE_STALE: 'evidence_stale'>]",)),
    ],
)
def test_a_control_role_that_says_nothing_or_acts_on_a_log_made_anew_is_found(
    changes: dict[str, Any], wrong: str, expected: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = type("Wrong", (Refusing,), changes)(tmp_path, wrong)
    finding = found(lost(site, monkeypatch, []), tmp_path)
    assert (finding.failed, finding.passed) == (expected, False)


OF_SIGNALS = SAID.replace(APPROVALS.name, SIGNALS.name).replace("admit", "correlate")


@pytest.mark.parametrize(
    ("said", "wrong", "expected"),
    [
        (OF_SIGNALS, "", {}),
        (OF_SIGNALS, "twice", {"doubled": 2}),
        (OF_SIGNALS, "never", {"lost": 2}),
        (SAID, "", {"failed": ("not told which log",)}),
    ],
)
def test_what_was_done_is_not_done_again_where_a_log_that_leads_to_proposals_is_made_anew(
    said: str, wrong: str, expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[Sequence[str]] = []
    lost(site := Refusing(tmp_path, wrong), monkeypatch, deleted)
    site.said = said
    finding = found(lambda ground: lost_control._judged_anew(ground, SIGNALS), tmp_path)
    assert finding.passed == (not expected)
    assert {name: getattr(finding, name) for name in expected} == expected
    if not expected:
        assert deleted == [("airra.signals.v1",), ("airra-correlate-state-changelog",), ("airra-correlate",)]
