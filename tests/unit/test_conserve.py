"""The doctor's account: every record in one fate, and each thing that does not hold named."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.config import ConfigError
from cli.conserve.account import Account
from cli.conserve.check import NORMALISE, conserved
from cli.conserve.ended import grants, stored
from cli.conserve.logs import Bounds, Place
from cli.conserve.recording import Recording, record
from cli.settings import read_settings
from schemas import topics
from schemas.config.metrics import MetricsMapping
from schemas.settings import Settings
from streams.dedup import stage as dedup
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.fold import fold, restore
from streams.harness.stage import Output, Record
from streams.normalise.core import Core
from streams.normalise.times import Reach
from tests.unit.sink_records import whole_loop

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_795_489_200_000
STAMP = "2026-11-24T03:00:00Z"


class Logs:
    """Logs in memory."""

    def __init__(self) -> None:
        self.by_place: dict[Place, list[Record]] = {
            (spec.name, number): [] for spec in topics.CATALOGUE for number in range(spec.partitions)
        }
        self.committed: dict[str, dict[Place, int]] = {}

    def append(self, output: Output, at: int = NOW) -> Record:
        place = output.topic, output.partition or 0
        offset = len(self.by_place[place])
        self.by_place[place].append(Record(*place, offset, at, output.key, output.value, output.headers))
        return self.by_place[place][-1]

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        return {number: Bounds(0, self._following(name, number)) for name, number in self.by_place if name == topic}

    def _following(self, topic: str, number: int) -> int:
        return max((one.offset + 1 for one in self.by_place[topic, number]), default=0)

    def records(self, topic: str, partition: int, begin: int = 0, since: int | None = None) -> Iterator[Record]:
        del since
        return iter([one for one in self.by_place[topic, partition] if one.offset >= begin])

    def taken(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
        every = {place: self._following(*place) for place in self.by_place}
        return {place: offset for place, offset in self.committed.get(group, every).items() if place[0] in topics}


def sample(name: str = "up", **labels: str) -> bytes:
    return json.dumps({"labels": {"__name__": name, "service": "s1"} | labels, "name": name, "timestamp": STAMP, "value": "1"}).encode()


def webhook(*services: str) -> bytes:
    alerts = [{"status": "firing", "labels": {"alertname": "A", "service": name}, "startsAt": STAMP} for name in services]
    return json.dumps({"alerts": alerts}).encode()


@pytest.fixture
def settings() -> Settings:
    return read_settings(config_dir=ROOT / "config")


@pytest.fixture
def logs(settings: Settings) -> Logs:
    """What normalise and dedup made of a few raw records, read from the mapping that is shipped."""
    from cli.config import load

    made, core = Logs(), Core(load(MetricsMapping, settings.file("metrics")), 4, 4)
    raw = [made.append(Output("metrics", None, value)) for value in (sample(), b"{", sample("shoe_size_of_nobody"), sample(instance="i"))]
    values: list[bytes | None] = [one.value for one in raw]
    taken = core.take_samples(("metrics", 0), values, [one.offset for one in raw], [NOW] * len(raw), raw.__getitem__, Reach(NOW))
    told = [made.append(Output("alerts", None, value)) for value in (webhook("a", "b"), webhook("c", ""), b"[]", webhook())]
    change = {"type": "deploy", "service": "s1", "at": NOW, "before": "v1", "after": "v2"}
    changed = [made.append(Output("changes", None, value)) for value in (json.dumps(change).encode(), b"")]
    outputs = [*taken.outputs, *core.take_alerts(told, Reach(NOW)).outputs, *core.take_changes(changed, Reach(NOW)).outputs]
    for output in outputs:
        made.append(output)
    stage = dedup()
    for number in range(4):
        part = restore(stage, number, None, 0)
        for one in list(made.records(topics.ALERTS.name, number)):
            for output in fold(stage, part, one):
                made.append(output)
    return made


def faults(logs: Logs, settings: Settings) -> list[str]:
    return [f"{one.name}: {kind}" for one in conserved(logs, settings, None, None) for kind, count in one.faults.items() if count]


def of(name: str, accounts: list[Account]) -> Account:
    return next(one for one in accounts if one.name == name)


def without_later_stages(logs: Logs) -> Logs:
    """Let the stages behind dedup and normalise have taken nothing: they have not run here."""
    for name in ("detect", "correlate", "reason", "approve", "admit", "report", "verify", "sink"):
        logs.committed[f"airra-{name}"] = {}
    return logs


def test_every_record_has_one_fate_and_the_counts_add_up(logs: Logs, settings: Settings) -> None:
    accounts = conserved(without_later_stages(logs), settings, None, None)
    assert [str(one) for one in accounts if not one.holds] == []
    assert dict(of("normalise metrics", accounts).fates) == {"accepted": 2, "dead_letter": 1, "unmapped": 1}
    assert dict(of("normalise alerts", accounts).fates) == {"accepted": 2, "dead_letter": 2}
    assert dict(of("normalise changes", accounts).fates) == {"accepted": 1, "dead_letter": 1}
    assert of("dedup", accounts).fates.total() == of("dedup", accounts).taken == 3


def test_what_a_crash_repeats_alike_is_no_fault(logs: Logs, settings: Settings) -> None:
    for place in [place for place in logs.by_place if place[0] in {topics.SAMPLES.name, topics.SIGNALS.name, topics.DLQ.name}]:
        for one in list(logs.by_place[place]):
            logs.append(Output(one.topic, one.key, one.value, one.headers, one.partition))
    accounts = conserved(without_later_stages(logs), settings, None, None)
    assert [str(one) for one in accounts if not one.holds] == []
    assert of("normalise metrics", accounts).repeated > 0
    assert of("dedup", accounts).repeated > 0


def drop(topic: str, kind: bytes) -> Callable[[Logs], None]:
    def change(logs: Logs) -> None:
        for place, records in logs.by_place.items():
            if place[0] == topic:
                logs.by_place[place] = [one for one in records if (one.header("airra.type") or b"") != kind]

    return change


def alter(topic: str, kind: bytes, old: bytes, new: bytes) -> Callable[[Logs], None]:
    def change(logs: Logs) -> None:
        for place, records in logs.by_place.items():
            if place[0] == topic:
                of_kind = [(one, (one.header("airra.type") or b"") == kind) for one in records]
                logs.by_place[place] = [dataclasses.replace(one, value=one.value.replace(old, new)) if hit else one for one, hit in of_kind]

    return change


def invent(logs: Logs) -> None:
    logs.append(Output(topics.SIGNALS.name, b"x", b'{"type":"alert","id":"alt-x"}', (("airra.type", b"alert"),)))


def forge_letter(logs: Logs) -> None:
    letter = next(one for one in logs.by_place[topics.DLQ.name, 0] if one.header("airra.error.topic") == b"metrics")
    headers = tuple((name, b"0" if name == "airra.error.offset" else value) for name, value in letter.headers)
    logs.append(Output(letter.topic, letter.key, letter.value, headers))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (drop(topics.SAMPLES.name, b"samples"), "normalise metrics: records lost"),
        (drop(topics.ALERTS.name, b"alert_event"), "normalise alerts: records lost"),
        (drop(topics.SIGNALS.name, b"change"), "normalise changes: records lost"),
        (drop(topics.DLQ.name, b""), "normalise metrics: records lost"),
        (
            alter(topics.ALERTS.name, b"alert_event", b'"service":"a"', b'"service":"z"'),
            "normalise alerts: records otherwise than they should be",
        ),
        (forge_letter, "normalise metrics: records otherwise than they should be"),
        (drop(topics.SIGNALS.name, b"alert"), "dedup: outputs lost"),
        (alter(topics.SIGNALS.name, b"alert", b'"count":1', b'"count":2'), "dedup: outputs otherwise than they should be"),
        (invent, "outputs of stages: outputs from nowhere"),
    ],
)
def test_what_does_not_hold_is_named(logs: Logs, settings: Settings, harm: Callable[[Logs], None], expected: str) -> None:
    harm(without_later_stages(logs))
    assert expected in faults(logs, settings)


def test_what_is_not_taken_yet_waits_and_is_no_fault(logs: Logs, settings: Settings) -> None:
    without_later_stages(logs).committed[NORMALISE] = {("metrics", 0): 2}
    logs.append(Output("metrics", None, sample()))
    account = of("normalise metrics", conserved(logs, settings, None, None))
    assert (account.taken, account.lag, account.holds) == (2, 3, True)


def test_a_recording_holds_what_the_logs_hold(logs: Logs, settings: Settings, tmp_path: Path) -> None:
    folder, said = tmp_path / "recording", list[str]()
    groups = {NORMALISE: ["metrics"], "airra-dedup": [topics.ALERTS.name]}
    written = record(logs, settings, groups, folder, said.append)
    assert written == sum(map(len, logs.by_place.values()))
    kept = Recording(folder)
    for topic, number in logs.by_place:
        assert list(kept.records(topic, number)) == logs.by_place[topic, number]
        assert kept.bounds(topic)[number] == logs.bounds(topic)[number]
    assert kept.taken(NORMALISE, ["metrics"]) == {("metrics", number): len(logs.by_place["metrics", number]) for number in range(4)}
    assert read_settings(**kept.overrides).file("metrics").read_text() == settings.file("metrics").read_text()
    with pytest.raises(ConfigError, match="not empty"):
        record(logs, settings, {}, folder, said.append)
    with pytest.raises(ConfigError, match="is no recording"):
        Recording(tmp_path)


def test_the_time_of_the_check_plays_no_part(logs: Logs, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of last year is decoded as of when it was decoded then."""
    monkeypatch.setattr(time, "time", lambda: NOW / 1000 + 400 * 86_400)
    assert faults(without_later_stages(logs), settings) == []


