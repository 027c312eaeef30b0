"""The order of a recording, and who has come to its end: what the campaign asks beside the doctor's account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cli.conserve.logs import Place
from schemas import topics
from schemas.samples import BATCH_HEADER, BatchSource, SampleBatch, encode_batch, encode_source, headers
from streams.dedup import stage as dedup
from streams.harness.fold import fold, restore
from streams.harness.stage import Output, Record
from streams.normalise.times import Reach
from tests.faults.reliability.order import behind, ends, out_of_order, unordered_sources
from tests.faults.reliability.replay import at_the_end, faults, quiet
from tests.unit.test_conserve import NOW, Logs, webhook

ALERTS, SAMPLES, SIGNALS = topics.ALERTS.name, topics.SAMPLES.name, topics.SIGNALS.name


@pytest.fixture
def logs() -> Logs:
    """Three alerts of one service and what dedup says of them."""
    from cli.config import load
    from schemas.config.metrics import MetricsMapping
    from streams.normalise.core import Core
    from tests.unit.test_conserve import ROOT

    made, core = Logs(), Core(load(MetricsMapping, ROOT / "config" / "metrics.yaml"), 4, 1)
    told = [made.append(Output("alerts", None, webhook(name))) for name in ("a", "b", "c")]
    for output in core.take_alerts(told, Reach(NOW)).outputs:
        made.append(output)
    part = restore(dedup(), 0, None, 0)
    for one in list(made.records(ALERTS, 0)):
        for output in fold(dedup(), part, one):
            made.append(output)
    return made


def arrange(logs: Logs, topic: str, *order: int) -> None:
    """Let the records of a topic stand in this order."""
    stood = list(logs.by_place[topic, 0])
    logs.by_place[topic, 0] = [replace(stood[index], offset=offset) for offset, index in enumerate(order)]


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        ((0, 1, 2), None),
        ((0, 1, 0, 1, 2), None),  # killed after the second, and all of it again
        ((0, 1, 2, 1, 2), None),
        ((0, 2, 1), 1),
        ((1, 0, 1, 2), 0),
        ((0, 2), None),  # what is missing is the account's
    ],
)
def test_outputs_stand_in_the_order_of_a_fold_and_repeats_move_nothing(logs: Logs, order: tuple[int, ...], wrong: int | None) -> None:
    arrange(logs, SIGNALS, *order)
    said = [f"dedup of {ALERTS}/0: {SIGNALS}/0 is in another order from its record {wrong} on"]
    assert out_of_order(logs, [dedup()]) == ([] if wrong is None else said)


def rows(*offsets: int) -> Callable[[Logs], Record]:
    """Append a batch of these raw records."""
    import numpy as np

    count = len(offsets)
    batch = SampleBatch(np.ones(count, np.uint64), np.full(count, NOW), np.zeros(count), np.array(offsets, np.int64))
    head = (*headers("samples"), (BATCH_HEADER, encode_source(BatchSource("metrics", 0, min(offsets), max(offsets)))))
    return lambda logs: logs.append(Output(SAMPLES, None, encode_batch(batch), head, 0))


@pytest.mark.parametrize(
    ("batches", "ordered"),
    [
        ([(0, 1, 2), (3, 5)], True),
        ([(0, 1, 2), (3, 5), (2, 3), (5, 6)], True),  # cut anew, and repeated
        ([(0, 1), (3, 4), (2,)], False),
        ([(3,), (0, 1)], False),
    ],
)
def test_rows_of_a_raw_partition_are_first_passed_on_in_its_order(batches: list[tuple[int, ...]], ordered: bool) -> None:
    logs = Logs()
    for offsets in batches:
        rows(*offsets)(logs)
    assert (unordered_sources(logs) == []) is ordered


def test_events_of_a_raw_partition_are_first_passed_on_in_its_order(logs: Logs) -> None:
    assert unordered_sources(logs) == []
    arrange(logs, ALERTS, 0, 2, 1)
    assert unordered_sources(logs) == [f"{ALERTS}/0@2: alerts/0@1 after 2"]


def test_a_stage_has_come_to_its_end_when_it_has_taken_all_but_the_clocks(logs: Logs) -> None:
    for kind in (b"tick", b"heartbeat", b"tick"):
        logs.append(Output(ALERTS, None, b"", (("airra.type", kind),), 0))
    groups = {"airra-dedup": [ALERTS]}
    wanted = ends(logs, groups)
    assert wanted[ALERTS, 0] == 3
    logs.committed["airra-dedup"] = {(ALERTS, 0): 3}
    assert behind(logs, groups, wanted) == []
    logs.committed["airra-dedup"] = {(ALERTS, 0): 2}
    assert behind(logs, groups, wanted) == [f"airra-dedup has taken {ALERTS}/0 to 2 of 3"]
    logs.committed["airra-dedup"] = {}
    assert behind(logs, groups, wanted) == [f"airra-dedup has taken {ALERTS}/0 to 0 of 3"]


def test_a_stage_that_does_not_come_to_its_end_is_named(logs: Logs) -> None:
    groups = {"airra-dedup": [ALERTS]}
    assert at_the_end(logs, groups)[ALERTS, 0] == 3
    logs.committed["airra-dedup"] = {(ALERTS, 0): 2}
    with pytest.raises(RuntimeError, match=f"airra-dedup has taken {ALERTS}/0 to 2 of 3"):
        at_the_end(logs, groups, within_s=0.1)


def test_the_logs_are_quiet_once_nobody_has_said_anything_more(logs: Logs) -> None:
    groups = {"airra-dedup": [ALERTS], "airra-correlate": [SIGNALS]}

    class Talking(Logs):
        """Says one thing more, as a stage does that comes to its end."""

        more = 1

        def taken(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
            if group == "airra-dedup" and self.more:
                self.more -= 1
                self.append(Output(SIGNALS, None, b"", (("airra.type", b"alert"),), 0))
            return super().taken(group, topics)

    talking = Talking()
    talking.by_place = logs.by_place
    assert quiet(talking, groups)[SIGNALS, 0] == 4


@pytest.mark.parametrize(
    ("accounts", "wrong"),
    [
        ({"dedup": {"ok": True, "detail": "3 taken = 3 emitted"}}, []),
        ({"dedup": {"ok": False, "detail": "3 taken = 2 emitted, 1 outputs lost"}}, ["dedup: 3 taken = 2 emitted, 1 outputs lost"]),
        ({"dedup": {"ok": True, "detail": "0 taken = nothing"}}, ["dedup has taken nothing"]),
        ({}, ["dedup has taken nothing"]),
    ],
)
def test_an_account_that_is_empty_is_no_account(accounts: dict[str, Any], wrong: list[str]) -> None:
    assert faults(accounts, ("dedup",)) == wrong
