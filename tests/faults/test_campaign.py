"""The short form of the fault campaign, on Apache Kafka; the full form is `make campaign`."""

from pathlib import Path

import pytest

from tests.faults.bench import HEAD
from tests.faults.campaign import SCENARIOS, Size, run
from tests.kafka.broker import KafkaBroker

SHORT = Size(per_second=1000, rounds=2, seed=1)
FULL = Size(per_second=2000, rounds=10, seed=2)
OWN_BROKER = {"broker_restart"}


def check(name: str, broker: KafkaBroker, folder: Path, size: Size) -> None:
    result = run(name, broker, folder, size)
    print(f"\n{HEAD}\n{result.line()}")
    assert result.lost == 0, result.line()
    assert result.wrong == 0, result.line()
    assert result.states_equal, result.line()


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - OWN_BROKER))
def test_nothing_is_lost_and_the_state_equals_a_linear_replay(name: str, kafka: KafkaBroker, tmp_path: Path) -> None:
    check(name, kafka, tmp_path, SHORT)


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(fresh_kafka: KafkaBroker, tmp_path: Path) -> None:
    check("broker_restart", fresh_kafka, tmp_path, SHORT)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_full_campaign(name: str, fresh_kafka: KafkaBroker, tmp_path: Path) -> None:
    check(name, fresh_kafka, tmp_path, FULL)