class Client:
    """A store that has lost these ids."""

    def __init__(self, *lost: str) -> None:
        self._lost = set(lost)

    def query(self, sql: str, parameters: dict[str, list[str]]) -> Any:
        assert sql.startswith("SELECT DISTINCT id FROM ")
        return SimpleNamespace(result_rows=[(name,) for name in parameters["ids"] if name not in self._lost])


def the_loop() -> Logs:
    made = Logs()
    for one in whole_loop().records:
        made.append(Output(one.topic, one.key, one.value, one.headers))
    return made


def test_each_record_of_the_sink_has_its_row_or_a_fate_without_one() -> None:
    account = stored(the_loop(), Client(), None)
    assert account.holds
    assert account.taken == account.fates.total() == len(whole_loop().records)
    assert account.fates["tick"] == 1
    assert str(stored(the_loop(), Client("out-act-1"), None)).endswith("1 rows missing (outcomes out-act-1 of airra.outcomes.v1@0)")
    assert "the store was not asked" in str(stored(the_loop(), None, None))


def test_a_record_that_the_sink_cannot_read_must_have_its_letter() -> None:
    made = the_loop()
    bad = made.append(Output(topics.OUTCOMES.name, None, b"{"))
    assert "1 dead letters lost (airra.outcomes.v1@1)" in str(stored(made, Client(), None))
    made.append(dead_letter(bad, "sink", Poison("invalid_record", "x")))
    assert stored(made, Client(), None).holds


def test_a_grant_ends_or_is_open_and_an_end_has_a_grant() -> None:
    account = grants(the_loop())
    assert (account.taken, dict(account.fates)) == (1, {"ended": 1})
    assert account.faults == {"ends of what was never granted": 1}  # the loop's second action stands there without its grant
    made = Logs()
    for one in (one for one in whole_loop().records if one.topic == topics.ACTIONS.name and one.header("airra.type") is None):
        if b'"type":"grant"' in one.value:
            made.append(Output(one.topic, one.key, one.value))
    assert dict(grants(made).fates) == {"open": 1}
