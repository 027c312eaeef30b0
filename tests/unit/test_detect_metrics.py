"""How large detect's states are, told in one thread while another adds to them."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from streams.detect_metrics import States

PARTITIONS, HELD = 256, 32


TABLE = SimpleNamespace(count=3)
REGISTRY = SimpleNamespace(
    raws=TABLE, units=TABLE, hists=TABLE, insts=TABLE, slots=TABLE, pasts=TABLE, asleep=(), config=SimpleNamespace(window_s=10)
)


class State:
    """As much of a state as is told of."""

    registry = REGISTRY
    sources = SimpleNamespace(numbers=(), lagging=0, ahead=0, idle=0)
    waiting = ()
    closed = 7


def told(states: States, name: str) -> dict[str, float]:
    (family,) = [one for one in states.collect() if one.name == name]
    return {sample.labels["partition"]: sample.value for sample in family.samples}


def test_each_partition_that_is_here_is_told_of_and_none_that_has_moved_away() -> None:
    states, one, two = States(), State(), State()
    held: list[Any] = [one, two]
    for partition, state in ((10, one), (9, two)):
        states.show(partition, state)  # type: ignore[arg-type]
    assert told(states, "airra_detect_series") == {"9": 3, "10": 3}
    assert told(states, "airra_detect_watermark_seconds") == {"9": 70, "10": 70}

    held.clear()
    del one, state
    assert told(states, "airra_detect_series") == {"9": 3}


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_partitions_may_come_and_go_while_they_are_told_of() -> None:
    states, stop = States(), threading.Event()

    def come_and_go() -> None:
        held: deque[State] = deque(maxlen=HELD)
        for number in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            held.append(State())
            states.show(number % PARTITIONS, held[-1])  # type: ignore[arg-type]

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(2_000):
            list(states.collect())
    finally:
        stop.set()
        thread.join(10)
