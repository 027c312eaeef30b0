"""Brokers for tests: a real Apache Kafka where Java and Maven are, the embedded one everywhere."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPO = Path(__file__).parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "kafka")]

import bench  # noqa: E402, F401 - before pytest puts tests/faults on the path, where a file of that name would come first
from schemas.topics import TopicSpec  # noqa: E402
from streams.harness.embedded import EmbeddedBroker  # noqa: E402
from streams.harness.kafka import KafkaSettings  # noqa: E402
from streams.harness.topics import NewLog, create_topics  # noqa: E402
from tests.kafka.broker import KafkaBroker, Missing, fetch_jars, missing  # noqa: E402

# A busy machine is slow, not wrong: no property is a matter of time.
settings.register_profile("airra", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airra")

_SKIPPED = "no Apache Kafka here"
_counter = itertools.count()


@functools.cache
def _lacking() -> str | None:
    """Say why Apache Kafka cannot run here; None when it can. Maven may be there and reach nothing: only the fetching tells."""
    if reason := missing():
        return reason
    try:
        fetch_jars()
    except Missing as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return "mvn did not fetch Apache Kafka in time"
    return None


def _required() -> bool:
    return bool(os.environ.get("AIRRA_REQUIRE_KAFKA"))


def _require_kafka() -> None:
    reason = _lacking()
    if reason is None:
        return
    if _required():
        pytest.fail(f"AIRRA_REQUIRE_KAFKA is set, but {reason}", pytrace=False)
    pytest.skip(f"{_SKIPPED}: {reason}")


def _uses_kafka() -> bool:
    return os.environ.get("AIRRA_TEST_BROKER") != "embedded" and (_required() or _lacking() is None)


@pytest.fixture(scope="session")
def real_kafka() -> bool:
    """Whether tests that need no durability use Apache Kafka: where it can run, or must."""
    return _uses_kafka()


@pytest.fixture(scope="session")
def needs_kafka() -> None:
    """For tests that start brokers of their own: not run where Apache Kafka cannot."""
    _require_kafka()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One Apache Kafka for the whole run; `kafka.bootstrap` is its address."""
    _require_kafka()
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def fresh_kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """An Apache Kafka of this test alone: it may use the catalogue's names, kill it, restart it."""
    _require_kafka()
    with KafkaBroker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the whole run."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def fresh_embedded() -> Iterator[EmbeddedBroker]:
    """An embedded broker of this test alone: it may use the catalogue's names."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def any_broker(request: pytest.FixtureRequest, real_kafka: bool) -> KafkaBroker | EmbeddedBroker:
    """Apache Kafka where it can run, else the embedded broker; for tests that need no durability."""
    return request.getfixturevalue("kafka" if real_kafka else "embedded")


@dataclass(frozen=True)
class Topics:
    """Creates topics on a broker."""

    kafka: KafkaSettings

    def create(self, *specs: TopicSpec) -> None:
        """Create topics of the catalogue."""
        create_topics(self.kafka, specs)

    def unique(self, stem: str, partitions: int = 1, **config: str) -> str:
        """Create a topic of a name that no other test has."""
        name = f"{stem}-{os.getpid()}-{next(_counter)}"
        create_topics(self.kafka, [NewLog(name, partitions, {key.replace("_", "."): value for key, value in config.items()})])
        return name


@pytest.fixture
def topics() -> Callable[[str], Topics]:
    """`topics(bootstrap)` creates topics on that broker."""
    return lambda bootstrap: Topics(KafkaSettings(bootstrap))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List by name what was not run for lack of Apache Kafka."""
    not_run = [report for report in terminalreporter.stats.get("skipped", []) if _SKIPPED in str(report.longrepr)]
    if not_run:
        terminalreporter.section("not run for lack of Apache Kafka")
        for report in not_run:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
